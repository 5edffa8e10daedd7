"""As many random numbers are drawn after as before: unseeded random operators are neither merged, copied,
folded nor lost.

A node counts where it may run and may reach an output; bodies of Ifs and Loops leave open how often it runs.
Whether a Dropout draws, whose flag of training is computed or given, is seen by running it, or left open.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.execute import InputSet, Session
from graphopt.execute.compare import compare
from graphopt.ir import constant, facts, is_deterministic, nodes, scalar, subgraphs

Kind = tuple[str, str]
"""Operator and attributes as text."""
Times = tuple[float, float]
"""How often nodes of a kind run at least and at most."""
Seen = tuple[int, ...]
"""How many nodes of a kind are seen to draw, on each set of inputs."""

SEEDS = (101, 202, 303)


def different_draws(before: ir.Model, after: ir.Model, inputs: Sequence[InputSet]) -> str:
    """What differs in how often random operators draw, or "".

    Args:
        before: The original.
        after: The outcome.
        inputs: Sets of inputs on which to see, where the graphs disagree, whether a draw reaches an output
            (it does not where it is multiplied by a mask of zeros, say); () to believe the graphs.
    """
    if not any(map(_draws, nodes(before))) and not any(map(_draws, nodes(after))):
        return ""
    old, new = _times(before), _times(after)
    flagged = {_kind(node) for model in (before, after) for node in nodes(model) if _flag_is_open(node)}
    for kind in sorted({*old, *new}):
        one, other = old.get(kind, (0, 0)), new.get(kind, (0, 0))
        possible = one[0] <= other[1] and other[0] <= one[1]
        if possible and kind not in flagged:
            continue
        seen = _seen(before, kind, inputs), _seen(after, kind, inputs)
        if seen[0] is None or seen[1] is None:
            if possible:
                continue
        elif seen[0] == seen[1]:
            continue
        elif possible:
            if math.inf in (one[1], other[1]) and _likewise(seen[0], seen[1]):
                continue
            one, other = _range(seen[0]), _range(seen[1])
        return f"unseeded {_told(kind)}: {_often(one)} before, {_often(other)} after"
    return ""


def _likewise(before: Seen, after: Seen) -> bool:
    """Whether a kind is seen to draw on the same sets of inputs, as nodes that run any number of times do."""
    return [bool(count) for count in before] == [bool(count) for count in after]


def _range(seen: Seen) -> Times:
    return min(seen), max(seen)


def _told(kind: Kind) -> str:
    op_type, attributes = kind
    return f"{op_type}<{attributes}>" if attributes else op_type


def _often(times: Times) -> str:
    low, high = times
    return f"{low:g} drew" if low == high else f"{low:g} to {high:g} drew"


def _draws(node: ir.Node) -> bool:
    if "seed" in node.attributes or subgraphs(node):
        return False
    return facts(node).random or (node.op_type == "Dropout" and not is_deterministic(node))


def _flag_is_open(node: ir.Node) -> bool:
    """Whether a Dropout may draw, and nobody knows before it runs."""
    if node.op_type != "Dropout" or not _draws(node):
        return False
    flag = node.inputs[2]
    return flag is not None and (constant(flag) is None or flag.is_graph_input())


def _kind(node: ir.Node) -> Kind:
    return node.op_type, ", ".join(sorted(f"{each.name}={each.value}" for each in node.attributes.values()))


def _times(model: ir.Model) -> dict[Kind, Times]:
    """How often each kind draws for an output, at least and at most."""
    surely = _reached(model, by_value=True)
    maybe = _reached(model, by_value=False)
    found: dict[Kind, Times] = defaultdict(lambda: (0, 0))

    def add(node: ir.Node, times: Times) -> None:
        low, high = found[_kind(node)]
        found[_kind(node)] = (low + times[0], high + times[1])

    def walk(body: Iterable[ir.Node], most: float, *, always: bool) -> None:
        for node in body:
            if _draws(node):
                sure = always and not _flag_is_open(node) and any(value in surely for value in node.outputs)
                may = any(value in maybe for value in node.outputs)
                add(node, (1 if sure else 0, most if may else 0))
            function = model.functions.get(node.op_identifier())
            if function is not None:
                walk(function, math.inf, always=False)
            for graph, certain in _bodies(node):
                once = node.op_type == "If" and not node.domain
                walk(graph, most if once else math.inf, always=always and certain)

    walk(model.graph, 1, always=True)
    return dict(found)


def _bodies(node: ir.Node) -> Iterator[tuple[ir.Graph, bool]]:
    """Bodies that may run, and whether they run exactly once whenever the node does."""
    if node.op_type == "If" and not node.domain:
        condition = None if node.inputs[0] is None else scalar(node.inputs[0])
        for name in ("then_branch", "else_branch"):
            if condition is None:
                yield node.attributes[name].as_graph(), False
            elif bool(condition) == (name == "then_branch"):
                yield node.attributes[name].as_graph(), True
        return
    for graph in subgraphs(node):
        yield graph, False


def _reached(model: ir.Model, *, by_value: bool) -> set[ir.Value]:
    """Values that the outputs depend on.

    Args:
        model: Where they are looked for.
        by_value: Leave out what matters by its shape alone, or only through loops and functions.
    """
    reached: set[ir.Value] = set()
    waiting = list(model.graph.outputs)
    while waiting:
        value = waiting.pop()
        if value in reached:
            continue
        reached.add(value)
        node = value.producer()
        if node is None:
            continue
        function = model.functions.get(node.op_identifier())
        if function is not None and not by_value:
            waiting.extend(iter(function.outputs))
        bodies = list(_bodies(node))
        if bodies and not (node.op_type == "If" and not node.domain):
            if by_value:
                continue
            waiting += [each for body, _ in bodies for each in body.outputs]
        elif bodies:
            place = value.index() or 0
            waiting += [body.outputs[place] for body, _ in bodies]
        known = facts(node)
        if by_value and (known.reads_shape or node.op_type in ("RandomNormalLike", "RandomUniformLike")):
            continue
        waiting += [each for each in node.inputs if each is not None]
    return reached


def _seen(model: ir.Model, kind: Kind, inputs: Sequence[InputSet]) -> Seen | None:
    """How many nodes of a kind change an output when they draw other numbers; None if nobody can run it."""
    if not inputs:
        return None
    seeded = model.clone()
    drawing = [node for node in nodes(seeded) if _draws(node)]
    chosen = [node for node in drawing if _kind(node) == kind]
    for number, node in enumerate(drawing):
        _give_seed(node, number + 1)
    try:
        expected = [Session(seeded).run(one.values) for one in inputs]
        counts = [0] * len(inputs)
        for node in chosen:
            seed = node.attributes["seed"]
            for index in _moved(seeded, node, inputs, expected):
                counts[index] += 1
            node.attributes["seed"] = seed
    except ExecutionError:
        return None
    return tuple(counts)


def _moved(
    model: ir.Model, node: ir.Node, inputs: Sequence[InputSet], expected: Sequence[dict[str, np.ndarray]]
) -> set[int]:
    """The sets of inputs on which an output changes with the node's seed."""
    moved: set[int] = set()
    for seed in SEEDS:
        _give_seed(node, seed)
        for index, (one, outputs) in enumerate(zip(inputs, expected, strict=True)):
            if index not in moved and not all(
                each.exact for each in compare(outputs, Session(model).run(one.values))
            ):
                moved.add(index)
    return moved


def _give_seed(node: ir.Node, seed: int) -> None:
    """Set the seed, in the type that the standard has for it: an integer for Dropout, else a float."""
    whole = node.op_type == "Dropout"
    node.attributes["seed"] = ir.AttrInt64("seed", seed) if whole else ir.AttrFloat32("seed", float(seed))
