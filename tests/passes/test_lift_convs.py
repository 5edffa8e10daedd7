"""Convolutions along one axis are computed over two."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import PassRun, run_pass

Weights = Callable[..., str]


def _run(weights: Weights, body: str, y: str = "N,4,M", opset: int = 18, more: str = "") -> PassRun:
    text = weights(w=(4, 4, 3), v=(4, 4, 3), d=(4, 1, 3), p=(4, 4, 1), b=(4,), h=(4, 2, 3))[:-1]
    return run_pass(
        f"""agraph (float[N,4,16] x) => (float[{y}] y{more}) {text}, float half = {{0.5}},
            int64[1] two = {{2}}, int64[1] nine = {{9}}, int64[1] last = {{-1}}, int64[1] axis = {{2}}
        > {{ {body} }}""",
        "lift-convs",
        opset=opset,
    )


@pytest.mark.parametrize("opset", [11, 18])
@pytest.mark.parametrize(
    ("body", "ops"),
    [
        ("y = Conv(x, w, b)", ["Conv"]),
        ("y = Conv<kernel_shape=[3], strides=[2], pads=[1,0], dilations=[2]>(x, w)", ["Conv"]),
        ("a = Conv(x, w)  r = Relu(a)  y = Conv<pads=[1,1]>(r, v, b)", ["Conv", "Relu", "Conv"]),
        ("a = Conv<group=4>(x, d)  r = Mul(a, half)  y = Conv(r, p)", ["Conv", "Mul", "Conv"]),
        (
            "a = Conv(x, w)  s = Sigmoid(a)  m = Mul(a, s)  y = Conv(m, v)",
            ["Conv", "Sigmoid", "Mul", "Conv"],
        ),
        (
            "a = Conv(x, w)  l, r = Split<axis=1>(a)  m = Mul(l, l)  t = Add(m, r)  y = Conv(t, h)",
            ["Conv", "Split", "Mul", "Add", "Conv"],
        ),
        (
            "a = Conv(x, w)  l = Slice(a, two, nine, last)  r = Slice(a, two, nine, axis)  "
            "c = Concat<axis=2>(l, r)  y = MaxPool<kernel_shape=[3], strides=[2], pads=[1,0]>(c)",
            ["Conv", "Slice", "Slice", "Concat", "MaxPool"],
        ),
        (
            "a = ConvTranspose<strides=[2], output_padding=[1], pads=[1,0]>(x, w)  g = GlobalAveragePool(a)  "
            "y = Mul(a, g)",
            ["ConvTranspose", "GlobalAveragePool", "Mul"],
        ),
        ("a = Conv(x, w)  y = AveragePool<kernel_shape=[2]>(a)", ["Conv", "AveragePool"]),
        (
            "a = Conv(x, w)  r = Relu(a)  c = Concat<axis=-2>(a, r)  y = Relu(c)",
            ["Conv", "Relu", "Concat", "Relu"],
        ),
    ],
)
def test_chains(weights: Weights, body: str, ops: list[str], opset: int) -> None:
    if "Split" in body and opset == 18:
        body = body.replace("Split<axis=1>", "Split<axis=1, num_outputs=2>")
    y = "N,8,M" if "axis=-2" in body else "N,4,M"
    run = _run(weights, body, y, opset)
    assert run.ops == ["Unsqueeze", *ops, "Squeeze"]


def test_values_read_on_the_way(weights: Weights) -> None:
    run = _run(
        weights, "a = Conv(x, w)  y = Conv(a, v)  z = Softmax(a)", more=", float[N,4,K] a, float[N,4,K] z"
    )
    assert sorted(run.ops) == ["Conv", "Conv", "Softmax", "Squeeze", "Squeeze", "Unsqueeze"]


def test_ends_are_trimmed(weights: Weights) -> None:
    run = _run(
        weights,
        "n = Softmax<axis=1>(x)  e = Softmax(x)  s = Add(n, e)  a = Conv(s, w)  "
        "l, r = Split<axis=1, num_outputs=2>(a)  y = Softmax(l)  z = Softmax(r)",
        "N,2,M",
        more=", float[N,2,M] z",
    )
    assert run.ops == [
        "Softmax",
        "Softmax",
        "Add",
        "Unsqueeze",
        "Conv",
        "Squeeze",
        "Split",
        "Softmax",
        "Softmax",
    ]


@pytest.mark.parametrize(
    "body", ["y = Conv(x, p)", "a = Conv(x, p)  r = Relu(a)  y = Conv(r, p)", "y = Relu(x)"]
)
def test_single_taps_stay(weights: Weights, body: str) -> None:
    assert not _run(weights, body).changes


def test_weights_that_are_computed_stay() -> None:
    run = run_pass(
        "agraph (float[1,4,16] x, float[4,4,3] w) => (float[1,4,14] y) { y = Conv(x, w) }", "lift-convs"
    )
    assert not run.changes
