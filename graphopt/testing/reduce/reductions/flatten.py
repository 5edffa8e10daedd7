"""Flatten: a branch takes the place of its If, one iteration that of its Loop, a body that of its call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from graphopt.ir import Names, attribute_ints, graphs
from graphopt.ir.edit import splice
from graphopt.testing.reduce.case import Case, Take, use_instead
from graphopt.testing.reduce.tidy import detach


def inline_calls(case: Case, take: Take) -> None:
    """Put the body of its function in the place of each call."""
    model = case.model
    names = Names(model)
    for node in list(_nodes(model)):
        function = model.functions.get(node.op_identifier())
        if function is None or not take():
            continue
        for domain, version in function.opset_imports.items():
            model.opset_imports.setdefault(domain, version)
        defaults = {name: each for name, each in function.attributes.items() if each.value is not None}
        attributes = {**defaults, **node.attributes}
        body = function.graph.clone()
        _substitute(case, node, splice(body, node, names, node.inputs, attributes))


def take_branches(case: Case, take: Take) -> None:
    """Put one of its branches in the place of each If."""
    names = Names(case.model)
    for node in list(_nodes(case.model)):
        if not _is(node, "If") or not _holds_bodies(node):
            continue
        taken = [name for name in ("then_branch", "else_branch") if take()]
        if taken:
            body = node.attributes.pop(taken[0]).as_graph()
            _substitute(case, node, splice(body, node, names))


def take_iterations(case: Case, take: Take) -> None:
    """Put one iteration in the place of each Loop and Scan; what they collect becomes an input.

    What an iteration computes to be collected becomes an output.
    """
    names = Names(case.model)
    for node in list(_nodes(case.model)):
        if not (_is(node, "Loop") or _is(node, "Scan")) or not _holds_bodies(node) or not take():
            continue
        body = node.attributes.pop("body").as_graph()
        if node.op_type == "Loop":
            start = [_constant(case, names, 0, np.int64), _constant(case, names, True, np.bool_)]
            carried = len(body.inputs) - 2
            results = splice(body, node, names, [*start, *node.inputs[2:]])[1:]
        else:
            carried = len(body.inputs) - node.attributes["num_scan_inputs"].as_int()
            axes = attribute_ints(node, "scan_input_axes") or [0] * len(body.inputs[carried:])
            whole = zip(body.inputs[carried:], node.inputs[carried:], axes, strict=True)
            slices = [_slice(case, names, inner, outer, axis) for inner, outer, axis in whole]
            results = splice(body, node, names, [*node.inputs[:carried], *slices])
        graph = node.graph
        _substitute(case, node, results[:carried])
        if graph is case.model.graph:
            graph.outputs.extend(value for value in results[carried:] if _is_computed_for_nobody(value))


def _nodes(model: ir.Model) -> Iterator[ir.Node]:
    for graph in graphs(model):
        yield from graph


def _is(node: ir.Node, op_type: str) -> bool:
    return node.op_type == op_type and not node.domain and node.graph is not None


def _holds_bodies(node: ir.Node) -> bool:
    return not any(attribute.is_ref() for attribute in node.attributes.values())


def _is_computed_for_nobody(value: ir.Value) -> bool:
    return value.producer() is not None and not value.uses() and not value.is_graph_output()


def _constant(case: Case, names: Names, element: object, dtype: type[np.generic]) -> ir.Value:
    tensor = ir.Tensor(np.array(element, dtype))
    name = names.fresh("constant")
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(()), const_value=tensor)
    case.model.graph.initializers.add(value)
    return value


def _slice(case: Case, names: Names, inner: ir.Value, outer: ir.Value | None, axis: int) -> ir.Value:
    """A graph input for what a body sees of a sequence: its first element."""
    assert outer is not None
    shape = None
    if outer.shape is not None:
        dims = list(outer.shape.dims)
        del dims[axis]
        shape = ir.Shape(dims)
    value = ir.Value(name=names.fresh(inner.name or "slice"), type=inner.type or outer.type, shape=shape)
    case.model.graph.inputs.append(value)
    arrays = case.arrays(outer)
    if arrays is None:
        case.make_up(value)
    else:
        for feed, array in zip(case.feeds, arrays, strict=True):
            feed[value.name or ""] = np.take(array, 0, axis)
    return value


def _substitute(case: Case, node: ir.Node, values: Sequence[ir.Value]) -> None:
    """Let `values` take the place of the outputs of `node`; an output without one becomes a graph input."""
    graph = node.graph
    assert graph is not None
    for old, new in zip(node.outputs, values, strict=False):
        made_here = new.producer() is not None and new.graph is graph
        if old.is_graph_output() and not made_here:
            copy = ir.Node(
                "", "Identity", [new], outputs=[ir.Value(name=old.name, type=old.type, shape=old.shape)]
            )
            old.name = None
            graph.insert_before(node, copy)
            new = copy.outputs[0]
        use_instead(old, new, once=graph is case.model.graph)
    for old in node.outputs[len(values) :]:
        if old.is_graph_output():
            graph.outputs.remove(old)
        if old.uses():
            case.add_input(old)
    detach(node)
    graph.remove(node)
