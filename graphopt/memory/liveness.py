"""Live ranges: from which step to which each value must keep its memory, in a given order.

Steps are counted by their place in the order; a range is half-open. Nothing is placed or ordered here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from graphopt.memory.check_order import check_order
from graphopt.memory.steps import START, Steps

ALIGNMENT = 64
"""Bytes; a cache line, and the widest vector."""


@dataclasses.dataclass(frozen=True)
class Pins:
    """Which values of the interface keep their memory in the arena for the whole run.

    Attributes:
        inputs: A graph input is never overwritten; otherwise its memory is free after its last use.
        outputs: The memory of a graph output is never anyone else's; otherwise from its making on.
    """

    inputs: bool = False
    outputs: bool = False


FREE = Pins()
"""Nothing is pinned."""


def rounded(size: int, alignment: int = ALIGNMENT) -> int:
    """Bytes up to the next multiple of the alignment."""
    return -(-size // alignment) * alignment


def live_ranges(steps: Steps, order: Sequence[int] | None = None, pins: Pins = FREE) -> list[tuple[int, int]]:
    """The half-open range of places in the order, [lower, upper), in which each value is alive.

    A value lives from the step that makes it to the last that reads it, both included; a graph input from the
    first step on, a graph output to the end. What nobody reads lives while it is made; a graph input that
    nobody reads does not.

    Args:
        steps: Of a graph.
        order: Steps in the order they run in; by default that of the graph.
        pins: What stays for the whole run.

    Raises:
        ModelError: The order runs a step before what it reads; the message names the value.
    """
    order = range(len(steps.nodes)) if order is None else order
    check_order(steps, order)
    place = {step: position for position, step in enumerate(order)}
    end = max(len(place), 1)
    kept = set(steps.outputs)
    ranges = []
    for value, (maker, users) in enumerate(zip(steps.makers, steps.users, strict=True)):
        pinned = (pins.outputs and value in kept) or (pins.inputs and maker == START)
        lower = 0 if maker == START or pinned else place[maker]
        last = max((place[user] for user in users), default=START if maker == START else lower)
        ranges.append((lower, end if pinned or value in kept else last + 1))
    return ranges
