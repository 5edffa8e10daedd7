"""Orders made step by step, always running the ready step that a rule likes best; fast on any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphopt.memory.order.problem import Problem

MOST_COMPARED = 48
"""Ready steps that are compared: the latest to become ready."""

LEAST_COMPARED = 4
"""The same of very large graphs."""

COMPARISONS = 100_000
"""Of steps for an order, about, so that wide graphs take linear time."""

Rule = Callable[[int, int, int], tuple[int, ...]]
"""(bytes needed while a step runs, bytes it leaves more than before, how long it has been ready) -> less is
better."""

RULES: dict[str, Rule] = {
    "fewest left": lambda need, grows, age: (grows, need, age),
    "fewest needed": lambda need, grows, age: (need, grows, age),
    "deepest": lambda need, grows, age: (grows > 0, age, grows),
    "frees first": lambda need, grows, age: (grows if grows < 0 else 0, age, need),
}


def greedy_orders(problem: Problem) -> Iterator[list[int]]:
    """A topological order by each of the rules."""
    after = problem.after()
    made: list[list[int]] = [[] for _ in problem.before]
    used: list[list[int]] = [[] for _ in problem.before]
    for piece, (makers, users) in enumerate(zip(problem.makers, problem.users, strict=True)):
        for step in makers:
            made[step].append(piece)
        if piece not in problem.kept:
            for step in users:
                used[step].append(piece)
    for rule in RULES.values():
        yield _order(problem, after, made, used, rule)


def _order(
    problem: Problem, after: list[list[int]], made: list[list[int]], used: list[list[int]], rule: Rule
) -> list[int]:
    sizes = problem.sizes
    waiting = [len(sources) for sources in problem.before]
    users_left = [len(users) for users in problem.users]
    is_made = [not makers for makers in problem.makers]
    ready = [step for step in range(len(waiting) - 1, -1, -1) if not waiting[step]]
    order: list[int] = []
    compared = max(min(MOST_COMPARED, COMPARISONS // len(waiting)), LEAST_COMPARED)
    while ready:
        oldest = max(len(ready) - compared, 0)
        best: tuple[tuple[int, ...], int] | None = None
        for index in range(len(ready) - 1, oldest - 1, -1):
            step = ready[index]
            brings = problem.scratch[step]
            for piece in made[step]:
                if not is_made[piece]:
                    brings += sizes[piece]
            frees = 0
            for piece in used[step]:
                if users_left[piece] == 1:
                    frees += sizes[piece]
            key = rule(brings, brings - problem.scratch[step] - frees, len(ready) - index)
            if best is None or key < best[0]:
                best = (key, index)
        assert best is not None
        step = ready.pop(best[1])
        order.append(step)
        for piece in made[step]:
            is_made[piece] = True
        for piece in used[step]:
            users_left[piece] -= 1
        for user in reversed(after[step]):
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    return order
