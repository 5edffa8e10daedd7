"""Channels of activations are evened out to the bit where that saves noise, and codes are nearer for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import UsageError
from graphopt.execute import DATA_KEY, Session
from graphopt.ir import infer_shapes, verify
from graphopt.passes.quantization.calibrate import Calibrate
from graphopt.passes.quantization.quantize_static import QuantizeStatic
from graphopt.passes.quantization.smooth_quant import SmoothQuant
from graphopt.pipeline import Outcome
from graphopt.quant.measures import sqnr_db
from graphopt.testing import parse_model

Weights = Callable[..., str]
Feeds = list[dict[str, Any]]

NORMALIZED = """agraph (float[32,16] x) => (float[32,8] y) {weights} {{
    n = LayerNormalization(x, s, b)
    y = MatMul(n, w)
}}"""
READ_BY_OTHERS = """agraph (float[32,16] x) => (float[32,16] y) {weights} {{
    n = LayerNormalization(x, s, b)
    m = MatMul(n, w)
    y = Add(n, m)
}}"""
CONVS = """agraph (float[1,4,9,9] x) => (float[1,8,1,1] y) {weights} {{
    c = Conv(x, w, b)
    r = Relu(c)
    d = Conv(r, v)
    y = GlobalAveragePool(d)
}}"""


def _feeds(shape: tuple[int, ...]) -> Feeds:
    random = np.random.default_rng(0)
    return [{"x": random.normal(size=shape).astype(np.float32)} for _ in range(6)]


def _with_outliers(text: str, name: str, feeds: Feeds) -> ir.Model:
    """The model with a few channels of one constant of a hundredfold size."""
    model = parse_model(text, opset=18)
    infer_shapes(model)
    vector = model.graph.initializers[name]
    assert vector.const_value is not None
    array = vector.const_value.numpy().copy()
    array[::5] *= 100
    vector.const_value = ir.Tensor(array, name=name)
    model.meta[DATA_KEY] = feeds
    return model


def _smoothed(model: ir.Model, **options: Any) -> tuple[ir.Model, Outcome]:
    smooth = model.clone()
    smooth.meta.update(model.meta)
    outcome = SmoothQuant(threads=1, **options).call(smooth)
    infer_shapes(smooth)
    verify(smooth)
    return smooth, outcome


def _outputs(model: ir.Model, feeds: Feeds) -> np.ndarray[Any, Any]:
    session = Session(model)
    return np.stack([session.run(feed)["y"] for feed in feeds])


def _noise(model: ir.Model, feeds: Feeds) -> float:
    quantized = model.clone()
    quantized.meta.update(model.meta)
    Calibrate(observer="minmax", threads=1).call(quantized)
    QuantizeStatic(everywhere=True, quantize_outputs=True).call(quantized)
    return sqnr_db(_outputs(model, feeds), _outputs(quantized, feeds))


def _ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def test_constants_of_a_normalization_take_the_factors(weights: Weights) -> None:
    feeds = _feeds((32, 16))
    model = _with_outliers(NORMALIZED.format(weights=weights(s=(16,), b=(16,), w=(16, 8))), "s", feeds)
    smooth, outcome = _smoothed(model)
    assert outcome.changes.hits == {"channels of a value": 1}
    assert _ops(smooth) == _ops(model)
    assert np.array_equal(_outputs(model, feeds), _outputs(smooth, feeds))
    assert _noise(smooth, feeds) > _noise(model, feeds) + 3.0


def test_a_convolution_takes_the_factors_through_a_relu(weights: Weights) -> None:
    feeds = _feeds((1, 4, 9, 9))
    text = weights(w=(10, 4, 3, 3), b=(10,), v=(8, 10, 1, 1))
    model = _with_outliers(CONVS.format(weights=text), "w", feeds)
    smooth, outcome = _smoothed(model)
    assert outcome.changes.hits == {"channels of a value": 1}
    assert np.array_equal(_outputs(model, feeds), _outputs(smooth, feeds))
    assert _noise(smooth, feeds) > _noise(model, feeds)


def test_a_division_takes_the_factors_where_others_read_the_value(weights: Weights) -> None:
    feeds = _feeds((32, 16))
    model = _with_outliers(READ_BY_OTHERS.format(weights=weights(s=(16,), b=(16,), w=(16, 16))), "s", feeds)
    smooth, outcome = _smoothed(model)
    assert outcome.changes.hits == {"channels divided": 1}
    assert _ops(smooth) == ["LayerNormalization", "Div", "MatMul", "Add"]
    assert np.array_equal(_outputs(model, feeds), _outputs(smooth, feeds))


def test_no_division_where_it_is_unwanted(weights: Weights) -> None:
    feeds = _feeds((32, 16))
    model = _with_outliers(READ_BY_OTHERS.format(weights=weights(s=(16,), b=(16,), w=(16, 16))), "s", feeds)
    _, outcome = _smoothed(model, divide=0.0)
    assert outcome.changes.refusals == {"others read the value too": 1}


def test_no_division_within_a_chain_of_codes(weights: Weights) -> None:
    feeds = _feeds((1, 4, 9, 9))
    text = weights(w=(10, 4, 3, 3), b=(10,), v=(8, 10, 1, 1))
    model = _with_outliers(CONVS.replace("Relu(c)", "Sigmoid(c)").format(weights=text), "w", feeds)
    _, outcome = _smoothed(model)
    assert not outcome.modified
    assert outcome.changes.refusals["a Sigmoid makes it, of which no constant scales channels"] == 1


def test_even_channels_stay(weights: Weights) -> None:
    feeds = _feeds((32, 16))
    text = NORMALIZED.format(weights=weights(positive_s=(16,), b=(16,), w=(16, 8))).replace(
        "s,", "positive_s,"
    )
    model = parse_model(text, opset=18)
    infer_shapes(model)
    model.meta[DATA_KEY] = feeds
    _, outcome = _smoothed(model, gain=3.0)
    assert outcome.changes.refusals == {"it would save less than 3 dB of noise": 1}


@pytest.mark.parametrize("text", [NORMALIZED, READ_BY_OTHERS])
def test_a_second_run_changes_nothing(weights: Weights, text: str) -> None:
    feeds = _feeds((32, 16))
    outputs = 16 if text is READ_BY_OTHERS else 8
    model = _with_outliers(text.format(weights=weights(s=(16,), b=(16,), w=(16, outputs))), "s", feeds)
    smooth, _ = _smoothed(model)
    smooth.meta.update(model.meta)
    assert not SmoothQuant(threads=1).call(smooth).modified


def test_without_data_it_says_what_to_do(weights: Weights) -> None:
    model = parse_model(NORMALIZED.format(weights=weights(s=(16,), b=(16,), w=(16, 8))), opset=18)
    infer_shapes(model)
    with pytest.raises(UsageError) as error:
        SmoothQuant().call(model)
    assert "smooth-quant{data=PATH}" in (error.value.hint or "")


def test_an_alpha_above_one_is_refused() -> None:
    with pytest.raises(UsageError):
        SmoothQuant(alpha=1.5)


def test_a_value_that_is_always_zero_gains_nothing(weights: Weights) -> None:
    feeds = _feeds((1, 4, 9, 9))
    model = _with_outliers(
        CONVS.format(weights=weights(w=(10, 4, 3, 3), b=(10,), v=(8, 10, 1, 1))), "w", feeds
    )
    for name in ("w", "b"):
        constant = model.graph.initializers[name]
        assert constant.const_value is not None
        constant.const_value = ir.Tensor(-np.abs(constant.const_value.numpy()) * 0, name=name)
    _, outcome = _smoothed(model)
    assert outcome.changes.count == 0
