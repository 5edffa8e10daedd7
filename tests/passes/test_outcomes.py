"""What passes make of small models, to the letter; and that other spellings of these meet the same rules.

The cases are in `outcomes`: for each rule, and each reason to refuse it, the smallest model at hand. The
script there writes them anew.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pytest

from graphopt.errors import GraphoptError
from graphopt.execute.session import Session
from graphopt.io import to_proto
from graphopt.ir import facts, infer_shapes, is_constant_node, nodes, static_shape, violations
from graphopt.pipeline.named import load_named
from graphopt.testing import check_pass, model_inputs, parse_model

SCRIPT = Path(__file__).parent / "outcomes" / "cases.py"
"""Of no package, so that nothing but its path names it."""
cases, made_of, outcome_of = (load_named(f"{SCRIPT}:{name}") for name in ("cases", "made_of", "outcome_of"))
CASES = list(cases())
IDS = [case.name for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_outcome(case: Any) -> None:
    assert outcome_of(case.item, parse_model(case.model)).splitlines() == case.outcome.splitlines()


def counts(item: str, model: ir.Model) -> tuple[Counter[str], Counter[str], list[str]]:
    """Changes, refusals without the numbers in their reasons, and the operators after."""
    infer_shapes(model)
    changes = made_of(item).call(model).changes
    refusals: Counter[str] = Counter()
    for reason, times in changes.refusals.items():
        refusals[re.sub(r"-?\d+", "#", reason)] += times
    return changes.hits, refusals, [node.op_type for node in nodes(model) if not is_constant_node(node)]


def defaults(node: ir.Node, opset: int) -> list[ir.Attr]:
    """What a node means where it leaves attributes out; not of Clip, whose bounds are then none."""
    if node.domain or node.op_type == "Clip":
        return []
    schema = onnx.defs.get_schema(node.op_type, opset)
    values = [each.default_value for each in schema.attributes.values()]
    return [ir.serde.deserialize_attribute(value) for value in values if value.name]


def write_defaults_out(model: ir.Model) -> bool:
    """Give nodes the attributes that they leave out, at their defaults; whether there were any."""
    changed = False
    for node in nodes(model):
        for default in defaults(node, model.opset_imports.get("", 1)):
            if default.name not in node.attributes:
                node.attributes.add(default)
                changed = True
    return changed


def leave_defaults_out(model: ir.Model) -> bool:
    """Take from nodes the attributes that are at their defaults; whether there were any."""
    changed = False
    for node in nodes(model):
        for default in defaults(node, model.opset_imports.get("", 1)):
            given = node.attributes.get(default.name)
            if given is not None and not given.is_ref() and given.value == default.value:
                del node.attributes[default.name]
                changed = True
    return changed


AXES_FROM_THE_END_SINCE = 11
WITH_AN_AXIS = ("Concat", "Split", "Gather", "Softmax", "LogSoftmax", "ArgMax", "GatherElements", "Flatten")


def count_axes_from_the_other_end(model: ir.Model) -> bool:
    """Write each axis of a known rank the other way; whether there were any."""
    infer_shapes(model)
    changed = False
    for node in nodes(model):
        axis, value = node.attributes.get("axis"), node.inputs[0] if node.inputs else None
        if node.op_type not in WITH_AN_AXIS or axis is None or axis.is_ref():
            continue
        if value is None or value.shape is None or model.opset_imports.get("", 1) < AXES_FROM_THE_END_SINCE:
            continue
        rank, number = len(value.shape), axis.as_int()
        if number < rank:
            node.attributes.add(ir.AttrInt64("axis", number - rank if number >= 0 else number + rank))
            changed = True
    return changed


def make_constants_nodes(model: ir.Model) -> bool:
    """Make Constant nodes of initializers; whether there were any."""
    graph, made = model.graph, []
    for value in list(graph.initializers.values()):
        if not value.is_graph_input() and not value.is_graph_output():
            assert value.const_value is not None and value.name is not None
            del graph.initializers[value.name]
            made.append(
                ir.Node("", "Constant", [], [ir.AttrTensor("value", value.const_value)], outputs=[value])
            )
    if made and len(graph):
        graph.insert_before(graph[0], made)
    return bool(made)


def turn_operands(model: ir.Model) -> bool:
    """Exchange the two operands of what takes them in any order; whether there was any."""
    changed = False
    for node in nodes(model):
        if facts(node).commutative and len(node.inputs) == 2 and node.inputs[0] is not node.inputs[1]:
            first, second = node.inputs
            node.replace_input_with(0, second)
            node.replace_input_with(1, first)
            changed = True
    return changed


NODES_THEMSELVES = ("cse", "dce", "dedup-initializers")
"""Passes to which a Constant node is another thing than an initializer, and that count them."""
BOTH_ENDS = "both ends belong to the graph's interface"
"""Said of an initializer, which cannot become an output; a Constant node can."""
FIRST_OPERAND = ("merge-transposes",)
"""Passes that follow the first operand alone."""


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_spelling(case: Any) -> None:
    """Rules know the defaults of attributes, axes from either end, and constants of either kind."""
    expected = counts(case.item, parse_model(case.model))
    spellings = [write_defaults_out, leave_defaults_out, count_axes_from_the_other_end]
    if case.item.partition("{")[0] not in NODES_THEMSELVES and BOTH_ENDS not in case.outcome:
        spellings.append(make_constants_nodes)
    for spell in spellings:
        model = parse_model(case.model)
        if spell(model):
            assert counts(case.item, model) == expected, spell.__name__


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_turned_operands(case: Any) -> None:
    """Rules find operands in either order; why they refuse may be told of another one."""
    model = parse_model(case.model)
    if turn_operands(model) and case.item not in FIRST_OPERAND:
        hits, _, operators = counts(case.item, parse_model(case.model))
        turned, _, same = counts(case.item, model)
        assert turned == hits and Counter(same) == Counter(operators)


def forget_shapes(model: ir.Model) -> bool:
    """Leave nothing known of the shapes of inputs and outputs."""
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.shape = None
    return True


def open_sizes(model: ir.Model) -> bool:
    """Leave every size of inputs and outputs open, known by its own name."""
    for value in (*model.graph.inputs, *model.graph.outputs):
        if value.shape is not None:
            value.shape = ir.Shape(f"{value.name}_{axis}" for axis in range(len(value.shape)))
    return True


def fix_sizes(model: ir.Model) -> bool:
    """Give numbers to sizes of inputs that have none, equal ones to equal names; whether any had none."""
    numbers: dict[str | None, int] = {}
    for value in model.graph.inputs:
        if value.shape is not None:
            value.shape = ir.Shape(
                dim if isinstance(dim, int) else numbers.setdefault(dim.value, 2 + len(numbers) % 4)
                for dim in value.shape.dims
            )
    for value in model.graph.outputs:
        if not value.is_graph_input():
            value.shape = None
    return bool(numbers)


def make_constants_inputs(model: ir.Model) -> bool:
    """Make inputs of initializers; whether there are any."""
    count = len(model.graph.inputs)
    for value in list(model.graph.initializers.values()):
        assert value.name is not None
        if not value.is_graph_output() and not value.is_graph_input():
            del model.graph.initializers[value.name]
            value.const_value = None
            model.graph.inputs.append(value)
    return len(model.graph.inputs) > count


MOST_ELEMENTS = 1 << 16


def can_be_fed(value: ir.Value) -> bool:
    """Whether arrays can be made up for an input: it is no sequence, nor large only to be large."""
    typed = isinstance(value.type, ir.TensorType) and value.shape is not None
    return typed and math.prod(static_shape(value) or ()) <= MOST_ELEMENTS


def runs(model: ir.Model, feed: dict[str, Any]) -> bool:
    try:
        Session(model).run(feed)
    except GraphoptError:
        return False
    return True


@pytest.mark.parametrize("vary", [forget_shapes, open_sizes, fix_sizes, make_constants_inputs])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_what_is_known(case: Any, vary: Any) -> None:
    """Passes take shapes that nobody knows, sizes known and not, and inputs where they look for constants."""
    model = parse_model(case.model)
    if not all(map(can_be_fed, model.graph.inputs)) or not vary(model):
        return
    tried = model.clone()
    infer_shapes(tried)
    if not made_of(case.item).call(tried).changes.count:
        return
    given = parse_model(case.model)
    constants = {name: value.const_value for name, value in given.graph.initializers.items()}
    arrays = {name: tensor.numpy() for name, tensor in constants.items() if tensor is not None}
    feeds = [arrays | feed for feed in model_inputs(model if vary is fix_sizes else given)]
    names = {value.name for value in model.graph.inputs}
    feeds = [{name: array for name, array in feed.items() if name in names} for feed in feeds]
    if runs(model, feeds[0]):
        check_pass(made_of(case.item), model, inputs=feeds)


def hide(model: ir.Model, value: ir.Value) -> None:
    """Let all who read a value of the main graph read what a function makes of it: nobody knows its type."""
    inside = ir.Value(name="inside")
    made = ir.node("Identity", [inside], outputs=[ir.Value(name="made")])
    graph = ir.Graph(
        [inside], made.outputs, nodes=[made], opset_imports=dict(model.opset_imports), name="hide"
    )
    function = ir.Function("local", "Hide", "", graph=graph, attributes=[])
    model.functions[function.identifier()] = function
    model.opset_imports["local"] = 1
    users = [(use.node, use.idx) for use in value.uses()]
    call = ir.node("Hide", [value], domain="local", outputs=[ir.Value(name=f"{value.name}/hidden")])
    maker = value.producer()
    if maker is None:
        model.graph.insert_before(model.graph[0], call)
    else:
        model.graph.insert_after(maker, call)
    for user, index in users:
        user.replace_input_with(index, call.outputs[0])


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_types_that_nobody_knows(case: Any) -> None:
    """Each value in turn is given by a call of a function: passes take it as it is, or leave it."""
    model = parse_model(case.model)
    made = [*model.graph.inputs, *(output for node in model.graph for output in node.outputs)]
    for place, value in enumerate(made):
        if not value.uses():
            continue
        hidden = parse_model(case.model)
        again = [*hidden.graph.inputs, *(output for node in hidden.graph for output in node.outputs)]
        hide(hidden, again[place])
        infer_shapes(hidden)
        made_of(case.item).call(hidden)
        assert not list(violations(hidden)), value.name


OLD_OPSETS = (7, 8, 10, 11, 12, 13)
"""The first or last ones in which common operators take their operands one way."""


def is_valid(model: ir.Model) -> bool:
    try:
        onnx.checker.check_model(to_proto(model))
    except onnx.checker.ValidationError:
        return False
    return not any(True for _ in violations(model))


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_old_opsets(case: Any) -> None:
    """Models that an old opset has, too: passes write nothing that it has not."""
    for version in OLD_OPSETS:
        model = parse_model(case.model)
        if model.functions or version >= model.opset_imports.get("", version):
            continue
        model.opset_imports[""] = version
        if not is_valid(model) or not all(map(can_be_fed, model.graph.inputs)):
            continue
        tried = model.clone()
        infer_shapes(tried)
        if made_of(case.item).call(tried).changes.count:
            for declared, output in zip(model.graph.outputs, tried.graph.outputs, strict=True):
                output.shape = declared.shape  # as files are written
            assert is_valid(tried), version
