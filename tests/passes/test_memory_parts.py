"""Regions run part by part: every one that can be cut gives the same numbers, however it is cut."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.cost.dims import Dims
from graphopt.execute import Session
from graphopt.ir import infer_shapes, verify
from graphopt.memory.steps import START, steps_of
from graphopt.passes.memory._parts import write_parts
from graphopt.passes.memory._regions import Region, Sized, regions
from graphopt.testing import model_inputs, parse_model

Weights = Callable[..., str]


def sized(model: ir.Model) -> Sized:
    infer_shapes(model)
    return Sized(steps_of(model.graph, Dims(model).known_shape), model.opset_imports[""])


def all_regions(model: ir.Model, pairs: bool) -> Iterator[Region]:
    """Every region along every axis of every value, and along every two of them."""
    found = sized(model)
    steps = found.steps
    for target, shape in enumerate(steps.shapes):
        for axes in itertools.chain.from_iterable(
            itertools.combinations(range(len(shape)), count) for count in ((1, 2) if pairs else (1,))
        ):
            if steps.makers[target] != START and all(shape[axis] > 1 for axis in axes):
                yield from regions(found, target, axes)


def assert_same(text: str, *, opset: int = 18, pairs: bool = True) -> set[tuple[str, tuple[int, ...]]]:
    """Cut every region of a model in two and in three; the ops and axes that were cut alone."""
    model = parse_model(text, opset=opset)
    feed = model_inputs(model, special=False)[0]
    expected = Session(model).run(feed)
    cut = set()
    count = len(list(all_regions(model.clone(), pairs)))
    for index, number in itertools.product(range(count), (2, 3)):
        copy = model.clone()
        region = next(itertools.islice(all_regions(copy, pairs), index, None))
        write_parts(copy, region, [min(number, size) for size in region.sizes()])
        verify(copy)
        found = Session(copy).run(feed)
        ops = [region.steps.nodes[step].op_type for step in region.members]
        for name, array in expected.items():
            close = 1e-6 * max(1.0, float(np.abs(array).max()))  # runtimes add up in another order
            np.testing.assert_allclose(
                found[name], array, rtol=1e-5, atol=close, err_msg=f"{ops} {region.axes}"
            )
        if len(ops) == 1:
            cut.add((ops[0], region.axes))
    return cut


IMAGE = "g (float[2, 4, 11, 9] x) => (float[A, B, C, D] y)"
WINDOWS = {
    "Conv": "y = Conv<pads = [1, 0, 2, 1], strides = [2, 1]>(x, w, b)",
    "dilated": "y = Conv<pads = [2, 1, 0, 3], dilations = [2, 3]>(x, w)",
    "grouped": "y = Conv<pads = [1, 1, 1, 1], group = 2>(x, v)",
    "depthwise": "y = Conv<pads = [1, 1, 1, 1], group = 4>(x, u)",
    "two for each": "y = Conv<group = 4>(x, t)",
    "same upper": 'y = Conv<auto_pad = "SAME_UPPER", strides = [2, 3]>(x, w)',
    "same lower": 'y = Conv<auto_pad = "SAME_LOWER", strides = [3, 2]>(x, w)',
    "valid": 'y = Conv<auto_pad = "VALID", strides = [2, 1]>(x, w)',
    "MaxPool": "y = MaxPool<kernel_shape = [3, 2], pads = [1, 1, 1, 0], strides = [2, 2]>(x)",
    "rounded up": "y = MaxPool<kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>(x)",
    "dilated pool": "y = MaxPool<kernel_shape = [3, 2], dilations = [2, 2], pads = [2, 1, 2, 1]>(x)",
    "AveragePool": "y = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 1]>(x)",
    "rounded up average": "y = AveragePool<kernel_shape = [3, 2], strides = [2, 2], ceil_mode = 1>(x)",
    "padding counts": "y = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1>(x)",
    "LpPool": "y = LpPool<kernel_shape = [2, 2], pads = [1, 0, 0, 1]>(x)",
    "ConvTranspose": "y = ConvTranspose<strides = [2, 3], pads = [1, 1, 0, 1]>(x, w, b)",
    "output padding": "y = ConvTranspose"
    "<strides = [3, 2], output_padding = [2, 1], pads = [0, 1, 1, 1]>(x, w)",
    "dilated transpose": "y = ConvTranspose<dilations = [2, 1], group = 2>(x, w)",
    "Pad": "p = Constant<value_ints = [0, 0, 2, 0, 0, 0, 1, 3]>() y = Pad(x, p)",
    "chain": "c = Conv<pads = [1, 1, 1, 1]>(x, w, b) d = Relu(c)"
    " e = MaxPool<kernel_shape = [3, 3], strides = [2, 2]>(d)"
    " f = Conv<pads = [1, 1, 1, 1]>(e, w) y = Add(e, f)",
}


@pytest.mark.parametrize("body", WINDOWS.values(), ids=WINDOWS)
def test_windows(body: str, weights: Weights) -> None:
    given = weights(w=(4, 4, 3, 3), b=(4,), v=(4, 2, 3, 3), u=(4, 1, 3, 3), t=(8, 1, 2, 2))
    cut = assert_same(f"{IMAGE} {given} {{ {body} }}")
    assert {(2,), (3,), (2, 3)} <= {axes for _, axes in cut}


SPREADS = {
    "nearest": 'y = Resize<mode = "nearest", nearest_mode = "floor",'
    ' coordinate_transformation_mode = "asymmetric">(x, , s)',
    "half pixel": 'y = Resize<mode = "nearest">(x, , s)',
    "sizes": 'y = Resize<mode = "nearest">(x, , , z)',
    "linear": 'y = Resize<mode = "linear">(x, , s)',
    "linear from the corner": 'y = Resize<mode = "linear",'
    ' coordinate_transformation_mode = "asymmetric">(x, , s)',
    "DepthToSpace": "y = DepthToSpace<blocksize = 2>(x)",
    "SpaceToDepth": "w = Slice(x, n, m) y = SpaceToDepth<blocksize = 2>(w)",
}


@pytest.mark.parametrize("body", SPREADS.values(), ids=SPREADS)
def test_spreads(body: str) -> None:
    given = (
        "<float[4] s = {1, 1, 2, 4}, int64[4] z = {2, 4, 22, 36},"
        " int64[4] n = {0, 0, 0, 0}, int64[4] m = {2, 4, 10, 8}>"
    )
    cut = assert_same(f"{IMAGE} {given} {{ {body} }}")
    assert {(2,), (3,), (2, 3)} <= {axes for _, axes in cut}


BLOCKS = {
    "rows and columns": ("MatMul(x, k)", {(1,), (2,), (3,)}),
    "both": ("MatMul(x, z)", {(1,), (2,), (3,)}),
    "Softmax": ("Softmax(x)", {(1,), (2,)}),
    "middle Softmax": ("Softmax<axis = 1>(x)", {(2,), (3,)}),
    "LayerNormalization": ("LayerNormalization(x, e, e)", {(1,), (2,)}),
    "normalized over two": ("LayerNormalization<axis = 2>(x, g2)", {(1,)}),
    "Transpose": ("Transpose<perm = [0, 2, 3, 1]>(x)", {(1,), (2,), (3,)}),
    "InstanceNormalization": ("InstanceNormalization(x, c, c)", {(1,)}),
    "BatchNormalization": ("BatchNormalization(x, c, c, c, c)", {(1,), (2,), (3,)}),
    "ReduceMean": ("ReduceMean<keepdims = 0>(x, l)", {(1,), (2,)}),
    "GlobalAveragePool": ("GlobalAveragePool(x)", {(1,)}),
    "Gather": ("Gather<axis = 2>(x, i)", {(1,), (2,), (3,), (4,)}),
    "Expand": ("Expand(q, sh)", {(1,), (2,), (3,)}),
    "PRelu": ("PRelu(x, k1)", {(1,), (2,), (3,)}),
    "Concat": ("Concat<axis = 1>(x, x)", {(2,), (3,)}),
    "LRN": ("LRN<size = 3>(x)", {(2,), (3,)}),
    "Dropout": ("Dropout(x)", {(1,), (2,), (3,)}),
    "Clip": ("Clip(x, lo)", {(1,), (2,), (3,)}),
    "Unsqueeze": ("Unsqueeze(x, l2)", {(3,), (4,), (5,)}),
    "Flatten": ("Flatten<axis = 2>(x)", {(0,), (1,)}),
}


@pytest.mark.parametrize(("node", "axes"), BLOCKS.values(), ids=BLOCKS)
def test_blocks(node: str, axes: set[tuple[int, ...]], weights: Weights) -> None:
    given = weights(k=(6, 7), e=(6,), g2=(5, 6), positive_c=(4,), k1=(4, 1, 1), lo=())
    given = given.replace("positive_c", "c").replace("<", "<int64[1] l = {3}, int64[2] l2 = {0, 1},"
        " int64[2, 2] i = {0, 2, 4, 1}, int64[4] sh = {3, 4, 5, 6}, ", 1)  # fmt: skip
    rank = {"Unsqueeze": 6, "Gather<axis = 2>": 5, "ReduceMean<keepdims = 0>": 3, "Flatten<axis = 2>": 2}.get(
        node.partition("(")[0], 4
    )
    output = f"float[{', '.join('ABCDEF'[:rank])}] y"
    inputs = "float[1, 4, 5, 6] x, float[1, 4, 6, 3] z, float[3, 1, 5, 1] q"
    cut = assert_same(f"g ({inputs}) => ({output}) {given} {{ y = {node} }}")
    op = node.partition("(")[0].partition("<")[0]
    assert {found for name, found in cut if name == op and len(found) == 1} >= axes - {(0,)}


def test_views_split_and_join_axes(weights: Weights) -> None:
    text = f"""g (float[1, 6, 8] x) => (float[A, B, C] y)
        {weights(k=(8, 8), s=()).replace("<", "<int64[4] h = {1, 6, 2, 4}, int64[3] j = {1, 6, 8}, ", 1)} {{
        q = MatMul(x, k) r = Reshape(q, h) t = Transpose<perm = [0, 2, 1, 3]>(r)
        u = Transpose<perm = [0, 2, 3, 1]>(r) v = MatMul(t, u) m = Mul(v, s) a = Softmax<axis = 3>(m)
        b = MatMul(a, t) c = Transpose<perm = [0, 2, 1, 3]>(b) d = Reshape(c, j)
        e = MatMul(d, k) y = Add(e, x) }}"""
    cut = assert_same(text, pairs=False)
    assert {("Reshape", (1,)), ("Reshape", (2,))} <= cut


def test_gemm(weights: Weights) -> None:
    text = f"""g (float[6, 8] x) => (float[A, B] y) {weights(k=(8, 6), c=(6,), d=(6, 1), e=(6, 6))} {{
        a = Gemm(x, k, c) b = Gemm<transA = 1, transB = 1>(a, e, d) y = Gemm(b, e) }}"""
    cut = assert_same(text)
    assert {("Gemm", (0,)), ("Gemm", (1,)), ("Gemm", (0, 1))} <= cut


def test_one_dimension_and_old_slices(weights: Weights) -> None:
    text = f"""g (float[1, 3, 30] x) => (float[A, B, C] y) {weights(w=(5, 3, 4))} {{
        a = Conv<pads = [2, 1], strides = [2]>(x, w) b = Relu(a)
        y = MaxPool<kernel_shape = [2], strides = [2]>(b) }}"""
    assert ("Conv", (2,)) in assert_same(text, opset=9)


@pytest.mark.parametrize(
    "node",
    [
        "Softmax<axis = 2>(x)",
        "Conv<pads = [4, 0, 0, 0]>(x, w)",  # a window over padding alone
        "CumSum(x, a)",
        "ReduceMax(x, l)",
        'Resize<mode = "linear", coordinate_transformation_mode = "align_corners">(x, , s)',
        'Resize<mode = "cubic">(x, , s)',
        "AveragePool<kernel_shape = [3, 3], ceil_mode = 1, count_include_pad = 1, strides = [2, 2]>(x)",
    ],
)
def test_must_not_be_cut(node: str, weights: Weights) -> None:
    given = weights(w=(4, 4, 3, 3)).replace(
        "<", "<int64 a = {2}, int64[1] l = {2}, float[4] s = {1, 1, 2, 1}, ", 1
    )
    model = parse_model(f"{IMAGE} {given} {{ y = {node} }}")
    assert not [region for region in all_regions(model, False) if region.axes == (2,)]
