"""Metrics on outputs whose agreement is plain to see."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from graphopt.errors import UsageError
from graphopt.quant.metrics import METRICS, parse_metric

Array = np.ndarray[Any, Any]


def outputs(*arrays: Array) -> list[dict[str, Array]]:
    return [{"y": array} for array in arrays]


def floats(values: Any) -> Array:
    return np.array(values, dtype=np.float32)


def one_hot(*classes: int, count: int = 4) -> Array:
    return np.eye(count, dtype=np.float32)[list(classes)]


@pytest.mark.parametrize("name", METRICS)
def test_equal_outputs_are_the_best_there_is(name: str) -> None:
    metric = parse_metric(name)
    same = outputs(one_hot(0, 2, 1), one_hot(3))
    value = metric(same, same)
    assert value == metric.best
    assert metric.drop(value) == 0


@pytest.mark.parametrize("name", METRICS)
def test_other_outputs_are_worse(name: str) -> None:
    metric = parse_metric(name)
    value = metric(outputs(one_hot(1, 2, 1)), outputs(one_hot(1, 3, 1)))
    assert value < metric.best if metric.higher_is_better else value > metric.best
    assert metric.drop(value) > 0


def test_top_1_counts_rows_of_all_samples() -> None:
    expected = outputs(one_hot(0, 1, 2), one_hot(3))
    assert parse_metric("top-1")(expected, outputs(one_hot(0, 1, 0), one_hot(3))) == 0.75


def test_top_1_of_one_probability_is_a_decision() -> None:
    expected = outputs(floats([[0.4], [0.9]]), floats([[0.1], [0.51]]))
    actual = outputs(floats([[0.45], [0.6]]), floats([[0.2], [0.49]]))
    assert parse_metric("top-1")(expected, actual) == 0.75


def test_top_1_of_integers_compares_them() -> None:
    assert parse_metric("top-1")(outputs(np.array([3, 1, 2, 2])), outputs(np.array([3, 1, 2, 0]))) == 0.75


def test_the_worst_output_counts() -> None:
    good, bad = one_hot(0, 1), one_hot(0, 2)
    assert parse_metric("top-1")([{"a": good, "b": good}], [{"a": good, "b": bad}]) == 0.5
    assert parse_metric("max-abs")([{"a": good, "b": good}], [{"a": good, "b": bad}]) == 1.0


def test_integers_beside_floats_do_not_count() -> None:
    expected = [{"scores": one_hot(1), "label": np.array([1])}]
    assert parse_metric("top-1")(expected, [{"scores": one_hot(1), "label": np.array([2])}]) == 1.0


def test_sqnr_is_of_all_samples_together() -> None:
    expected = outputs(floats([3.0]), floats([4.0]))
    actual = outputs(floats([3.0]), floats([4.5]))
    assert parse_metric("sqnr")(expected, actual) == pytest.approx(10 * math.log10(25 / 0.25))


def test_cosine_is_the_mean_over_samples() -> None:
    expected = outputs(floats([1.0, 0.0]), floats([1.0, 0.0]))
    actual = outputs(floats([2.0, 0.0]), floats([0.0, 1.0]))
    assert parse_metric("cosine")(expected, actual) == pytest.approx(0.5)


def test_max_abs_is_infinite_where_one_alone_is_not_a_number() -> None:
    metric = parse_metric("max-abs")
    fine, broken = outputs(floats([1.0, 2.0])), outputs(floats([1.0, np.nan]))
    assert metric(fine, broken) == math.inf
    assert metric(broken, broken) == 0
    assert metric(outputs(floats([np.inf, 1.0])), outputs(floats([np.inf, 1.5]))) == 0.5


@pytest.mark.parametrize("layout", ["batch first", "time first"])
def test_ctc_text_merges_repeats_and_drops_blanks(layout: str) -> None:
    def lines(*classes: int) -> list[dict[str, Array]]:
        scores = one_hot(*classes)
        return outputs(scores[None] if layout == "batch first" else scores[:, None])

    metric = parse_metric("ctc-text")
    assert metric(lines(1, 1, 0, 2, 0), lines(1, 0, 2, 2, 2)) == 1.0
    assert metric(lines(1, 0, 1, 2, 0), lines(1, 1, 1, 2, 0)) == 0.0


def test_types_of_onnx_count_as_floats() -> None:
    scores = one_hot(1, 2).astype(ml_dtypes.bfloat16)
    assert parse_metric("top-1")(outputs(scores), outputs(scores)) == 1.0
    assert parse_metric("max-abs")(outputs(scores), outputs(scores)) == 0.0


def test_an_unknown_name_says_which_is_meant() -> None:
    with pytest.raises(UsageError, match="there is no metric 'top1'") as caught:
        parse_metric("top1")
    assert caught.value.hint == "did you mean 'top-1'?"
    with pytest.raises(UsageError) as caught:
        parse_metric("accuracy of the model")
    assert caught.value.hint is not None and "ctc-text" in caught.value.hint
