"""The ordering problem alone: steps, what each must follow, and pieces of memory with their bytes.

It knows nothing of graphs or operators, so that searches can be tested on bare instances.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

from graphopt.errors import ModelError
from graphopt.memory._compiled import OrderProblem, trace_order
from graphopt.memory.extents import parts_of
from graphopt.memory.steps import LARGEST_SIZE, START
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
        """The problem of ordering the steps of a graph whose values lie in storages.

        Raises:
            ModelError: All values together take over `LARGEST_SIZE` bytes; the message names the largest.
        """
        steps = storages.steps
        total = sum(storages.sizes) + sum(steps.scratch)
        if total > LARGEST_SIZE:
            largest = steps.name(max(range(len(steps.sizes)), key=steps.sizes.__getitem__))
            raise ModelError(
                f"all values take {total} bytes, expected at most {LARGEST_SIZE}; the largest is {largest!r}",
                hint="look at its shape",
            )
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

    @classmethod
    def of_parts(cls, storages: Storages) -> tuple[Problem, bool]:
        """The same with a piece for each part of a storage that is alive by itself.

        Returns:
            The problem; and whether that is all that differs: what takes over the memory of several parts at
            once is not said in it, so that some steps may seem to need more than they do.
        """
        steps = storages.steps
        outputs = set(steps.outputs)
        sizes: list[int] = []
        makers: list[tuple[int, ...]] = []
        users: list[tuple[int, ...]] = []
        kept: set[int] = set()
        piece: dict[int, int] = {}  # of a storage that is one
        for storage in range(len(storages.sizes)):
            parts = parts_of(storages, storage)
            if len(parts) == 1:
                piece[storage] = len(sizes)
            pinned = storages.is_pinned(storage)
            for size, values in parts:
                made = {steps.makers[value] for value in values}
                touched = made.union(*(steps.users[value] for value in values)) - {START}
                if pinned or not outputs.isdisjoint(values):
                    kept.add(len(sizes))
                sizes.append(size)
                makers.append(() if START in made or pinned else tuple(sorted(made)))
                users.append(tuple(sorted(touched)))
        chances: list[tuple[int, tuple[int, ...]] | None] = []
        for chance in storages.taken_over:
            hosts = () if chance is None else tuple(piece[each] for each in chance[1] if each in piece)
            chances.append(
                None if chance is None or chance[0] not in piece or not hosts else (piece[chance[0]], hosts)
            )
        is_all = all(
            chance is None or (chance[0] in piece and all(each in piece for each in chance[1]))
            for chance in storages.taken_over
        )
        made_of_parts = cls(
            tuple(steps.before()),
            tuple(sizes),
            tuple(makers),
            tuple(users),
            frozenset(kept),
            steps.scratch,
            tuple(chances),
        )
        return made_of_parts, is_all

    @functools.cached_property
    def compiled(self) -> OrderProblem:
        """The problem in the form of the compiled side."""
        return OrderProblem(
            self.before,
            self.sizes,
            self.makers,
            self.users,
            [piece in self.kept for piece in range(len(self.sizes))],
            self.scratch,
            [-1 if chance is None else chance[0] for chance in self.takes_over],
            [() if chance is None else chance[1] for chance in self.takes_over],
        )

    def renumbered(self, order: Sequence[int]) -> Problem:
        """The same with the steps numbered by their places in an order."""
        place = [0] * len(order)
        for position, step in enumerate(order):
            place[step] = position

        def moved(steps: Sequence[int]) -> tuple[int, ...]:
            return tuple(sorted([place[step] for step in steps]))

        return Problem(
            tuple(moved(self.before[step]) for step in order),
            self.sizes,
            tuple(map(moved, self.makers)),
            tuple(map(moved, self.users)),
            self.kept,
            tuple(self.scratch[step] for step in order),
            tuple(self.takes_over[step] for step in order),
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
    found = trace_order(problem.compiled, order)
    return Trace(
        found.peak,
        tuple(found.needs),
        tuple(found.leaves),
        dict(found.hosts),
        tuple(found.lower),
        tuple(found.upper),
    )


def peak(problem: Problem, order: Sequence[int]) -> int:
    """The most bytes alive at a time in an order; `trace` tells more."""
    return trace_order(problem.compiled, order).peak
