"""Local search on an order: windows around the peak are put into their best order, again and again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphopt.memory.order.budget import Budget
from graphopt.memory.order.problem import trace
from graphopt.memory.order.search import search
from graphopt.memory.order.window import Tables

WIDTHS = (12, 24, 48)
"""Steps of a window; the wider one is tried where the narrower gave nothing."""

STATES = 20_000
"""Most states looked at in one window."""


def improve(tables: Tables, order: Sequence[int], first: int, last: int, budget: Budget) -> list[int]:
    """An order of all steps in which those at places [first, last) are no worse, and better if any is found.

    Args:
        tables: Of the problem.
        order: Of all steps, topological.
        first: Place of the first step that may move.
        last: Place after the last that may.
        budget: States to look at.
    """
    current = list(order)
    while _improve_once(tables, current, first, last, budget):
        pass
    return current


def _improve_once(tables: Tables, order: list[int], first: int, last: int, budget: Budget) -> bool:
    """Lower the peak of one window, in place; whether there was one to be lowered."""
    now = trace(tables.problem, order)
    place = [0] * len(order)
    for position, step in enumerate(order):
        place[step] = position
    top = max(range(first, last), key=now.needs.__getitem__)
    for begin, end in _windows(top, first, last):
        if budget.is_spent():
            return False
        alive = now.leaves[begin - 1] if begin else tables.problem.bytes_at_start()
        window = tables.window(order, place, begin, end, alive)
        found = search(window, max(now.needs[begin:end]), budget, STATES)
        if found.steps is not None:
            order[begin:end] = found.steps
            return True
    return False


def _windows(top: int, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Windows around a place, narrow ones first, within bounds."""
    for width in WIDTHS:
        for before in (width // 2, width * 3 // 4, width // 4):
            begin = max(first, top - before)
            end = min(last, begin + width)
            if end - begin > 1:
                yield begin, end
