"""The best order of a window: best-first search over the sets of steps that can have run (its downsets).

States are popped in the order of the peak that it takes to reach them, so the first full one popped is
optimal. Dominance: if from a state some chain of steps, each made ready by the one before, stays within that
peak and ends with no more bytes alive than it began with (and not before), running it at once is as good as
anything. For the bytes alive are a submodular function of the set of steps that ran: moved to the front of
any order, the chain makes no later state larger. (Liu, "An application of generalized tree pebbling to
sparse matrix factorization", 1987, has it for trees; Ahn et al., "Ordering chaos of memory", 2020, search
downsets by dynamic programming.) A beam keeps only the most promising states of each size.

Both run in C++ (`cpp_ext/core/order`), on windows of up to `LARGEST` steps.
"""

from __future__ import annotations

import dataclasses

from graphopt.memory._compiled import OrderFound, beam_order, search_order
from graphopt.memory.order.budget import Budget
from graphopt.memory.order.window import Window

LARGEST = 1024
"""Steps of a window; larger ones are found nothing for."""


@dataclasses.dataclass(frozen=True)
class Found:
    """Outcome of a search.

    Attributes:
        peak: The most bytes alive at a time, or a lower bound on it where `steps` is None.
        steps: The steps of the window in their best order; None if there is none below the limit, or none
            was found in the budget.
        proved: The budget sufficed: no order needs less than `peak`.
    """

    peak: int
    steps: tuple[int, ...] | None
    proved: bool


def search(window: Window, limit: int, budget: Budget, most: int) -> Found:
    """The best order of a window.

    Args:
        window: What to order.
        limit: Only orders that need less are of interest, in bytes.
        budget: States to look at.
        most: The same of this search.
    """
    found = search_order(window.compiled, limit, min(budget.states, most), budget.seconds)
    return _told(window, found, budget)


def beam(window: Window, limit: int, width: int, budget: Budget) -> Found:
    """An order of a window that needs less than a limit, if one is met.

    Args:
        window: What to order.
        limit: Only orders that need less are of interest, in bytes.
        width: Sets of one size that are followed: those with the lowest peak, then the fewest bytes alive.
        budget: States to look at.
    """
    found = beam_order(window.compiled, width, limit, budget.states, budget.seconds)
    return _told(window, found, budget)


def _told(window: Window, found: OrderFound, budget: Budget) -> Found:
    budget.spend(found.states)
    order = [window.steps[index] for index in found.steps]
    return Found(found.peak, tuple(order) if order else None, found.proved)
