"""The ordering problem alone: steps, what each must follow, and pieces of memory with their bytes.

It knows nothing of graphs or operators, so that searches can be tested on bare instances.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from graphopt.memory.steps import START
from graphopt.memory.storages import Storages


@dataclasses.dataclass(frozen=True)
class Problem:
    """Steps to be put in an order that keeps the most bytes alive at a time few.

    A piece is alive from the first of its makers to the last of its users, both included. What a run of a set
    of steps leaves alive depends on the set alone, and is submodular in it: that is what exact search and its
    dominance rules rest on.

    Attributes:
        before: Steps that must run before each step.
        sizes: Bytes of each piece.
        makers: Steps of which the first brings each piece to life; () where it is alive from the start.
        users: Steps of which the last lets each piece die, its makers among them.
        kept: Pieces that stay alive to the end.
        scratch: Bytes that each step needs for itself.
        takes_over: For each step (a piece, pieces of the same size), or None: if the step is the first maker
            of the piece and the last user of one of the others, it writes into that one's memory.
    """

    before: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]
    makers: tuple[tuple[int, ...], ...]
    users: tuple[tuple[int, ...], ...]
    kept: frozenset[int]
    scratch: tuple[int, ...]
    takes_over: tuple[tuple[int, tuple[int, ...]] | None, ...]

    @classmethod
    def of(cls, storages: Storages) -> Problem:
        """The problem of ordering the steps of a graph whose values lie in storages."""
        steps = storages.steps
        makers, users, kept = [], [], set()
        outputs = set(steps.outputs)
        for index, members in enumerate(storages.members):
            made = {steps.makers[value] for value in members}
            is_pinned = storages.is_pinned(index)
            from_start = START in made or is_pinned
            touched = made.union(*(steps.users[value] for value in members)) - {START}
            makers.append(() if from_start else tuple(sorted(made)))
            users.append(tuple(sorted(touched)))
            if is_pinned or not outputs.isdisjoint(members):
                kept.add(index)
        return cls(
            tuple(steps.before()),
            storages.sizes,
            tuple(makers),
            tuple(users),
            frozenset(kept),
            steps.scratch,
            storages.taken_over,
        )

    def bytes_at_start(self) -> int:
        """Bytes alive before the first step."""
        return sum(
            size
            for piece, size in enumerate(self.sizes)
            if not self.makers[piece] and (self.users[piece] or piece in self.kept)
        )

    def after(self) -> list[list[int]]:
        """Steps that must run after each step."""
        found: list[list[int]] = [[] for _ in self.before]
        for step, sources in enumerate(self.before):
            for source in sources:
                found[source].append(step)
        return found


@dataclasses.dataclass(frozen=True)
class Trace:
    """What an order of steps needs.

    Attributes:
        peak: The most bytes alive at a time.
        needs: Bytes alive while each step runs, by place in the order.
        leaves: Bytes alive between each step and the next.
        hosts: Piece -> the piece whose memory it takes over.
        lower: Place in the order at which each piece comes to life.
        upper: Place before which it dies; its lower one where it is never alive.
    """

    peak: int
    needs: tuple[int, ...]
    leaves: tuple[int, ...]
    hosts: dict[int, int]
    lower: tuple[int, ...]
    upper: tuple[int, ...]


def trace(problem: Problem, order: Sequence[int]) -> Trace:
    """Follow an order, which must be topological, and count bytes."""
    sizes, count = problem.sizes, len(order)
    place = [0] * count
    for position, step in enumerate(order):
        place[step] = position
    lower, upper = [0] * len(sizes), [0] * len(sizes)
    born, dead = [0] * (count + 1), [0] * (count + 1)
    for piece, (makers, users) in enumerate(zip(problem.makers, problem.users, strict=True)):
        first = min([place[step] for step in makers]) if makers else 0
        if piece in problem.kept:
            last = max(count, 1)  # where nothing runs, inputs that are outputs stand there all the same
        else:
            last = max([place[step] for step in users], default=-1) + 1
            dead[last] += sizes[piece] if first < last else 0
        lower[piece], upper[piece] = first, last
        born[first] += sizes[piece] if first < last else 0
    hosts: dict[int, int] = {}
    needs, leaves = [], []
    alive = 0
    for position, step in enumerate(order):
        alive += born[position] - dead[position]
        saved = 0
        chance = problem.takes_over[step]
        if chance is not None and lower[chance[0]] == position and problem.makers[chance[0]]:
            for other in chance[1]:
                if upper[other] == position + 1 and other not in problem.kept:
                    hosts[chance[0]] = other
                    saved = sizes[other]
                    break
        needs.append(alive + problem.scratch[step] - saved)
        leaves.append(alive - dead[position + 1])
    return Trace(max(needs, default=born[0]), tuple(needs), tuple(leaves), hosts, tuple(lower), tuple(upper))
