"""Shape arithmetic: what is known becomes constant, what is not stays; dimensions of length 0 stay right."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.passes.folding.simplify_shapes import _expand_target, _reshape_target
from graphopt.testing import run_pass

PASS = "{simplify-shapes,fold,dce}*"


def test_the_shape_of_a_static_value() -> None:
    run = run_pass(
        """
        agraph (float[2, 3] x, float[6] z) => (float[2, 3] y)
        { s = Shape(x)  r = Reshape(z, s)  y = Add(x, r) }
        """,
        PASS,
    )
    assert run.ops == ["Reshape", "Add"]


def test_a_flattening_chain() -> None:
    run = run_pass(
        """
        agraph (float[N, 3, 4] x) => (float[N, 12] y)
        <int64 zero = {0}, int64[1] axis = {0}, int64[1] rest = {12}>
        {
            s = Shape(x)
            n = Gather(s, zero)
            u = Unsqueeze(n, axis)
            t = Concat <axis = 0> (u, rest)
            y = Reshape(x, t)
        }
        """,
        PASS,
    )
    assert run.ops == ["Reshape"]
    target = run.node("Reshape").inputs[1]
    assert target is not None and target.const_value is not None
    assert target.const_value.numpy().tolist() == [0, 12]


def test_one_inferred_dimension_beside_numbers() -> None:
    run = run_pass(
        """
        agraph (float[N, L, 4] x) => (float[M, 4] y)
        <int64[1] zero = {0}, int64[1] one = {1}, int64[1] four = {4}>
        {
            s = Shape(x)
            n = Gather(s, zero)
            l = Gather(s, one)
            m = Mul(n, l)
            t = Concat <axis = 0> (m, four)
            y = Reshape(x, t)
        }
        """,
        PASS,
        full_check=False,
    )
    target = run.node("Reshape").inputs[1]
    assert target is not None and target.const_value is not None
    assert target.const_value.numpy().tolist() == [-1, 4]


def test_an_inferred_dimension_beside_one_that_may_be_zero_is_refused() -> None:
    empty = {"x": np.zeros((0, 5, 4), np.float32)}
    full = {"x": np.ones((2, 5, 4), np.float32)}
    run = run_pass(
        """
        agraph (float[N, L, 4] x) => (float[N, M] y)
        <int64[1] zero = {0}, int64[1] one = {1}, int64[1] four = {4}>
        {
            s = Shape(x)
            n = Gather(s, zero)
            l = Gather(s, one)
            m = Mul(l, four)
            t = Concat <axis = 0> (n, m)
            y = Reshape(x, t)
        }
        """,
        PASS,
        inputs=[empty, full],
        full_check=False,
    )
    assert "Reshape: one dimension depends on the input, and another may be 0" in run.refusals


def test_zero_sized_inputs_of_a_copied_dimension() -> None:
    run = run_pass(
        """
        agraph (float[N, 3, 4] x) => (float[N, 12] y)
        <int64[1] zero = {0}, int64[1] rest = {12}>
        { s = Shape(x)  n = Gather(s, zero)  t = Concat <axis = 0> (n, rest)  y = Reshape(x, t) }
        """,
        PASS,
        inputs=[{"x": np.zeros((0, 3, 4), np.float32)}],
    )
    assert run.ops == ["Reshape"]


def test_two_dimensions_that_depend_on_the_input() -> None:
    run = run_pass(
        """
        agraph (float[N, 2, L] x) => (float[M, L] y)
        <int64[1] zero = {0}, int64[1] two = {2}>
        {
            s = Shape(x)
            n = Gather(s, zero)
            l = Gather(s, two)
            m = Mul(n, two)
            t = Concat <axis = 0> (m, l)
            y = Reshape(x, t)
        }
        """,
        PASS,
        full_check=False,
    )
    assert "Reshape: more than one dimension depends on the input" in run.refusals


def test_reshape_and_expand_to_the_same_shape() -> None:
    run = run_pass(
        """
        agraph (float[N, 3] x) => (float[N, 3] y)
        { s = Shape(x)  a = Neg(x)  b = Reshape(a, s)  c = Expand(b, s)  y = Exp(c) }
        """,
        PASS,
    )
    assert run.ops == ["Neg", "Exp"]


def test_an_expand_that_may_broadcast_stays() -> None:
    run = run_pass(
        "agraph (float[N, 3] x, float[M, 3] z) => (float[K, 3] y) { s = Shape(z)  y = Expand(x, s) }",
        PASS,
        inputs=[
            {"x": np.ones((1, 3), np.float32), "z": np.ones((4, 3), np.float32)},
            {"x": np.ones((4, 3), np.float32), "z": np.ones((1, 3), np.float32)},
        ],
        full_check=False,
    )
    assert run.ops == ["Shape", "Expand"]


def test_sums_of_different_names_are_not_one_of_them() -> None:
    """N + M broadcast: either may be 1, so the shape of the sum is not that of x."""
    run = run_pass(
        """
        agraph (float[N] x, float[M] z, float[N] w) => (float[K] y)
        { a = Add(x, z)  s = Shape(a)  y = Expand(w, s) }
        """,
        PASS,
        inputs=[
            {"x": np.ones(1, np.float32), "z": np.ones(4, np.float32), "w": np.ones(1, np.float32)},
            {"x": np.ones(4, np.float32), "z": np.ones(1, np.float32), "w": np.ones(4, np.float32)},
        ],
        full_check=False,
    )
    assert "Expand" in run.ops


def test_shape_of_the_earliest_value() -> None:
    run = run_pass(
        """
        agraph (float[N, M] x) => (int64[2] s, float[N, M] y)
        { a = Relu(x)  b = Exp(a)  s = Shape(b)  y = Neg(b) }
        """,
        PASS,
    )
    assert run.node("Shape").inputs[0] is run.model.graph.inputs[0]


def test_shape_does_not_come_between_two_nodes() -> None:
    run = run_pass(
        """
        agraph (float[N, 3] x, float[3, 4] w) => (int64[2] s, float[N, 4] y, float[N, 4] z)
        { a = MatMul(x, w)  b = Relu(a)  c = Exp(b)  s = Shape(c)  y = Neg(b)  z = Abs(c) }
        """,
        PASS,
    )
    assert run.node("Shape").inputs[0] is run.node("Relu").outputs[0]


def test_shape_stays_where_all_earlier_values_have_one_reader() -> None:
    run = run_pass(
        """
        agraph (float[N, 3] x, float[3, 4] w) => (int64[2] s, float[N, 4] y)
        { a = MatMul(x, w)  b = Relu(a)  s = Shape(b)  y = Neg(b) }
        """,
        PASS,
    )
    assert run.node("Shape").inputs[0] is run.node("Relu").outputs[0]


@pytest.mark.parametrize(("dtype", "expected"), [("int4", "h"), ("float8e4m3fn", "h"), ("uint16", "x")])
def test_shape_reads_no_type_for_which_runtimes_have_none(dtype: str, expected: str) -> None:
    run = run_pass(
        f"""g ({dtype}[N,M] x) => (float[N,M] y, int64[2] s) {{
            h = Cast <to = 1> (x)  y = Relu(h)  s = Shape(h)
        }}""",
        "simplify-shapes",
        opset=21,
    )
    (shape,) = [node for node in run.model.graph if node.op_type == "Shape"]
    assert shape.inputs[0] is not None and shape.inputs[0].name == expected


def test_equal_elements_are_computed_once() -> None:
    run = run_pass(
        """
        agraph (float[N, 3] x, float[K] z) => (float[A, B] y)
        <int64[1] zero = {0}, int64 z0 = {0}, int64[1] minus = {-1}>
        {
            s = Shape(x)
            n = Gather(s, zero)
            m = Gather(s, z0)
            u = Unsqueeze(m, zero)
            c = Cast <to = 6> (n)
            d = Cast <to = 7> (c)
            t = Concat <axis = 0> (u, d)
            y = ConstantOfShape(t)
        }
        """,
        PASS,
        full_check=False,
    )
    assert run.ops == ["Shape", "Gather", "Concat", "ConstantOfShape"]


def test_a_slice_to_a_number_is_no_proof_of_length() -> None:
    run = run_pass(
        """
        agraph (float[N] x) => (float[M] y)
        <int64[1] zero = {0}, int64[1] three = {3}>
        { a = Slice(x, zero, three)  s = Shape(a)  y = ConstantOfShape(s) }
        """,
        PASS,
        inputs=[{"x": np.ones(2, np.float32)}, {"x": np.ones(5, np.float32)}],
        full_check=False,
    )
    assert run.ops == ["Slice", "Shape", "ConstantOfShape"]


def test_a_slice_of_everything() -> None:
    run = run_pass(
        """
        agraph (float[N] x) => (float[N] y)
        <int64[1] zero = {0}, int64[1] all = {9223372036854775807}>
        { a = Slice(x, zero, all)  s = Shape(a)  b = Exp(a)  y = Reshape(b, s) }
        """,
        PASS,
    )
    assert run.ops == ["Exp"] or run.ops == ["Exp", "Identity"]


def test_the_division_of_floats_is_no_division_of_integers() -> None:
    run = run_pass(
        """
        agraph (float[7] x) => (float[4] y)
        <float two = {2.0}, int64[1] zero = {0}>
        {
            s = Shape(x)
            f = Cast <to = 1> (s)
            h = Div(f, two)
            u = Ceil(h)
            t = Cast <to = 7> (u)
            y = ConstantOfShape(t)
        }
        """,
        PASS,
        full_check=False,
    )
    assert run.ops == []


@pytest.mark.parametrize("unknown", ["n", "m"])
def test_unknown_elements_name_no_dimension(unknown: str) -> None:
    run = run_pass(
        """
        agraph (float[12] x, int64[1] n, int64[1] m) => (float[A, B] y, int64[2] s)
        { t = Concat <axis = 0> (n, m)  y = Reshape(x, t)  s = Shape(y) }
        """,
        PASS,
        inputs=[{"x": np.ones(12, np.float32), "n": np.array([3]), "m": np.array([-1])}],
    )
    assert run.ops == ["Concat", "Reshape", "Shape"]


def test_expanding_as_exporters_write_it() -> None:
    """Where(Equal(shape, -1), ones, shape) is the shape: a length is never -1."""
    run = run_pass(
        """
        agraph (float[N, 1] x) => (float[N, 5] y)
        <int64[1] zero = {0}, int64[1] five = {5}, int64 minus = {-1}, int64[1] two = {2}>
        {
            s = Shape(x)
            n = Gather(s, zero)
            t = Concat <axis = 0> (n, five)
            o = ConstantOfShape <value = int64[1] {1}> (two)
            e = Equal(t, minus)
            w = Where(e, o, t)
            y = Expand(x, w)
        }
        """,
        PASS,
    )
    assert run.ops == ["Expand"]


def test_carried_shapes_of_a_loop_are_not_known() -> None:
    run = run_pass(
        """
        agraph (float[K] x, int64 n) => (float[L] y, int64[1] t)
        <bool go = {1}>
        {
            y = Loop(n, go, x) <
                body = b (int64 i, bool c, float[A] a) => (bool d, float[B] e)
                { e = Concat <axis = 0> (a, a)  d = Identity(c) }
            >
            t = Shape(y)
        }
        """,
        PASS,
        inputs=[
            {"x": np.ones(2, np.float32), "n": np.array(3)},
            {"x": np.ones(2, np.float32), "n": np.array(0)},
        ],
        full_check=False,
    )
    assert "Shape" in run.ops


def test_a_loop_that_may_not_run_keeps_its_first_shape_possible() -> None:
    run = run_pass(
        """
        agraph (float[2] x, int64 n) => (float[L] y, int64[1] t)
        <bool go = {1}, float[3] k = {1.0, 2.0, 3.0}>
        {
            y = Loop(n, go, x) <
                body = b (int64 i, bool c, float[A] a) => (bool d, float[B] e)
                { e = Identity(k)  d = Identity(c) }
            >
            t = Shape(y)
        }
        """,
        PASS,
        inputs=[
            {"x": np.ones(2, np.float32), "n": np.array(1)},
            {"x": np.ones(2, np.float32), "n": np.array(0)},
        ],
        full_check=False,
    )
    assert "Shape" in run.ops


def test_one_of_several_outputs_becomes_a_constant() -> None:
    run = run_pass(
        """
        agraph (float[2,N,3] x) => (int64[2] head, int64[1] tail) <int64[2] parts = {2, 1}>
        { s = Shape(x)  head, tail = Split <axis = 0> (s, parts) }
        """,
        "simplify-shapes",
    )
    assert len(run.node("Split").outputs) == 2
    assert run.model.graph.outputs[1].name == "tail"


@pytest.mark.parametrize(
    "text",
    [
        """
        agraph (float[1, 1] x) => (float[1] y) <int64 one = {1}, int64[1] axes = {0}>
        { target = Unsqueeze(one, axes)  y = Reshape(x, target) }
        """,
        """
        agraph (float[N, M] x) => (int64[1] y, int64[1] z) <int64[1] a = {0}, int64[1] b = {1}>
        { s = Shape(x)  u = Slice(s, a, b)  z = Add(u, b)  t = Shape(x)  y = Slice(t, a, b) }
        """,
    ],
)
def test_what_is_replaced_is_gone(text: str) -> None:
    """A node without a named output is not valid, and nothing else cleans up after a pass alone."""
    run = run_pass(text, "simplify-shapes")
    assert run.changes
    assert all(output.name for node in run.model.graph for output in node.outputs)


def test_an_output_that_becomes_a_constant_leaves_no_node_without_outputs() -> None:
    run = run_pass("g (float[2,3] x) => (int64[2] s) { s = Shape(x) }", "simplify-shapes", opset=11)
    assert run.ops == []


@pytest.mark.parametrize("axes", ["zero", ""])
@pytest.mark.parametrize("step", ["back", "given"])
def test_a_slice_backwards_keeps_all_elements_and_not_their_order(axes: str, step: str) -> None:
    start, end = ("last", "before") if step == "back" else ("zero", "far")
    run = run_pass(
        f"""g (float[4] x, int64[1] given) => (float[4] y) <int64[1] zero = {{0}}, int64[1] one = {{1}},
            int64[1] back = {{-1}}, int64[1] last = {{-1}}, int64[1] before = {{-9}}, int64[1] far = {{9}},
            int64[1] four = {{4}}> {{
            a = Neg(x)  s = Slice(a, {start}, {end}, {axes}, {step})  r = Reshape(s, four)
            t = Relu(r)  y = Neg(t)
        }}""",
        "simplify-shapes",
        inputs=[{"x": np.arange(4, dtype=np.float32), "given": np.array([1])}],
    )
    assert "Slice" in run.ops


N, M = ir.SymbolicDim("N"), ir.SymbolicDim("M")


@pytest.mark.parametrize(
    ("data", "result", "elements", "target"),
    [
        ((2, 3), (6,), None, [6]),
        ((N, 3), (N, 3), None, [0, 3]),
        ((N, 6), (N, 2, 3), None, [0, 2, 3]),
        ((N, 3), (3, N), None, [3, -1]),
        ((N, 3), (N, M), [N, -1], [0, -1]),
        ((N, 3), (N, M), [N, M], "one dimension depends on the input, and another may be 0"),
        ((N, 3), (N, M), [N, 0], "one dimension depends on the input, and another may be 0"),
        ((N, 3), (N, M), None, "one dimension depends on the input, and another may be 0"),
        ((M, N), (N, M), None, "more than one dimension depends on the input"),
        ((0, 3), (0, 5), None, [0, 5]),
        ((3, 0), (0, 5), None, "a dimension of length 0 cannot be written as a constant"),
        (None, (0,), None, "a dimension of length 0 cannot be written as a constant"),
        (None, (N, 4), None, [-1, 4]),
        ((2,), (2, N), None, [2, -1]),
    ],
)
def test_targets_of_a_reshape(data: Any, result: Any, elements: Any, target: object) -> None:
    before = None if data is None else ir.Shape(data)
    assert _reshape_target(before, ir.Shape(result), elements) == target


@pytest.mark.parametrize(
    ("data", "result", "target"),
    [
        ((1, 3), (2, 3), [2, 3]),
        ((N, 1), (N, 4), [1, 4]),
        ((N,), (4, N), [4, 1]),
        ((N, 1), (2, N, 4), [2, 1, 4]),
    ],
)
def test_targets_of_an_expand(data: Any, result: Any, target: list[int]) -> None:
    assert _expand_target(ir.Shape(data), ir.Shape(result), None) == target


@pytest.mark.parametrize(("data", "result"), [((1,), (N,)), ((M, 1), (N, 4)), (None, (N,)), ((N,), (N, 1))])
def test_targets_of_an_expand_that_are_not_known(data: Any, result: Any) -> None:
    before = None if data is None else ir.Shape(data)
    assert isinstance(_expand_target(before, ir.Shape(result), None), str)


@pytest.mark.parametrize("opset", [8, 9])
def test_a_body_returns_no_constant_of_integers_before_opset_9(opset: int) -> None:
    run = run_pass(
        """
        g (float[2,3] x, bool c) => (int64 s) {
            s = If (c) <then_branch = t () => (int64 a) { a = Size (x) },
                        else_branch = e () => (int64 b) { d = Shape (x) b = ReduceSum <keepdims = 0> (d) }>
        }
        """,
        "simplify-shapes",
        opset=opset,
    )
    branch = run.node("If").attributes["then_branch"].as_graph()
    assert [node.op_type for node in branch] == ["Size" if opset < 9 else "Constant"]


def test_a_size_that_the_new_target_tells_is_known_at_once() -> None:
    """As the first two sizes are copied and there is one element, the last one is 1 too."""
    run = run_pass(
        """g (float x, int64[1] n) => (float[A,B,C] y)
        <int64[3] ones = {1, 1, 1}, int64[1] copied = {0}, int64[1] same = {0}> {
            r = Reshape(x, ones) t = Concat <axis = 0> (copied, same, n) y = Reshape(r, t)
        }""",
        "{eliminate-identities,simplify-shapes}*,dce",
        inputs=[{"x": np.ones((), np.float32), "n": np.array([1])}],
    )
    assert run.ops == ["Reshape"]


def test_a_size_that_an_earlier_value_tells_is_known_at_once() -> None:
    """Of the reshaped value nothing is known but that it has one dimension."""
    run = run_pass(
        """g (float[1] x, int64[1] n) => (int64 y) {
            t = Concat <axis = 0> (n) r = Reshape(x, t) y = Size(r)
        }""",
        "simplify-shapes,dce",
        inputs=[{"x": np.ones(1, np.float32), "n": np.array([1])}],
    )
    assert run.ops == []  # but for a Constant


def test_a_size_of_what_gets_a_target_is_known_at_once() -> None:
    """The first size is copied, so that one element leaves 1 for the other."""
    run = run_pass(
        """g (float[1] x, int64[1] n) => (int64 y) <int64[1] copied = {0}> {
            t = Concat <axis = 0> (copied, n) r = Reshape(x, t) y = Size(r)
        }""",
        "simplify-shapes,dce",
        inputs=[{"x": np.ones(1, np.float32), "n": np.array([1])}],
    )
    assert run.ops == []  # but for a Constant
