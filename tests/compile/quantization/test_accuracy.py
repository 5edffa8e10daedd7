"""Scores of a model beside its float form: the metric, the noise, and what makes it useless."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.compile.quantization.accuracy import Evaluation
from graphopt.errors import UsageError
from graphopt.execute import Samples
from graphopt.quant.metrics import parse_metric

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'
SAMPLES = [{"x": np.random.default_rng(seed).normal(size=(2, 8)).astype(np.float32)} for seed in range(6)]


def model(body: str, outputs: str = "float[2,8] y") -> ir.Model:
    constants = "<float half = {0.5}, float little = {0.001}, float zero = {0}>"
    return ir.from_onnx_text(f"{HEADER} g (float[2,8] x) => ({outputs}) {constants} {{ {body} }}")


def evaluation(metric: Any = "cosine") -> Evaluation:
    chosen = metric if callable(metric) else parse_metric(metric)
    return Evaluation(model("y = Mul(x, half)"), SAMPLES, chosen)


def test_the_model_itself_loses_nothing() -> None:
    scores = evaluation().score(model("y = Mul(half, x)"))
    assert (scores.value, scores.drop, scores.worst_sqnr, scores.fault) == (1.0, 0.0, math.inf, "")
    assert scores.samples == len(SAMPLES)


def test_noise_is_told_in_decibels() -> None:
    scores = evaluation("sqnr").score(model("z = Mul(x, half) n = Mul(x, little) y = Add(z, n)"))
    assert scores.sqnr["y"] == pytest.approx(20 * math.log10(500), abs=0.01)
    assert scores.value == pytest.approx(scores.sqnr["y"]) and scores.drop == math.inf


@pytest.mark.parametrize(
    ("body", "outputs", "fault"),
    [
        ("y = Div(x, zero)", "float[2,8] y", "NaN or infinite"),
        ("z = Mul(x, half) y = Transpose(z)", "float[8,2] y", "another shape"),
        ("y = Cast <to = 7> (x)", "int64[2,8] y", "another shape or type"),
        ("y = Reshape(x, bad)", "float[2,8] y", "does not run"),
    ],
)
def test_what_cannot_be_used_has_a_fault(body: str, outputs: str, fault: str) -> None:
    if "bad" in body:
        body = "bad = Constant <value_ints = [3, 8]> ()  " + body
    scores = evaluation().score(model(body, outputs))
    assert fault in scores.fault and scores.drop == math.inf


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda outputs: outputs[0], r"the metric '.*' failed in .*test_accuracy.py, line \d+: KeyError: 0"),
        (lambda outputs: None, "returned None, expected a number"),
        (lambda outputs: math.nan, "returned nan, expected a number"),
    ],
)
def test_what_is_wrong_with_a_metric_of_the_users_own_is_told(answer: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluation(lambda run: answer(run(SAMPLES[0])))


def test_a_sample_that_the_model_cannot_take_is_named() -> None:
    lookup = ir.from_onnx_text(
        f"""{HEADER} g (int64[2] x) => (float[2,2] y) <float[3,2] table = {{1, 2, 3, 4, 5, 6}}>
        {{ [embed] y = Gather(table, x) }}"""
    )
    samples = Samples([np.array([0, 1]), np.array([2, 67])], lookup)
    with pytest.raises(UsageError, match=r"cannot run on sample 2: .*'embed'.* idx=67"):
        Evaluation(lookup, samples, parse_metric("cosine"))


def test_infinities_are_refused_where_they_make_nan() -> None:
    def scored(body: str) -> float:
        network = model(body)
        samples = Samples([SAMPLES[0]["x"], np.full((2, 8), -np.inf, np.float32)], network)
        return Evaluation(network, samples, parse_metric("cosine")).score(network).drop

    assert scored("y = Sigmoid(x)") == 0.0
    with pytest.raises(UsageError, match="input 'x' of sample 2 holds infinities, which make NaN of 'y'"):
        scored("y = Softmax(x)")


def test_a_metric_of_the_users_own_is_compared_with_what_the_float_model_reaches() -> None:
    def accuracy(run: Any) -> float:
        outputs: list[Mapping[str, Any]] = [run(values) for values in SAMPLES]
        return float(np.mean([np.mean(each["y"] > 0) for each in outputs]))

    scores = evaluation(accuracy).score(model("z = Mul(x, half) n = Abs(z) y = Neg(n)"))
    assert scores.metric == "own metric" and scores.value == 0.0
    assert scores.drop == pytest.approx(np.mean([values["x"] > 0 for values in SAMPLES]))
