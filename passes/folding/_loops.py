"""Loops that run a known number of times, and values that they carry for nothing.

A Loop is unrolled only where its body surely runs to the end of its trip count.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir import constant, constant_value, graph_and_bodies, opset, scalar, symbolic_value
from graphopt.ir.edit import splice, substitute_outputs
from graphopt.ir.graphs import Names

FIRST_OPSET_WITHOUT_CARRIED = 11
CARRIED_FROM = 2
"""Inputs of a Loop, and of its body, before the carried ones."""


def trip_count(node: ir.Node) -> int | None:
    """How often the body runs, where that is certain."""
    body = node.attributes["body"].as_graph()
    condition = node.inputs[1]
    if condition is not None and scalar(condition) is not None and not scalar(condition):
        return 0
    if node.inputs[0] is None:
        return None
    elements = (
        [scalar(node.inputs[0])] if scalar(node.inputs[0]) is not None else symbolic_value(node.inputs[0])
    )
    if elements is None or len(elements) != 1 or isinstance(elements[0], ir.SymbolicDim):
        return None
    count = max(int(elements[0]), 0)
    starts = condition is None or (scalar(condition) is not None and bool(scalar(condition)))
    if count == 0:
        return 0
    if starts and (count == 1 or _runs_on(body)):
        return count
    return None


def _runs_on(body: ir.Graph) -> bool:
    value = _origin(body.outputs[0])
    known = constant(value)
    return value is body.inputs[1] or (known is not None and bool(known.all()))


def _origin(value: ir.Value) -> ir.Value:
    """The value behind a chain of Identity nodes."""
    node = value.producer()
    while (
        node is not None and node.op_type == "Identity" and node.domain == "" and node.inputs[0] is not None
    ):
        value = node.inputs[0]
        node = value.producer()
    return value


def body_size(node: ir.Node) -> int:
    """Nodes of the body of a Loop, those of inner bodies included."""
    return sum(len(graph) for graph in graph_and_bodies(node.attributes["body"].as_graph()))


def scan_outputs(node: ir.Node) -> tuple[ir.Value, ...]:
    """The outputs of a Loop that stack one element an iteration."""
    return tuple(node.outputs[len(node.inputs) - CARRIED_FROM :])


def unroll(model: ir.Model, node: ir.Node, count: int, names: Names) -> None:
    """Put `count` copies of the body of a Loop in its place.

    Args:
        model: Its opset decides how Unsqueeze is written.
        node: A Loop in a graph that may hold initializers; no scan output in use if `count` is 0.
        count: See `trip_count`.
        names: Names of the model.
    """
    body = node.attributes["body"].as_graph()
    carried: list[ir.Value] = [value for value in node.inputs[CARRIED_FROM:] if value is not None]
    scans: list[list[ir.Value]] = [[] for _ in scan_outputs(node)]
    going_on = _constant(node, names, np.array(True)) if count else None
    for iteration in range(count):
        index = _constant(node, names, np.array(iteration, dtype=np.int64))
        copy = body.clone(allow_outer_scope_values=True)
        results = splice(copy, node, names, [index, going_on, *carried])[1:]
        for stack, element in zip(scans, results[len(carried) :], strict=True):
            stack.append(_unsqueezed(model, node, element, names))
        carried = results[: len(carried)]
    release(body)
    stacked = [_concatenated(node, elements, names) for elements in scans if count]
    substitute_outputs(node, [*carried, *stacked])


def release(graph: ir.Graph) -> None:
    """Let the nodes of a graph that goes no longer count as users of outer values."""
    for inner in graph_and_bodies(graph):
        for node in inner:
            for index in range(len(node.inputs)):
                node.replace_input_with(index, None)


def drop_carried(node: ir.Node, version: int) -> int:
    """Take what a Loop carries for nothing out of it; returns how many values that were.

    That is a value which the body hands on unchanged, and one that nobody reads. The last one stays where
    the opset, `version`, has no Loop without any, or where it is all that the Loop returns.
    """
    body = node.attributes["body"].as_graph()
    count = 0
    for index in reversed(range(len(node.inputs) - CARRIED_FROM)):
        initial, output = node.inputs[CARRIED_FROM + index], node.outputs[index]
        inner, end = body.inputs[CARRIED_FROM + index], body.outputs[1 + index]
        if initial is None:
            continue
        bypassed = False
        if _origin(end) is inner and not output.is_graph_output():
            bypassed = bool(output.uses() or inner.uses())
            inner.replace_all_uses_with(initial)
            output.replace_all_uses_with(initial)
        if _is_read(output, inner, index, body) or not _can_shrink(node, version):
            count += bypassed
            continue
        node = _without(node, index)
        count += 1
    return count


def _is_read(output: ir.Value, inner: ir.Value, index: int, body: ir.Graph) -> bool:
    others = [value for place, value in enumerate(body.outputs) if place != 1 + index]
    return bool(output.uses()) or output.is_graph_output() or bool(inner.uses()) or inner in others


def _can_shrink(node: ir.Node, version: int) -> bool:
    carried = len(node.inputs) - CARRIED_FROM
    return len(node.outputs) > 1 and (version >= FIRST_OPSET_WITHOUT_CARRIED or carried > 1)


def _without(node: ir.Node, index: int) -> ir.Node:
    """The same Loop without one carried value; takes the place of `node`."""
    body = node.attributes["body"].as_graph()
    body.inputs.pop(CARRIED_FROM + index)
    body.outputs.pop(1 + index)
    inputs = [value for place, value in enumerate(node.inputs) if place != CARRIED_FROM + index]
    kept = [value for place, value in enumerate(node.outputs) if place != index]
    outputs = [ir.Value(name=value.name, type=value.type, shape=value.shape) for value in kept]
    attributes = list(node.attributes.values())
    made = ir.Node("", "Loop", inputs, attributes, outputs=outputs, name=node.name)
    made.metadata_props.update(node.metadata_props)
    assert node.graph is not None
    graph = node.graph
    graph.insert_before(node, made)
    for old, new in zip(kept, outputs, strict=True):
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    for place in range(len(node.inputs)):
        node.replace_input_with(place, None)
    graph.remove(node)
    return made


def _constant(
    node: ir.Node, names: Names, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]
) -> ir.Value:
    value = constant_value(names.fresh(f"{node.outputs[0].name}/iteration"), array)
    assert node.graph is not None
    node.graph.initializers.add(value)
    return value


def _unsqueezed(model: ir.Model, node: ir.Node, value: ir.Value, names: Names) -> ir.Value:
    inputs, attributes = [value], {}
    if opset(model) >= 13:
        inputs.append(_constant(node, names, np.array([0], dtype=np.int64)))
    else:
        attributes["axes"] = [0]
    output = ir.Value(name=names.fresh(f"{value.name}/Unsqueeze"))
    made = ir.node("Unsqueeze", inputs, attributes, outputs=[output], name=output.name)
    assert node.graph is not None
    node.graph.insert_before(node, made)
    return output


def _concatenated(node: ir.Node, elements: list[ir.Value], names: Names) -> ir.Value:
    if len(elements) == 1:
        return elements[0]
    output = ir.Value(name=names.fresh(f"{node.outputs[0].name}/Concat"))
    made = ir.node("Concat", elements, {"axis": 0}, outputs=[output], name=output.name)
    assert node.graph is not None
    node.graph.insert_before(node, made)
    return output
