"""Common subexpressions: of two nodes that compute the same, the first one serves both.

Every scope by itself, with the scopes around it in view: a body may use what an outer graph computed, two
branches share nothing. Random, opaque and control-flow nodes are never merged. One walk, linear in the nodes.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import (
    Changes,
    Names,
    attribute_tensor,
    constant_tensor,
    facts,
    is_constant_node,
    is_deterministic,
    opset,
    remove_node,
    replace_value,
    subgraphs,
)
from graphopt.ir.kernels import takes_type
from graphopt.native import hash_tensor
from graphopt.passes.tensors import content, same_tensor
from graphopt.pipeline import Pass

SMALL_CONSTANT_BYTES = 256
"""Up to here constants are the same if their contents are; larger ones are `dedup-initializers`' part."""

ORDER_MATTERS = frozenset({"Max", "Min"})
"""Commutative but for the sign of a zero: max(-0.0, 0.0) may be either."""


@dataclass(frozen=True)
class CommonSubexpressionElimination(Pass):
    """Compute once what several nodes compute alike."""

    name: ClassVar[str] = "cse"
    exact: ClassVar[bool] = True

    def apply(self, model: ir.Model, changes: Changes) -> None:
        names = Names(model)
        for graph in (model.graph, *(function.graph for function in model.functions.values())):
            _Scope(names, changes, None, opset(model)).walk(graph)


class _Scope:
    """Nodes met so far in one graph, by what they compute, and in the graphs around it."""

    def __init__(self, names: Names, changes: Changes, outer: _Scope | None, version: int) -> None:
        self._version = version
        self._names = names
        self._changes = changes
        self._outer = outer
        self._nodes: dict[Hashable, ir.Node] = {}
        self._numbers: dict[Hashable, int] = {} if outer is None else outer._numbers

    def walk(self, graph: ir.Graph) -> None:
        for node in graph:
            if bodies := subgraphs(node):
                for body in bodies:
                    _Scope(self._names, self._changes, self, self._version).walk(body)
            elif is_deterministic(node):
                self._visit(node)

    def _visit(self, node: ir.Node) -> None:
        key = self._key(node)
        first = self._find(key)
        if first is None:
            self._nodes[key] = node
        elif not _may_replace(first, node):
            return
        elif self._replace(node, first):
            remove_node(node)
            self._changes.add(f"{node.op_type} computed before")

    def _find(self, key: Hashable) -> ir.Node | None:
        scope: _Scope | None = self
        while scope is not None:
            if key in scope._nodes:
                return scope._nodes[key]
            scope = scope._outer
        return None

    def _replace(self, node: ir.Node, first: ir.Node) -> bool:
        """Let users of `node` use `first`; False where both are interface and nothing would be saved."""
        both_bound = [
            old.is_graph_output() and (new.is_graph_output() or new.graph is not old.graph)
            for old, new in zip(node.outputs, first.outputs, strict=True)
        ]
        if any(both_bound) and node.op_type in ("Identity", "Constant"):
            return False
        if any(bound and not self._copies(old) for old, bound in zip(node.outputs, both_bound, strict=True)):
            return False
        for old, new, bound in zip(node.outputs, first.outputs, both_bound, strict=True):
            if bound:
                self._copy(old, new, node)
            else:
                replace_value(old, new)
        return True

    def _copies(self, value: ir.Value) -> bool:
        """Whether there is an Identity of such a value: of sequences it takes a newer opset than these."""
        if value.type is None or not isinstance(value.type, ir.TensorType):
            return value.type is None
        return takes_type("Identity", self._version, value.type.dtype)

    def _copy(self, old: ir.Value, new: ir.Value, node: ir.Node) -> None:
        """Put an Identity where an output needs a name of its own."""
        copy = ir.Value(name=self._names.fresh(f"{old.name}/Identity"), type=old.type, shape=old.shape)
        identity = ir.Node("", "Identity", [new], outputs=[copy], name=copy.name)
        assert node.graph is not None
        node.graph.insert_before(node, identity)
        replace_value(old, copy, is_new=True)

    def _key(self, node: ir.Node) -> Hashable:
        inputs = [self._number(self._name(value)) for value in node.inputs]
        if len(inputs) == 2 and facts(node).commutative and node.op_type not in ORDER_MATTERS:
            inputs.sort()
        while inputs and inputs[-1] == self._number(None):
            inputs.pop()
        attributes = tuple(sorted((name, _attribute_key(value)) for name, value in node.attributes.items()))
        outputs = tuple(bool(value.name) for value in node.outputs)
        return node.op_identifier(), tuple(inputs), self._number(attributes), outputs

    def _number(self, what: Hashable) -> int:
        return self._numbers.setdefault(what, len(self._numbers))

    def _name(self, value: ir.Value | None) -> Hashable:
        """What stands for a value: a small constant's content, else the value itself."""
        tensor = constant_tensor(value)
        if tensor is None or tensor.nbytes > SMALL_CONSTANT_BYTES:
            return value
        return tensor.dtype, tuple(tensor.shape), content(tensor)


def _may_replace(first: ir.Node, node: ir.Node) -> bool:
    if not is_constant_node(node):
        return True
    if first.graph is not node.graph:
        return False  # runtimes know constants best in the graph that uses them
    tensors = [constant_tensor(each.outputs[0]) for each in (first, node)]
    return tensors[0] is None or tensors[1] is None or same_tensor(tensors[0], tensors[1])


def _attribute_key(attribute: ir.Attr) -> tuple[str, Hashable]:
    """An exact, hashable image of an attribute: floats by their bits, tensors by their digests."""
    kind = attribute.type.name
    if attribute.is_ref():
        return f"{kind} of the function", attribute.ref_attr_name
    if attribute.type == ir.AttributeType.FLOAT:
        return kind, struct.pack("<d", attribute.as_float()).hex()
    if attribute.type == ir.AttributeType.FLOATS:
        return kind, struct.pack(f"<{len(attribute.value)}d", *attribute.as_floats()).hex()
    if attribute.type == ir.AttributeType.TENSOR:
        return kind, hash_tensor(attribute_tensor(attribute)).hex()
    if attribute.type in (ir.AttributeType.INT, ir.AttributeType.STRING):
        return kind, repr(attribute.value)
    if attribute.type in (ir.AttributeType.INTS, ir.AttributeType.STRINGS):
        return kind, repr(tuple(attribute.value))
    return kind, str(id(attribute))  # equal to itself alone
