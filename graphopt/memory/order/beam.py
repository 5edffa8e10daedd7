"""A good order of a window: the search of `exact` with only the most promising states of each size kept."""

from __future__ import annotations

from graphopt.memory.order.budget import Budget
from graphopt.memory.order.exact import Found, expand, path
from graphopt.memory.order.window import Window


def beam(window: Window, limit: int, width: int, budget: Budget) -> Found:
    """An order of a window that needs less than a limit, if one is met.

    Args:
        window: What to order.
        limit: Only orders that need less are of interest, in bytes.
        width: Sets of one size that are followed: those with the lowest peak, then the fewest bytes alive.
        budget: States to look at.
    """
    count = len(window.moves)
    full = (1 << count) - 1
    start = sum(1 << index for index, move in enumerate(window.moves) if not move.needs)
    # By number of steps run: the set -> (peak, bytes alive, what is ready).
    levels: list[dict[int, tuple[int, int, int]]] = [{} for _ in range(count + 1)]
    levels[0][0] = (window.bound, window.alive, start)
    came: dict[int, tuple[int, tuple[int, ...]]] = {}
    for size, level in enumerate(levels[:-1]):
        kept = sorted(level.items(), key=lambda item: (item[1][0], item[1][1], item[0]))[:width]
        level.clear()
        for ran, (peak, alive, ready) in kept:
            if not budget.take():
                return Found(window.bound, None, False)
            for steps, highest, left, reached, now in expand(window.moves, ran, alive, ready, peak):
                top = max(peak, highest)
                target = levels[size + len(steps)]
                if top < limit and (reached not in target or target[reached][0] > top):
                    target[reached] = (top, left, now)
                    came[reached] = (ran, steps)
    if full not in levels[-1]:
        return Found(window.bound, None, False)
    peak = levels[-1][full][0]
    order = tuple(window.steps[index] for index in path(came, full))
    return Found(peak, order, peak == window.bound)
