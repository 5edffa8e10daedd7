"""Where every order of a problem must pass: steps that are before or after each other step.

Such a step has the same place in all orders, so the stretches between can be ordered one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphopt.memory.order.problem import Problem


def sections(problem: Problem, order: Sequence[int]) -> list[tuple[int, int]]:
    """Places [first, last) of the stretches of two and more steps whose order is open.

    Args:
        problem: The steps.
        order: Any topological order of them; stretches hold the same steps in every one.
    """
    after = problem.after()
    alone_ahead = _only_choice(order, problem.before, after)
    alone_back = _only_choice(order[::-1], after, problem.before)[::-1]
    found = []
    first = 0
    for place in range(len(order) + 1):
        if place == len(order) or (alone_ahead[place] and alone_back[place]):
            if place - first > 1:
                found.append((first, place))
            first = place + 1
    return found


def _only_choice(
    order: Sequence[int], before: Sequence[Sequence[int]], after: Sequence[Sequence[int]]
) -> list[bool]:
    """For each place, whether the step there was the only one ready, so that all to come follow from it."""
    waiting = [len(sources) for sources in before]
    ready = sum(not count for count in waiting)
    found = []
    for step in order:
        found.append(ready == 1)
        ready -= 1
        for user in after[step]:
            waiting[user] -= 1
            ready += not waiting[user]
    return found
