"""Peak memory of optimizing a model whose weights are larger than one protobuf message can be.

Run `python benchmarks/memory_large.py [GIGABYTES]`: it makes a model with so much external data (default 3)
in a temporary folder, loads and saves it, then optimizes it with its check, each in a process of its own, and
prints seconds and peak resident memory as a share of the weights.
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
    """A chain of MatMul and Relu over `gigabytes` of external weights; the bytes written."""
    layers = round(gigabytes * 2**30 / LAYER_BYTES)
    weights = np.random.default_rng(0).standard_normal((WIDTH, WIDTH), dtype=np.float32) / np.sqrt(WIDTH / 2)
    step = np.float32(1e-6)  # no two layers alike
    nodes, tensors = [], []
    with open(path.with_suffix(".weights"), "wb") as file:
        for layer in range(layers):
            tensor = onnx.TensorProto(name=f"w{layer}", data_type=onnx.TensorProto.FLOAT, dims=[WIDTH, WIDTH])
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=path.with_suffix(".weights").name)
            tensor.external_data.add(key="offset", value=str(file.tell()))
            tensor.external_data.add(key="length", value=str(LAYER_BYTES))
            tensors.append(tensor)
            nodes.append(onnx.helper.make_node("MatMul", [f"h{layer}", f"w{layer}"], [f"m{layer}"]))
            nodes.append(onnx.helper.make_node("Relu", [f"m{layer}"], [f"h{layer + 1}"]))
            file.write((weights + layer * step).astype(np.float32).tobytes())
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
    """Load and save, nothing else."""
    from graphopt.io import load, save

    save(load(source), target)


def optimize(source: str, target: str) -> None:
    """The default optimization, without measuring."""
    from graphopt.compile import optimize

    report = optimize(source, output=target, measure=False).report
    assert report.check is not None and report.check.equal


WORK = {"load and save": load_and_save, "optimize and check": optimize}


def child(work: str, source: str, target: str) -> None:
    """Do one piece of work in this process; print seconds and peak resident memory in bytes."""
    start = time.perf_counter()
    WORK[work](source, target)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{time.perf_counter() - start:.3f} {peak}")


def main(gigabytes: float) -> None:
    """Measure and print a line for each piece of work."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "model.onnx"), Path(folder, "saved.onnx")
        size = make_model(source, gigabytes)
        for work in WORK:
            command = [sys.executable, __file__, "--child", work, str(source), str(target)]
            result = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds, peak = map(float, result.stdout.split())
            print(
                f"{size / 2**30:.2f} GiB of weights, {work}: {seconds:.1f} s, "
                f"peak {peak / 2**30:.2f} GiB resident ({peak / size:.2f} of the weights)"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0)
