"""Mutations of nodes: deleted, doubled, their operands exchanged or taken from elsewhere."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir import graphs, is_deterministic, remove_node, same_shape
from graphopt.testing.generate.choices import Choices
from graphopt.testing.generate.recipe import Unfit
from graphopt.testing.mutation.region import copy_nodes
from graphopt.testing.mutation.subject import Subject, mutation, pick, tell

LONGEST_CHAIN = 5
"""Nodes deleted at once."""


@mutation(weight=20)
def delete_node(subject: Subject, choices: Choices) -> str:
    """Let the readers of a node read one of its inputs instead, or a new input of the model."""
    node = pick(choices, subject.nodes(), "node")
    told = tell(node)
    for output in node.outputs:
        _drop_from_outputs(subject.model.graph, output)
        if not output.uses():
            continue
        stand_ins = [value for value in node.inputs if value is not None and _alike(value, output)]
        if stand_ins:
            output.replace_all_uses_with(choices.choose(stand_ins))
        else:
            told += _become_input(subject, output)
    remove_node(node)
    return f"deleted {told}"


def _drop_from_outputs(graph: ir.Graph, output: ir.Value) -> None:
    if not output.is_graph_output():
        return
    kept = [value for value in graph.outputs if value is not output]
    if not kept or len(kept) == len(graph.outputs):
        raise Unfit("the model would have no outputs, or a body one less")
    graph.outputs[:] = kept


def _become_input(subject: Subject, output: ir.Value) -> str:
    if output.graph is not subject.model.graph:
        raise Unfit("only values of the main graph become inputs")
    arrays = subject.compute(output)
    if not all(isinstance(array, np.ndarray) for array in arrays):
        raise Unfit("only tensors become inputs")
    name = subject.name("given")
    shape = None if output.shape is None else ir.Shape(output.shape.dims)
    if shape is None:
        shape = ir.Shape([None] * arrays[0].ndim)
    value = ir.Value(name=name, type=output.type, shape=shape)
    subject.add_input(value, arrays)
    output.replace_all_uses_with(value)
    return f", {name} given"


@mutation(weight=5)
def delete_chain(subject: Subject, choices: Choices) -> str:
    """Delete a few nodes that stand together."""
    wanted = choices.integer(2, LONGEST_CHAIN)
    return "; ".join(delete_node(subject, choices) for _ in range(wanted))


@mutation()
def swap_operands(subject: Subject, choices: Choices) -> str:
    """Exchange two inputs of one element type."""
    node = pick(choices, [node for node in subject.nodes() if len(node.inputs) >= 2], "node of two inputs")
    pairs = [
        (one, other)
        for one, first in enumerate(node.inputs)
        for other, second in enumerate(node.inputs[one + 1 :], one + 1)
        if first is not None and second is not None and first is not second and first.dtype == second.dtype
    ]
    one, other = pick(choices, pairs, "pair of inputs")
    first, second = node.inputs[one], node.inputs[other]
    node.replace_input_with(one, second)
    node.replace_input_with(other, first)
    return f"swapped inputs {one} and {other} of {tell(node)}"


@mutation()
def read_another(subject: Subject, choices: Choices) -> str:
    """Let a node read another value of the same type and shape, made before it."""
    node = pick(choices, subject.nodes(main=True), "node")
    places = [
        (index, value)
        for index, value in enumerate(node.inputs)
        if value is not None and value.dtype is not None
    ]
    index, value = pick(choices, places, "input")
    before = [*subject.model.graph.inputs]
    for earlier in subject.model.graph:
        if earlier is node:
            break
        before += earlier.outputs
    fit = [other for other in before if other is not value and other.name and _alike(other, value)]
    other = pick(choices, fit, "other value of that type and shape")
    node.replace_input_with(index, other)
    return f"let input {index} of {tell(node)} be {other.name}"


@mutation()
def duplicate_node(subject: Subject, choices: Choices) -> str:
    """Compute a node twice, and let some readers read the second."""
    fit = [node for node in subject.nodes() if is_deterministic(node)]
    node = pick(choices, fit, "node")
    (copy,) = copy_nodes([node], {})
    for output, twin in zip(node.outputs, copy.outputs, strict=True):
        if output.name:
            twin.name = subject.name(f"{output.name}_twin")
    copy.name = ""
    assert node.graph is not None
    node.graph.insert_after(node, copy)
    for output, twin in zip(node.outputs, copy.outputs, strict=True):
        uses = list(output.uses())
        taken = choices.some(uses, 0.5) or uses[:1]
        for user, index in taken:
            user.replace_input_with(index, twin)
        if not uses and output.graph is subject.model.graph and output.name and choices.chance(0.5):
            subject.model.graph.outputs.append(twin)
    return f"doubled {tell(node)}"


@mutation(weight=5)
def reverse_branches(subject: Subject, choices: Choices) -> str:
    """Exchange the branches of an If."""
    node = pick(choices, [node for node in subject.nodes() if node.op_type == "If"], "If")
    one, other = node.attributes["then_branch"].as_graph(), node.attributes["else_branch"].as_graph()
    node.attributes["then_branch"] = ir.AttrGraph("then_branch", other)
    node.attributes["else_branch"] = ir.AttrGraph("else_branch", one)
    return f"exchanged the branches of {tell(node)}"


@mutation(weight=5)
def bypass_everything_of_one_kind(subject: Subject, choices: Choices) -> str:
    """Delete every node of one operator that hands on something of its output's type and shape."""
    kinds = sorted({node.op_type for node in subject.nodes()})
    op_type = pick(choices, kinds, "operator")
    count = 0
    for graph in list(graphs(subject.model)):
        for node in list(graph):
            output = node.outputs[0] if node.outputs else None
            first = node.inputs[0] if node.inputs else None
            if node.op_type != op_type or output is None or first is None or output.is_graph_output():
                continue
            if len(node.outputs) == 1 and _alike(first, output):
                output.replace_all_uses_with(first)
                remove_node(node)
                count += 1
    if not count:
        raise Unfit("none could be bypassed")
    return f"bypassed {count} {op_type}"


def _alike(one: ir.Value, other: ir.Value) -> bool:
    return (
        isinstance(one.type, ir.TensorType)
        and one.type == other.type
        and one.shape is not None
        and other.shape is not None
        and same_shape(one.shape, other.shape)
    )
