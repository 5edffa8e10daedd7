"""Patterns: small trees of operators, variables and constants, matched backwards from a root node.

Patterns are data. They know nothing of what a rule makes of a match.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import onnx_ir as ir

from graphopt.ir.graphs import constant_tensor
from graphopt.ir.ops import Operator, facts

Bound = ir.Value | ir.Node | tuple[ir.Value | None, ...] | None


@dataclasses.dataclass(frozen=True, slots=True)
class Var:
    """Any value. The same name twice means the same value."""

    name: str
    optional: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Const:
    """A value known at compile time: an initializer that nobody overrides, or a Constant node."""

    name: str
    optional: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Rest:
    """All inputs from here on, as a tuple."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Op:
    """The first output of a node of one of `types`, with patterns for its inputs.

    Attributes:
        types: Operator names of the standard domain, or of `domain`.
        inputs: One pattern an input; trailing optional ones may be absent.
        name: What the rule calls the node, or "".
        shared: The node may have other users; it then stays beside the rewrite.
        domain: Operator domain.
    """

    types: tuple[str, ...]
    inputs: tuple[Pattern, ...]
    name: str = ""
    shared: bool = False
    domain: str = ""

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The operators whose nodes may be matched."""
        return tuple((self.domain, op_type) for op_type in self.types)


Pattern = Var | Const | Rest | Op


def var(name: str, *, optional: bool = False) -> Var:
    """Any value, bound as an `onnx_ir.Value` (None where optional and absent)."""
    return Var(name, optional)


def const(name: str, *, optional: bool = False) -> Const:
    """A constant value, bound as an `onnx_ir.Value` (None where optional and absent)."""
    return Const(name, optional)


def rest(name: str) -> Rest:
    """All remaining inputs, bound as a tuple of values."""
    return Rest(name)


def op(
    types: str | tuple[str, ...], *inputs: Pattern, name: str = "", shared: bool = False, domain: str = ""
) -> Op:
    """A node of one of `types`; without input patterns its inputs are not looked at."""
    return Op((types,) if isinstance(types, str) else types, inputs or (Rest(""),), name, shared, domain)


@dataclasses.dataclass(slots=True)
class Match:
    """One way in which a pattern fits: bindings by name and the matched nodes, root first."""

    bindings: dict[str, Bound]
    nodes: tuple[ir.Node, ...]
    shared: frozenset[int] = frozenset()


NOT_COMPUTED = ""
"""Stands in `makers` for an input that no node makes."""


def makers(node: ir.Node) -> set[str]:
    """Names of the operators that make the inputs of `node`, `NOT_COMPUTED` for those of none."""
    producers = [value.producer() for value in node.inputs if value is not None]
    return {NOT_COMPUTED if producer is None else producer.op_type for producer in producers}


def needed_makers(pattern: Op) -> tuple[frozenset[str], ...]:
    """Sets of which `makers` of a node must meet each one, or the pattern cannot fit there.

    A filter far cheaper than matching: most nodes that are a root's operator stop here.
    """
    constants = frozenset({NOT_COMPUTED, "Constant"})
    needed = {
        constants if isinstance(each, Const) else frozenset(each.types)
        for each in pattern.inputs
        if isinstance(each, Op) or (isinstance(each, Const) and not each.optional)
    }
    return tuple(sorted(needed, key=sorted))


def match_node(pattern: Op, node: ir.Node) -> Iterator[Match]:
    """Every way in which `pattern` fits with `node` as its root."""
    return _match_op(pattern, node, Match({}, ()), node.graph)


def _match_op(pattern: Op, node: ir.Node, so_far: Match, graph: object) -> Iterator[Match]:
    if node.op_type not in pattern.types or node.domain != pattern.domain or node.graph is not graph:
        return
    bindings = so_far.bindings
    if pattern.name:
        bindings = {**bindings, pattern.name: node}
    shared = so_far.shared | {id(node)} if pattern.shared else so_far.shared
    start = Match(bindings, (*so_far.nodes, node), shared)
    inputs = node.inputs
    yield from _match_inputs(pattern.inputs, inputs, 0, start, graph)
    two = len(inputs) == 2 and len(pattern.inputs) == 2
    if two and pattern.inputs[0] != pattern.inputs[1] and facts(node).commutative:
        yield from _match_inputs(pattern.inputs, (inputs[1], inputs[0]), 0, start, graph)


def _match_inputs(
    patterns: tuple[Pattern, ...],
    values: Sequence[ir.Value | None],
    index: int,
    so_far: Match,
    graph: object,
) -> Iterator[Match]:
    if index == len(patterns):
        if all(value is None for value in values[index:]):
            yield so_far
        return
    pattern = patterns[index]
    if isinstance(pattern, Rest):
        taken = tuple(values[index:])
        yield (
            Match({**so_far.bindings, pattern.name: taken}, so_far.nodes, so_far.shared)
            if pattern.name
            else so_far
        )
        return
    value = values[index] if index < len(values) else None
    for match in _match_value(pattern, value, so_far, graph):
        yield from _match_inputs(patterns, values, index + 1, match, graph)


def _match_value(
    pattern: Var | Const | Op, value: ir.Value | None, so_far: Match, graph: object
) -> Iterator[Match]:
    if isinstance(pattern, Op):
        producer = None if value is None or value.index() else value.producer()
        if producer is not None:
            yield from _match_op(pattern, producer, so_far, graph)
        return
    if value is None:
        if not pattern.optional:
            return
    elif isinstance(pattern, Const) and constant_tensor(value) is None:
        return
    if pattern.name in so_far.bindings:
        if so_far.bindings[pattern.name] is value:
            yield so_far
        return
    yield Match({**so_far.bindings, pattern.name: value}, so_far.nodes, so_far.shared)
