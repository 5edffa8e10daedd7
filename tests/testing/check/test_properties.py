"""Each property is found broken where it is, and only then; passes of others and functions are held to it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.errors import ModelError, UsageError
from graphopt.ir import Changes
from graphopt.pipeline import Pass, Pipeline
from graphopt.testing import PassFailure, Reference, check_pass, model_inputs, parse_model
from graphopt.testing.broken import BreaksTheGraph, ChangesNumbers, Raises, RenamesAnOutput
from graphopt.testing.check.content import content, whole

TEXT = """g (float[N, 4] x) => (float[N, 4] y, float[N, 4] z) <float[4] w = {1, 2, 0.5, nan}>
    { a = Mul(x, w) y = Relu(a) z = Neg(a) }"""

Function = Callable[[ir.Model], Any]


def broken(what: Any, model: Any = TEXT, **options: Any) -> PassFailure:
    with pytest.raises(PassFailure) as caught:
        check_pass(what, model, **options)
    return caught.value


@dataclasses.dataclass(frozen=True)
class Does(Pass):
    """Whatever a function does, which returns the number of changes."""

    name: ClassVar[str] = "does"
    what: Function

    def apply(self, model: ir.Model, changes: Changes) -> None:
        changes.add("done", self.what(model))


class Foreign(ir.passes.InPlacePass):
    """What a pass of another project looks like."""

    def __init__(self, does: Function) -> None:
        self.does = does

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        return ir.passes.PassResult(model, bool(self.does(model)))


class Functional(ir.passes.FunctionalPass):
    """A pass that promises to leave what it is given."""

    def __init__(self, does: Function, *, spoils: bool = False) -> None:
        self.does, self.spoils = does, spoils

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        copy = model.clone()
        changed = self.does(model if self.spoils else copy)
        return ir.passes.PassResult(model.clone() if self.spoils else copy, bool(changed))


def node(model: ir.Model, op_type: str) -> ir.Node | None:
    return next((each for each in model.graph if each.op_type == op_type), None)


def nothing(model: ir.Model) -> int:
    return 0


def drop_the_second_negation(model: ir.Model) -> int:
    """Right on any model: Neg(x) becomes Mul(x, -1), once."""
    found = node(model, "Neg")
    if found is None:
        return 0
    minus = ir.Node("", "Constant", [], [ir.AttrFloat32("value_float", -1.0)])
    minus.outputs[0].name = "minus_one"
    model.graph.insert_before(found, minus)
    product = ir.Node("", "Mul", [found.inputs[0], minus.outputs[0]], name="product")
    old, new = found.outputs[0], product.outputs[0]
    new.type, new.shape = old.type, old.shape
    model.graph.insert_before(found, product)
    for index, output in enumerate(model.graph.outputs):
        if output is old:
            model.graph.outputs[index] = new
    new.name, old.name = old.name, "gone"
    model.graph.remove(found)
    return 1


@pytest.mark.parametrize("does", [nothing, drop_the_second_negation])
@pytest.mark.parametrize(
    "make", [Does, Foreign, Functional, lambda does: does, lambda does: Pipeline([Does(does)])]
)
def test_a_right_pass_holds_in_every_form(does: Function, make: Callable[[Function], Any]) -> None:
    run = check_pass(make(does), TEXT)
    assert {"raises", "valid", "interface", "numbers", "deterministic", "idempotent"} <= set(run.checked)
    assert ("Neg" in run.ops) == (does is nothing)


def test_the_model_given_is_left_alone() -> None:
    model = parse_model(TEXT)
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    check_pass(Does(drop_the_second_negation), model)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("what", [Raises(), Foreign(lambda model: 1 / 0), lambda model: 1 / 0])
def test_raising(what: Any) -> None:
    failure = broken(what)
    assert failure.property == "raises" and "ZeroDivisionError" in failure.detail
    assert failure.__cause__ is not None


@pytest.mark.parametrize("make", [Does, Foreign, lambda does: does])
def test_an_invalid_graph(make: Callable[[Function], Any]) -> None:
    def reverse(model: ir.Model) -> int:
        nodes = list(model.graph)
        model.graph.remove(nodes)
        model.graph.extend(reversed(nodes))
        return 1

    failure = broken(make(reverse))
    assert failure.property == "valid" and "not defined before it" in failure.detail


def test_a_graph_that_the_verifier_of_the_pipeline_refuses() -> None:
    assert broken(BreaksTheGraph()).property == "valid"


def test_wrong_types_are_not_valid_where_they_were() -> None:
    def bitwise(model: ir.Model) -> int:
        found = node(model, "Relu")
        if found is None:
            return 0
        found.op_type = "BitwiseNot"
        return 1

    failure = broken(Does(bitwise))
    assert failure.property == "valid" and "onnx.checker" in failure.detail


def test_what_cannot_be_serialized_is_not_valid() -> None:
    def spoil(model: ir.Model) -> None:
        model.graph[0].attributes["x"] = ir.Attr("x", ir.AttributeType.TENSOR, object())

    assert broken(spoil).property == "valid"


def test_the_interface() -> None:
    failure = broken(RenamesAnOutput())
    assert failure.property == "interface"
    assert "'y_renamed'" in failure.detail


def swap_outputs(model: ir.Model) -> int:
    model.graph.outputs[0], model.graph.outputs[1] = model.graph.outputs[1], model.graph.outputs[0]
    return 1


def other_type(model: ir.Model) -> int:
    model.graph.outputs[0].dtype = ir.DataType.INT64
    return 1


def other_rank(model: ir.Model) -> int:
    model.graph.outputs[0].shape = ir.Shape([4])
    return 1


def fixed_input(model: ir.Model) -> int:
    model.graph.inputs[0].shape = ir.Shape([3, 4])
    return 1


@pytest.mark.parametrize("does", [swap_outputs, other_type, other_rank, fixed_input])
def test_an_interface_of_other_order_type_or_shape(does: Function) -> None:
    assert broken(does, full_check=False).property == "interface"


def test_a_default_must_stay_unless_the_pass_says_otherwise() -> None:
    text = "g (float[2] x, float[2] w) => (float[2] y) <float[2] w = {1, 2}> { y = Add(x, w) }"
    model = parse_model(text, ir_version=8)

    def drop_default(model: ir.Model) -> int:
        if len(model.graph.inputs) == 1:
            return 0
        model.graph.inputs.pop()
        return 1

    assert broken(Does(drop_default), model).property == "interface"
    assert check_pass("freeze-initializers", model).changes == 1


@pytest.mark.parametrize("count", [0, 1])
def test_a_dishonest_count(count: int) -> None:
    def lie(model: ir.Model) -> int:
        if not count:
            drop_the_second_negation(model)
        return count

    failure = broken(Does(lie))
    assert (failure.property, failure.detail) == (
        "count",
        f"{count} changes counted, model changed: {not count}",
    )
    assert broken(Foreign(lie)).property == "count"


def test_a_function_counts_nothing() -> None:
    run = check_pass(nothing, TEXT)
    assert "count" not in run.checked and "does not say" in run.unchecked["count"]


def test_metadata_is_a_change_for_passes_of_others_only() -> None:
    def note(model: ir.Model) -> int:
        if "note" in model.graph[0].metadata_props:
            return 0
        model.graph[0].metadata_props["note"] = "!"
        return 1

    assert check_pass(Foreign(note), TEXT).checked
    assert broken(Does(note)).property == "count"


def test_wrong_numbers_are_told_with_their_place() -> None:
    failure = broken(ChangesNumbers("Neg", "Abs"))
    assert failure.property == "numbers"
    assert "output 'z'" in failure.detail and "largest error" in failure.detail and "became" in failure.detail
    assert failure.inputs is not None and set(failure.inputs) == {"x"}


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [("Sum(x, k)", "Add(x, k)", ""), ("Max(x, k)", "Relu(x)", "numbers"), ("Add(x, k)", "Identity(x)", "")],
)
def test_zeros_and_nan_count_where_a_pass_says_exact(before: str, after: str, found: str) -> None:
    """Max(NaN, 0) may be either; a Relu keeps NaN. Adding zero loses the sign of -0.0."""

    @dataclasses.dataclass(frozen=True)
    class Replace(Pass):
        name: ClassVar[str] = "replace"

        def apply(self, model: ir.Model, changes: Changes) -> None:
            op_type, _, operands = after.partition("(")
            (found,) = model.graph
            if found.op_type == op_type:
                return
            found.op_type = op_type
            if "k" not in operands:
                found.resize_inputs(1)
            changes.add("replaced")

    class Exact(Replace):
        exact: ClassVar[bool] = True

    text = f"g (float[N] x) => (float[N] y) <float k = {{0}}> {{ y = {before} }}"
    assert check_pass(Replace(), text, inputs=[{"x": np.array([-1, 2], np.float32)}]) if not found else True
    if after.startswith("Identity"):
        assert broken(Exact(), text).property == "numbers"
        assert "0.0 became -0.0" in broken(Exact(), text).detail


def test_rounding_is_forgiven_where_the_model_magnifies_it() -> None:
    """(x + 1e6) - 1e6 is x to within 0.06: rounding of the original moves it as far."""
    text = "g (float[N] x) => (float[N] y) <float k = {1000000}> { a = Add(x, k) y = Sub(a, k) }"

    def cancel(model: ir.Model) -> int:
        subtraction = node(model, "Sub")
        if subtraction is None:
            return 0
        subtraction.op_type = "Identity"
        subtraction.replace_input_with(0, model.graph.inputs[0])
        subtraction.resize_inputs(1)
        return 1

    assert check_pass(Does(cancel), text).changes == 1
    assert broken(Does(cancel), text, rtol=1e-5).property == "numbers"


def test_jumps_are_forgiven_where_rounding_makes_them() -> None:
    text = "g (float[5] x) => (float[5] y) <float k = {3}> { a = Div(x, k) b = Mul(a, k) y = Floor(b) }"
    feeds = [{"x": np.array([1, 2.5, 3, 7.5, 8.5], np.float32)}]

    def one_less(model: ir.Model) -> int:
        """As a rewrite would that rounds otherwise: 3 becomes the float below, and its floor 2."""
        product = node(model, "Mul")
        if product is None or product.inputs[1] is None or product.inputs[1].name == "less":
            return 0
        less = ir.Value(name="less", const_value=ir.tensor(np.float32(2.9999998), name="less"))
        model.graph.register_initializer(less)
        product.replace_input_with(1, less)
        return 1

    assert check_pass(Does(one_less), text, inputs=feeds).changes == 1
    assert broken(ChangesNumbers("Floor", "Ceil"), text, inputs=feeds).property == "numbers"


def test_a_model_that_runs_no_more() -> None:
    def unknown(model: ir.Model) -> int:
        found = node(model, "Relu")
        if found is None:
            return 0
        found.domain = "nobody"
        model.opset_imports["nobody"] = 1
        return 1

    failure = broken(Does(unknown))
    assert failure.property in ("numbers", "valid")


def test_what_nobody_can_run_is_checked_for_its_structure() -> None:
    text = """<ir_version: 9, opset_import: ["" : 18, "nobody" : 1]>
        g (float[2] x) => (float[2] y) { a = nobody.Thing(x) y = Relu(a) }"""
    run = check_pass("dce", text)
    assert "numbers" not in run.checked and "Thing" in run.unchecked["numbers"]
    assert broken(RenamesAnOutput(), text).property == "interface"


def test_no_inputs_compare_nothing() -> None:
    assert check_pass(ChangesNumbers("Neg", "Abs"), TEXT, inputs=()).unchecked["numbers"]


def test_elements_of_shared_constants() -> None:
    def double_in_place(model: ir.Model) -> int:
        for value in model.graph.initializers.values():
            assert value.const_value is not None
            value.const_value.numpy()[...] *= 2
        return 0

    model = parse_model(TEXT)
    weight = model.graph.initializers["w"]
    weight.const_value = ir.tensor(np.array([1, 2, 3, 4], np.float32), name="w")
    assert broken(double_in_place, model).property in ("numbers", "untouched")


def test_a_functional_pass_that_changes_what_it_is_given() -> None:
    failure = broken(Functional(drop_the_second_negation, spoils=True))
    assert failure.property in ("untouched", "count")


def test_a_pass_that_is_not_deterministic() -> None:
    counter = itertools.count()

    def name_by_time(model: ir.Model) -> int:
        if (model.graph[0].name or "").startswith("run"):
            return 0
        model.graph[0].name = f"run{next(counter)}"
        return 1

    assert broken(Does(name_by_time)).property == "deterministic"


def test_a_pass_that_never_ends() -> None:
    def grow(model: ir.Model) -> int:
        model.graph.append(ir.Node("", "Identity", [model.graph.inputs[0]], name=f"n{len(model.graph)}"))
        model.graph[-1].outputs[0].name = f"v{len(model.graph)}"
        return 1

    assert "second run finds more" in broken(Does(grow)).detail
    assert broken(grow).detail == "a second run changes the model again"


def test_passes_in_a_row_promise_no_fixed_point() -> None:
    assert "idempotent" in check_pass("fold,dce", TEXT).unchecked
    assert "idempotent" in check_pass("{fold,dce}*", TEXT).checked


def test_a_reference_serves_many_passes() -> None:
    reference = Reference(TEXT)
    assert check_pass("dce", reference).before is check_pass("-O1", reference).before
    assert broken(Raises(), reference).property == "raises"


def test_the_inputs_that_a_model_carries_are_used() -> None:
    model = parse_model("g (float[N] x, int64[1] s) => (float[M] y) { y = Reshape(x, s) }")
    model.meta["graphopt.inputs"] = [{"x": np.arange(3, dtype=np.float32), "s": np.array([3])}]
    assert "numbers" in check_pass("dce", model).checked
    assert len(model_inputs(model)) == 1


def test_inputs_that_must_fit_are_found() -> None:
    text = "g (float[5, 2] table, int64[N] i) => (float[N, 2] y) { y = Gather(table, i) }"
    assert "numbers" in check_pass("dce", text).checked


def test_a_model_that_is_not_valid_is_no_failure_of_a_pass() -> None:
    model = parse_model(TEXT)
    model.graph[1].replace_input_with(0, ir.Value(name="nowhere"))
    with pytest.raises(ModelError, match="nowhere"):
        check_pass("dce", model)


@pytest.mark.parametrize("what", ["nonsense", "nowhere:Thing", 3])
def test_what_is_no_pass(what: Any) -> None:
    with pytest.raises(UsageError):
        check_pass(what, TEXT)


def test_forms_of_a_model(tmp_path: Any) -> None:
    model = parse_model(TEXT)
    path = tmp_path / "model.onnx"
    ir.save(model, path)
    for form in (TEXT, model, ir.to_proto(model), path, str(path)):
        assert check_pass("dce", form).checked
    assert isinstance(ir.to_proto(model), onnx.ModelProto)


def test_names_of_tensors_in_attributes_of_functions_mean_nothing() -> None:
    model = parse_model(
        """
        <ir_version: 8, opset_import: ["" : 18, "local" : 1]>
        agraph (float[2] x) => (float[2] y) { c = Add(x, x)  y = local.F(c) }
        <domain: "local", opset_import: ["" : 18]>
        F (a) => (b) { c = Constant <value = float {2}> ()  b = Mul(a, c) }
        """
    )
    (function,) = model.functions.values()
    before = whole(model)
    tensor = function.graph[0].attributes["value"].as_tensor()
    tensor.name = "another"
    assert whole(model) == before


def test_what_functions_claim_of_their_values_is_no_change() -> None:
    model = parse_model(
        """
        <ir_version: 10, opset_import: ["" : 18, "local" : 1]>
        agraph (float[2] x) => (float[2] y) { y = local.F(x) }
        <domain: "local", opset_import: ["" : 18]> F (a) => (b) { c = Neg(a)  b = Neg(c) }
        """
    )
    before = content(ir.to_proto(model))
    (function,) = model.functions.values()
    function.graph[0].outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    function.graph[0].outputs[0].shape = ir.Shape(["d"])
    assert content(ir.to_proto(model)) == before


class ShortensHalves(Pass):
    """Take an Identity out."""

    name: ClassVar[str] = "shortens-halves"
    exact: ClassVar[bool] = True

    def apply(self, model: ir.Model, changes: Changes) -> None:
        for node in list(model.graph):
            if node.op_type == "Identity":
                (source,) = node.inputs
                assert source is not None
                node.outputs[0].replace_all_uses_with(source)
                model.graph.remove(node)
                changes.add("removed")


HALVES = """
    agraph (float[64] x) => (float[64] y)
    {{ a = Cast <to = 10> (x)  b = {} (a)  c = Identity(b)  d = {} (c)  y = Cast <to = 1> (d) }}
