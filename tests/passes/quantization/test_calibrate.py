"""Ranges of values come from all samples, a few values at a time where memory is short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import UsageError
from graphopt.execute import DATA_KEY, PROGRESS_KEY
from graphopt.ir import infer_shapes
from graphopt.passes.quantization._ranges import range_of, size_of
from graphopt.passes.quantization.calibrate import Calibrate
from graphopt.testing import parse_model

TEXT = """agraph (float[n,4] x, int64[n] i) => (float[n,4] y, int64[n] j) <float[4] b = {1, 2, 3, 4}> {
    a = Add(x, b)
    m = Mul(a, a)
    t = Tanh(m)
    y = Sigmoid(t)
    j = Identity(i)
}"""


def _model(feeds: Any = None) -> ir.Model:
    model = parse_model(TEXT)
    infer_shapes(model)
    if feeds is not None:
        model.meta[DATA_KEY] = feeds
    return model


def _feeds() -> list[dict[str, Any]]:
    return [
        {"x": np.full((rows, 4), element, np.float32), "i": np.zeros(rows, np.int64)}
        for rows, element in ((2, -3.0), (4, 1.0))
    ]


def _range(model: ir.Model, name: str) -> tuple[float, float] | None:
    values = [*model.graph.inputs, *(output for node in model.graph for output in node.outputs)]
    return range_of(next(value for value in values if value.name == name))


def test_ranges_hold_all_samples_and_zero() -> None:
    model = _model(_feeds())
    outcome = Calibrate(observer="minmax").call(model)
    assert _range(model, "x") == (-3.0, 1.0)
    assert _range(model, "a") == (-2.0, 5.0)
    assert _range(model, "m") == (0.0, 25.0)
    assert size_of(model.graph.inputs[0]) == 12.0
    assert outcome.changes.count == 5


def test_only_floats_that_may_be_quantized_are_observed() -> None:
    model = _model(_feeds())
    Calibrate(observer="minmax").call(model)
    assert _range(model, "t") is not None  # a Sigmoid reads it
    assert _range(model, "i") is None and _range(model, "j") is None


def test_a_second_run_changes_nothing() -> None:
    model = _model(_feeds())
    Calibrate(observer="minmax").call(model)
    assert not Calibrate(observer="minmax").call(model).modified


@pytest.mark.parametrize("feeds", [lambda: _feeds(), tuple(_feeds()), iter(_feeds())])
def test_data_come_in_any_form(feeds: Any) -> None:
    model = _model(feeds)
    Calibrate(observer="minmax").call(model)
    assert _range(model, "a") == (-2.0, 5.0)


def test_data_come_from_a_folder(tmp_path: Path) -> None:
    for index, feed in enumerate(_feeds()):
        np.savez(tmp_path / f"{index}.npz", **feed)
    model = _model()
    Calibrate(data=str(tmp_path), observer="minmax").call(model)
    assert _range(model, "a") == (-2.0, 5.0)


def test_values_are_observed_in_turns_where_memory_is_short() -> None:
    told: list[tuple[int, int]] = []
    whole, parts = _model(_feeds()), _model(_feeds())
    parts.meta[PROGRESS_KEY] = lambda done, total: told.append((done, total))
    Calibrate(observer="minmax").call(whole)
    Calibrate(megabytes=0, observer="minmax").call(parts)
    for name in ("x", "a", "m", "t", "y"):
        assert _range(whole, name) == _range(parts, name)
    assert told == [(done, 8) for done in range(1, 9)]  # four values by two samples


def test_values_that_are_not_finite_get_no_range() -> None:
    feeds = _feeds()
    feeds[1]["x"][0, 0] = np.inf
    model = _model(feeds)
    outcome = Calibrate(observer="minmax").call(model)
    assert _range(model, "x") is None and _range(model, "y") is not None
    assert outcome.changes.refusals["it held NaN or infinity in the calibration data"] == 3


MASKED = """agraph (float[1,2,2] q, float[1,2,2] mask) => (float[1,2,2] y)
    <float[2,2] w = {1, 0, 0, 1}, float[2,2] k = {1, 1, 1, 1}> {
        p = MatMul(q, w)  s = MatMul(p, k)  a = Add(s, mask)  m = Softmax(a)  y = MatMul(m, q)
    }"""


def _masked(mask: float, query: float = 1.0) -> ir.Model:
    model = parse_model(MASKED)
    infer_shapes(model)
    queries = np.ones((1, 2, 2), np.float32)
    queries[0, 1, 1] = query
    model.meta[DATA_KEY] = [{"q": queries, "mask": np.array([[[0, mask]] * 2], np.float32)}] * 2
    return model


def test_infinities_of_a_mask_are_let_be() -> None:
    model = _masked(-np.inf)
    Calibrate(observer="minmax").call(model)
    assert _range(model, "q") == (0.0, 1.0) and _range(model, "mask") is None


@pytest.mark.parametrize(
    ("mask", "query", "message"),
    [
        (np.inf, 1.0, "input 'mask' of sample 1 holds infinities, which make NaN of 'y'"),
        (0.0, np.inf, "input 'q' of sample 1 holds infinities, which make NaN of 'y'"),
    ],
)
def test_infinities_that_do_harm_are_refused(mask: float, query: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Calibrate(observer="minmax").call(_masked(mask, query))


def test_infinities_that_leave_no_range_to_what_weighs_are_refused() -> None:
    model = parse_model(
        """agraph (float[1,2] x) => (float[1,2] y) <float[2,2] w = {1, 1, 1, 1}>
        { m = MatMul(x, w)  y = Sigmoid(m) }"""
    )
    infer_shapes(model)
    model.meta[DATA_KEY] = [{"x": np.array([[np.inf, 1]], np.float32)}]
    with pytest.raises(UsageError, match="input 'x' of sample 1 holds infinities, which reach 'x'"):
        Calibrate(observer="minmax").call(model)


def test_a_sample_that_the_model_cannot_take_is_named() -> None:
    model = parse_model(
        """agraph (int64[2] x) => (float[2,2] y) <float[3,2] table = {1, 2, 3, 4, 5, 6}>
        { [embed] e = Gather(table, x)  y = Sigmoid(e) }"""
    )
    infer_shapes(model)
    model.meta[DATA_KEY] = [np.array([0, 1]), np.array([2, 67])]
    with pytest.raises(UsageError, match=r"cannot run on sample 2: .*'embed'.* idx=67"):
        Calibrate(observer="minmax").call(model)


def test_values_without_elements_get_no_range() -> None:
    model = _model([{"x": np.zeros((0, 4), np.float32), "i": np.zeros(0, np.int64)}])
    outcome = Calibrate(observer="minmax").call(model)
    assert not outcome.changes.count
    assert outcome.changes.refusals["it had no elements in any sample"] == 5


def test_an_input_with_a_default_is_observed_as_it_is() -> None:
    model = parse_model(
        "agraph (float[2] x, float[2] b = {5, 7}) => (float[2] y) { y = Add(x, b) }", ir_version=8
    )
    model.meta[DATA_KEY] = [{"x": np.ones(2, np.float32)}]
    infer_shapes(model)
    Calibrate(observer="minmax").call(model)
    assert _range(model, "b") == (0.0, 7.0)


def test_another_observer() -> None:
    feeds = [{"x": np.linspace(0, 1, 40000, dtype=np.float32).reshape(-1, 4), "i": np.zeros(10000, np.int64)}]
    model = _model(feeds)
    Calibrate(observer="percentile{p=90}").call(model)
    low, high = _range(model, "x") or (0.0, 0.0)
    assert (low, high) == pytest.approx((0.05, 0.95), abs=0.01) or high == pytest.approx(0.95, abs=0.01)


def test_without_data_it_says_how_to_give_them() -> None:
    with pytest.raises(UsageError) as raised:
        Calibrate(observer="minmax").call(_model())
    assert "data=PATH" in (raised.value.hint or "")
