"""Peak memory of loading and saving a model whose weights are larger than one protobuf message can be.

Run `python benchmarks/memory_large.py [GIGABYTES]`: it makes a model with so much external data (default 3)
in a temporary folder, loads and saves it in a process of its own, and prints seconds and resident memory.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnx.helper

LAYER_BYTES = 64 * 2**20
WIDTH = 4096


def make_model(path: Path, gigabytes: float) -> int:
    """A chain of MatMuls over `gigabytes` of external weights; the bytes written."""
    layers = round(gigabytes * 2**30 / LAYER_BYTES)
    weights = np.random.default_rng(0).standard_normal((WIDTH, WIDTH), dtype=np.float32)
    nodes, tensors = [], []
    with open(path.with_suffix(".weights"), "wb") as file:
        for layer in range(layers):
            tensor = onnx.TensorProto(name=f"w{layer}", data_type=onnx.TensorProto.FLOAT, dims=[WIDTH, WIDTH])
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=path.with_suffix(".weights").name)
            tensor.external_data.add(key="offset", value=str(file.tell()))
            tensor.external_data.add(key="length", value=str(LAYER_BYTES))
            tensors.append(tensor)
            nodes.append(onnx.helper.make_node("MatMul", [f"h{layer}", f"w{layer}"], [f"h{layer + 1}"]))
            file.write((weights + layer).tobytes())
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "chain",
        [info("h0", onnx.TensorProto.FLOAT, ["N", WIDTH])],
        [info(f"h{layers}", onnx.TensorProto.FLOAT, ["N", WIDTH])],
        tensors,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return layers * LAYER_BYTES


def load_and_save(source: str, target: str) -> None:
    """Load and save in this process; print seconds and the growth of peak memory in bytes."""
    from graphopt.io import load, save

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    model = load(source)
    loaded = time.perf_counter()
    save(model, target)
    saved = time.perf_counter()
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(f"{loaded - start:.3f} {saved - loaded:.3f} {growth}")


def main(gigabytes: float) -> None:
    """Measure and print one line."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "model.onnx"), Path(folder, "saved.onnx")
        size = make_model(source, gigabytes)
        command = [sys.executable, __file__, "--child", str(source), str(target)]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        load_seconds, save_seconds, growth = map(float, result.stdout.split())
        print(
            f"{size / 2**30:.2f} GiB of weights: load {load_seconds:.2f} s, save {save_seconds:.2f} s, "
            f"resident memory grew by {growth / 2**20:.0f} MiB ({growth / size:.3f} of the weights)"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        load_and_save(*sys.argv[2:4])
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0)
