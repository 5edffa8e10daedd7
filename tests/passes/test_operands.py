"""What rules ask of their operands, each answer certain or none."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.ir import Names, Reject, Tape, infer_shapes
from graphopt.passes.operands import (
    an,
    broadcasts_into,
    constant_or_reject,
    is_filled_with,
    keep,
    keeps_shape,
    known_rank,
    node_ints,
    normalized_axes,
    reduced_axes,
    squeezed_reduction,
    static_dim,
    with_axes,
)
from graphopt.testing import parse_model


def value(*dims: int | str, dtype: ir.DataType = ir.DataType.FLOAT) -> ir.Value:
    return ir.Value(name="v", shape=ir.Shape(dims), type=ir.TensorType(dtype))


def constant_of(elements: object, dtype: str = "float32") -> ir.Value:
    tensor = ir.Tensor(np.array(elements, dtype=dtype))
    made = ir.Value(name="c", shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype))
    made.const_value = tensor
    ir.Graph([], [], nodes=[], initializers=[made])
    return made


def only_node(body: str, opset: int = 18) -> ir.Node:
    head = "g (float[2,1,3] x, int64[K] computed) => (y) <int64[2] axes = {0, -1}, int64[0] none = {}>"
    model = parse_model(f"{head} {{ {body} }}", opset=opset)
    infer_shapes(model)
    (node,) = model.graph
    return node


@pytest.mark.parametrize(
    ("op_type", "text"),
    [
        ("Add", "an Add"),
        ("If", "an If"),
        ("Mul", "a Mul"),
        ("LSTM", "an LSTM"),
        ("LpPool", "a LpPool"),
        ("GRU", "a GRU"),
        ("Unsqueeze", "a Unsqueeze"),
        ("RNN", "an RNN"),
    ],
)
def test_articles(op_type: str, text: str) -> None:
    assert an(op_type) == text


def test_keep() -> None:
    x = value(2)
    assert keep(x, True) is x
    with pytest.raises(Reject, match="because"):
        keep(x, False, "because")


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        (value(2, "N"), True),
        (value(2, "M"), False),
        (value("N", 2), False),
        (value(2, "N", dtype=ir.DataType.DOUBLE), False),
        (value(2, "N", 1), False),
    ],
)
def test_keeps_shape_and_dtype(other: ir.Value, kept: bool) -> None:
    assert keeps_shape(value(2, "N"), other) == kept


@pytest.mark.parametrize(
    ("shape", "into", "certain"),
    [
        ((), value("N"), True),
        ((), ir.Value(name="v"), True),
        ((3,), value("N", 3), True),
        ((1, 3), value("N", 3), True),
        ((1, 1), value("N", 3), True),
        ((2, 3), value("N", 3), False),
        ((3,), value(3, 1), False),
        ((1, 1, 3), value("N", 3), False),
        ((1,), ir.Value(name="v"), False),
    ],
)
def test_broadcasts_into(shape: tuple[int, ...], into: ir.Value, certain: bool) -> None:
    assert broadcasts_into(shape, into) == certain


@pytest.mark.parametrize(
    ("constant", "element", "sign", "filled"),
    [
        (constant_of([1, 1]), 1, False, True),
        (constant_of([1, 2]), 1, False, False),
        (constant_of([2, 1]), 1, False, False),
        (constant_of([]), 0, False, False),
        (constant_of([0.0, -0.0]), 0.0, False, True),
        (constant_of([0.0, -0.0]), 0.0, True, False),
        (constant_of([0.0, 0.0]), 0.0, True, True),
        (constant_of([-0.0, -0.0]), -0.0, True, True),
        (constant_of([-0.0]), 0.0, True, False),
        (constant_of([0, 0], "int64"), 0, True, True),
        (constant_of([False], "bool"), 0, True, True),
        (value(2), 0, False, False),
    ],
)
def test_is_filled_with(constant: ir.Value, element: float, sign: bool, filled: bool) -> None:
    assert is_filled_with(constant, element, sign=sign) == filled


@pytest.mark.parametrize(
    ("body", "opset", "axes"),
    [
        ("y = ReduceSum(x, axes)", 18, [0, -1]),
        ("y = ReduceMax<axes = [1]>(x)", 13, [1]),
        ("y = ReduceSum(x)", 18, None),
    ],
)
def test_axes_of_a_node(body: str, opset: int, axes: list[int] | None) -> None:
    assert node_ints(only_node(body, opset), "axes", 1) == axes


def test_computed_axes_are_refused() -> None:
    with pytest.raises(Reject, match="the axes of the ReduceSum are not constant"):
        node_ints(only_node("y = ReduceSum(x, computed)"), "axes", 1)


@pytest.mark.parametrize(
    ("body", "axes"),
    [
        ("y = ReduceSum(x, axes)", [0, 2]),
        ("y = ReduceSum(x)", [0, 1, 2]),
        ("y = ReduceSum(x, none)", [0, 1, 2]),
        ("y = ReduceSum<noop_with_empty_axes = 1>(x)", []),
        ("y = ReduceSum<noop_with_empty_axes = 1>(x, none)", []),
        ("y = ReduceSum<noop_with_empty_axes = 1>(x, axes)", [0, 2]),
    ],
)
def test_reduced_axes(body: str, axes: list[int]) -> None:
    assert reduced_axes(only_node(body), 3) == axes


def test_normalized_axes() -> None:
    assert normalized_axes([0, -1, 2, -3], 3) == [0, 2, 2, 0]


def tape_over(node: ir.Node, opset: int) -> Tape:
    assert node.graph is not None
    model = ir.Model(node.graph, ir_version=8)
    model.opset_imports[""] = opset
    return Tape(model, node, Names(model))


@pytest.mark.parametrize(("opset", "inputs"), [(12, 1), (13, 2)])
def test_axes_are_written_as_the_opset_has_them(opset: int, inputs: int) -> None:
    node = only_node("y = Neg(x)", opset)
    x = node.inputs[0]
    assert x is not None
    made = with_axes(tape_over(node, opset), "Squeeze", x, [1]).producer()
    assert made is not None
    assert len(made.inputs) == inputs
    assert ("axes" in made.attributes) == (inputs == 1)


@pytest.mark.parametrize(
    ("body", "becomes"),
    [
        ("y = ReduceSum<axes = [1], keepdims = 1>(x)", None),
        ("y = ReduceMax<axes = [1], keepdims = 0>(x)", "Squeeze"),
        ("y = ReduceMax<axes = [-2], keepdims = 0>(x)", "Squeeze"),
    ],
)
def test_a_reduction_of_single_elements(body: str, becomes: str | None) -> None:
    node = only_node(body, 11)
    x = node.inputs[0]
    assert x is not None
    made = squeezed_reduction(tape_over(node, 11), node, x).producer()
    assert (made and made.op_type) == becomes


@pytest.mark.parametrize(
    "body", ["y = ReduceMax<axes = [0], keepdims = 0>(x)", "y = ReduceMax<axes = [0], keepdims = 1>(x)"]
)
def test_a_reduction_of_more_elements_stays(body: str) -> None:
    node = only_node(body, 11)
    x = node.inputs[0]
    assert x is not None
    with pytest.raises(Reject):
        squeezed_reduction(tape_over(node, 11), node, x)


def test_ranks_and_sizes() -> None:
    x = value(2, "N", 3)
    assert known_rank(x) == 3
    assert [static_dim(x, axis) for axis in (-4, -3, -2, -1, 0, 1, 2, 3)] == [
        None,
        2,
        None,
        3,
        2,
        None,
        3,
        None,
    ]
    assert static_dim(ir.Value(name="v"), 0) is None
    with pytest.raises(Reject, match="the rank of 'v' is not known"):
        known_rank(ir.Value(name="v"))


def test_constants_or_a_reason() -> None:
    assert constant_or_reject(constant_of([1, 2]), "the scale is").tolist() == [1, 2]
    with pytest.raises(Reject, match="the scale is not constant"):
        constant_or_reject(value(2), "the scale is")
    with pytest.raises(Reject, match="the scale is not constant"):
        constant_or_reject(None, "the scale is")
