"""How far a rule's pattern fits around a node, and what stands in its way.

For people who ask why something did not fuse. Rewriting never comes here: its matcher only says yes or no.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import onnx_ir as ir

from graphopt.ir.graphs import constant_tensor
from graphopt.ir.ops import facts
from graphopt.ir.pattern import Const, Op, Pattern, Rest
from graphopt.ir.rewrite import Rule

MOST_USERS = 8
"""Users of one value that are tried as the next operator of a pattern."""
ORDINALS = ("first", "second", "third", "fourth", "fifth")


@dataclasses.dataclass(frozen=True)
class Nearest:
    """A partial match.

    Attributes:
        rule: The rule.
        pattern: Operators of its pattern, as `Conv-Mul`.
        matched: How many of them were found.
        operators: How many there are.
        place: Where it ended: "the second input of Mul 'scale'".
        expected: What the pattern wants there.
        found: What is there.
    """

    rule: Rule
    pattern: str
    matched: int
    operators: int
    place: str
    expected: str
    found: str

    def __str__(self) -> str:
        return (
            f"{self.pattern}: {self.matched} of {self.operators} operators fit; "
            f"{self.place} is {self.found}, expected {self.expected}"
        )


@dataclasses.dataclass(frozen=True)
class _Miss:
    place: str
    expected: str
    found: str


def nearest(node: ir.Node, rules: Iterable[Rule]) -> list[Nearest]:
    """For each rule whose pattern has this node's operator, the largest partial match around the node.

    Rules that fit are left out: they have said themselves why they refuse.

    Args:
        node: Anywhere in the pattern.
        rules: To try.

    Returns:
        One for each rule at most, the nearest first: those that lack the fewest operators.
    """
    best: dict[str, Nearest] = {}
    for rule in rules:
        fitting = [each for pattern in rule.patterns for each in _around(rule, pattern, node)]
        if not fitting or None in fitting:
            continue
        tried = [each for each in fitting if each is not None]
        best[rule.name] = min(tried, key=_distance)
    return sorted(best.values(), key=_distance)


def _distance(each: Nearest) -> tuple[int, int]:
    return (each.operators - each.matched, -each.matched)


def _around(rule: Rule, pattern: Op, node: ir.Node) -> Iterator[Nearest | None]:
    """Partial matches with the node at each place of the pattern that takes it; None for a whole one."""
    total = _count(pattern)
    text = _text(pattern)
    for path in _paths(pattern, node):
        for matched, miss in _climb(path, node):
            yield (
                None
                if miss is None
                else Nearest(rule, text, matched, total, miss.place, miss.expected, miss.found)
            )


def _paths(pattern: Op, node: ir.Node) -> Iterator[tuple[Op, ...]]:
    """The ways from the pattern's root to each of its operators that the node may be."""
    if _takes(pattern, node):
        yield (pattern,)
    for inner in pattern.inputs:
        if isinstance(inner, Op):
            yield from ((pattern, *rest) for rest in _paths(inner, node))


def _climb(path: Sequence[Op], node: ir.Node) -> Iterator[tuple[int, _Miss | None]]:
    """Go from a node up to what may be the pattern's root, and fit from there."""
    if len(path) == 1:
        yield _fit(path[0], node)
        return
    wanted = path[-2]
    users = [use.node for use in node.outputs[0].uses()][:MOST_USERS]
    upwards = [user for user in users if _takes(wanted, user) and user.graph is node.graph]
    for user in upwards:
        yield from _climb(path[:-1], user)
    if not upwards:
        found = ", ".join(dict.fromkeys(f"{user.op_type} {user.name!r}" for user in users))
        place = f"what uses {node.op_type} {node.name!r}"
        yield _count(path[-1]), _Miss(place, _types(wanted), found or "the graph's output")


def _fit(pattern: Op, node: ir.Node) -> tuple[int, _Miss | None]:
    """How many operators fit from here on, and the first thing that does not."""
    inputs = tuple(node.inputs)
    ways = [inputs]
    if len(inputs) == 2 and len(pattern.inputs) == 2 and facts(node).commutative:
        ways.append((inputs[1], inputs[0]))
    tried = [_fit_inputs(pattern, node, way, swapped=bool(index)) for index, way in enumerate(ways)]
    return max(tried, key=lambda each: (each[1] is None, each[0]))


def _fit_inputs(
    pattern: Op, node: ir.Node, inputs: Sequence[ir.Value | None], *, swapped: bool
) -> tuple[int, _Miss | None]:
    matched, first = 1, None
    for index, wanted in enumerate(pattern.inputs):
        if isinstance(wanted, Rest):
            return matched, first
        number = 1 - index if swapped else index
        value = inputs[index] if index < len(inputs) else None
        place = f"the {_ordinal(number)} input of {node.op_type} {node.name!r}"
        more, miss = _fit_value(wanted, value, node, place)
        matched += more
        first = first or miss
    surplus = [value for value in inputs[len(pattern.inputs) :] if value is not None]
    if surplus and first is None:
        place = f"the {_ordinal(len(pattern.inputs))} input of {node.op_type} {node.name!r}"
        first = _Miss(place, "none", _described(surplus[0]))
    return matched, first


def _fit_value(
    wanted: Pattern, value: ir.Value | None, node: ir.Node, place: str
) -> tuple[int, _Miss | None]:
    if isinstance(wanted, Op):
        producer = None if value is None or value.index() else value.producer()
        if producer is not None and _takes(wanted, producer) and producer.graph is node.graph:
            return _fit(wanted, producer)
        return 0, _Miss(place, _types(wanted), _described(value))
    if value is None:
        return 0, None if isinstance(wanted, Rest) or wanted.optional else _Miss(place, "a value", "absent")
    if isinstance(wanted, Const) and constant_tensor(value) is None:
        return 0, _Miss(place, "a constant", _described(value))
    return 0, None


def _takes(pattern: Op, node: ir.Node) -> bool:
    return node.op_type in pattern.types and node.domain == pattern.domain


def _count(pattern: Op) -> int:
    return 1 + sum(_count(each) for each in pattern.inputs if isinstance(each, Op))


def _types(pattern: Op) -> str:
    return " or ".join(pattern.types)


def _text(pattern: Op) -> str:
    """The operators as they follow each other in a graph: what comes first stands first."""
    before = "-".join(_text(each) for each in pattern.inputs if isinstance(each, Op))
    types = "/".join(pattern.types)
    return f"{before}-{types}" if before else types


def _ordinal(index: int) -> str:
    return ORDINALS[index] if index < len(ORDINALS) else f"{index + 1}th"


def _described(value: ir.Value | None) -> str:
    if value is None:
        return "absent"
    if constant_tensor(value) is not None:
        return "a constant"
    if value.is_graph_input():
        return f"the graph input {value.name!r}" + (
            ", which callers may set" if value.is_initializer() else ""
        )
    producer = value.producer()
    return f"{value.name!r}" if producer is None else f"the result of {producer.op_type} {producer.name!r}"
