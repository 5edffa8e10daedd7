"""The oracle runs in a thread beside the passes; what they share is ready before it starts."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphopt


def test_external_data_is_mapped_by_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that map a tensor at the same time may get an array without its shape, or an error."""
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> agraph (float[N,64] x) => (float[N,64] y) '
        "{ a = MatMul(x, w) b = MatMul(a, w) y = Add(b, v) }"
    )
    for name, shape in (("w", (64, 64)), ("v", (1, 1024 * 64))):
        array = np.full(shape, 0.1, np.float32)[:, :64]
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(proto, str(tmp_path / "m.onnx"), save_as_external_data=True, size_threshold=0, location="w.bin")
    threads = []
    load = ir.ExternalTensor._load

    def recorded(tensor: ir.ExternalTensor) -> None:
        threads.append(threading.current_thread())
        load(tensor)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(ir.ExternalTensor, "_load", recorded)
    result = graphopt.optimize(tmp_path / "m.onnx", measure=False)
    assert set(threads) == {threading.main_thread()} and len(threads) >= 2
    assert result.report.check is not None and result.report.check.equal
