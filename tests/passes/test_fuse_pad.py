"""A Pad folds into the Conv or pool behind it only where both pad with the same value."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import run_pass

Weights = Callable[..., str]
LOWEST = "-3.4028234e38"


@pytest.mark.parametrize("own", ["", "pads = [1,0,0,1]", 'auto_pad = "VALID"', 'auto_pad = "NOTSET"'])
def test_zeros_fold_into_a_conv(weights: Weights, own: str) -> None:
    text = weights(w=(4, 2, 3, 3), b=(4,))
    run = run_pass(
        f"""agraph (float[1,2,5,5] x) => (float[n,c,h,w] y)
        {text[:-1]}, int64[8] p = {{0, 0, 1, 2, 0, 0, 3, 0}}> {{
            a = Pad(x, p)
            y = Conv <strides = [2,1]{", " + own if own else ""}> (a, w, b)
        }}""",
        "fuse-pad",
    )
    assert run.ops == ["Conv"]
    expected = [2, 2, 3, 1] if own.startswith("pads") else [1, 2, 3, 0]
    assert list(run.node("Conv").attributes["pads"].as_ints()) == expected


def test_pads_as_attributes_of_old_opsets(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[1,2,5,5] x) => (float[n,c,h,w] y) {weights(w=(4, 2, 3, 3))} {{
            a = Pad <pads = [0,0,1,1,0,0,1,1], value = 0.0> (x)
            y = Conv(a, w)
        }}""",
        "fuse-pad",
        opset=10,
    )
    assert run.ops == ["Conv"]


def test_pads_of_chosen_axes(weights: Weights) -> None:
    text = weights(w=(4, 2, 3, 3))
    run = run_pass(
        f"""agraph (float[1,2,5,5] x) => (float[n,c,h,w] y)
        {text[:-1]}, int64[4] p = {{1, 2, 3, 4}}, int64[2] axes = {{-1, 2}}, float zero = {{0.0}}> {{
            a = Pad(x, p, zero, axes)
            y = Conv(a, w)
        }}""",
        "fuse-pad",
    )
    assert list(run.node("Conv").attributes["pads"].as_ints()) == [2, 1, 4, 3]


@pytest.mark.parametrize(
    ("pads", "value", "attributes", "reason"),
    [
        ("0,0,1,1,0,0,1,1", "1.0", "", "Pad with a value that Conv does not pad with"),
        ("0,0,-1,1,0,0,1,1", "0.0", "", "Pad that crops"),
        ("0,1,0,0,0,1,0,0", "0.0", "", "Pad of the batch or channel axis"),
        ("1,0,0,0,0,0,0,0", "0.0", "", "Pad of the batch or channel axis"),
        ("0,0,1,1,0,0,1,1", "0.0", '<mode = "reflect">', "Pad in reflect mode"),
        ("0,0,1,1,0,0,1,1", "0.0", '<mode = "edge">', "Pad in edge mode"),
    ],
)
def test_other_pads_before_a_conv_stay(
    weights: Weights, pads: str, value: str, attributes: str, reason: str
) -> None:
    channels = 4 if pads.startswith("0,1") else 2
    text = weights(w=(4, channels, 3, 3))
    run = run_pass(
        f"""agraph (float[1,2,5,5] x) => (float[n,c,h,w] y)
        {text[:-1]}, int64[8] p = {{{pads}}}, float v = {{{value}}}> {{
            a = Pad {attributes} (x, p, v)
            y = Conv(a, w)
        }}""",
        "fuse-pad",
    )
    assert run.refusals == {f"fold-pad: {reason}": 1}


def test_a_conv_that_chooses_its_pads_stays(weights: Weights) -> None:
    text = weights(w=(4, 2, 3, 3))
    run = run_pass(
        f"""agraph (float[1,2,5,5] x) => (float[n,c,h,w] y) {text[:-1]}, int64[8] p = {{0,0,1,1,0,0,1,1}}> {{
            a = Pad(x, p)
            y = Conv <auto_pad = "SAME_UPPER"> (a, w)
        }}""",
        "fuse-pad",
    )
    assert run.refusals == {"fold-pad: the Conv chooses its pads by SAME_UPPER": 1}


