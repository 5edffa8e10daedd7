"""Walks and look-ups over a model: every graph, every node, constants, static shapes, names.

Nothing here changes a graph.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir.ops import CONTROL_FLOW, Operator, subgraphs

MAIN_DOMAIN = ""


def graph_and_bodies(graph: ir.Graph) -> Iterator[ir.Graph]:
    """`graph` and the bodies of its control flow at every depth, outer before inner."""
    stack = [graph]
    while stack:
        current = stack.pop()
        yield current
        # What `may_hold_graphs` says, without a call for every node of every walk.
        holders = [node for node in current if node.op_type in CONTROL_FLOW or node.domain]
        inner = [body for node in holders for body in subgraphs(node)]
        stack.extend(reversed(inner))


def graphs(model: ir.Model) -> Iterator[ir.Graph]:
    """Every graph of the model: the main graph, its bodies, then those of functions."""
    yield from graph_and_bodies(model.graph)
    for function in model.functions.values():
        yield from graph_and_bodies(function.graph)


def nodes(model: ir.Model) -> Iterator[ir.Node]:
    """Every node of every graph of the model."""
    for graph in graphs(model):
        yield from graph


def mapped_bodies(model: ir.Model) -> frozenset[int]:
    """Identities of the bodies of SequenceMaps.

    onnxruntime spells a SequenceMap out, and loads none with a node in it that it has to spell out in turn.
    """
    every = list(graphs(model))
    if len(every) == 1:
        return frozenset()
    maps = (node for graph in every for node in graph if node.op_type == "SequenceMap")
    return frozenset(id(body) for node in maps for body in subgraphs(node))


def is_constant_node(node: ir.Node | None) -> bool:
    """Whether `node` is the standard's Constant with a value of its own (not a function's attribute)."""
    return (
        node is not None
        and node.op_type == "Constant"
        and node.domain == MAIN_DOMAIN
        and not any(attribute.is_ref() for attribute in node.attributes.values())
    )


def count_operators(model: ir.Model) -> Counter[Operator]:
    """How many nodes of each operator the model holds, Constant counted, bodies and functions counted."""
    counts: Counter[Operator] = Counter()
    for graph in graphs(model):
        counts.update((node.domain, node.op_type) for node in graph)
    return counts


def count_nodes(model: ir.Model) -> int:
    """Nodes that compute: Constant not counted, bodies and functions counted."""
    return sum(
        node.op_type != "Constant" or not is_constant_node(node) for graph in graphs(model) for node in graph
    )


def constant_tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor behind an initializer that nobody can override, or behind a Constant node; else None.

    An initializer that is also a graph input is a default, not a constant.
    """
    if value is None:
        return None
    producer = value.producer()
    if producer is None:
        return value.const_value if value.is_initializer() and not value.is_graph_input() else None
    return constant_node_tensor(producer) if is_constant_node(producer) else None


def constant_node_tensor(node: ir.Node) -> ir.TensorProtocol | None:
    """The tensor of a Constant node, whichever attribute spells it; None for a sparse one."""
    attribute = next(iter(node.attributes.values()), None)
    if attribute is None:
        return None
    name = node.outputs[0].name
    match attribute.name:
        case "value":
            return attribute_tensor(attribute)
        case "value_int" | "value_ints":
            return ir.Tensor(np.array(attribute.value, dtype=np.int64), name=name)
        case "value_float" | "value_floats":
            return ir.Tensor(np.array(attribute.value, dtype=np.float32), name=name)
        case "value_string":
            return ir.StringTensor(
                np.array(attribute.as_string().encode(), dtype=object), shape=ir.Shape(()), name=name
            )
        case "value_strings":
            strings = [text.encode() for text in attribute.as_strings()]
            return ir.StringTensor(strings, shape=ir.Shape((len(strings),)), name=name)
    return None


