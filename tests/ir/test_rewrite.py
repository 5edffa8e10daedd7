"""The engine: where rules apply, what keeps them from applying, and what it guarantees either way."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.ir import (
    PROVENANCE_KEY,
    Changes,
    Reject,
    Rule,
    Tape,
    const,
    constant,
    infer_shapes,
    nodes,
    op,
    rest,
    rewrite,
    rule,
    scalar,
    var,
    verify,
)
from graphopt.ir.pattern import NOT_COMPUTED, Op, needed_makers
from graphopt.ir.rewrite import VISITS_PER_NODE, WANTED_OPSET_KEY
from graphopt.testing import parse_model


@rule(op("Relu", op("Relu", var("x"))))
def merge_relu(tape: Tape, x: ir.Value) -> ir.Value:
    """Relu(Relu(x)) -> Relu(x)."""
    return tape.op("Relu", [x])


@rule(op("Identity", var("x")))
def drop_identity(tape: Tape, x: ir.Value) -> ir.Value:
    """Identity(x) -> x."""
    return x


@rule(op("Add", op("Mul", var("x"), const("a")), const("b"), name="add"))
def swap_affine(tape: Tape, add: ir.Node, x: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
    """x * a + b  ->  (x + b/a) * a."""
    if scalar(a) is None:
        raise Reject("the factor is not one value")
    factor, shift = constant(a), constant(b)
    assert factor is not None
    assert shift is not None
    quotient = tape.const(np.asarray(shift / factor), "shift")
    return tape.op("Mul", [tape.op("Add", [x, quotient]), a])


def run(text: str, *rules: Rule) -> tuple[ir.Model, Changes]:
    model = parse_model(text)
    infer_shapes(model)
    changes = Changes()
    rewrite(model, rules, changes)
    verify(model)
    again = Changes()
    rewrite(model, rules, again)
    assert again.count == 0
    return model, changes


def ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in nodes(model)]


def test_a_chain_of_any_length_merges_in_one_run() -> None:
    relus = "\n".join(f"t{i + 1} = Relu(t{i})" for i in range(50))
    model, changes = run(
        f"g (float[2] x) => (float[2] y) {{ t0 = Neg(x)\n{relus}\ny = Neg(t50) }}", merge_relu
    )
    assert ops(model) == ["Neg", "Relu", "Neg"]
    assert changes.count == 49


def test_an_output_keeps_its_name_type_and_shape() -> None:
    model, _ = run("g (float[N] x) => (float[N] y) { t = Relu(x) y = Relu(t) }", merge_relu)
    (output,) = model.graph.outputs
    assert output.name == "y"
    assert str(output.shape) == "[N]"
    assert output.dtype == ir.DataType.FLOAT


def test_operands_of_commutative_operators_match_in_either_order() -> None:
    text = "g (float[2] x) => (float[2] y) <float a = {2.0}, float b = {3.0}> { t = Mul(a, x) y = Add(b, t) }"
    model, changes = run(text, swap_affine)
    assert changes.hits == {"swap-affine": 1}
    assert ops(model) == ["Add", "Mul"]


@pytest.mark.parametrize(
    ("pattern", "makers"),
    [
        (op("Mul", op(("Conv", "Gemm")), const("c")), [{"Conv", "Gemm"}, {NOT_COMPUTED, "Constant"}]),
        (op("Clip", var("x"), const("low", optional=True)), []),
        (op("Concat", rest("parts")), []),
    ],
)
def test_what_a_pattern_needs_at_its_root_is_told_beforehand(pattern: Op, makers: list[set[str]]) -> None:
    found = needed_makers(pattern)
    assert {frozenset(each) for each in makers} == set(found)


def test_a_refusal_states_its_reason_and_leaves_no_trace() -> None:
    text = """g (float[2] x) => (float[2] y) <float[2] a = {2.0, 1.0}, float b = {3.0}>
    { t = Mul(x, a) y = Add(t, b) }"""
    model, changes = run(text, swap_affine)
    assert changes.refusals == {"swap-affine: the factor is not one value": 1}
    assert ops(model) == ["Mul", "Add"]
    assert len(model.graph.initializers) == 2
    assert len(model.graph.inputs[0].uses()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "g (float[2] x) => (float[2] y, float[2] t) { t = Relu(x) y = Relu(t) }",
        "g (float[2] x) => (float[2] y, float[2] z) { t = Relu(x) y = Relu(t) z = Neg(t) }",
    ],
    ids=["an output of the graph", "another user"],
)
def test_interior_values_with_other_users_stay(text: str) -> None:
    model, changes = run(text, merge_relu)
    assert changes.refusals == {"merge-relu: the result of the Relu is also used elsewhere": 1}
    assert ops(model).count("Relu") == 2


def test_a_value_used_only_in_a_body_counts_as_used() -> None:
    text = """g (float[2] x, bool c) => (float[2] y, float[2] z) { t = Relu(x) y = Relu(t)
    z = If(c) <then_branch = a () => (float[2] p) { p = Neg(t) },
               else_branch = b () => (float[2] q) { q = Abs(t) }> }"""
    _, changes = run(text, merge_relu)
    assert changes.count == 0


def test_bodies_are_rewritten_but_never_pull_outer_nodes_in() -> None:
    text = """g (float[2] x, bool c) => (float[2] z) { t = Relu(x)
    z = If(c) <then_branch = a () => (float[2] p) { u = Relu(t) v = Relu(u) p = Neg(v) },
               else_branch = b () => (float[2] q) { q = Abs(x) }> }"""
    model, changes = run(text, merge_relu)
    assert changes.hits == {"merge-relu": 1}
    assert [node.op_type for node in model.graph] == ["Relu", "If"]


def test_an_identity_between_input_and_output_stays() -> None:
    model, changes = run("g (float[2] x) => (float[2] y) { y = Identity(x) }", drop_identity)
    assert ops(model) == ["Identity"]
    assert changes.refusals == {"drop-identity: both ends belong to the graph's interface": 1}


def test_an_identity_into_an_output_hands_its_name_over() -> None:
    model, _ = run("g (float[2] x) => (float[2] y) { t = Neg(x) y = Identity(t) }", drop_identity)
    assert ops(model) == ["Neg"]
    assert [value.name for value in model.graph.outputs] == ["y"]


def test_a_reader_that_is_left_alone_is_looked_at_again() -> None:
    """The inner Relu has two readers until one of them, which comes later, is taken elsewhere."""

    @rule(op("Sub", var("x"), var("y")))
    def drop_difference(tape: Tape, x: ir.Value, y: ir.Value) -> ir.Value:
        return tape.op("Neg", [y])

    text = "g (float[2] x, float[2] z) => (float[2] y, float[2] d) { a = Relu(x) y = Relu(a) d = Sub(a, z) }"
    model, changes = run(text, merge_relu, drop_difference)
    assert [node.op_type for node in nodes(model)] == ["Relu", "Neg"]
    assert changes.hits == {"merge-relu": 1, "drop-difference": 1}


def test_who_reads_a_reader_that_is_left_alone_is_looked_at_again() -> None:
    """Likewise of the outermost of three: its pattern reaches to the one that had two readers."""

    @rule(op("Sub", var("x"), var("y")))
    def drop_difference(tape: Tape, x: ir.Value, y: ir.Value) -> ir.Value:
        return tape.op("Neg", [y])

    @rule(op("Abs", op("Exp", op("Relu", var("x")))))
    def merge_three(tape: Tape, x: ir.Value) -> ir.Value:
        return tape.op("Softplus", [x])

    text = """g (float[2] x, float[2] z) => (float[2] y, float[2] d) {
        a = Relu(x) b = Exp(a) y = Abs(b) d = Sub(a, z)
    }"""
    model, changes = run(text, merge_three, drop_difference)
    assert changes.hits == {"merge-three": 1, "drop-difference": 1}
    assert [node.op_type for node in nodes(model)] == ["Softplus", "Neg"]


def test_provenance_names_every_original_node() -> None:
    model = parse_model("g (float[2] x) => (float[2] y) { [a] t = Relu(x) [b] u = Relu(t) [c] y = Relu(u) }")
    rewrite(model, [merge_relu], Changes())
    (node,) = model.graph
    assert node.metadata_props[PROVENANCE_KEY] == "a, b, c"


def test_provenance_leaves_out_nodes_without_a_name() -> None:
    model = parse_model("g (float[2] x) => (float[2] y) { t = Relu(x) [b] u = Relu(t) y = Relu(u) }")
    for node in model.graph:
        node.name = node.name if node.name == "b" else None
    rewrite(model, [merge_relu], Changes())
    (node,) = model.graph
    assert node.metadata_props[PROVENANCE_KEY] == "b"


def test_rest_binds_all_remaining_inputs() -> None:
    @rule(op("Concat", rest("parts"), name="concat"))
    def unwrap(tape: Tape, concat: ir.Node, parts: tuple[ir.Value, ...]) -> ir.Value:
        if len(parts) > 1:
            raise Reject("several parts")
        return parts[0]

    text = "g (float[2] x) => (float[2] y) { t = Neg(x) u = Concat<axis = 0>(t) y = Neg(u) }"
    model, _ = run(text, unwrap)
    assert ops(model) == ["Neg", "Neg"]


def test_a_default_that_callers_may_override_is_no_constant() -> None:
    text = """g (float[2] x, float a, float b) => (float[2] y) <float a = {2.0}, float b = {3.0}>
    { t = Mul(x, a) y = Add(t, b) }"""
    _, changes = run(text, swap_affine)
    assert changes.count == 0


def test_constants_in_functions_are_nodes() -> None:
    model = parse_model("""<ir_version: 9, opset_import: ["" : 18, "local" : 1]>
    g (float[2] x) => (float[2] y) { y = local.f(x) }
    <domain: "local", opset_import: ["" : 18]> f (x) => (y)
    { a = Constant<value = float {2.0}>() t = Mul(x, a)
      b = Constant<value = float {3.0}>() y = Add(t, b) }""")
    changes = Changes()
    rewrite(model, [swap_affine], changes)
    verify(model)
    assert changes.count == 1
    (function,) = model.functions.values()
    assert [node.op_type for node in function].count("Constant") == 2


def test_a_rule_may_replace_values_beside_the_root_s() -> None:
    @rule(op("Add", op("Neg", var("x"), name="neg", shared=True), var("z")))
    def add_of_neg(tape: Tape, neg: ir.Node, x: ir.Value, z: ir.Value) -> ir.Value:
        twin = tape.op("Mul", [x, tape.const(np.float32(-1))])
        tape.replace(neg.outputs[0], twin)
        return tape.op("Sub", [z, x])

    text = "g (float[2] x, float[2] z) => (float[2] y, float[2] n) { n = Neg(x) y = Add(n, z) }"
    model, changes = run(text, add_of_neg)
    assert changes.count == 1 and ops(model) == ["Mul", "Sub"]
    assert [value.name for value in model.graph.outputs] == ["y", "n"]


@pytest.mark.parametrize("backwards", [False, True])
def test_rules_that_undo_each_other_come_to_an_end(backwards: bool) -> None:
    @rule(op("Relu", var("x")))
    def to_elu(tape: Tape, x: ir.Value) -> ir.Value:
        return tape.op("Elu", [x])

    @rule(op("Elu", var("x")))
    def to_relu(tape: Tape, x: ir.Value) -> ir.Value:
        return tape.op("Relu", [x])

    model = parse_model("g (float[2] x) => (float[2] y) { t = Relu(x) y = Elu(t) }")
    changes = Changes()
    rewrite(model, [to_elu, to_relu], changes, backwards=backwards)
    verify(model)
    assert VISITS_PER_NODE <= changes.count <= 3 * VISITS_PER_NODE


def test_a_constant_takes_over_the_name_of_what_it_replaces() -> None:
    @rule(op("Shape", var("x")))
    def to_constant(tape: Tape, x: ir.Value) -> ir.Value:
        return tape.ints([2, 3], "sizes")

    text = "g (float[2,3] x) => (int64[2] y, int64[2] z) { y = Shape(x) s = Shape(x) z = Neg(s) }"
    model = parse_model(text)
    rewrite(model, [to_constant], Changes())
    verify(model)
    assert list(model.graph.initializers) == ["y", "s"]
    assert all(
        name == value.const_value.name
        for name, value in model.graph.initializers.items()
        if value.const_value
    )


def test_later_nodes_come_first_where_asked() -> None:
    @rule(op("Relu", var("x"), name="node"))
    def note(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
        seen.append(str(node.outputs[0].name))
        raise Reject("seen")

    model = parse_model("g (float[2] x) => (float[2] c) { a = Relu(x) b = Relu(a) c = Relu(b) }")
    for backwards, order in ((False, ["a", "b", "c"]), (True, ["c", "b", "a"])):
        seen: list[str] = []
        rewrite(model, [note], Changes(), backwards=backwards)
        assert seen == order


def test_a_refusal_is_counted_where_its_node_is_still_there() -> None:
    @rule(op("Neg", op("Relu", var("x"), name="relu", shared=True)))
    def refuse_once(tape: Tape, relu: ir.Node, x: ir.Value) -> ir.Value:
        raise Reject("never")

    @rule(op("Abs", op("Neg", var("x"))))
    def drop_sign(tape: Tape, x: ir.Value) -> ir.Value:
        return tape.op("Abs", [x])

    text = "g (float[2] x) => (float[2] y) { a = Relu(x) b = Neg(a) y = Abs(b) }"
    _, changes = run(text, refuse_once, drop_sign)
    assert changes.count == 1
    assert not changes.refusals


def test_further_outputs_in_use_keep_a_node() -> None:
    @rule(op("Split", var("x"), rest("_")))
    def first_half(tape: Tape, x: ir.Value) -> ir.Value:
        return tape.op("Relu", [x])

    used = "g (float[4] x) => (float[2] y, float[2] z) { y, z = Split <axis = 0, num_outputs = 2> (x) }"
    _, changes = run(used, first_half)
    assert changes.refusals == {"first-half: a further output is in use": 1}


def test_an_older_opset_is_refused_and_the_wish_left() -> None:
    @rule(op("Relu", var("x")))
    def needs_more(tape: Tape, x: ir.Value) -> ir.Value:
        tape.require_opset(tape.opset)
        tape.require_opset(tape.opset + 1)
        return x

    model, changes = run("g (float[2] x) => (float[2] y) { t = Relu(x) y = Neg(t) }", needs_more)
    opset = model.opset_imports[""]
    assert changes.refusals == {f"needs-more: needs opset {opset + 1}, and the model is at {opset}": 1}
    assert model.meta[WANTED_OPSET_KEY] == {opset + 1: ["needs-more"]}


def test_no_node_is_made_that_the_opset_has_not() -> None:
    @rule(op("Relu", var("x")))
    def newer(tape: Tape, x: ir.Value) -> ir.Value:
        return tape.op("Mish", [x])

    text = '<ir_version: 8, opset_import: ["" : {}]> g (float[2] x) => (float[2] y) {{ y = Relu(x) }}'
    model, changes = run(text.format(17), newer)
    assert [node.op_type for node in nodes(model)] == ["Relu"]
    assert changes.refusals == {"newer: there is no Mish at opset 17": 1}
    assert not model.meta.get(WANTED_OPSET_KEY)
    assert [node.op_type for node in nodes(run(text.format(18), newer)[0])] == ["Mish"]


def test_attributes_of_a_function_that_refer_to_its_parameters_stay() -> None:
    model = parse_model("""<ir_version: 9, opset_import: ["" : 18, "local" : 1]>
    g (float[2,3] x) => (float[2,3] y) { y = local.f <axis = 1> (x) }
    <domain: "local", opset_import: ["" : 18]> f <axis> (x) => (y)
    { t = Softmax <axis : int = @axis> (x) y = Identity(t) }""")

    @rule(op("Softmax", var("x")))
    def drop_softmax(tape: Tape, x: ir.Value) -> ir.Value:
        return x

    changes = Changes()
    rewrite(model, [drop_softmax], changes)
    assert changes.count == 0


def test_the_same_variable_twice_means_the_same_value() -> None:
    @rule(op("Mul", var("x"), var("x")))
    def square(tape: Tape, x: ir.Value) -> ir.Value:
        return tape.op("Pow", [x, tape.const(np.float32(2))])

    text = "g (float[2] x, float[2] o) => (float[2] y, float[2] z) { y = Mul(x, x) z = Mul(x, o) }"
    model, changes = run(text, square)
    assert changes.count == 1 and ops(model) == ["Pow", "Mul"]


@pytest.mark.parametrize(("body", "hits"), [("Sub(t, c)", 1), ("Sub(c, t)", 0), ("Add(c, t)", 1)])
def test_operands_of_other_operators_keep_their_places(body: str, hits: int) -> None:
    @rule(op(("Sub", "Add"), op("Relu", var("x")), const("c")))
    def to_elu(tape: Tape, x: ir.Value, c: ir.Value) -> ir.Value:
        return tape.op("Elu", [x])

    _, changes = run(
        f"g (float[2] x) => (float[2] y) <float c = {{1.0}}> {{ t = Relu(x) y = {body} }}", to_elu
    )
    assert changes.count == hits


@pytest.mark.parametrize(("body", "hits"), [("Clip(x)", 1), ("Clip(x, low)", 1), ("Clip(x, , low)", 0)])
def test_optional_inputs_may_be_absent_and_others_must_be(body: str, hits: int) -> None:
    @rule(op("Clip", var("x"), const("low", optional=True)))
    def to_relu(tape: Tape, x: ir.Value, low: ir.Value | None) -> ir.Value:
        return tape.op("Relu", [x])

    _, changes = run(f"g (float[2] x) => (float[2] y) <float low = {{0.0}}> {{ y = {body} }}", to_relu)
    assert changes.count == hits
