"""A 1x1 Conv joins the Conv before or behind it where the joined weight is smaller than both."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import run_pass

Weights = Callable[..., str]


def _convs(first: str, second: str, text: str) -> str:
    return f"agraph (float[1,2,6,6] x) => (float[n,c,h,w] y) {text} {{ a = {first}  y = {second} }}"


@pytest.mark.parametrize("first_bias", [True, False])
@pytest.mark.parametrize("second_bias", [True, False])
def test_two_pointwise_convs_become_one(weights: Weights, first_bias: bool, second_bias: bool) -> None:
    text = weights(v=(8, 2, 1, 1), w=(3, 8, 1, 1), c=(8,), b=(3,))
    first = "Conv(x, v, c)" if first_bias else "Conv(x, v)"
    second = "(a, w, b)" if second_bias else "(a, w)"
    run = run_pass(_convs(first, f"Conv <strides = [2,2]> {second}", text), "join-convs")
    assert run.ops == ["Conv"]


@pytest.mark.parametrize("attributes", ["", "<strides = [2,1], dilations = [2,2]>"])
def test_a_pointwise_conv_joins_the_window_behind_it(weights: Weights, attributes: str) -> None:
    text = weights(v=(8, 2, 1, 1), w=(3, 8, 2, 3), c=(8,), b=(3,))
    run = run_pass(_convs("Conv(x, v, c)", f"Conv {attributes} (a, w, b)", text), "join-convs")
    assert run.ops == ["Conv"]


def test_a_pointwise_conv_joins_the_window_before_it(weights: Weights) -> None:
    text = weights(v=(8, 2, 3, 3), w=(2, 8, 1, 1), c=(8,), b=(2,))
    first = "Conv <pads = [1,0,1,2], strides = [2,2]> (x, v, c)"
    run = run_pass(_convs(first, "Conv(a, w, b)", text), "join-convs")
    assert run.ops == ["Conv"]


def test_padding_is_kept_where_no_bias_comes_before_it(weights: Weights) -> None:
    text = weights(v=(8, 2, 1, 1), w=(3, 8, 3, 3))
    run = run_pass(_convs("Conv(x, v)", "Conv <pads = [1,1,1,1]> (a, w)", text), "join-convs")
    assert run.ops == ["Conv"]


def test_a_bias_before_padding_stays(weights: Weights) -> None:
    text = weights(v=(8, 2, 1, 1), w=(3, 8, 3, 3), c=(8,))
    run = run_pass(_convs("Conv(x, v, c)", "Conv <pads = [1,1,1,1]> (a, w)", text), "join-convs")
    assert run.refusals == {"join-pointwise-conv: a bias before a padded Conv does not fold": 1}


@pytest.mark.parametrize(
    ("first", "second", "shapes"),
    [
        ("Conv(x, v)", "Conv(a, w)", {"v": (1, 2, 1, 1), "w": (8, 1, 1, 1)}),
        ("Conv(x, v)", "Conv(a, w)", {"v": (8, 2, 2, 2), "w": (3, 8, 2, 2)}),
        ("Conv <strides = [2,2]> (x, v)", "Conv(a, w)", {"v": (8, 2, 1, 1), "w": (3, 8, 2, 2)}),
        ("Conv <pads = [1,1,1,1]> (x, v)", "Conv(a, w)", {"v": (8, 2, 1, 1), "w": (3, 8, 2, 2)}),
        ("Conv <group = 2> (x, v)", "Conv(a, w)", {"v": (8, 1, 1, 1), "w": (2, 8, 1, 1)}),
        ("Conv(x, v)", "Conv <group = 2> (a, w)", {"v": (8, 2, 1, 1), "w": (2, 4, 1, 1)}),
    ],
)
def test_others_stay(weights: Weights, first: str, second: str, shapes: dict[str, tuple[int, ...]]) -> None:
    assert not run_pass(_convs(first, second, weights(**shapes)), "join-convs").changes


@pytest.mark.parametrize(
    ("first", "second"), [("Conv(x, v, d)", "Conv(a, w)"), ("Conv(x, v)", "Conv(a, w, d)")]
)
def test_a_dynamic_bias_is_not_dropped(weights: Weights, first: str, second: str) -> None:
    run = run_pass(
        f"""agraph (float[1,2,6,6] x, float[8] d) => (float[n,c,h,w] y)
        {weights(v=(8, 2, 1, 1), w=(8, 8, 1, 1))} {{
            a = {first}
            y = {second}
        }}""",
        "join-convs",
    )
    assert run.refusals == {"join-pointwise-conv: the bias is not constant": 1}
