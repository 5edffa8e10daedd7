"""sink-transposes, operator by operator: each goes on in another order of axes, or says why it cannot."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from graphopt.testing import PassRun, run_pass

SHAPE = (2, 3, 4, 5)
SWAP = {
    "front": [1, 0, 2, 3],
    "middle": [0, 2, 1, 3],
    "back": [0, 1, 3, 2],
    "last": [0, 2, 3, 1],
    "out": [2, 1, 0, 3],
}


class Case(NamedTuple):
    """A body that makes `z` of `t`: x with its axes exchanged, as those of `z` are exchanged back."""

    perm: str
    body: str
    opset: int = 18
    exchanged_back: bool = True


def _floats(name: str, *shape: int) -> str:
    numbers = ", ".join(f"{number:g}" for number in np.arange(np.prod(shape)) % 7 - 2.75)
    return f"float[{','.join(map(str, shape))}] {name} = {{{numbers}}}"


def _ints(name: str, *numbers: int, shape: str = "", dtype: str = "int64") -> str:
    return f"{dtype}[{shape or len(numbers)}] {name} = {{{', '.join(map(str, numbers))}}}"


CONSTS = ", ".join(
    [
        *(_ints(f"i{number}", number) for number in range(4)),
        _ints("im1", -1), _ints("i4", 4), _ints("five", 1, 2, 4, 5, 3), _ints("cuts", 1, 2),
        "int64 zero = {0}, int64 minus = {-1}, float c = {0.25}, float step = {0.5}, uint8 point = {3}",
        _floats("w2", 2), _floats("w3", 3), _floats("w4", 4), _floats("w5", 5),
        "float[3] v3 = {0.5, 1.5, 2}", _floats("ones", 1, 1, 1, 3),
        _floats("wide", 2, 4, 3, 5), _floats("kernel", 4, 3, 1, 2), _floats("square", 5, 5),

        _floats("cube", 3, 2, 5, 3), _floats("few", 2, 5, 3), _floats("rows", 5, 1),
        _floats("batches", 2, 3, 4, 2), _floats("plane", 3, 5),
        _ints("turns", *([1, 0, 2] * 40), shape="2,4,3,5"),
        _ints("pads", 0, 1, 0, 2, 1, 0, 0, 0), _ints("some_pads", 1, 0, 2, 0), _ints("last_two", -1, -2),
        _ints("starts", 0, 1), _ints("ends", 2, 3), _ints("short", 0, 1, dtype="int32"),
        _ints("short_ends", 2, 3, dtype="int32"),
        _ints("tail", 3, 5), _ints("repeats", 1, 2, 3, 1), _ints("picks", 1, 0, 1),
        "float[4] scales = {1, 1, 2, 1}, float[4] inner = {1, 1, 2, 3}, float[2] two_scales = {2, 3}",
        "float[8] region = {0, 0, 0, 0, 1, 1, 0.5, 1}",
    ]
)  # fmt: skip


def exchanged(case: Case) -> PassRun:
    """Run on the body between a Transpose and the one that undoes it."""
    perm = SWAP[case.perm]
    undo = [perm.index(axis) for axis in range(4)]
    back = f"y = Transpose<perm = {undo}>(z)" if case.exchanged_back else "y = Neg(z)"
    shape = ", ".join(map(str, SHAPE))
    images = f"float[{shape}] x, float[{shape}] o"
    text = f"""g ({images}, int64[4] n, float[5] p, int64[3] places) => (y) <{CONSTS}> {{
        t = Transpose<perm = {perm}>(x) {case.body} {back}
    }}"""
    sample = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    sizes = {"n": np.array([2, 4, 3, 5]), "p": np.ones(5, np.float32), "places": np.array([2, 0, 1])}
    inputs = [{"x": sample, "o": 1 - sample, **sizes}]
    return run_pass(text, "sink-transposes", opset=case.opset, inputs=inputs)


PASSES = {
    "LayerNormalization over an axis that stays": Case("middle", "z = LayerNormalization(t, w5)"),
    "BatchNormalization": Case("back", "z = BatchNormalization(t, w3, w3, w3, v3)"),
    "InstanceNormalization": Case("back", "z = InstanceNormalization(t, w3, w3)"),
    "GlobalAveragePool": Case("back", "a = GlobalAveragePool(t) z = Sub(t, a)"),
    "LpNormalization": Case("last", "z = LpNormalization<axis = 1>(t)"),
    "LogSoftmax along an inner axis": Case("last", "z = LogSoftmax<axis = 1>(t)"),
    "GatherElements by constant indices": Case("middle", "z = GatherElements<axis = 2>(t, turns)"),
    "GatherElements of a constant": Case(
        "middle", "a = Mod<fmod = 1>(t, c) i = Cast<to = 7>(a) z = GatherElements<axis = 2>(wide, i)"
    ),
    "Trilu": Case("front", "z = Trilu<upper = 0>(t)"),
    "CumSum from the back": Case("last", "z = CumSum<reverse = 1>(t, minus)"),
    "Pad of all axes": Case("last", "z = Pad(t, pads)"),
    "Pad of named axes": Case("last", "z = Pad(t, some_pads, , last_two)"),
    "Pad with an attribute": Case("last", "z = Pad<pads = [0, 1, 0, 2, 1, 0, 0, 0], value = 2.0>(t)", 10),
    "Slice without axes": Case("last", "z = Slice(t, starts, ends)"),
    "Slice without axes, of int32": Case("last", "z = Slice(t, short, short_ends)"),
    "Slice with attributes": Case("last", "z = Slice<starts = [1, 0], ends = [3, 9], axes = [1, -1]>(t)", 9),
    "Slice with attributes, without axes": Case("last", "z = Slice<starts = [0, 1], ends = [2, 3]>(t)", 9),
    "Resize to the nearest": Case("last", "z = Resize(t, , scales)"),
    "Resize of opset 11": Case(
        "last", "none = Constant<value = float[0] {}>() z = Resize(t, none, scales)", 11
    ),
    "Resize of named axes": Case("last", "z = Resize<axes = [1, -2]>(t, , two_scales)"),
    "Resize of a region": Case(
        "last", 'z = Resize<coordinate_transformation_mode = "tf_crop_and_resize">(t, region, scales)'
    ),
    "Resize to computed sizes": Case("middle", "d = Add(n, n) z = Resize(t, , , d)"),
    "Resize by lines along axes that stay last": Case("front", 'z = Resize<mode = "linear">(t, , inner)'),
    "Resize by lines along exchanged axes": Case("back", 'z = Resize<mode = "linear">(t, , inner)'),
    "TopK": Case("last", "z, i = TopK<axis = 1>(t, i2)"),
    "Expand to fewer sizes": Case("middle", "a = ReduceMax<keepdims = 1>(t, i2) z = Expand(a, tail)"),
    "Expand to computed sizes": Case("middle", "a = ReduceMax<keepdims = 1>(t, i2) z = Expand(a, n)"),
    "Tile": Case("last", "z = Tile(t, repeats)"),
    "ArgMin that drops its axis": Case(
        "last", "a = ArgMin<axis = 1, keepdims = 0>(t) b = Cast<to = 1>(a) e = Unsqueeze(b, i1) z = Mul(t, e)"
    ),
    "reduction that drops axes": Case(
        "last", "a = ReduceSum<keepdims = 0>(t, last_two) b = Unsqueeze(a, last_two) z = Mul(t, b)"
    ),
    "reduction of everything": Case("last", "a = ReduceMax(t) z = Sub(t, a)"),
    "Concat with a constant": Case("middle", "z = Concat<axis = 2>(t, wide)"),
    "Conv": Case("back", "z = Conv<pads = [0, 1, 1, 0], strides = [2, 1]>(t, kernel, w4)"),
    "ConvTranspose": Case(
        "back", "a = Abs(t) b = Conv(a, kernel) z = ConvTranspose<strides = [1, 2]>(b, kernel)"
    ),
    "AveragePool": Case("back", "z = AveragePool<kernel_shape = [2, 3], strides = [1, 2]>(t)"),
    "QuantizeLinear by one scale": Case(
        "last", "q = QuantizeLinear(t, step, point) z = DequantizeLinear(q, step, point)"
    ),
    "an operand of fewer dimensions": Case("middle", "z = Add(t, p)"),
    "an operand between whose axes others come": Case("out", "q = Unsqueeze(p, i0) z = Mul(q, t)"),
    "an operand of fewer dimensions, opset 11": Case("last", "a = Neg(w3) z = Mul(t, a)", 11),
    "two operands": Case("last", "z = Pow(t, c) "),
    "a constant of all sizes": Case("middle", "z = Mul(t, wide)"),
    "a constant of leading ones": Case("last", "z = Mul(t, ones)"),
    "CastLike": Case("last", "z = CastLike(t, c)", 18),
    "Split into named sizes": Case("last", "a, b = Split<axis = 3>(t, cuts) z = Concat<axis = 3>(b, a)"),
    "MatMul by a matrix": Case("middle", "z = MatMul(t, square)"),
    "MatMul by a constant of batches": Case("front", "z = MatMul(t, cube)"),
    "sizes in a row": Case(
        "back", "s = Shape<start = 2>(t) q = Concat<axis = 0>(i1, i1, s) z = Expand(t, n)"
    ),
    "all sizes": Case("last", "s = Shape(t) z = Expand(t, s)"),
    "all sizes, opset 13": Case("last", "s = Shape(t) z = Expand(t, s)", 13),
    "the number of elements": Case("last", "s = Size(t) f = Cast<to = 1>(s) z = Div(t, f)"),
    "Gather by several indices": Case("last", "z = Gather<axis = -3>(t, picks)"),
    "Squeeze of every one": Case(
        "last", "a = ReduceSum(t, i2) b = Squeeze(a) e = Unsqueeze(b, i2) z = Add(t, e)"
    ),
    "Squeeze with an attribute": Case(
        "last", "a = ReduceMax<axes = [2]>(t) b = Squeeze<axes = [2]>(a) z = Unsqueeze<axes = [2]>(b)", 11
    ),
}


@pytest.mark.parametrize("case", PASSES.values(), ids=PASSES.keys())
def test_passes(case: Case) -> None:
    run = exchanged(case)
    assert "Transpose" not in run.ops, run.refusals


REFUSALS = {
    "LayerNormalization over axes that move": (
        Case("back", "z = LayerNormalization<axis = -2>(t, plane)"),
        "a LayerNormalization has a fixed order of axes",
    ),
    "LayerNormalization whose mean is used": (
        Case("middle", "a, m = LayerNormalization(t, w5) z = Sub(a, m)"),
        "a LayerNormalization with further outputs",
    ),
    "Softmax of opset 11 over several axes": (
        Case("back", "z = Softmax<axis = 2>(t)", 11),
        "a Softmax over several axes",
    ),
    "BatchNormalization whose channels move": (
        Case("middle", "z = BatchNormalization(t, w4, w4, w4, w4)"),
        "a BatchNormalization has a fixed order of axes",
    ),
    "Trilu of axes that move": (Case("back", "z = Trilu(t)"), "a Trilu has a fixed order of axes"),
    "Trilu of rows that move": (Case("middle", "z = Trilu(t)"), "a Trilu has a fixed order of axes"),
    "CumSum along a computed axis": (
        Case("last", "k = ReduceMin<keepdims = 0>(n) q = Sub(k, k) z = CumSum(t, q)"),
        "the axis is not constant",
    ),
    "Slice along computed axes": (
        Case("last", "k = Slice(places, i0, i1) z = Slice(t, i0, i2, k)"),
        "the axes of the Slice are not constant",
    ),
    "Resize by lines along axes that move": (
        Case("last", 'z = Resize<mode = "linear">(t, , inner)'),
        "runtimes interpolate along the last two axes",
    ),
    "Resize of opset 10": (Case("last", "z = Resize(t, scales)", 10), "a Resize of opset 10"),
    "Resize of a computed region": (
        Case(
            "last",
            "f = Cast<to = 1>(n) r = Concat<axis = 0>(f, f) "
            'z = Resize<coordinate_transformation_mode = "tf_crop_and_resize">(t, r, scales)',
        ),
        "the region of a Resize is not constant",
    ),
    "Expand that adds an axis": (
        Case("last", "e = Expand(t, five) z = Squeeze(e, i0)"),
        "an Expand that adds axes",
    ),
    "Expand to fewer computed sizes": (
        Case("last", "k = Slice(n, i1, i4) z = Expand(t, k)"),
        "the shape of an Expand is not constant",
    ),
    "Conv that pads by itself": (
        Case("back", 'z = Conv<auto_pad = "SAME_UPPER">(t, kernel)'),
        "a Conv that pads by itself",
    ),
    "Conv by a computed weight": (
        Case("back", "k = Slice(o, i0, i1, i0) z = Conv(t, o)"),
        "the weight is not constant",
    ),
    "MaxPool whose indices are used": (
        Case("back", "a, i = MaxPool<kernel_shape = [2, 2]>(t) f = Cast<to = 1>(i) z = Add(a, f)"),
        "a MaxPool with further outputs",
    ),
    "Conv whose channels move": (Case("out", "z = Conv(t, kernel)"), "a Conv has a fixed order of axes"),
    "MatMul by a vector": (Case("back", "z = MatMul(t, w4)", exchanged_back=False), "a MatMul by a vector"),
    "MatMul by a matrix along an axis that moves": (
        Case("last", "z = MatMul(t, plane)"),
        "a MatMul has a fixed order of axes",
    ),
    "MatMul of batches of fewer dimensions": (
        Case("front", "z = MatMul(t, few)"),
        "an operand of a MatMul of fewer dimensions",
    ),
    "MatMul with last axes out of place": (
        Case(
            "last",
            "u = Transpose<perm = [0, 2, 3, 1]>(o) r = Transpose<perm = [0, 1, 3, 2]>(u) z = MatMul(t, r)",
        ),
        "a MatMul has a fixed order of its last two axes",
    ),
    "MatMul by a constant, last axes exchanged": (
        Case("back", "z = MatMul(t, batches)"),
        "a MatMul by a constant has a fixed order of its last two axes",
    ),
    "an operand whose axes would change places": (
        Case("last", "a = Neg(rows) z = Add(t, a)"),
        "an operand of an Add of fewer dimensions",
    ),
    "LRN": (Case("back", "z = LRN<size = 3>(t)"), "an LRN has a fixed order of axes"),
}


@pytest.mark.parametrize(("case", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_stays(case: Case, reason: str) -> None:
    run = exchanged(case)
    assert run.changes == 0
    assert reason in run.refusals
