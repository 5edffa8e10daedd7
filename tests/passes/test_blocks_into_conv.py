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


SIX = VIEWS % "0,3,5,1,2,4"
UNEVEN = "steps of the Slices differ along the axes"
NEAR_SLICES = {
    "another value": (JOINT.replace("d = Slice(x,", "o = Neg(x) d = Slice(o,"), "", "or from other values"),
    "other steps": (
        JOINT.replace("Concat<axis=1>(d, c, b, a)", "Concat<axis=1>(d, c, b, q)").replace(
            "k = ", "q0 = Slice(x, s00, ends, axes, fours)  q = Resize(q0, , doubled)  k = "
        ),
        "",
        "",
    ),
    "steps that differ": (JOINT.replace("axes, steps", "axes, uneven"), "", UNEVEN),
    "starts behind the step": (JOINT.replace("s00,", "s23,", 1), "", UNEVEN),
    "a row that is not taken": (JOINT.replace("s10", "s00").replace("s11", "s01"), "", "may not be whole"),
    "a column that is not taken": (JOINT.replace("s01", "s00").replace("s11", "s10"), "", "may not be whole"),
    "blocks that are not square": (SIX.replace("six", "oblong"), "", "not square"),
    "blocks of one pixel": (SIX.replace("six", "pixels").replace("four", "same"), "", "not square"),
    "channels that are split": (SIX.replace("six", "split"), "", "are split"),
    "another order": (VIEWS % "0,3,5,1,4,2", "", ""),
    "the batch moved": (VIEWS % "3,0,5,1,2,4", "", ""),
    "joined otherwise": (SIX.replace("four", "narrow"), "", ""),
    "groups": ("k = SpaceToDepth<blocksize=2>(x)", ", group=4", "grouped or dilated"),
}


@pytest.mark.parametrize(("made", "attributes", "reason"), NEAR_SLICES.values(), ids=NEAR_SLICES.keys())
def test_what_is_nearly_blocks_stays(weights: Weights, made: str, attributes: str, reason: str) -> None:
    constants = (
        ", int64[2] fours = {4, 4}, float[4] doubled = {1, 1, 2, 2}, int64[2] uneven = {2, 3},"
        " int64[2] s23 = {2, 3}, int64[6] oblong = {2, 2, 4, 2, 4, 3}, int64[6] pixels = {2, 2, 8, 1, 12, 1},"
        " int64[4] same = {2, 2, 8, 12}, int64[6] split = {2, 2, 4, 2, 6, 2},"
        " int64[4] narrow = {2, 8, 2, 12}>"
    )
    shape = "4,1,8,12" if "split" in reason else "2,2,8,12"
    text = _text(weights, made, attributes, shape=shape).replace("{7, 12}>", "{7, 12}" + constants)
    if "group" in attributes:
        text = text.replace("float[3,8,3,3] w", "float[4,2,3,3] w").replace("float[3] bias", "float[4] bias")
        text = text.replace("(k, w, bias)", "(k, w)").replace("N,3,H,W", "N,4,H,W")
    run = run_pass(text, "blocks-into-conv", inputs=(), full_check=False)
    assert run.changes == 0
    assert any(reason in each for each in run.refusals) or not reason


def test_slices_that_share_a_part(weights: Weights) -> None:
    run = run_pass(_text(weights, CHAINED), "blocks-into-conv")
    assert run.ops == ["Conv"]
    assert list(run.node("Conv").attributes["strides"].as_ints()) == [2, 2]


def test_weights_that_are_computed_stay(weights: Weights) -> None:
    text = _text(weights, "k = SpaceToDepth<blocksize=2>(x)  v = Neg(w)").replace(
        "(k, w, bias)", "(k, v, bias)"
    )
    run = run_pass(text, "blocks-into-conv")
    assert run.refusals == {"conv-of-blocks: the weight is not constant": 1}
