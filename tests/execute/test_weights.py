"""Large weights reach onnxruntime without a copy."""

from __future__ import annotations

import multiprocessing
import resource
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import Session, weights
from graphopt.execute.proto import light_proto
from graphopt.execute.weights import HandOver, ways

SIZE = 1024
LAYERS = 64
"""64 weights of 4 MiB: 256 MiB, well above what Python, numpy and onnxruntime take themselves."""


def save_chain(folder: Path, layers: int) -> Path:
    """A chain of MatMuls whose weights lie in one external file."""
    names = ["x", *(f"h{index}" for index in range(1, layers)), "y"]
    body = " ".join(f"{names[i + 1]} = MatMul({names[i]}, w{i})" for i in range(layers))
    weights = ", ".join(f"float[{SIZE}, {SIZE}] w{index}" for index in range(layers))
    made = ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["": 17]> '
        f"g ({weights}, float[N, {SIZE}] x) => (float[N, {SIZE}] y) {{ {body} }}"
    )
    block = np.random.default_rng(0).standard_normal((SIZE, SIZE), dtype=np.float32) / 32
    with (folder / "w.bin").open("wb") as file:
        for index in range(layers):
            np.roll(block, index).tofile(file)
    for value in list(made.graph.inputs)[:-1]:
        index = int((value.name or "w0")[1:])
        value.const_value = ir.ExternalTensor(
            "w.bin",
            index * block.nbytes,
            block.nbytes,
            ir.DataType.FLOAT,
            shape=ir.Shape([SIZE, SIZE]),
            name=value.name or "",
            base_dir=str(folder),
        )
        made.graph.register_initializer(value)
        made.graph.inputs.remove(value)
    ir.save(made, folder / "m.onnx")
    return folder / "m.onnx"


def _run_and_measure(path: Path, queue: multiprocessing.Queue[tuple[int, int]]) -> None:
    # A first session loads onnxruntime, so that only the model is counted.
    first = '<ir_version: 8, opset_import: ["": 17]> g (float[1] x) => (float[1] y) { y = Neg(x) }'
    Session(ir.from_onnx_text(first))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    Session(path).run({"x": np.ones((1, SIZE), np.float32)})
    queue.put((before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def test_weights_on_disk_are_never_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As for weights above the limit: prepacking, which copies, is off.
    monkeypatch.setattr(weights, "LARGE_WEIGHT_BYTES", 1 << 20)
    monkeypatch.setattr("graphopt.execute.session.LARGE_WEIGHT_BYTES", 1 << 20)
    path = save_chain(tmp_path, LAYERS)
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[tuple[int, int]] = context.Queue()
    process = context.Process(target=_run_and_measure, args=(path, queue))
    process.start()
    before, after = queue.get(timeout=60)
    process.join()
    kib = LAYERS * SIZE * SIZE * 4 // 1024
    assert kib * 0.9 < after - before < kib * 1.15


def test_optimized_sessions_read_the_files_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_chain(tmp_path, 3)
    x = np.random.default_rng(1).standard_normal((2, SIZE), dtype=np.float32)
    expected = Session(path).run({"x": x})["y"]
    monkeypatch.setattr(weights, "LARGE_WEIGHT_BYTES", 1 << 20)
    light = light_proto(ir.load(path))
    assert ways(light, optimize=True) == (HandOver.FILES, HandOver.INJECTED)
    assert np.allclose(Session(path, optimize=True).run({"x": x})["y"], expected, rtol=1e-4, atol=1e-5)


def test_weights_in_memory_and_on_disk_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ir.load(save_chain(tmp_path, 3))
    x = np.random.default_rng(1).standard_normal((2, SIZE), dtype=np.float32)
    changed = made.graph.initializers["w1"]
    assert changed.const_value is not None
    changed.const_value = ir.tensor(2 * changed.const_value.numpy(), name="w1")
    expected = Session(made).run({"x": x})["y"]
    monkeypatch.setattr(weights, "LARGE_WEIGHT_BYTES", 1 << 20)
    assert np.allclose(Session(made, optimize=True).run({"x": x})["y"], expected, rtol=1e-4, atol=1e-5)


def test_proto_of_a_large_model_stays_small(tmp_path: Path) -> None:
    light = light_proto(ir.load(save_chain(tmp_path, 4)))
    assert light.proto.ByteSize() < 4096
    assert light.weight_bytes == 4 * SIZE * SIZE * 4
