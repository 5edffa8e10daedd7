"""Orders made step by step, always running the ready step that a rule likes best; fast on any size."""

from __future__ import annotations

from collections.abc import Iterator

from graphopt.memory._compiled import order_greedily
from graphopt.memory.order.problem import Problem

MOST_COMPARED = 48
"""Ready steps that are compared: the latest to become ready."""

LEAST_COMPARED = 4
"""The same of very large graphs."""

COMPARISONS = 1_000_000
"""Of steps for an order, about, so that wide graphs take linear time."""

RULES = ("fewest left", "fewest needed", "deepest", "frees first")
"""In the order in which `OrderRule` in `cpp_ext/core/order/problem.h` has them, which says what they mean."""


def greedy_orders(problem: Problem) -> Iterator[list[int]]:
    """A topological order by each of the rules."""
    compared = max(min(MOST_COMPARED, COMPARISONS // max(len(problem.before), 1)), LEAST_COMPARED)
    for rule in range(len(RULES)):
        yield order_greedily(problem.compiled, rule, compared)
