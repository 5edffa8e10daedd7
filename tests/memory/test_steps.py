"""Steps and values of a graph: sizes, constants apart, and what cannot be planned named."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.cost.dims import Dims
from graphopt.errors import ModelError
from graphopt.ir import infer_shapes
from graphopt.memory.steps import START, Steps, steps_of
from graphopt.testing import parse_model


def steps(text: str, **sizes: int) -> Steps:
    model = parse_model(text)
    infer_shapes(model)
    return steps_of(model.graph, Dims(model, sizes).known_shape)


def test_values_have_makers_users_and_bytes() -> None:
    found = steps("g (float[2, 3] x) => (float16[2, 3] y) { a = Relu(x) b = Add(a, a) y = Cast<to = 10>(b) }")
    assert [value.name for value in found.values] == ["x", "a", "b", "y"]
    assert found.sizes == (24, 24, 24, 12)
    assert found.makers == (START, 0, 1, 2) and found.users == ((0,), (1,), (2,), ())
    assert found.outputs == (3,) and found.before() == [(), (0,), (1,)]


def test_constants_and_what_is_made_of_them_stand_apart() -> None:
    text = """g (float[4] x) => (float[4] y) <float[4] w = {1, 2, 3, 4}, int64[1] n = {4}> {
        c = Constant<value_float = 2.0>() s = ConstantOfShape(n)
        t = Mul(w, c) u = Add(t, s) y = Mul(x, u) }"""
    found = steps(text)
    assert [node.op_type for node in found.nodes] == ["Mul"] and len(found.values) == 2
    assert found.constant_bytes == 16


def test_free_dimensions_take_the_sizes_they_are_bound_to() -> None:
    text = "g (float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }"
    assert steps(text, N=5).sizes == (60, 60) and steps(text, N=7).sizes == (84, 84)


def test_what_bodies_read_is_used_by_their_node() -> None:
    text = """g (float[4] x, bool c) => (float[4] y) {
        a = Relu(x)
        y = If(c) <then_branch = t () => (float[4] u) { u = Neg(a) },
                   else_branch = e () => (float[4] v) { v = Exp(x) }> }"""
    found = steps(text)
    assert dict(zip((value.name for value in found.values), found.users, strict=True)) == {
        "x": (0, 1),
        "c": (1,),
        "a": (1,),
        "y": (),
    }


def test_low_bits_are_packed() -> None:
    assert steps("g (int4[3, 3] x) => (int4[3, 3] y) { y = Identity(x) }").sizes == (5, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("g (float[4] x) => (int64[A, B] y) { a = NonZero(x) y = Neg(a) }", "shape of 'a' is not known"),
        ("g (string[4] x) => (string[4] y) { y = Identity(x) }", "'x' is of type"),
        ("g (float[4] x) => (int64 y) { s = SequenceConstruct(x) y = SequenceLength(s) }", "'s' is of type"),
        ("g (float[4294967296, 4294967296] x) => (float y) { y = ReduceSum(x) }", "'x' of shape"),
    ],
)
def test_what_has_no_size_is_named(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        steps(text)


def test_a_negative_size_is_named() -> None:
    model = parse_model("g (float[4] x) => (float[4] y) { y = Relu(x) }")
    with pytest.raises(ModelError, match=r"'x' has shape .*negative"):
        steps_of(model.graph, lambda value: (-1,))


def test_a_cycle_is_named() -> None:
    a, b = ir.node("Relu", [ir.Value(name="x")]), ir.node("Neg", [None])
    for node, name in ((a, "a"), (b, "b")):
        node.outputs[0].name, node.outputs[0].type = name, ir.TensorType(ir.DataType.FLOAT)
    a.replace_input_with(0, b.outputs[0])
    b.replace_input_with(0, a.outputs[0])
    graph = ir.Graph([], [b.outputs[0]], nodes=[a, b])
    with pytest.raises(ModelError, match=r"the value '[ab]' depends on itself"):
        steps_of(graph, lambda value: (4,))
