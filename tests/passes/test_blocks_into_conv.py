"""A Conv reads pixels where they are: Focus, SpaceToDepth and its views before a Conv."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import run_pass

Weights = Callable[..., str]

CONSTANTS = """, int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2},
    int64[1] end = {9223372036854775807}, int64[1] h = {2}, int64[1] w3 = {3}, int64[1] minus = {-1},
    int64[2] s00 = {0, 0}, int64[2] s10 = {1, 0}, int64[2] s01 = {0, 1}, int64[2] s11 = {1, 1},
    int64[2] ends = {8, 12},    int64[2] axes = {2, 3}, int64[2] steps = {2, 2},
    int64[6] six = {0, 2, 4, 2, 6, 2}, int64[4] four = {0, 8, 4, 6},
    int64[2] tens = {7, 12}>"""

CHAINED = """
    a0 = Slice(x, zero, end, h, two)  a = Slice(a0, zero, end, w3, two)
    b0 = Slice(x, one, end, h, two)   b = Slice(b0, zero, end, w3, two)
    c = Slice(a0, one, end, w3, two)  d = Slice(b0, one, end, minus, two)
    k = Concat<axis=1>(a, b, c, d)"""
JOINT = """
    a = Slice(x, s00, ends, axes, steps)  b = Slice(x, s10, ends, axes, steps)
    c = Slice(x, s01, ends, axes, steps)  d = Slice(x, s11, ends, axes, steps)
    k = Concat<axis=1>(d, c, b, a)"""
VIEWS = "r = Reshape(x, six)  t = Transpose<perm=[%s]>(r)  k = Reshape(t, four)"


def _text(weights: Weights, made: str, attributes: str = "", shape: str = "N,2,8,12") -> str:
    return f"""agraph (float[{shape}] x) => (float[N,3,H,W] y)
        {weights(w=(3, 8, 3, 3), bias=(3,))[:-1]}{CONSTANTS} {{ {made}
        y = Conv<kernel_shape=[3, 3]{attributes}>(k, w, bias)
    }}"""


@pytest.mark.parametrize(
    "made",
    [
        CHAINED,
        JOINT,
        "k = SpaceToDepth<blocksize=2>(x)",
        VIEWS % "0,3,5,1,2,4",
        VIEWS % "0,1,3,5,2,4",
        VIEWS % "0,5,3,1,2,4",
    ],
)
@pytest.mark.parametrize("attributes", ["", ", pads=[1,1,1,1]", ", pads=[0,1,1,2], strides=[2,1]"])
def test_blocks(weights: Weights, made: str, attributes: str) -> None:
    run = run_pass(_text(weights, made, attributes), "blocks-into-conv")
    assert run.ops == ["Conv"]


@pytest.mark.parametrize(
    ("made", "attributes", "reason"),
    [
        (JOINT, ", dilations=[1, 2]", "conv-of-blocks: the Conv is grouped or dilated"),
        (
            "k = SpaceToDepth<blocksize=2>(x)",
            ', auto_pad="SAME_UPPER"',
            "conv-of-blocks: the padding of the Conv depends on sizes",
        ),
        (
            JOINT.replace("(x, s00, ends", "(x, s00, tens"),
            "",
            "conv-of-blocks: a Slice does not reach the end",
        ),
        (JOINT.replace("s11", "s01").replace("s10", "s00").replace("s01", "s00"), "", None),
    ],
)
def test_others_stay(weights: Weights, made: str, attributes: str, reason: str | None) -> None:
    run = run_pass(_text(weights, made, attributes), "blocks-into-conv")
    assert not run.changes
    expected = reason or "conv-of-blocks: the last block may not be whole"
    assert run.refusals == {expected: 1}


def test_blocks_read_elsewhere_stay(weights: Weights) -> None:
    text = _text(weights, "k = SpaceToDepth<blocksize=2>(x)").replace(
        "=> (float[N,3,H,W] y)", "=> (float[N,3,H,W] y, float[N,8,4,6] k)"
    )
    assert not run_pass(text, "blocks-into-conv").changes
