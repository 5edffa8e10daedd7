"""The best order of a window: best-first search over the sets of steps that can have run (its downsets).

States are popped in the order of the peak that it takes to reach them, so the first full one popped is
optimal. Dominance: if from a state some chain of steps, each made ready by the one before, stays within that
peak and ends with no more bytes alive than it began with (and not before), running it at once is as good as
anything. For the bytes alive are a submodular function of the set of steps that ran: moved to the front of
any order, the chain makes no later state larger. (Liu, "An application of generalized tree pebbling to
sparse matrix factorization", 1987, has it for trees; Ahn et al., "Ordering chaos of memory", 2020, search
downsets by dynamic programming.)
"""

from __future__ import annotations

import dataclasses
import heapq

from graphopt.memory.order.budget import Budget
from graphopt.memory.order.window import Move, Window

LONGEST_CHAIN = 12
"""Steps that a chain is followed for before it is given up."""


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


def search(window: Window, limit: int, budget: Budget) -> Found:
    """The best order of a window.

    Args:
        window: What to order.
        limit: Only orders that need less are of interest, in bytes.
        budget: States to look at.
    """
    full = (1 << len(window.moves)) - 1
    floor = window.bound
    if floor >= limit:
        return Found(floor, None, True)
    ready = sum(1 << index for index, move in enumerate(window.moves) if not move.needs)
    best = {0: floor}
    came: dict[int, tuple[int, tuple[int, ...]]] = {}
    # Of equal peaks the one that has come furthest, then the one with the fewest bytes alive.
    heap = [(floor, 0, window.alive, 0, ready)]
    peak = floor
    while heap:
        peak, progress, alive, ran, ready = heapq.heappop(heap)
        if ran == full:
            return Found(peak, tuple(window.steps[index] for index in path(came, full)), True)
        if peak > best[ran]:
            continue
        if not budget.take():
            return Found(peak, None, False)
        for steps, highest, left, reached, next_ready in expand(window.moves, ran, alive, ready, peak):
            level = max(peak, highest)
            if level < limit and level < best.get(reached, limit):
                best[reached] = level
                came[reached] = (ran, steps)
                heapq.heappush(heap, (level, progress - len(steps), left, reached, next_ready))
    return Found(limit, None, True)


State = tuple[tuple[int, ...], int, int, int, int]
"""Steps run, the most bytes alive meanwhile, bytes alive after, the set that ran, and what is ready."""


def expand(moves: tuple[Move, ...], ran: int, alive: int, ready: int, peak: int) -> list[State]:
    """The states that follow one that took a peak to reach; a single one where it dominates."""
    found = []
    left = ready
    while left:
        low = left & -left
        left ^= low
        state = run(moves, low.bit_length() - 1, ran, alive, ready)
        if state[1] <= peak:
            chain = state if state[2] <= alive else _chain(moves, state, alive, ready, peak)
            if chain is not None:
                return [chain]
        found.append(state)
    return found


def _chain(moves: tuple[Move, ...], state: State, alive: int, ready: int, peak: int) -> State | None:
    """Go on from a state by steps that only it has made ready until no more is alive than at first."""
    steps, highest, left, ran, now = state
    new = now & ~ready
    while new and not new & (new - 1) and len(steps) < LONGEST_CHAIN:
        before = now
        step, need, left, ran, now = run(moves, new.bit_length() - 1, ran, left, now)
        if need > peak:
            return None
        steps += step
        highest = max(highest, need)
        if left <= alive:
            return steps, highest, left, ran, now
        new = now & ~before
    return None


def run(moves: tuple[Move, ...], index: int, ran: int, alive: int, ready: int) -> State:
    """Run one step, by its index, after those that ran."""
    move = moves[index]
    then = ran | 1 << index
    brings, frees = move.brings, move.frees
    for size, makers in move.brings_first:
        if not makers & ran:
            brings += size
    for size, users in move.frees_last:
        if not users & ~then:
            frees += size
    need = alive + brings + move.scratch
    for makers, size, users in move.takes_over:
        if not makers & ran and not users & ~then:
            need -= size
            break
    ready &= ~(1 << index)
    for lead in move.leads:
        if not moves[lead].needs & ~then:
            ready |= 1 << lead
    return (index,), need, alive + brings - frees, then, ready


def path(came: dict[int, tuple[int, tuple[int, ...]]], state: int) -> list[int]:
    """The steps, by their indices, that led to a state: `came` holds where from and by which steps."""
    parts = []
    while state:
        state, steps = came[state]
        parts.append(steps)
    return [step for steps in reversed(parts) for step in steps]
