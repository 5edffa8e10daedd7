"""Values to constants, and constants to simpler ones: an input, one element, zeros, ones, round numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.io.weights import Slot, slots
from graphopt.ir import constant_value, graphs, is_constant_node, symbolic_value
from graphopt.ir.edit import function_graphs
from graphopt.testing.reduce.case import Case, Take, use_instead

Array = np.ndarray[Any, Any]

MOST_BYTES = 4096
"""A larger constant is no simplification of a computed value."""
FEW_ELEMENTS = 8
"""More elements are better an input, for a reader."""


def values_to_constants(case: Case, take: Take) -> None:
    """Let each value be the constant that it was on the first set of inputs, where it is small."""
    graph = case.model.graph
    for node in reversed(graph):
        if is_constant_node(node):
            continue
        for output in node.outputs:
            array = _array(case, output)
            if array is None or not output.uses() or output.is_graph_output() or not take():
                continue
            _make_initializer(graph, output, array)


def inner_values_to_constants(case: Case, take: Take) -> None:
    """Let each value computed in a body or function be a constant of its type and shape."""
    functions = function_graphs(case.model)
    for graph in graphs(case.model):
        for node in () if graph is case.model.graph else reversed(graph):
            if is_constant_node(node):
                continue
            for output in node.outputs:
                tensor = _plain(output)
                if tensor is None or not (output.uses() or output.is_graph_output()) or not take():
                    continue
                if graph not in functions and not output.is_graph_output():
                    _make_initializer(graph, output, tensor)
                    continue
                value = ir.Value(name=output.name, type=output.type, shape=output.shape)
                made = ir.Node(
                    "", "Constant", (), [ir.AttrTensor("value", ir.Tensor(tensor))], outputs=[value]
                )
                graph.insert_before(node, made)
                output.name = f"{output.name}/replaced"
                use_instead(output, value, once=False)


def constants_to_inputs(case: Case, take: Take) -> None:
    """Let each constant of many elements be an input of the graph with those elements."""
    for value in list(case.model.graph.initializers.values()):
        tensor = value.const_value
        if tensor is None or tensor.size <= FEW_ELEMENTS or value.is_graph_input() or not take():
            continue
        del case.model.graph.initializers[value.name or ""]
        value.const_value = None
        case.model.graph.inputs.append(value)
        for feed in case.feeds:
            feed[value.name or ""] = tensor.numpy()


def constants_to_scalars(case: Case, take: Take) -> None:
    """Let each constant be its first element."""
    _replace(case, take, lambda array: array.reshape(-1)[:1].reshape(()) if array.ndim else None)


def constants_to_zeros(case: Case, take: Take) -> None:
    """Let each constant hold zeros."""
    _replace(case, take, lambda array: np.zeros_like(array))


def constants_to_ones(case: Case, take: Take) -> None:
    """Let each constant hold ones, unless they are zeros."""
    _replace(case, take, lambda array: np.ones_like(array) if _rank(array) > 1 else None)


def constants_to_one_number(case: Case, take: Take) -> None:
    """Let each constant hold its first element everywhere."""
    _replace(case, take, lambda array: np.full_like(array, array.flat[0]) if _rank(array) > 2 else None)


def constants_to_round_numbers(case: Case, take: Take) -> None:
    """Round the elements of each constant of floats to whole numbers."""
    _replace(case, take, lambda array: _rounded(array) if _rank(array) > 1 else None)


def _replace(case: Case, take: Take, simpler: Callable[[Array], Array | None]) -> None:
    for slot in list(slots(case.model)):
        is_default = isinstance(slot.holder, ir.Value) and slot.holder.is_graph_input()
        if slot.tensor.dtype == ir.DataType.STRING or not slot.tensor.size or is_default:
            continue
        old = slot.tensor.numpy()
        new = simpler(old)
        if new is None or (new.shape == old.shape and new.tobytes() == old.tobytes()) or not take():
            continue
        put(slot, new)


def put(slot: Slot, array: Array) -> None:
    """Let a slot hold other elements; the tensor that it held, which clones share, stays as it is."""
    tensor = ir.Tensor(
        np.ascontiguousarray(array).reshape(array.shape), dtype=slot.tensor.dtype, name=slot.tensor.name
    )
    slot.put(tensor)
    value = slot.holder if isinstance(slot.holder, ir.Value) else slot.holder.outputs[0]
    value.shape = ir.Shape(array.shape)


def _rank(array: Array) -> int:
    """How far a constant is from simple: 0 zeros, 1 ones, 2 one number, 3 whole numbers, 4 any."""
    flat = array.reshape(-1)
    if not flat.size or np.all(flat == 0):
        return 0
    if np.all(flat == 1):
        return 1
    if len({element.tobytes() for element in flat[:2]}) == 1 and np.all(flat == flat[0]):
        return 2
    return 3 if _is_whole(flat) else 4


def _is_whole(flat: Array) -> bool:
    rounded = _rounded(flat)
    return rounded is None or bool(np.all(rounded == flat))


def _rounded(array: Array) -> Array | None:
    if array.dtype.kind not in "fV":
        return None
    with np.errstate(all="ignore"):
        rounded = np.rint(array.astype(np.float64)).astype(array.dtype)
    return rounded if np.all(np.isfinite(rounded.astype(np.float64))) else None


def _make_initializer(graph: ir.Graph, old: ir.Value, array: Array) -> None:
    value = constant_value(old.name, array)
    old.name = f"{old.name}/replaced"
    use_instead(old, value)
    graph.initializers.add(value)


def _array(case: Case, value: ir.Value) -> Array | None:
    arrays = case.arrays(value)
    if arrays is None:
        known = symbolic_value(value)
        if known is None or value.shape is None or not all(isinstance(each, int) for each in known):
            return None
        assert value.dtype is not None
        return np.array(known, value.dtype.numpy()).reshape(() if not len(value.shape) else -1)
    if not arrays or not isinstance(arrays[0], np.ndarray) or arrays[0].nbytes > MOST_BYTES:
        return None
    return None if arrays[0].dtype.kind in "OUS" else arrays[0]


def _plain(value: ir.Value) -> Array | None:
    """Zeros of the type and static shape of a value, as long as they are few."""
    if value.dtype is None or value.dtype == ir.DataType.STRING or value.shape is None:
        return None
    sizes = [dim for dim in value.shape.dims if isinstance(dim, int)]
    if len(sizes) < len(value.shape) or int(np.prod(sizes, dtype=np.int64)) * 8 > MOST_BYTES:
        return None
    return np.zeros(sizes, value.dtype.numpy())
