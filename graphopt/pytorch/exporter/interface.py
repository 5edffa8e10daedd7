"""The arguments and the result of the module: the graph's inputs and outputs, or those of a traced module.

A traced module's arguments keep their names, order and nesting, its result is nested as it was, and its state
stays in buffers that each call updates.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import torch
from torch import fx
from torch.utils import _pytree as pytree

from graphopt.pytorch.exporter.emitter import Emitter
from graphopt.pytorch.functional.defaults import or_default
from graphopt.pytorch.roles import ROLE_KEY
from graphopt.pytorch.signature import Leaf, Signature

_PLAIN = (tuple, list, dict)


def add_inputs(emitter: Emitter, graph: ir.Graph) -> None:
    """A placeholder for each graph input; those with a default come last and may be left out of a call."""
    for value in sorted(graph.inputs, key=lambda value: value.const_value is not None):
        has_default = value.const_value is not None
        node = emitter.placeholder(value.name or "x", default=has_default)
        emitter.set(value, emitter.call(or_default, node, emitter.stored(value)) if has_default else node)


def result(emitter: Emitter, graph: ir.Graph) -> Any:
    """The graph's output, or a tuple of them."""
    outputs = [emitter.tensor(value) for value in graph.outputs]
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def add_arguments(emitter: Emitter, graph: ir.Graph, signature: Signature) -> None:
    """A placeholder for each argument of the traced module; nested ones are taken apart."""
    values = {value.name: value for value in graph.inputs}
    for name in signature.state.values():
        if name not in signature.input_names:
            values[name].metadata_props.setdefault(ROLE_KEY, "buffer")
            emitter.set(values[name], emitter.stored(values[name]))
    args, kwargs = pytree.tree_unflatten(list(signature.inputs), signature.input_spec)
    named = [*zip(signature.parameters, args, strict=False), *kwargs.items()]
    named += [
        (f"argument_{index}", arg) for index, arg in enumerate(args) if index >= len(signature.parameters)
    ]
    last_needed = max((i for i, (_, arg) in enumerate(named) if not _is_constant(arg)), default=-1)
    for index, (name, arg) in enumerate(named):
        node = emitter.placeholder(name, default=index > last_needed)
        if isinstance(arg, Leaf):
            if arg.name is not None:
                emitter.set(values[arg.name], node)
            continue
        leaves = emitter.call(pytree.tree_leaves, node)
        for position, leaf in enumerate(pytree.tree_leaves(arg)):
            if leaf.name is not None:
                emitter.set(values[leaf.name], emitter.item(leaves, position))


def nested_result(emitter: Emitter, graph: ir.Graph, signature: Signature) -> Any:
    """The traced module's result; the state it leaves is written before."""
    nodes = {value.name or "": emitter.tensor(value) for value in graph.outputs}
    inputs = {value.name: value for value in graph.inputs}
    for after, before in signature.state.items():
        emitter.call(torch.ops.aten.copy_.default, emitter.tensor(inputs[before]), nodes[after])
    leaves = [leaf.constant if leaf.name is None else nodes[leaf.name] for leaf in signature.outputs]
    if _is_plain(signature.output_spec, leaves):
        return signature.rebuild(nodes)
    emitter.root.output_spec = signature.output_spec
    spec = emitter.graph.create_node("get_attr", "output_spec")
    return emitter.call(pytree.tree_unflatten, leaves, spec)


def _is_constant(arg: Any) -> bool:
    return all(leaf.name is None for leaf in pytree.tree_leaves(arg))


def _is_plain(spec: Any, leaves: list[Any]) -> bool:
    """Whether a result consists of tuples, lists and dicts alone, which a graph holds as they are."""
    if not all(isinstance(leaf, (fx.Node, int, float, str, bool, type(None))) for leaf in leaves):
        return False
    return _has_plain_types(spec)


def _has_plain_types(spec: Any) -> bool:
    if spec.is_leaf():
        return True
    children = spec.children() if hasattr(spec, "children") else spec.children_specs
    return spec.type in _PLAIN and all(map(_has_plain_types, children))
