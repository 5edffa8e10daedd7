"""A region as a function of tensors: which axes it mixes, which sizes its probes have, what it computes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.idioms.evaluate import CannotEvaluateError
from graphopt.idioms.regions import Region
from graphopt.idioms.tensors import LARGE, SMALL, TensorFunction, is_reduction, reduced_axes
from graphopt.ir import infer_shapes
from graphopt.testing import parse_model

CONSTANTS = """int64[1] last = {-1}, int64[2] both = {1, 2}, int64[0] none = {}, float half = {0.5},
    float[6] w = {1, 2, 3, 4, 5, 6}, float[4,1] c = {1, 2, 3, 4}, float[3] s = {1, 2, 3},
    int64[4] wide = {0, 0, 0, 1}, int64[2] flat = {-1, 6}, int64[1] one = {1}, float eps = {1e-5}"""


def region(body: str, shape: str = "N,4,6", opset: int = 18) -> Region:
    """All nodes of `body`, from `x` on."""
    model = parse_model(f"g (float[{shape}] x, int64[K] k) => (y) <{CONSTANTS}> {{ {body} }}", opset=opset)
    infer_shapes(model)
    return Region(model.graph.inputs[0], tuple(model.graph))


@pytest.mark.parametrize(
    ("body", "opset", "axes"),
    [
        ("y = ReduceSum(x, last)", 18, (2,)),
        ("y = ReduceMax(x, both)", 18, (1, 2)),
        ("y = ReduceMax<axes = [-1, 0]>(x)", 13, (0, 2)),
        ("y = ReduceMean(x)", 18, (0, 1, 2)),
        ("y = ReduceMean(x, none)", 18, (0, 1, 2)),
        ("y = ReduceMean<noop_with_empty_axes = 1>(x)", 18, ()),
        ("y = LayerNormalization(x, w)", 18, (2,)),
        ("y = LayerNormalization<axis = 1>(x, w)", 18, (1, 2)),
        ("y = Softmax(x)", 18, (2,)),
        ("y = Softmax<axis = 0>(x)", 18, (0,)),
        ("y = LogSoftmax<axis = -2>(x)", 18, (1,)),
        ("y = LpNormalization<axis = 1>(x)", 18, (1,)),
        ("y = GlobalAveragePool(x)", 18, (2,)),
        ("y = InstanceNormalization(x, s, s)", 18, (2,)),
        ("y = Relu(x)", 18, None),
        ("y = com.microsoft.Softmax(x)", 18, None),
    ],
)
def test_axes_whose_elements_are_mixed(body: str, opset: int, axes: tuple[int, ...] | None) -> None:
    (node,) = region(body, opset=opset).nodes
    assert reduced_axes(node) == axes
    assert is_reduction(node) == (axes is not None)


def test_axes_of_an_unknown_rank_are_not_known() -> None:
    node = ir.Node("", "Softmax", [ir.Value(name="x")])
    assert reduced_axes(node) == ()


@pytest.mark.parametrize(
    ("body", "shape", "shapes"),
    [
        ("y = Relu(x)", "N,4,6", ((2, 4, 6), (3, 4, 6))),
        ("y = Relu(x)", "2,4,6", ((2, 4, 6),)),
        ("y = Softmax(x)", "N,4,L", ((2, 4, 5), (3, 4, 4))),
        ("y = Softmax<axis = 0>(x)", "N,4,L", ((5, 4, 2), (4, 4, 3))),
    ],
)
def test_free_sizes_differ_from_probe_to_probe(
    body: str, shape: str, shapes: tuple[tuple[int, ...], ...]
) -> None:
    assert TensorFunction(region(body, shape), keep_sizes=True).shapes == shapes


@pytest.mark.parametrize(
    ("body", "pinned"),
    [
        ("y = Softmax(x)", set()),
        ("y = ReduceSum(x, last)", {2}),
        ("y = ReduceMean(x, last)", set()),
        ("m = ReduceMean(x, last) y = Mul(x, v)", {2}),
        ("m = ReduceMean(x, last) y = Mul(x, column)", {1}),
        ("y = LayerNormalization(x, v)", {2}),
        ("y = InstanceNormalization(x, u, u)", {1, 2}),
        ("t = Transpose<perm = [0, 2, 1]>(x) y = Mul(t, row)", {1, 2}),
    ],
)
def test_large_sizes_are_kept_where_constants_depend_on_them(body: str, pinned: set[int]) -> None:
    ones = ", ".join(["1"] * 64)
    text = f"""g (float[N,64,48] x) => (y) <{CONSTANTS}, float[48] v = {{{", ".join(["1"] * 48)}}},
        float[64] u = {{{ones}}}, float[64,1] column = {{{ones}}}, float[64] row = {{{ones}}}> {{ {body} }}"""
    model = parse_model(text, opset=18)
    infer_shapes(model)
    function = TensorFunction(Region(model.graph.inputs[0], tuple(model.graph)), keep_sizes=False)
    assert set(range(3)) - set(function.free) == pinned
    assert function.keeps_sizes == (pinned == {1, 2})
    kept = TensorFunction(Region(model.graph.inputs[0], tuple(model.graph)), keep_sizes=True)
    assert kept.free == (0,) and kept.keeps_sizes


def test_small_sizes_are_always_kept() -> None:
    exact = SMALL // 5
    assert TensorFunction(region("y = Softmax(x)", f"N,{exact}"), keep_sizes=False).free == (0,)
    assert TensorFunction(region("y = Softmax(x)", f"N,{exact + 1}"), keep_sizes=False).free == (0, 1)


@pytest.mark.parametrize("shape", [f"{LARGE + 1}", "0,4"])
def test_probes_that_are_too_large_or_empty_are_refused(shape: str) -> None:
    with pytest.raises(CannotEvaluateError):
        TensorFunction(region("y = Relu(x)", shape), keep_sizes=True)


def test_it_computes_the_region() -> None:
    function = TensorFunction(region("m = ReduceMean(x, last) d = Sub(x, m) y = Mul(d, w)"), keep_sizes=True)
    x = np.random.default_rng(0).normal(size=(2, 4, 6))
    expected = (x - x.mean(axis=2, keepdims=True)) * np.arange(1, 7)
    np.testing.assert_allclose(function(x), expected)


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ("m = ReduceMean<keepdims = 0>(x, last) u = Reshape(m, wide3) y = Sub(x, u)", "N,4,6"),
        ("r = Reshape(x, wide) t = Softmax<axis = 2>(r) y = Reshape(t, back)", "2,4,6"),
    ],
)
def test_views_of_single_elements_follow_the_probe(body: str, shape: str) -> None:
    views = "int64[3] wide3 = {0, 0, 1}, int64[3] back = {0, 0, 6}"
    text = f"g (float[{shape}] x) => (y) <{CONSTANTS}, {views}> {{ {body} }}"
    model = parse_model(text, opset=18)
    infer_shapes(model)
    function = TensorFunction(Region(model.graph.inputs[0], tuple(model.graph)), keep_sizes=True)
    x = np.random.default_rng(0).normal(size=function.shapes[0])
    assert function(x).shape == x.shape


def test_numbers_of_constants_and_attributes() -> None:
    body = "a = Add(x, eps) b = Mul(a, half) c2 = LeakyRelu<alpha = 0.25>(b) y = Add(c2, half)"
    numbers = TensorFunction(region(body), keep_sizes=True).scalars()
    assert numbers == pytest.approx([1e-5, 0.5, 0.25])


def test_a_constant_may_be_seen_in_another_shape() -> None:
    function = TensorFunction(region("r = Reshape(half, one) y = Mul(x, r)", "2,4,6"), keep_sizes=True)
    x = np.ones((2, 4, 6))
    assert np.array_equal(function(x), x / 2)
