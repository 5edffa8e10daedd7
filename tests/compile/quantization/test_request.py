"""What may be asked of quantizing, and what is refused before anything is loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.compile.quantization import DynamicInt8, Int8, Request
from graphopt.errors import UsageError

MODEL = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,4] x) => (float[1,4] y) { y = Relu(x) }'
DATA = [{"x": np.zeros((1, 4), np.float32)}]


def test_nothing_asked_is_no_request() -> None:
    assert Request.asked(None) is None


@pytest.mark.parametrize(
    "given", [{"calibration": DATA}, {"metric": "cosine"}, {"max_drop": 0.1}, {"time_budget": 3.0}]
)
def test_what_only_quantizing_needs_is_refused_without_it(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(given))} is given, but the model is neither"):
        Request.asked(None, **given)


@pytest.mark.parametrize("scheme", ["int8", Int8(observer="mse")])
def test_fixed_ranges_need_data_and_the_alternatives_are_named(scheme: Any) -> None:
    with pytest.raises(UsageError, match="only calibration data can tell") as caught:
        Request.asked(scheme)
    assert caught.value.hint is not None
    assert all(word in caught.value.hint for word in ("dynamic-int8", "weight-int4", "synthetic"))


def test_auto_does_with_the_data_at_hand() -> None:
    without, with_data = Request.asked("auto"), Request.asked("auto", DATA)
    assert without is not None and without.schemes == (DynamicInt8(),)
    assert with_data is not None and with_data.schemes == (Int8(), DynamicInt8())


def test_weights_of_four_bits_are_rounded_on_data_where_there_are_some() -> None:
    without, with_data = Request.asked("weight-int4"), Request.asked("weight-int4", DATA)
    assert without is not None and without.schemes[0].preparation() == ""
    assert with_data is not None and with_data.schemes[0].preparation() == "round-weights{bits=4}"


def test_int8_prepares_activations_and_weights_unless_told_not_to() -> None:
    assert Int8().preparation().endswith("smooth-quant,calibrate,round-weights")
    plain = Int8(smooth=False, round=False).preparation()
    assert "smooth-quant" not in plain and plain.endswith("calibrate")


@pytest.mark.parametrize(
    ("scheme", "given", "message"),
    [
        ("int9", {}, "there is no quantization scheme 'int9'"),
        ("dynamic-int8", {"metric": "cosin"}, "there is no metric 'cosin'"),
        ("dynamic-int8", {"max_drop": -1.0}, "max_drop is -1.0, expected 0 or more"),
        ("dynamic-int8", {"max_drop": 2.0, "metric": "top-1"}, "top-1 can drop by no more than 1"),
        ("dynamic-int8", {"time_budget": float("nan")}, "time_budget is nan"),
    ],
)
def test_what_makes_no_sense_is_told(scheme: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Request.asked(scheme, **given)


def test_metrics_without_bounds_may_drop_by_any_number() -> None:
    for metric in ("sqnr", "max-abs", lambda run: 1.0):
        assert Request.asked("dynamic-int8", metric=metric, max_drop=2.0) is not None


def test_synthetic_data_are_made_to_fit_and_others_must_fit() -> None:
    model = ir.from_onnx_text(MODEL)
    synthetic = Request.asked("int8", "synthetic")
    assert synthetic is not None
    samples = synthetic.samples(model, None)
    assert samples is not None and len(samples) > 1
    assert all(each["x"].shape == (1, 4) for each in samples)
    wrong = Request.asked("int8", [{"x": np.zeros((1, 5), np.float32)}])
    assert wrong is not None
    with pytest.raises(UsageError, match="has shape 1x5, expected 1x4"):
        wrong.samples(model, None)


def test_a_function_is_a_metric() -> None:
    request = Request.asked("dynamic-int8", metric=lambda run: 1.0)
    assert request is not None and callable(request.metric)
