"""Every model survives quantization: it stays valid, loads, and comes near what it computed in float."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.execute import DATA_KEY, Session
from graphopt.ir import infer_shapes, verify
from graphopt.passes.quantization.calibrate import Calibrate
from graphopt.passes.quantization.quantize_static import QuantizeStatic
from graphopt.passes.quantization.reduce_mean_to_pool import ReduceMeanToPool
from graphopt.testing import generate_model, model_inputs

OPS = (
    *("Conv", "MatMul", "Gemm", "Add", "Mul", "Concat", "Gather", "Split", "Slice", "Reshape", "Transpose"),
    *("Relu", "Clip", "HardSwish", "HardSigmoid", "Sigmoid", "LeakyRelu", "Softmax", "ReduceMean"),
    *("MaxPool", "AveragePool", "GlobalAveragePool", "Squeeze", "Unsqueeze", "Flatten", "Resize"),
)
FLOATS = ("float32", "int64")
SEVERAL_LAYERS = 0.35
"""Of the largest element: what a few layers of 8 bits may come to where their terms cancel out."""


@pytest.mark.parametrize("seed", range(60))
def test_generated_models_survive(seed: int) -> None:
    model = generate_model(seed, ops=OPS, dtypes=FLOATS, max_nodes=8, specials=False)
    feeds = model_inputs(model, special=False)
    infer_shapes(model)
    expected = [Session(model).run(feed) for feed in feeds]
    quantized = model.clone()
    quantized.meta[DATA_KEY] = feeds
    ReduceMeanToPool().call(quantized)
    Calibrate(threads=1).call(quantized)
    quantize = QuantizeStatic(everywhere=True, quantize_outputs=seed % 2 == 0)
    was_changed = quantize.call(quantized).modified
    verify(quantized)
    if all(value.shape is not None for value in quantized.graph.outputs):
        onnx.checker.check_model(ir.to_proto(quantized), full_check=True)
    assert not was_changed or not quantize.call(quantized).modified
    session = Session(quantized, optimize=True, fallback=False)
    worst = 0.0
    for feed, wanted in zip(feeds, expected, strict=True):
        for name, actual in session.run(feed).items():
            assert actual.shape == wanted[name].shape and actual.dtype == wanted[name].dtype
            worst = max(worst, _difference(wanted[name], actual))
    assert worst < SEVERAL_LAYERS


def _difference(expected: np.ndarray[Any, Any], actual: np.ndarray[Any, Any]) -> float:
    """Largest difference over the largest element, or over 1."""
    if expected.dtype.kind != "f" or not expected.size or not np.isfinite(expected).all():
        return 0.0
    return float(np.abs(expected - actual).max() / max(1.0, np.abs(expected).max()))
