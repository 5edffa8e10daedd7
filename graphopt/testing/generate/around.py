"""Nodes as the pattern of a rule looks for them, and nearly so: rules are data, so they can be built from.

Knows patterns, no passes.
"""

from __future__ import annotations

from graphopt.ir.ops import has_schema
from graphopt.ir.pattern import Const, Op, Var
from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import RECIPES, Unfit
from graphopt.testing.generate.schemas import by_schema

BETWEEN = ("Relu", "Neg", "Identity", "Abs")
"""What is put between two nodes of a pattern, so that it no longer fits, or fits elsewhere."""


def plant(b: Builder, pattern: Op) -> Known:
    """Add the nodes of a pattern, its leaves first, now and then with something off.

    Raises:
        Unfit: Its operators do not exist here, or their operands do not fit each other.
        ExecutionError: A node does not run.
    """
    try:
        return _node(b, pattern, {})
    finally:
        b.forced.clear()


def _node(b: Builder, pattern: Op, bound: dict[str, Known]) -> Known:
    here = [each for each in pattern.types if not pattern.domain and has_schema("", each, b.opset)]
    fit = [each for each in here if b.spec.allows(each)]
    if not fit:
        raise Unfit("none of the pattern's operators is here")
    parts = [_disturbed(b, _node(b, each, bound)) for each in pattern.inputs if isinstance(each, Op)]
    made = iter(parts)
    forced = []
    for each in pattern.inputs:
        if isinstance(each, Op):
            forced.append(next(made))
        elif isinstance(each, (Var, Const)) and each.name in bound:
            forced.append(bound[each.name])
    known = _by_recipe(b, b.choices.choose(fit), forced)
    _bind(b, pattern, bound, parts)
    return known


def _by_recipe(b: Builder, op_type: str, forced: list[Known]) -> Known:
    """The first output of the last node of that operator that a recipe makes of the operands."""
    b.forced[:] = forced
    before = len(b.nodes)
    makers = [each.make for each in RECIPES if op_type in each.op_types and not each.is_idiom]
    try:
        if makers:
            b.choices.choose(makers)(b, op_type)
        elif forced:
            b.op(op_type, *forced)
        else:
            by_schema(b, op_type)
    finally:
        b.forced.clear()
    names = [node.output[0] for node in b.nodes[before:] if node.op_type == op_type]
    found = [known for known in b.values if known.name in names]
    if not found:
        raise Unfit(f"no {op_type} came of it")
    return found[-1]


def _bind(b: Builder, pattern: Op, bound: dict[str, Known], parts: list[Known]) -> None:
    """Remember which operands the last node was given for the variables of its pattern."""
    known = {each.name: each for each in (*b.visible(), *b.constants)}
    taken = {each.name for each in parts}
    for each, name in zip(pattern.inputs, b.nodes[-1].input, strict=False):
        if isinstance(each, (Var, Const)) and each.name and name in known and name not in taken:
            bound.setdefault(each.name, known[name])


def _disturbed(b: Builder, known: Known) -> Known:
    """The value itself most often; else with another user, or with a node behind it."""
    way = b.choices.weighted(("as it is", "shared", "between"), (16, 2, 1))
    if way == "shared":
        b.op(b.choices.choose(BETWEEN), known)
    elif way == "between":
        return b.op(b.choices.choose(BETWEEN), known)
    return known
