"""Calls of functions: none in a circle, none too deep, and no growth without measure when they are inlined.

A few lines can call a function that calls another twice, and so on: thirty of them stand for a billion nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from graphopt.errors import ModelError
from graphopt.io.names import told
from graphopt.io.order import find_cycle

Call = tuple[str, str, str]
"""Domain, name and overload of a function or operator."""

DEEPEST_CALL = 100
"""Functions that call functions, so many levels deep."""
FEWEST_GROWN_NODES = 10_000
"""Inlining may always make a model of so many nodes,"""
MOST_GROWTH = 50
"""or of so many times those that are written."""


def call_of(node: onnx.NodeProto) -> Call:
    """What a node calls."""
    return node.domain, node.op_type, node.overload


def check_calls(calls: Mapping[Call, Mapping[Call, int]], main: Mapping[Call, int]) -> None:
    """Check that functions can be inlined.

    Args:
        calls: For each function how often it calls each operator and function.
        main: The same of the main graph.

    Raises:
        ModelError: Functions call each other in a circle, too deep, or so often that the model would grow to
            a multiple of what is written.
    """
    if not calls:
        return
    cycle = find_cycle({call: list(called) for call, called in calls.items()})
    if cycle:
        names = " -> ".join(
            name for _, name, _ in [*cycle[:8], *(() if len(cycle) < 9 else (("", "...", ""),)), cycle[0]]
        )
        raise ModelError(
            f"functions call each other in a circle: {names}", hint="ONNX functions cannot be recursive"
        )
    sizes: dict[Call, int] = {}
    depths: dict[Call, int] = {}
    for function in _inner_first(calls):
        called = calls[function]
        sizes[function] = _grown(called, sizes)
        depths[function] = 1 + max((depths.get(call, 0) for call in called), default=0)
    deepest = max(depths, key=depths.__getitem__)
    if depths[deepest] > DEEPEST_CALL:
        raise ModelError(
            f"functions call each other {depths[deepest]} deep, from {deepest[1]!r} on; "
            f"at most {DEEPEST_CALL} are followed",
            hint="inline some of them",
        )
    written = sum(main.values()) + sum(sum(called.values()) for called in calls.values())
    grown = _grown(main, sizes)
    if grown > max(FEWEST_GROWN_NODES, MOST_GROWTH * written):
        raise ModelError(
            f"the functions of the model would grow to {grown} nodes when they are inlined, "
            f"from {written} that are written",
            hint="calls that multiply like this are hardly meant",
        )


def check_arity(nodes: Sequence[onnx.NodeProto], functions: Mapping[Call, onnx.FunctionProto]) -> None:
    """Check that calls give no more inputs and take no more outputs than the functions have.

    Raises:
        ModelError: One does; the message names the node.
    """
    for node in nodes:
        function = functions.get(call_of(node))
        if (
            function is None or not node.domain
        ):  # an operator of the standard goes before a function of its name
            continue
        for kind, given, known in (
            ("inputs", node.input, function.input),
            ("outputs", node.output, function.output),
        ):
            if len(given) > len(known):
                raise ModelError(f"{told(node)} has {len(given)} {kind}, and its function {len(known)}")


def _grown(called: Mapping[Call, int], sizes: Mapping[Call, int]) -> int:
    return sum(count * sizes.get(call, 1) for call, count in called.items())


def _inner_first(calls: Mapping[Call, Mapping[Call, int]]) -> list[Call]:
    """The functions, each behind those that it calls; there is no cycle."""
    done: dict[Call, None] = {}
    for root in calls:
        stack = [root]
        while stack:
            call = stack[-1]
            waiting = [inner for inner in calls[call] if inner in calls and inner not in done]
            if waiting and call not in done:
                stack.extend(waiting)
            else:
                done.setdefault(stack.pop())
    return list(done)