def attribute_tensor(attribute: ir.Attr) -> ir.TensorProtocol:
    """The tensor that an attribute holds.

    `Attr.as_tensor` does the same, and checks a runtime protocol, which takes longer than all else that
    happens to a small constant.

    Raises:
        TypeError: The attribute holds something else.
    """
    if attribute.type != ir.AttributeType.TENSOR:
        raise TypeError(f"the attribute {attribute.name!r} is of type {attribute.type.name}, expected TENSOR")
    tensor: ir.TensorProtocol = attribute.value
    return tensor


def constant_value(
    name: str | None, array: np.ndarray[Any, Any], dtype: ir.DataType | None = None
) -> ir.Value:
    """A value of these elements, to be put among a graph's initializers.

    Args:
        name: A free one.
        array: Its elements; shared, not copied.
        dtype: Of the tensor, where the array's does not tell (as for 4-bit integers).
    """
    tensor = ir.Tensor(array, dtype=dtype, name=name)
    return ir.Value(
        name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor
    )


def constant(value: ir.Value | None) -> np.ndarray[Any, Any] | None:
    """The array of a constant value (see `constant_tensor`), in its own dtype; None if it is not one."""
    tensor = constant_tensor(value)
    return None if tensor is None else tensor.numpy()


def scalar(value: ir.Value | None) -> Any:
    """The single element of a constant with one element, as a NumPy scalar; None if it is not one."""
    tensor = constant_tensor(value)
    if tensor is None or tensor.size != 1 or tensor.dtype == ir.DataType.STRING:
        return None
    return tensor.numpy().reshape(())[()]


def ints(value: ir.Value | None) -> list[int] | None:
    """The elements of a constant integer tensor of rank 0 or 1; None if it is not one."""
    tensor = constant_tensor(value)
    if tensor is None or len(tensor.shape) > 1 or not tensor.dtype.is_integer():
        return None
    return [int(element) for element in tensor.numpy().reshape(-1)]


def static_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape where every dimension is a known number, else None."""
    if value is None or value.shape is None:
        return None
    dims = value.shape.dims
    return tuple(dims) if all(isinstance(dim, int) for dim in dims) else None  # type: ignore[arg-type]


def rank(value: ir.Value | None) -> int | None:
    """The number of dimensions, or None where it is unknown."""
    return None if value is None or value.shape is None else len(value.shape)


def attribute_int(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute, or its default."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def attribute_float(node: ir.Node, name: str, default: float) -> float:
    """A float attribute, or its default."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_float()


def attribute_ints(node: ir.Node, name: str) -> list[int] | None:
    """An integer-list attribute, or None."""
    attribute = node.attributes.get(name)
    return None if attribute is None else list(attribute.as_ints())


def attribute_string(node: ir.Node, name: str, default: str) -> str:
    """A string attribute, or its default."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def opset(model: ir.Model, domain: str = MAIN_DOMAIN) -> int:
    """The version of `domain` that the model imports; 1 where it imports none."""
    return model.opset_imports.get(domain, 1)


def value_names(model: ir.Model) -> set[str]:
    """Every value name in use, in every scope."""
    names: set[str] = set()
    for graph in graphs(model):
        names.update(value.name for value in graph.inputs if value.name)
        names.update(graph.initializers)
        for node in graph:
            names.update(output.name for output in node.outputs if output.name)
    return names


TAKEN_KEY = "graphopt.taken_names"
"""In `meta` of a model: names of values that it came from and may hold no longer, which nothing new gets.

What is known of those values is known by their names.
"""


class Names:
    """Hands out names that no value of any scope and no node has; it looks at the model when first asked.

    Nodes are named as their first output is when it is made. That may take another name later, and the node
    keeps its own: onnxruntime refuses two nodes of one name.
    """

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._next: dict[str, int] = {}

    @functools.cached_property
    def _used(self) -> set[str]:
        taken: Collection[str] = self._model.meta.get(TAKEN_KEY, ())
        own = (node.name for node in nodes(self._model) if node.name)
        return value_names(self._model).union(own, taken)

    def fresh(self, base: str) -> str:
        """`base`, or `base` with the smallest free number behind it."""
        name = base
        while name in self._used:
            number = self._next.get(base, 1)
            self._next[base] = number + 1
            name = f"{base}_{number}"
        self._used.add(name)
        return name
