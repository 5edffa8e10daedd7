"""Permutations, and how they pass nodes that join, split, drop or add axes."""

from __future__ import annotations

import itertools

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.ir import Reject
from graphopt.passes.layout._perms import (
    Dim,
    Perm,
    Segment,
    across,
    between,
    compose,
    identity,
    inverse,
    is_identity,
    moved_ones,
    moves_only_ones,
    reshape_segments,
    reverse,
    swaps_last_two,
)

CUBE = np.arange(24).reshape(2, 3, 4)
PERMS = list(itertools.permutations(range(3)))
N = ir.SymbolicDim("N")
M = ir.SymbolicDim("M")


@pytest.mark.parametrize(("first", "second"), itertools.product(PERMS, PERMS))
def test_permutations_do_what_transpose_does(first: Perm, second: Perm) -> None:
    once = CUBE.transpose(first)
    assert np.array_equal(CUBE.transpose(compose(first, second)), once.transpose(second))
    assert np.array_equal(once.transpose(inverse(first)), CUBE)
    assert np.array_equal(once.transpose(between(first, second)), CUBE.transpose(second))
    assert is_identity(first) == (first == identity(3))


@pytest.mark.parametrize(
    ("perm", "swaps"),
    [
        ((1, 0), True),
        ((0, 2, 1), True),
        ((0, 1, 3, 2), True),
        ((0, 1), False),
        ((1, 0, 2), False),
        ((0,), False),
    ],
)
def test_exchanges_of_the_last_two_axes(perm: Perm, swaps: bool) -> None:
    assert swaps_last_two(perm) == swaps


@pytest.mark.parametrize(
    ("perm", "dims", "only"),
    [
        ((0, 2, 1), (2, 1, 3), True),
        ((0, 2, 1), (2, 3, 1), True),
        ((0, 2, 1), (2, 2, 3), False),
        ((2, 1, 0), (1, 5, 1), True),
        ((2, 1, 0), (1, 5, 6), False),
        ((1, 0), (1, N), True),
        ((1, 0), (M, N), False),
    ],
)
def test_moves_of_axes_of_size_one(perm: Perm, dims: tuple[Dim, ...], only: bool) -> None:
    assert moves_only_ones(perm, dims) == only


SEGMENTS: dict[str, tuple[list[Segment], Perm, Perm]] = {
    "nothing joined": ([((0,), (0,)), ((1,), (1,)), ((2,), (2,))], (2, 0, 1), (2, 0, 1)),
    "two joined": ([((0,), (0,)), ((1, 2), (1,))], (1, 2, 0), (1, 0)),
    "one split": ([((0,), (0, 1)), ((1,), (2,))], (1, 0), (2, 0, 1)),
    "one dropped": ([((0,), (0,)), ((1,), ()), ((2,), (1,))], (2, 1, 0), (1, 0)),
    "one added in front": ([((), (0,)), ((0,), (1,)), ((1,), (2,))], (1, 0), (0, 2, 1)),
    "one added between": ([((0,), (0,)), ((), (1,)), ((1,), (2,))], (1, 0), (2, 0, 1)),
    "one added behind": ([((0,), (0,)), ((1,), (1,)), ((), (2,))], (1, 0), (1, 2, 0)),
    "two added in a row": ([((0,), (0,)), ((), (1,)), ((), (2,)), ((1,), (3,))], (1, 0), (3, 0, 1, 2)),
}


@pytest.mark.parametrize(("segments", "perm", "after"), SEGMENTS.values(), ids=SEGMENTS.keys())
def test_an_order_passes_segments(segments: list[Segment], perm: Perm, after: Perm) -> None:
    assert across(segments, perm, "Reshape") == after


def test_axes_that_are_joined_stay_together() -> None:
    with pytest.raises(Reject, match="the axes that a Reshape joins or splits would come apart"):
        across([((0, 1), (0,)), ((2,), (1,))], (1, 0, 2), "Reshape")
    with pytest.raises(Reject, match="would come apart"):
        across([((0, 1), (0,)), ((2,), (1,))], (0, 2, 1), "Reshape")


def test_orders_of_another_rank_do_not_pass() -> None:
    with pytest.raises(Reject, match="an Add of operands of several ranks"):
        across([((0,), (0,))], (0, 1), "Add")


def test_segments_seen_from_the_output() -> None:
    assert reverse([((0, 1), (0,)), ((), (1,))]) == [((0,), (0, 1)), ((1,), ())]


RESHAPES: dict[str, tuple[tuple[Dim, ...], tuple[Dim, ...], list[Segment]]] = {
    "equal": ((2, 3), (2, 3), [((0,), (0,)), ((1,), (1,))]),
    "joined": ((2, 3, 4), (2, 12), [((0,), (0,)), ((1, 2), (1,))]),
    "split": ((2, 12), (2, 3, 4), [((0,), (0,)), ((1,), (1, 2))]),
    "joined in front": ((2, 3, 4), (6, 4), [((0, 1), (0,)), ((2,), (1,))]),
    "a one dropped": ((2, 1, 3), (2, 3), [((0,), (0,)), ((1,), ()), ((2,), (1,))]),
    "a one dropped behind": ((2, 1), (2,), [((0,), (0,)), ((1,), ())]),
    "a one added": ((2, 3), (2, 1, 3), [((0,), (0,)), ((), (1,)), ((1,), (2,))]),
    "a one added behind": ((2,), (2, 1), [((0,), (0,)), ((), (1,))]),
    "mixed": ((4, 6, 5), (8, 3, 5), [((0, 1), (0, 1)), ((2,), (2,))]),
    "mixed twice": ((4, 6, 9, 4), (8, 3, 6, 6), [((0, 1), (0, 1)), ((2, 3), (2, 3))]),
    "a symbol kept": ((N, 6), (N, 2, 3), [((0,), (0,)), ((1,), (1, 2))]),
    "a symbol joined": ((N, 3, 4), (ir.SymbolicDim("3*N"), 4), [((0, 1), (0,)), ((2,), (1,))]),
    "what is not known": ((N, 3), (M, 3), [((0, 1), (0, 1))]),
    "nothing": ((0, 3), (3, 0), [((0, 1), (0, 1))]),
}


@pytest.mark.parametrize(("before", "after", "segments"), RESHAPES.values(), ids=RESHAPES.keys())
def test_a_reshape_in_segments(
    before: tuple[Dim, ...], after: tuple[Dim, ...], segments: list[Segment]
) -> None:
    assert reshape_segments(before, after) == segments


@pytest.mark.parametrize(
    ("before", "after", "perm"),
    [
        ((2, 1, 3), (2, 3, 1), (0, 2, 1)),
        ((1, 2, 3), (2, 3, 1), (1, 2, 0)),
        ((1, N, 1), (N, 1, 1), (1, 0, 2)),
        ((2, 1, 3), (3, 2, 1), None),
        ((2, 1, 3), (2, 3), None),
        ((2, 1, 3), (1, 1, 6), None),
        ((1, N), (M, 1), None),
    ],
)
def test_reshapes_that_move_ones(before: tuple[Dim, ...], after: tuple[Dim, ...], perm: Perm | None) -> None:
    assert moved_ones(before, after) == perm
