"""Mutations of regions: computed in another float type, or put into an If branch, a Loop or a function."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir import constant_tensor, constant_value, remove_node
from graphopt.testing.generate.choices import Choices
from graphopt.testing.generate.recipe import Unfit
from graphopt.testing.mutation.region import Region, copy_nodes
from graphopt.testing.mutation.subject import Array, Subject, mutation

LONGEST = 8
"""Nodes of a region."""
DOMAIN = "mutation"
AXES_AS_INPUT = 13
"""From this opset on Squeeze takes axes as an input."""
_FLOATS = (ir.DataType.FLOAT16, ir.DataType.DOUBLE, ir.DataType.BFLOAT16, ir.DataType.FLOAT)


@mutation(weight=20)
def compute_in_another_type(subject: Subject, choices: Choices) -> str:
    """Compute a region, or all, in another float type, with Casts around it."""
    graph = subject.model.graph
    whole = choices.chance(0.15)
    region = Region.of(list(graph)) if whole else Region.choose(graph, choices, 1, LONGEST)
    old = next((v.dtype for v in region.outputs if v.dtype in _FLOATS), None)
    if old is None:
        raise Unfit("it gives no floats")
    new = choices.choose([dtype for dtype in _FLOATS if dtype != old])
    _require_only(region, old)
    made: dict[ir.Value, ir.Value] = {}
    casts = []
    for value in region.inputs:
        if value.dtype == old:
            cast = _cast(value, new, subject.name(f"{value.name}_{new.name.lower()}"))
            casts.append(cast)
            made[value] = cast.outputs[0]
    last = region.nodes[-1]
    copies = copy_nodes(region.nodes, made)
    for copy in copies:
        _retype(copy, old, new)
        for output in copy.outputs:
            output.name = subject.name(f"{output.name}_{new.name.lower()}") if output.name else output.name
            output.type = None
    backs = []
    for value in region.outputs:
        twin = made[value]
        if value.dtype == old:
            back = _cast(twin, old, "")
            backs.append(back)
            twin = back.outputs[0]
        _stand_in(value, twin)
    graph.insert_after(last, [*casts, *copies, *backs])
    _remove(region)
    return f"computed {len(copies)} nodes in {new.name}"


def _require_only(region: Region, old: ir.DataType) -> None:
    values = [*region.inputs, *(value for node in region.nodes for value in node.outputs)]
    if any(value.type is not None and not isinstance(value.type, ir.TensorType) for value in values):
        raise Unfit("something there is no tensor")
    if any(node.domain == DOMAIN or node.op_type in ("If", "Loop", "Scan") for node in region.nodes):
        raise Unfit("a node there has a body")


def _cast(value: ir.Value, dtype: ir.DataType, name: str) -> ir.Node:
    node = ir.Node("", "Cast", [value], [ir.AttrInt64("to", dtype.value)], num_outputs=1)
    node.outputs[0].name = name or None
    node.outputs[0].type = ir.TensorType(dtype)
    node.outputs[0].shape = value.shape
    return node


def _retype(node: ir.Node, old: ir.DataType, new: ir.DataType) -> None:
    """Let a copied node give the other type where an attribute says which."""
    for name in ("to", "dtype"):
        attribute = node.attributes.get(name)
        if attribute is not None and not attribute.is_ref() and attribute.value == old.value:
            node.attributes[name] = ir.AttrInt64(name, new.value)
    attribute = node.attributes.get("value")
    if attribute is not None and attribute.type == ir.AttributeType.TENSOR:
        tensor = attribute.as_tensor()
        if tensor.dtype == old:
            array = tensor.numpy().astype(new.numpy())
            node.attributes["value"] = ir.AttrTensor("value", ir.Tensor(array, dtype=new))


def _stand_in(value: ir.Value, twin: ir.Value) -> None:
    """Let a new value take the place and the name of an old one, graph outputs included."""
    name = value.name
    twin.type, twin.shape = value.type, value.shape
    value.replace_all_uses_with(twin, replace_graph_outputs=True)
    value.name = None
    twin.name = name


@mutation()
def wrap_in_if(subject: Subject, choices: Choices) -> str:
    """Put a region into a branch of an If; the other branch computes the same, or it in another order."""
    graph = subject.model.graph
    region = Region.choose(graph, choices, 1, LONGEST)
    branches = []
    for suffix in ("then", "else"):
        made: dict[ir.Value, ir.Value] = {}
        copies = copy_nodes(region.nodes, made)
        for copy in copies:
            for output in copy.outputs:
                output.name = subject.name(f"{output.name}_{suffix}") if output.name else output.name
        branches.append(
            ir.Graph([], [made[value] for value in region.outputs], nodes=copies, name=f"{suffix}_branch")
        )
    value, told = _condition(subject, choices)
    node = ir.Node(
        "", "If", [value],
        [ir.AttrGraph("then_branch", branches[0]), ir.AttrGraph("else_branch", branches[1])],
        num_outputs=len(region.outputs),
    )  # fmt: skip
    _replace(graph, region, node)
    return f"put {len(region.nodes)} nodes into an If, {told}"


def _condition(subject: Subject, choices: Choices) -> tuple[ir.Value, str]:
    name = subject.name("condition")
    array = np.array(choices.chance(0.5))
    value = ir.Value(name=name, type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape([]))
    if choices.chance(0.5):
        subject.add_input(value, [array] * len(subject.feeds))
        return value, "condition given"
    value.const_value = ir.Tensor(array, name=name)
    subject.model.graph.initializers.add(value)
    return value, f"condition {array}"


@mutation()
def wrap_in_loop(subject: Subject, choices: Choices) -> str:
    """Put a region into the body of a Loop of one turn, whose stacked values are squeezed."""
    graph = subject.model.graph
    region = Region.choose(graph, choices, 1, LONGEST)
    if any(not isinstance(value.type, ir.TensorType) for value in region.outputs):
        raise Unfit("something there is no tensor")
    made: dict[ir.Value, ir.Value] = {}
    copies = copy_nodes(region.nodes, made)
    for copy in copies:
        for output in copy.outputs:
            output.name = subject.name(f"{output.name}_body") if output.name else output.name
    turn = ir.Value(name=subject.name("turn"), type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([]))
    goes_on = ir.Value(name=subject.name("goes_on"), type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape([]))
    still = ir.Node("", "Identity", [goes_on], num_outputs=1)
    still.outputs[0].name = subject.name("still")
    still.outputs[0].type, still.outputs[0].shape = goes_on.type, goes_on.shape
    body = ir.Graph(
        [turn, goes_on],
        [still.outputs[0], *(made[value] for value in region.outputs)],
        nodes=[still, *copies],
        name="body",
    )
    count = _constant(subject, "turns", np.array(1))
    begins = _constant(subject, "begins", np.array(True))
    loop = ir.Node("", "Loop", [count, begins], [ir.AttrGraph("body", body)], num_outputs=len(region.outputs))
    squeezes = []
    last = region.nodes[-1]
    for value, stacked in zip(region.outputs, loop.outputs, strict=True):
        stacked.name = subject.name(f"{value.name}_stacked")
        stacked.type = value.type
        squeeze = _squeeze(subject, stacked)
        squeezes.append(squeeze)
        _stand_in(value, squeeze.outputs[0])
    graph.insert_after(last, [loop, *squeezes])
    _remove(region)
    return f"put {len(copies)} nodes into a Loop"


def _squeeze(subject: Subject, value: ir.Value) -> ir.Node:
    """A node that takes the first dimension, of one, away."""
    if subject.model.opset_imports.get("", 1) < AXES_AS_INPUT:
        return ir.Node("", "Squeeze", [value], [ir.AttrInt64s("axes", [0])], num_outputs=1)
    axes = _constant(subject, "stacked", np.array([0]))
    return ir.Node("", "Squeeze", [value, axes], num_outputs=1)


def _constant(subject: Subject, stem: str, array: Array) -> ir.Value:
    value = constant_value(subject.name(stem), array)
    subject.model.graph.initializers.add(value)
    return value


@mutation()
def wrap_in_function(subject: Subject, choices: Choices) -> str:
    """Make a region a function of the model, with its constants inside or given."""
    graph = subject.model.graph
    region = Region.choose(graph, choices, 1, LONGEST)
    made: dict[ir.Value, ir.Value] = {}
    inputs, inside = [], []
    keep = choices.chance(0.5)
    arguments = []
    for value in region.inputs:
        tensor = None if value.is_graph_input() else constant_tensor(value)
        if tensor is not None and keep:
            node = ir.Node("", "Constant", [], [ir.AttrTensor("value", tensor)], num_outputs=1)
            node.outputs[0].name = f"{value.name}_constant"
            node.outputs[0].type = value.type
            inside.append(node)
            made[value] = node.outputs[0]
        else:
            made[value] = ir.Value(name=value.name, type=value.type)
            inputs.append(made[value])
            arguments.append(value)
    copies = copy_nodes(region.nodes, made)
    for copy in copies:
        for output in copy.outputs:
            output.type = output.shape = None
    name = f"Region{len(subject.model.functions)}"
    body = ir.Graph(
        inputs,
        [made[value] for value in region.outputs],
        nodes=[*inside, *copies],
        opset_imports=dict(subject.model.opset_imports),
        name=name,
    )
    function = ir.Function(DOMAIN, name, graph=body, attributes=[])
    subject.model.functions[function.identifier()] = function
    subject.model.opset_imports.setdefault(DOMAIN, 1)
    node = ir.Node(DOMAIN, name, arguments, num_outputs=len(region.outputs))
    _replace(graph, region, node)
    return f"made {len(copies)} nodes a function"


def _replace(graph: ir.Graph, region: Region, node: ir.Node) -> None:
    """Put one node in a region's place."""
    for value, twin in zip(region.outputs, node.outputs, strict=True):
        _stand_in(value, twin)
    graph.insert_after(region.nodes[-1], node)
    _remove(region)


def _remove(region: Region) -> None:
    for node in reversed(region.nodes):
        remove_node(node)
