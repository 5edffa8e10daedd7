"""reorder: a lower peak where there is one to be had, and the given order where not."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from hypothesis import given, settings

from graphopt.cost import estimate
from graphopt.ir import infer_shapes
from graphopt.testing import check_pass, models, parse_model, run_pass

WIDE = """g (float[64] x) => (float[1] y) <int64[1] s = {64}, int64[1] axis = {0}, int64[2] t = {64, 64}> {
    a = Expand(x, t) b = Expand(x, t) c = Expand(x, t)
    d = ReduceSum<keepdims = 0>(a) e = ReduceSum<keepdims = 0>(b) f = ReduceSum<keepdims = 0>(c)
    h = Sum(d, e, f) y = Unsqueeze(h, axis) }"""


def peak(model: ir.Model) -> int:
    return estimate(model).activation_peak_bytes


def test_what_is_made_is_used_up_before_more_is_made() -> None:
    run = run_pass(WIDE, "reorder")
    assert run.ops == ["Expand", "ReduceSum"] * 3 + ["Sum", "Unsqueeze"]
    infer_shapes(run.before)
    assert peak(run.model) < peak(run.before) / 2


@pytest.mark.parametrize(
    "body",
    [
        "a = Relu(x) b = Neg(a) y = Exp(b)",
        "a = Relu(x) b = Neg(x) y = Add(a, b)",
        "a = Relu(x) b = Neg(x) c = Add(a, b) d = Exp(c) y = Mul(c, d)",
    ],
)
def test_an_order_that_cannot_be_better_is_kept(body: str) -> None:
    run = run_pass(f"g (float[64] x) => (float[64] y) {{ {body} }}", "reorder")
    assert run.changes == 0 and not run.refusals


def test_bodies_are_reordered_too() -> None:
    inner = WIDE.partition("{\n")[2].rpartition("}")[0].replace(" y =", " u =")
    text = f"""g (float[64] x, bool p) => (float[1] y) <int64[1] axis = {{0}}, int64[2] t = {{64, 64}}> {{
        y = If(p) <then_branch = t () => (float[1] u) {{ {inner} }},
            else_branch = e () => (float[1] v) {{ v = ReduceSum<keepdims = 1>(x) }}> }}"""
    run = run_pass(text, "reorder")
    assert run.changes == 1
    body = run.node("If").attributes["then_branch"].as_graph()
    assert [node.op_type for node in body][:4] == ["Expand", "ReduceSum", "Expand", "ReduceSum"]


def test_values_of_unknown_size_leave_the_order_as_it_is() -> None:
    text = "g (float[8] x) => (int64[A, B] y, float[8] z) { a = NonZero(x) y = Abs(a) z = Exp(x) }"
    run = run_pass(text, "reorder")
    assert run.changes == 0 and "no known size" in next(iter(run.refusals))


def test_free_dimensions_are_looked_at_in_two_sizes() -> None:
    run = run_pass(WIDE.replace("float[64] x", "float[N] x").replace("{64, 64}", "{64, 1}"), "reorder")
    assert run.changes == 1


def test_constants_come_first() -> None:
    text = WIDE.replace("h = Sum(d, e, f)", "k = Constant<value_float = 2.0>() h = Sum(d, e, f, k)")
    run = run_pass(text, "reorder")
    assert run.model.graph.node(0).op_type == "Constant"


@settings(max_examples=25, deadline=None)
@given(model=models(dtypes=("float32", "int64", "bool"), specials=False))
def test_generated_models(model: ir.Model) -> None:
    check_pass("reorder", model)


def test_a_second_run_on_a_written_model_changes_nothing() -> None:
    model = parse_model(WIDE)
    infer_shapes(model)
    check_pass("reorder,reorder", model)
