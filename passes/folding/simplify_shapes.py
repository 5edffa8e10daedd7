"""Shorten the arithmetic on shapes: what inference knows need not be computed in every run.

Elements that are all known become a constant; elements that an earlier value holds too are read from there;
a Reshape or Expand whose target is known but for copied or inferred dimensions gets a constant one, and goes
if it changes nothing; Shape is asked of the earliest shared value that has the shape.

Before: Shape - Gather - Unsqueeze - Concat(., 512) - Reshape. After: Reshape(x, [0, 512]).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    SYMBOLIC_VALUE_KEY,
    Changes,
    Reject,
    attribute_int,
    constant_tensor,
    constant_value,
    facts,
    graphs,
    infer_node,
    ints,
    is_constant_node,
    is_deterministic,
    refine_shapes,
    refresh_shapes,
    remove_node,
    replace_value,
    same_dim,
    same_shape,
    static_shape,
    subgraphs,
    symbolic_value,
)
from graphopt.ir.edit import function_graphs, make_constant, reason_against_constant
from graphopt.ir.graphs import Names
from graphopt.pipeline import Pass

Key = tuple[ir.DataType | None, tuple[int, ...], str]
Known = dict[Key, ir.Value]
Earliest = dict[ir.Value, ir.Value | None]

READABLE = frozenset(
    {
        None,
        ir.DataType.BOOL,
        ir.DataType.DOUBLE,
        ir.DataType.FLOAT,
        ir.DataType.FLOAT16,
        ir.DataType.INT8,
        ir.DataType.INT16,
        ir.DataType.INT32,
        ir.DataType.INT64,
        ir.DataType.STRING,
        ir.DataType.UINT8,
        ir.DataType.UINT16,
        ir.DataType.UINT32,
        ir.DataType.UINT64,
    }
)
"""Types for which onnxruntime has Shape and Size: none of 4 bits, no float of 8; one not known may be any."""


@dataclass(frozen=True)
class SimplifyShapes(Pass):
    """Replace shape arithmetic by what inference knows of its results."""

    name: ClassVar[str] = "simplify-shapes"
    exact: ClassVar[bool] = True

    def apply(self, model: ir.Model, changes: Changes) -> None:
        if not _has_shape_arithmetic(model):
            return
        refresh_shapes(model)
        names = Names(model)
        earliest: Earliest = {}
        skipped = function_graphs(model)
        _replace_known(model.graph, model.opset_imports, {}, changes)
        for graph in graphs(model):
            if graph not in skipped:
                for node in list(graph):
                    if node.domain == "" and any(_is_in_use(output) for output in node.outputs):
                        _simplify(model, node, names, earliest, changes)


def _has_shape_arithmetic(model: ir.Model) -> bool:
    for graph in graphs(model):
        for node in graph:
            known = facts(node)
            if known.reads_shape:
                return True
            if any(
                _is_computed(node.inputs[index]) for index in known.shape_inputs if index < len(node.inputs)
            ):
                return True
    return False


def _is_computed(value: ir.Value | None) -> bool:
    return value is not None and value.producer() is not None and constant_tensor(value) is None


def _replace_known(graph: ir.Graph, opsets: Mapping[str, int], outer: Known, changes: Changes) -> None:
    """Let constants and earlier values take the place of values with known elements, bodies included."""
    known = dict(outer)
    for node in list(graph):
        for body in subgraphs(node):
            _replace_known(body, opsets, known, changes)
        if is_constant_node(node) or not facts(node).known:
            continue
        for output in list(node.outputs):
            elements, shape = symbolic_value(output), static_shape(output)
            if elements is None or shape is None or output.dtype is None or not _is_in_use(output):
                continue
            if all(isinstance(element, int) for element in elements):
                if is_deterministic(node) and reason_against_constant(output, opsets) is None:
                    array = np.array(elements, dtype=output.dtype.numpy()).reshape(shape)
                    make_constant(output, ir.Tensor(array, dtype=output.dtype, name=output.name))
                    changes.add("known elements")
                    _remove_unused(node)
                continue
            key = (output.dtype, shape, output.metadata_props[SYMBOLIC_VALUE_KEY])
            first = known.setdefault(key, output)
            if first is not output and _replace(output, first):
                changes.add("elements of an earlier value")
                _remove_unused(node)


def _remove_unused(node: ir.Node) -> None:
    """Remove a node whose outputs have all been replaced: one that gave its name away must not stay."""
    if not any(map(_is_in_use, node.outputs)):
        remove_node(node)


def _is_in_use(value: ir.Value) -> bool:
    return bool(value.uses()) or value.is_graph_output()


def _replace(old: ir.Value, new: ir.Value) -> bool:
    """Use `new` instead of `old` where both names need not stay; whether that was possible."""
    try:
        replace_value(old, new)
    except Reject:
        return False
    return True


def _simplify(model: ir.Model, node: ir.Node, names: Names, earliest: Earliest, changes: Changes) -> None:
    match node.op_type:
        case "Reshape" | "Expand":
            if not _remove_idle(node, changes):
                _make_target_constant(model, node, names, changes)
        case "Slice":
            if _keeps_order(node):
                _remove_idle(node, changes)
        case "Shape" | "Size":
            _ask_earlier(node, earliest, model.opset_imports, changes)


def _remove_idle(node: ir.Node, changes: Changes) -> bool:
    """Remove a node whose result has all the elements, and the shape, of its first input."""
    data, output = node.inputs[0], node.outputs[0]
    if data is None or not same_shape(data.shape, output.shape) or not _replace(output, data):
        return False
    remove_node(node)
    changes.add(f"{node.op_type} to the same shape")
    return True


def _keeps_order(node: ir.Node) -> bool:
    """Whether a Slice takes every element on its way; of equal length, it then takes all."""
    if len(node.inputs) < 5 or node.inputs[4] is None:
        return True
    steps = ints(node.inputs[4])
    return steps is not None and all(step == 1 for step in steps)


def _make_target_constant(model: ir.Model, node: ir.Node, names: Names, changes: Changes) -> None:
    data, target = node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None
    output = node.outputs[0]
    if (
        data is None
        or target is None
        or not _is_computed(target)
        or output.shape is None
        or node.graph is None
    ):
        return
    find = _reshape_target if node.op_type == "Reshape" else _expand_target
    dims = find(data.shape, output.shape, symbolic_value(target))
    if isinstance(dims, str):
        changes.refuse(f"{node.op_type}: {dims}", node.name)
        return
    value = constant_value(names.fresh(f"{output.name}/shape"), np.array(dims, dtype=np.int64))
    node.graph.initializers.add(value)
    node.replace_input_with(1, value)
    node.attributes.pop("allowzero", None)
    changes.add(f"{node.op_type} to a constant shape")
    if static_shape(output) is None:
        named = output.shape
        infer_node(model, node)
        if static_shape(output) is None:
            output.shape = named
        else:
            refine_shapes(model, [output])


def _reshape_target(
    data: ir.Shape | None, result: ir.Shape, elements: list[int | ir.SymbolicDim] | None
) -> list[int] | str:
    """The target in numbers: 0 copies a dimension of the same place, -1 is for one that is named only.

    Beside a -1 no other dimension may be 0 in any run, unless the target had a -1 already.
    """
    dims: list[int] = []
    for index, dim in enumerate(result.dims):
        copies = data is not None and index < len(data) and same_dim(dim, data.dims[index])
        if isinstance(dim, int) and (dim != 0 or copies):
            dims.append(dim)
        elif copies:
            dims.append(0)
        elif isinstance(dim, int):
            return "a dimension of length 0 cannot be written as a constant"
        else:
            dims.append(-1)
    if dims.count(-1) > 1:
        return "more than one dimension depends on the input"
    inferred_before = elements is not None and -1 in elements
    if -1 in dims and 0 in dims and not inferred_before:
        return "one dimension depends on the input, and another may be 0"
    return dims


def _expand_target(
    data: ir.Shape | None, result: ir.Shape, elements: list[int | ir.SymbolicDim] | None
) -> list[int] | str:
    """The target in numbers: 1 keeps a dimension of the data."""
    dims: list[int] = []
    for place in range(len(result), 0, -1):
        dim = result.dims[-place]
        if isinstance(dim, int):
            dims.append(dim)
        elif data is not None and place <= len(data) and same_dim(dim, data.dims[-place]):
            dims.append(1)
        else:
            return "a dimension depends on the input"
    return dims


def _ask_earlier(node: ir.Node, earliest: Earliest, opsets: Mapping[str, int], changes: Changes) -> None:
    """Let Shape and Size read the earliest value on the way that has the same shape and is read twice anyway.

    A value that one node alone reads is left to it: a second reader would keep the two from being fused. What
    is known of the earlier value, and was not of this one, becomes a constant.
    """
    value = node.inputs[0]
    if value is None or value.shape is None:
        return
    found = _earliest(value, earliest)
    shape = static_shape(value) if found is None or static_shape(found) is None else static_shape(found)
    (output,) = node.outputs
    if shape is not None and reason_against_constant(output, opsets) is None:
        first, last = attribute_int(node, "start", 0), node.attributes.get("end")
        dims = shape[first : None if last is None else last.as_int()]
        array = np.array(math.prod(shape) if node.op_type == "Size" else dims, np.int64)
        make_constant(output, ir.Tensor(array, name=output.name))
        changes.add("known elements")
        _remove_unused(node)
    elif found is not None and found is not value:
        node.replace_input_with(0, found)
        changes.add(f"{node.op_type} of an earlier value")


def _earliest(value: ir.Value, earliest: Earliest) -> ir.Value | None:
    """The first shared value of those from which `value` is made in one graph, step by step, of one shape.

    Args:
        value: Of a known shape.
        earliest: What was found before; makes all look-ups of a model together linear.
    """
    way: list[ir.Value] = []
    current: ir.Value | None = value
    while current is not None and current not in earliest:
        way.append(current)
        current = _same_shape_before(current)
    found = None if current is None else earliest[current]
    for each in reversed(way):
        if found is None and _is_shared(each) and each.dtype in READABLE:
            found = each
        earliest[each] = found
    return found


def _is_shared(value: ir.Value) -> bool:
    """Whether a value is read twice anyway, so that one more reader keeps no two nodes from being fused."""
    if value.producer() is None or value.is_graph_output():
        return True
    readers = {node for node, _ in value.uses() if any(_is_in_use(output) for output in node.outputs)}
    return len(readers) > 1


def _same_shape_before(value: ir.Value) -> ir.Value | None:
    node = value.producer()
    if node is None or not facts(node).known or subgraphs(node):
        return None
    for each in node.inputs:
        if each is None or not same_shape(each.shape, value.shape) or constant_tensor(each) is not None:
            continue
        producer = each.producer()
        if producer is None or producer.graph is node.graph:
            return each
    return None