"""


def test_half_floats_may_be_rounded_between_nodes_or_not() -> None:
    """Of probabilities that half floats have no number for, the logarithm is -inf if they are rounded."""
    text = "g () => (float16[1,2] y) <float16[1,2] c = {0, 52428}> { s = Softmax (c) y = Log (s) }"
    rounded = "g () => (float16[1,2] y) <float16[1,2] s = {15360, 0}> { y = Log (s) }"
    check_pass(lambda model: parse_model(rounded), text)
    with pytest.raises(PassFailure):
        check_pass(lambda model: parse_model(rounded.replace("15360", "15872")), text)


def test_half_floats_that_the_runtime_rounds_less_often_are_forgiven() -> None:
    feeds = [{"x": np.linspace(0.1, 3, 64, dtype=np.float32)}]
    model = parse_model(HALVES.format("Sin", "Sin"))
    check_pass(ShortensHalves(), model, inputs=feeds)


class DropsNarrowing(Pass):
    """Take a Cast to half floats out."""

    name: ClassVar[str] = "drops-narrowing"
    exact: ClassVar[bool] = True

    def apply(self, model: ir.Model, changes: Changes) -> None:
        for node in list(model.graph):
            if node.op_type == "Cast" and node.outputs[0].uses():
                (source,) = node.inputs
                assert source is not None
                node.outputs[0].replace_all_uses_with(source)
                model.graph.remove(node)
                changes.add("removed")


def test_a_narrowing_that_is_dropped_is_not() -> None:
    text = "agraph (float[4] x) => (float[4] y) { a = Cast <to = 10> (x)  y = Cast <to = 1> (a) }"
    with pytest.raises(PassFailure) as failure:
        check_pass(DropsNarrowing(), text)
    assert failure.value.property == "numbers"


def test_a_pass_that_freezes_defaults_is_not_asked_about_other_values_of_them() -> None:
    model = parse_model(
        "g (float[2] x, float[2] c) => (float[2] y) <float[2] c = {1.0, 2.0}> { y = Add (x, c) }"
    )
    other = {"x": np.ones(2, np.float32), "c": np.zeros(2, np.float32)}
    assert check_pass("freeze-initializers", model, inputs=[other]).changes == 1


def test_passes_that_are_not_exact_promise_nothing_of_infinities() -> None:
    text = "g (float[2] x) => (float[2] y) <float one = {1}> { y = Max (x, one) }"
    odd = {"x": np.array([np.inf, 2.0], np.float32)}
    assert check_pass("bounds-to-clip", text, inputs=[odd]).changes == 1
    unused = text.replace("<float one = {1}>", "<float one = {1}, float[1] unused = {2}>")
    assert check_pass("bounds-to-clip", unused, inputs=[odd]).changes == 1
    with pytest.raises(PassFailure):
        check_pass(ChangesNumbers(before="Max", after="Min"), text)


def test_what_is_divided_by_a_sum_that_overflows_is_compared_on_smaller_inputs() -> None:
    """Its exponential is a number, and the sum an infinity, of which Softmax knows nothing."""
    text = """g (float[2,3] x) => (float[2,3] y) <int64[1] last = {-1}>
        { e = Exp (x) s = ReduceSum (e, last) y = Div (e, s) }"""
    large = {"x": np.array([[87.0, 90.0, 90.0], [-np.inf, -np.inf, -np.inf]], np.float32)}
    check_pass("fuse-softmax", text, inputs=[large])
    with pytest.raises(PassFailure, match="numbers"):
        check_pass(ChangesNumbers(before="Exp", after="Softplus"), text, inputs=[large])


def test_what_follows_from_infinities_is_compared_on_plain_numbers() -> None:
    """0 * -inf is NaN, of which Hardmax makes zeros; the product of the matrices never meets it."""
    text = """g (float[2,1] x) => (float[2,1] y) <float[1,2] a = {1, 1}, float[2,1] b = {0, 1}>
        { p = MatMul (x, a) q = MatMul (p, b) y = Hardmax (q) }"""
    odd = {"x": np.array([[-np.inf], [3.0]], np.float32)}
    assert check_pass("join-matmuls", text, inputs=[odd]).changes == 1
    with pytest.raises(PassFailure):
        check_pass(ChangesNumbers(before="Hardmax", after="LogSoftmax"), text, inputs=[odd])


def test_a_score_below_what_masks_is_no_score() -> None:
    """Where scores are -1e30, what is masked with -1e4 is attended to; they follow from no sensible input."""
    text = """<ir_version: 10, opset_import: ["": 23]>
    g (float[1,2,1,1] q, float[1,2,2,1] k, float[1,2,2,1] v, bool[1,2] m) => (float[1,2,1,1] y)
    <float low = {-10000.0}> {
        t = Transpose <perm = [0, 1, 3, 2]> (k) s = MatMul(q, t) w = Where(m, s, low) p = Softmax(w)
        y = MatMul(p, v)
    }"""
    small = np.ones((1, 2, 1, 1), np.float32)
    pair = np.ones((1, 2, 2, 1), np.float32) * np.array([1.0, 2.0], np.float32).reshape(1, 1, 2, 1)
    huge = {"q": small, "k": pair * np.float32(-1e30), "v": pair, "m": np.array([[True, False]])}
    assert check_pass("fuse-attention", text, inputs=[huge]).changes == 1


def test_a_branch_must_not_come_to_end_in_one_value_twice() -> None:
    text = """g (bool c, float[2] x) => (float[2] y, float[2] z) {
        y, z = If (c) <then_branch = t () => (float[2] a, float[2] b) { a = Neg(x) b = Neg(x) },
                       else_branch = e () => (float[2] p, float[2] q) { p = Abs(x) q = Exp(x) }> }"""

    def merge(model: ir.Model) -> int:
        branch = model.graph.node(0).attributes["then_branch"].as_graph()
        branch.outputs[1] = branch.outputs[0]
        branch.remove(branch.node(1))
        return 1

    assert "twice" in broken(Does(merge), text).detail
