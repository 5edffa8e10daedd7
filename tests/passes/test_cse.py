"""cse: equal computations once, and nothing that may differ."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.testing import parse_model, run_pass


def test_a_chain_computed_twice_is_computed_once() -> None:
    text = """g (float[N, 4] x) => (float[N, 4] y) {
        a = Relu(x) b = Exp(a) c = Relu(x) d = Exp(c) y = Sub(b, d)
    }"""
    run = run_pass(text, "cse")
    assert run.ops == ["Relu", "Exp", "Sub"]
    assert run.hits == {"Relu computed before": 1, "Exp computed before": 1}


def test_operands_of_commutative_operators_may_change_places() -> None:
    text = """g (float[4] x, float[4] w) => (float[4] y) {
        a = Add(x, w) b = Add(w, x) c = Sub(x, w) d = Sub(w, x) e = Mul(a, b) f = Div(c, d) y = Add(e, f)
    }"""
    run = run_pass(text, "cse")
    assert sorted(run.ops) == sorted(["Add", "Sub", "Sub", "Mul", "Div", "Add"])


def test_small_constants_are_compared_by_content() -> None:
    text = """g (float[4] x) => (float[4] y) <float a = {2.0}, float b = {2.0}, float d = {-2.0}> {
        e = Constant<value_float = 2.0>()
        p = Mul(x, a) q = Mul(x, b) r = Mul(e, x) s = Mul(x, d) t = Sum(p, q, r, s) y = Neg(t)
    }"""
    assert run_pass(text, "cse").ops.count("Mul") == 2


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("LeakyRelu<alpha = 0.1>(x)", "LeakyRelu<alpha = 0.2>(x)"),
        ("Softmax<axis = 0>(x)", "Softmax<axis = 1>(x)"),
        ("Cast<to = 10>(x)", "Cast<to = 11>(x)"),
        ("ReduceSum(x)", "ReduceSum<keepdims = 0>(x)"),
    ],
)
def test_attributes_are_compared_exactly(left: str, right: str) -> None:
    text = f"""g (float[2, 3] x) => (float[A, B] y, float[A, B] z) {{
        a = {left} b = {right} y = CastLike(a, x) z0 = CastLike(b, x) m = Constant<value_ints = [1, -1]>()
        z = Reshape(z0, m)
    }}"""
    assert run_pass(text, "cse").changes == 0


@pytest.mark.parametrize(
    "random",
    [
        "Bernoulli(x)",
        "RandomNormalLike(x)",
        "RandomUniformLike<seed = 1.0>(x)",
        "RandomNormal<shape = [4]>()",
    ],
)
def test_random_nodes_are_never_merged(random: str) -> None:
    text = f"g (float[4] x) => (float[4] y) {{ a = {random} b = {random} y = Sub(a, b) }}"
    assert run_pass(text, "cse", inputs=()).changes == 0


def test_dropout_in_training_mode_is_random() -> None:
    text = """g (float[4] x) => (float[4] y) <float r = {0.5}, bool t = {1}> {
        a = Dropout(x, r, t) b = Dropout(x, r, t) y = Sub(a, b)
    }"""
    assert run_pass(text, "cse", inputs=()).changes == 0


def test_opaque_nodes_are_never_merged() -> None:
    text = """<ir_version: 9, opset_import: ["" : 18, "vendor.ops" : 1]>
    g (float[4] x) => (float[4] y) { a = vendor.ops.Thing(x) b = vendor.ops.Thing(x) y = Sub(a, b) }"""
    assert run_pass(text, "cse", inputs=()).changes == 0


def test_two_outputs_that_are_one_value_keep_both_names() -> None:
    text = "g (float[N] x) => (float[N] y, float[N] z) { y = Exp(x) z = Exp(x) }"
    run = run_pass(text, "cse")
    assert run.ops == ["Exp", "Identity"]
    assert [value.name for value in run.model.graph.outputs] == ["y", "z"]


def test_two_identities_to_the_interface_stay() -> None:
    text = "g (float[N] x) => (float[N] y, float[N] z) { y = Identity(x) z = Identity(x) }"
    assert run_pass(text, "cse").changes == 0


def test_an_output_computed_second_keeps_its_name() -> None:
    text = "g (float[N] x) => (float[N] y, float[N] z) { a = Exp(x) z = Neg(a) y = Exp(x) }"
    run = run_pass(text, "cse")
    assert run.ops == ["Exp", "Neg"]


def test_bodies_use_what_outer_graphs_computed_and_branches_share_nothing() -> None:
    text = """g (bool c, float[N] x) => (float[N] y) {
        a = Exp(x)
        b = If(c) <
            then_branch = t () => (float[N] u) { p = Exp(x) q = Sin(x) u = Add(p, q) },
            else_branch = e () => (float[N] v) { r = Sin(x) s = Exp(x) v = Sub(r, s) }
        >
        d = Sin(x) e = Add(a, b) y = Add(d, e)
    }"""
    run = run_pass(text, "cse")
    assert run.ops.count("Exp") == 1
    assert run.ops.count("Sin") == 3


def test_a_branch_that_returns_an_outer_value_returns_a_copy() -> None:
    text = """g (bool c, float[N] x) => (float[N] y) {
        a = Exp(x)
        b = If(c) <
            then_branch = t () => (float[N] u) { u = Exp(x) },
            else_branch = e () => (float[N] v) { v = Sin(x) }
        >
        y = Add(a, b)
    }"""
    run = run_pass(text, "cse")
    assert run.ops.count("Exp") == 1 and run.ops.count("Identity") == 1


def test_nodes_with_bodies_are_not_merged() -> None:
    branch = """then_branch = t{0} () => (float[N] u{0}) {{ u{0} = Exp(x) }},
        else_branch = e{0} () => (float[N] v{0}) {{ v{0} = Sin(x) }}"""
    text = f"""g (bool c, float[N] x) => (float[N] y) {{
        a = If(c) <{branch.format(1)}> b = If(c) <{branch.format(2)}> y = Sub(a, b)
    }}"""
    assert run_pass(text, "cse").ops.count("If") == 2


def test_nodes_with_several_outputs() -> None:
    text = """g (float[6] x) => (float[2] y) {
        a, b, c = Split<num_outputs = 3>(x) d, e, f = Split<num_outputs = 3>(x)
        i, j = Split<num_outputs = 2>(x)
        s = Sub(a, f) t = Add(s, e) y = Mul(t, b)
    }"""
    assert run_pass(text, "cse").ops.count("Split") == 2


def test_nan_attributes_compare_by_bits() -> None:
    model = parse_model("g (float[2] x) => (float[2] y) { a = Elu(x) b = Elu(x) y = Add(a, b) }")
    for node in list(model.graph)[:2]:
        node.attributes["alpha"] = ir.Attr("alpha", ir.AttributeType.FLOAT, float("nan"))
    assert run_pass(model, "cse").ops == ["Elu", "Add"]


def test_large_constants_are_compared_by_identity() -> None:
    text = "g (float[4] x) => (float[400] y) <float a = {1.0}, float b = {1.0}> { y = Add(a, b) }"
    model = parse_model(text)
    graph = model.graph
    for name in ("a", "b"):
        value = graph.initializers[name]
        value.const_value = ir.tensor(np.arange(400, dtype=np.float32), name=name)
        value.shape = ir.Shape((400,))
    assert run_pass(model, "cse").changes == 0


def test_equal_constant_nodes() -> None:
    model = parse_model("g (float[100] x) => (float[100] y) { y = Neg(x) }")
    tensors = [np.arange(100, dtype=np.float32) + offset for offset in (0, 0, 1)]
    constants = [
        ir.node("Constant", [], {"value": ir.tensor(array)}, name=f"c{index}")
        for index, array in enumerate(tensors)
    ]
    total = ir.node("Sum", [node.outputs[0] for node in constants], name="sum")
    graph = model.graph
    for index, node in enumerate([*constants, total]):
        node.outputs[0].name = f"v{index}"
    graph.insert_before(graph.node(0), [*constants, total])
    graph.node(4).replace_input_with(0, total.outputs[0])
    run = run_pass(model, "cse")
    assert run.hits == {"Constant computed before": 1}


def test_two_sequences_that_are_both_outputs_stay() -> None:
    text = """
    g (float[1] x) => (seq(float[1]) y, seq(float[1]) z)
    { y = SequenceConstruct (x) z = SequenceConstruct (x) }
    """
    assert run_pass(text, "cse", opset=13).changes == 0


def test_two_outputs_of_which_onnxruntime_has_no_identity_stay() -> None:
    text = """
    g (float[2] x) => (uint4[2] y, uint4[2] z) <float s = {0.5}>
    { y = Cast <to = 21> (x) z = Cast <to = 21> (x) }
    """
    assert run_pass(text, "cse", opset=21).changes == 0
