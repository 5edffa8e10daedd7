"""Calls of model-local functions become their bodies."""

from __future__ import annotations

from graphopt.pipeline import Pipeline
from graphopt.testing import parse_model, run_pass

HEADER = '<ir_version: 9, opset_import: ["" : 18, "local" : 1]>'


def test_a_call_becomes_the_body() -> None:
    run = run_pass(
        f"""{HEADER}
        agraph (float[2] x) => (float[2] y) {{ a = local.f(x)  y = local.f(a) }}
        <domain: "local", opset_import: ["" : 18]>
        f (p) => (q) {{ c = Constant <value_float = 2.0> ()  m = Mul(p, c)  q = Add(m, p) }}
        """,
        "inline",
    )
    assert run.ops == ["Mul", "Add", "Mul", "Add"]
    assert run.hits == {"call of a function": 2, "function": 1}
    assert not run.model.functions


def test_functions_call_functions() -> None:
    run = run_pass(
        f"""{HEADER}
        agraph (float[2] x) => (float[2] y) {{ y = local.outer(x) }}
        <domain: "local", opset_import: ["" : 18, "local" : 1]>
        outer (p) => (q) {{ m = local.inner(p)  q = local.inner(m) }}
        <domain: "local", opset_import: ["" : 18]>
        inner (p) => (q) {{ q = Relu(p) }}
        """,
        "inline",
    )
    assert run.ops == ["Relu", "Relu"]


def test_attributes_are_given_or_default_or_absent() -> None:
    run = run_pass(
        f"""{HEADER}
        agraph (float[2] x) => (float[2] y, float[2] z)
        {{
            y = local.f <alpha = 0.5> (x)
            z = local.f(x)
        }}
        <domain: "local", opset_import: ["" : 18]>
        f <alpha : float = 0.25> (p) => (q) {{ q = LeakyRelu <alpha : float = @alpha> (p) }}
        """,
        "inline",
    )
    assert [node.attributes["alpha"].as_float() for node in run.model.graph] == [0.5, 0.25]


def test_an_attribute_not_given_leaves_the_default_of_the_operator() -> None:
    run = run_pass(
        f"""{HEADER}
        agraph (float[2] x) => (float[2] y) {{ y = local.f(x) }}
        <domain: "local", opset_import: ["" : 18]>
        f <alpha> (p) => (q) {{ q = LeakyRelu <alpha : float = @alpha> (p) }}
        """,
        "inline",
        inputs=(),
    )
    assert "alpha" not in run.node("LeakyRelu").attributes


def test_references_in_bodies_of_control_flow() -> None:
    run = run_pass(
        f"""{HEADER}
        agraph (bool c, float[2] x) => (float[2] y) {{ y = local.f <alpha = 0.5> (c, x) }}
        <domain: "local", opset_import: ["" : 18]>
        f <alpha : float = 0.25> (cond, p) => (q)
        {{
            q = If(cond) <
                then_branch = t () => (float[2] r) {{ r = LeakyRelu <alpha : float = @alpha> (p) }},
                else_branch = e () => (float[2] s) {{ s = Relu(p) }}
            >
        }}
        """,
        "inline",
    )
    assert run.node("LeakyRelu").attributes["alpha"].as_float() == 0.5


def test_a_call_in_a_branch_and_names_that_clash() -> None:
    run = run_pass(
        f"""{HEADER}
        agraph (bool c, float[2] x) => (float[2] y)
        {{
            m = Neg(x)
            y = If(c) <
                then_branch = t () => (float[2] a) {{ a = local.f(m) }},
                else_branch = e () => (float[2] b) {{ m_1 = Abs(m)  b = local.f(m_1) }}
            >
        }}
        <domain: "local", opset_import: ["" : 18]>
        f (x) => (y) {{ m = Exp(x)  y = Sqrt(m) }}
        """,
        "inline",
    )
    assert run.ops.count("Exp") == 2


def test_an_output_that_is_an_input() -> None:
    run = run_pass(
        f"""{HEADER}
        agraph (float[2] x) => (float[2] y, float[2] z) {{ y, z = local.f(x, x) }}
        <domain: "local", opset_import: ["" : 18]>
        f (p, r) => (p, r) {{ }}
        """,
        "inline",
        inputs=(),  # onnxruntime does not load such a function
        full_check=False,
    )
    assert run.ops == ["Identity", "Identity"]


def test_missing_optional_inputs() -> None:
    run = run_pass(
        f"""{HEADER}
        agraph (float[2] x) => (float[2] y) {{ y = local.f(x) }}
        <domain: "local", opset_import: ["" : 18]>
        f (p, low, high) => (q) {{ q = Clip(p, low, high) }}
        """,
        "inline",
    )
    assert [value is None for value in run.node("Clip").inputs] == [False, True, True]


def test_versions_with_the_same_meaning_are_merged() -> None:
    run = run_pass(
        f"""{HEADER}
        agraph (float[2] x) => (float[2] y) {{ y = local.f(x) }}
        <domain: "local", opset_import: ["" : 16]>
        f (p) => (q) {{ q = Relu(p) }}
        """,
        "inline",
    )
    assert run.ops == ["Relu"]


def test_versions_with_another_meaning_are_refused() -> None:
    model = parse_model(
        f"""{HEADER}
        agraph (float[2,2] x) => (float y) {{ y = local.f(x) }}
        <domain: "local", opset_import: ["" : 17]>
        f (p) => (q) {{ q = ReduceMax <keepdims = 0> (p) }}
        """
    )
    (record,) = Pipeline.parse("inline").run(model).records
    assert record.changes == 0
    assert list(record.refusals) == [
        "ai.onnx.ReduceMax means something else in opset 17 of the function and 18 of the model"
    ]


def test_another_meaning_in_a_body_is_refused() -> None:
    model = parse_model(
        f"""{HEADER}
        agraph (float[2,2] x, bool c) => (float y) {{ y = local.f(x, c) }}
        <domain: "local", opset_import: ["" : 17]>
        f (p, c) => (q) {{
            q = If (c) <
                then_branch = a () => (float t) {{ t = ReduceMax <keepdims = 0> (p) }},
                else_branch = b () => (float e) {{ e = ReduceSum <keepdims = 0> (p) }}
            >
        }}
        """
    )
    (record,) = Pipeline.parse("inline").run(model).records
    assert record.changes == 0
    assert list(record.refusals) == [
        "ai.onnx.ReduceMax means something else in opset 17 of the function and 18 of the model"
    ]
