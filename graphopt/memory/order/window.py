"""A stretch of steps to be put in a better order between what ran before it and what runs after it.

All steps and pieces of memory are bits of integers here; a state is the set of steps that have run.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence

from graphopt.memory._compiled import OrderMove, OrderWindow
from graphopt.memory.order.problem import Problem

Pieces = tuple[tuple[int, int], ...]
"""Bytes and bit mask of each piece."""


@dataclasses.dataclass(frozen=True)
class Move:
    """What running a step does to memory, whatever ran before it.

    Attributes:
        needs: Mask of steps that must have run.
        leads: Steps that need this one.
        brings: Bytes brought to life.
        brings_first: (bytes, mask of makers) of pieces with several: brought to life if none has run.
        frees: Bytes that die.
        frees_last: (bytes, mask of users) of pieces with several: they die when all have run.
        scratch: Bytes needed for the step itself.
        takes_over: (mask of the makers of what is taken over, bytes saved, mask of users), each a chance.
    """

    needs: int
    leads: tuple[int, ...]
    brings: int
    brings_first: Pieces
    frees: int
    frees_last: Pieces
    scratch: int
    takes_over: tuple[tuple[int, int, int], ...]


@dataclasses.dataclass(frozen=True)
class Window:
    """Steps of a problem that stand together in an order, as bits.

    Attributes:
        steps: The steps, in the order they have.
        moves: What each does.
        alive: Bytes alive before the first.
        bound: No order of them needs less.
    """

    steps: tuple[int, ...]
    moves: tuple[Move, ...]
    alive: int
    bound: int

    @functools.cached_property
    def compiled(self) -> OrderWindow:
        """The window in the form of the compiled side."""
        moves = [
            OrderMove(
                bits(move.needs),
                list(move.leads),
                move.brings,
                move.frees,
                move.scratch,
                [(size, bits(mask)) for size, mask in move.brings_first],
                [(size, bits(mask)) for size, mask in move.frees_last],
                [(bits(makers), size, bits(users)) for makers, size, users in move.takes_over],
            )
            for move in self.moves
        ]
        return OrderWindow(moves, self.alive, self.bound)


def bits(mask: int) -> list[int]:
    """The indices of the ones in a mask."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


class Tables:
    """Look-ups over a problem that all of its windows share."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._made: list[list[int]] = [[] for _ in problem.before]
        self._used: list[list[int]] = [[] for _ in problem.before]
        for piece, (makers, users) in enumerate(zip(problem.makers, problem.users, strict=True)):
            for step in makers:
                self._made[step].append(piece)
            for step in users:
                self._used[step].append(piece)
        self._after = problem.after()

    def window(self, order: Sequence[int], place: Sequence[int], first: int, last: int, alive: int) -> Window:
        """The steps at places [first, last) of an order.

        Args:
            order: A topological order of all steps.
            place: Place of each step in it.
            first: Place of the first step of the window.
            last: Place after the last.
            alive: Bytes alive before the first.
        """
        steps = tuple(order[first:last])
        pieces = _Pieces(self.problem, place, first, last)
        moves = tuple(self._move(step, pieces, place, first, last) for step in steps)
        return Window(steps, moves, alive, _bound(moves, pieces, alive))

    def _move(self, step: int, pieces: _Pieces, place: Sequence[int], first: int, last: int) -> Move:
        problem = self.problem
        brings, brings_first = _summed(
            (problem.sizes[piece], pieces.makers(piece)) for piece in self._made[step]
        )
        frees, frees_last = _summed((problem.sizes[piece], pieces.users(piece)) for piece in self._used[step])
        needs = 0
        for source in problem.before[step]:
            if place[source] >= first:
                needs |= 1 << (place[source] - first)
        return Move(
            needs,
            tuple(place[user] - first for user in self._after[step] if place[user] < last),
            brings,
            brings_first,
            frees,
            frees_last,
            problem.scratch[step],
            tuple(self._chances(step, pieces)),
        )

    def _chances(self, step: int, pieces: _Pieces) -> Iterator[tuple[int, int, int]]:
        chance = self.problem.takes_over[step]
        makers = None if chance is None else pieces.makers(chance[0])
        if chance is None or makers is None:
            return
        for other in chance[1]:
            users = pieces.users(other)
            if users is not None:
                yield makers, self.problem.sizes[other], users


class _Pieces:
    """What of each piece is decided in a window: masks of its makers and of its users."""

    def __init__(self, problem: Problem, place: Sequence[int], first: int, last: int) -> None:
        self.problem = problem
        self._place = place
        self._first, self._last = first, last
        self.known: dict[int, tuple[int | None, int | None]] = {}

    def makers(self, piece: int) -> int | None:
        """Mask of the makers of a piece that comes to life in the window; None of one alive before."""
        return self._masks(piece)[0]

    def users(self, piece: int) -> int | None:
        """Mask of the users of a piece that may die in the window; None of one that outlives it."""
        return self._masks(piece)[1]

    def _masks(self, piece: int) -> tuple[int | None, int | None]:
        found = self.known.get(piece)
        if found is None:
            problem, first = self.problem, self._first
            makers: int | None = 0 if problem.makers[piece] else None
            for step in problem.makers[piece]:
                at = self._place[step]
                makers = None if at < first or makers is None else makers | self._bit(at)
            users: int | None = None if piece in problem.kept else 0
            for step in problem.users[piece]:
                at = self._place[step]
                users = None if at >= self._last or users is None else users | self._bit(at)
            found = self.known[piece] = (makers, users)
        return found

    def _bit(self, place: int) -> int:
        return 1 << (place - self._first) if self._first <= place < self._last else 0


def _summed(pieces: Iterable[tuple[int, int | None]]) -> tuple[int, Pieces]:
    """Bytes of the pieces that a single step of the window decides about, and those that several do."""
    alone, shared = 0, []
    for size, mask in pieces:
        if mask is None or not size:
            continue
        if mask & (mask - 1):
            shared.append((size, mask))
        else:
            alone += size
    return alone, tuple(shared)


def _bound(moves: Sequence[Move], pieces: _Pieces, alive: int) -> int:
    """Bytes that some step needs in every order of a window.

    While a step runs, all that some step before it in every order (or it) brings to life is alive, and not
    dead if some step after it in every order (or it) uses it. What it may save is granted.
    """
    earlier, later = _closure(moves)
    sizes = pieces.problem.sizes
    known = [(piece, *masks) for piece, masks in pieces.known.items() if sizes[piece]]
    bound = 0
    for index, move in enumerate(moves):
        here = 1 << index
        past, future = earlier[index] | here, later[index] | here
        needed = alive + move.scratch - max((size for _, size, _ in move.takes_over), default=0)
        for piece, makers, users in known:
            is_dead = users is not None and not users & future
            if makers is None:
                needed -= sizes[piece] if is_dead else 0
            elif makers & past and not is_dead:
                needed += sizes[piece]
        bound = max(bound, needed)
    return bound


def _closure(moves: Sequence[Move]) -> tuple[list[int], list[int]]:
    """Masks of the steps before and after each step in every order; windows stand in a topological order."""
    earlier, later = [0] * len(moves), [0] * len(moves)
    for index, move in enumerate(moves):
        mask = move.needs
        while mask:
            low = mask & -mask
            earlier[index] |= earlier[low.bit_length() - 1] | low
            mask ^= low
    for index in range(len(moves) - 1, -1, -1):
        for lead in moves[index].leads:
            later[index] |= later[lead] | 1 << lead
    return earlier, later