def test_pads_that_are_not_constant_stay(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[1,2,5,5] x, int64[8] p) => (float[n,c,h,w] y) {weights(w=(4, 2, 1, 1))} {{
            a = Pad(x, p)
            y = Conv(a, w)
        }}""",
        "fuse-pad",
        inputs=(),
    )
    assert run.refusals == {"fold-pad: the pads are not constant": 1}


@pytest.mark.parametrize(
    ("op", "value", "attributes", "folds"),
    [
        ("MaxPool", "-inf", "", True),
        ("MaxPool", "-inf", ", pads = [1,1,1,1]", True),
        ("MaxPool", "0.0", "", False),
        ("MaxPool", "1.0", "", False),
        ("MaxPool", LOWEST, "", False),
        ("MaxPool", "-inf", ", ceil_mode = 1", False),
        ("MaxPool", "-inf", ", dilations = [2,2]", False),
        ("MaxPool", "-inf", ", pads = [2,2,2,2]", False),
        ("AveragePool", "0.0", "", True),
        ("AveragePool", "0.0", ", count_include_pad = 1", True),
        ("AveragePool", "0.0", ", count_include_pad = 1, pads = [1,1,0,0]", True),
        ("AveragePool", "0.0", ", pads = [1,1,0,0]", False),
        ("AveragePool", "0.0", ", ceil_mode = 1", False),
        ("AveragePool", "1.0", "", False),
    ],
)
def test_pools(op: str, value: str, attributes: str, folds: bool) -> None:
    run = run_pass(
        f"""agraph (float[1,2,7,7] x) => (float[n,c,h,w] y)
        <int64[8] p = {{0,0,1,1,0,0,1,1}}, float v = {{{value}}}> {{
            a = Pad(x, p, v)
            y = {op} <kernel_shape = [3,3], strides = [2,2]{attributes}> (a)
        }}""",
        "fuse-pad",
    )
    assert (run.ops == [op]) == folds, run.refusals


def test_indices_of_the_padded_input_stay() -> None:
    run = run_pass(
        """agraph (float[1,2,5,5] x) => (float[n,c,h,w] y, int64[n,c,h,w] z)
        <int64[8] p = {0,0,1,1,0,0,1,1}, float v = {-inf}> {
            a = Pad(x, p, v)
            y, z = MaxPool <kernel_shape = [3,3]> (a)
        }""",
        "fuse-pad",
    )
    assert run.refusals == {"fold-pad: the indices of the MaxPool count its padded input": 1}


def test_padding_around_nothing_stays() -> None:
    """onnxruntime takes no windows of an input without elements, padded or not."""
    run = run_pass(
        """g (float[1,1,1,0] x) => (float[1,1,1,2] y) <int64[8] p = {0, 0, 1, 2, 0, 0, 1, 2}> {
            z = Pad(x, p) y = AveragePool <kernel_shape = [3, 3]> (z)
        }""",
        "fuse-pad",
    )
    assert run.ops == ["Pad", "AveragePool"]


@pytest.mark.parametrize(("op_type", "fused"), [("Conv", True), ("AveragePool", False)])
def test_padding_around_what_may_be_nothing(op_type: str, fused: bool) -> None:
    """A height of 0 at run time is one of 2 behind the Pad, and pools refuse the former."""
    weights = ", w" if op_type == "Conv" else ""
    run = run_pass(
        f"""g (float[1,1,h,4] x) => (float[1,1,a,b] y)
        <int64[8] p = {{0, 0, 1, 0, 0, 0, 1, 0}}, float[1,1,2,2] w = {{1, 2, 3, 4}}> {{
            z = Pad(x, p) y = {op_type} <kernel_shape = [2, 2]> (z{weights})
        }}""",
        "fuse-pad",
    )
    assert run.ops == ([op_type] if fused else ["Pad", op_type])
