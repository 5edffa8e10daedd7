"""Placement: valid, never below the bound, optimal where that can be known, the same for any order of ids."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphopt.errors import UsageError, VerificationError
from graphopt.memory.bounds import lower_bound
from graphopt.memory.buffers import Buffer, Instance
from graphopt.memory.check import check_placement
from graphopt.memory.placement import place
from graphopt.memory.placement.boxes import boxed
from graphopt.memory.placement.greedy import STACKINGS, orders, place_in_order
from graphopt.memory.placement.native import compiled, place_outward

FOREVER = float("inf")


@st.composite
def instances(
    draw: st.DrawFn, most: int = 24, span: int = 12, alignments: tuple[int, ...] = (1,)
) -> Instance[int]:
    buffers = []
    for index in range(draw(st.integers(0, most))):
        lower = draw(st.integers(0, span - 1))
        upper = draw(st.integers(lower + 1, span))
        size, alignment = draw(st.integers(0, 9)), draw(st.sampled_from(alignments))
        buffers.append(Buffer(index, lower, upper, size, alignment))
    return Instance(tuple(buffers))


def least_arena(buffers: tuple[Buffer[int], ...]) -> int:
    """By brute force: in some order, each buffer at the lowest place left for it is a best placement."""
    fixed = [(buffer, buffer.offset) for buffer in buffers if buffer.size and buffer.offset is not None]
    free = [buffer for buffer in buffers if buffer.size and buffer.offset is None]
    best = sum(buffer.size + buffer.alignment + (buffer.offset or 0) for buffer in buffers)
    for order in itertools.permutations(free):
        placed = list(fixed)
        for buffer in order:
            offset = lowest_place(buffer, placed)
            placed.append((buffer, offset))
            if offset + buffer.size >= best:
                break
        else:
            best = max((offset + buffer.size for buffer, offset in placed), default=0)
    return best


def lowest_place(buffer: Buffer[int], placed: list[tuple[Buffer[int], int]]) -> int:
    beside = [(o, o + b.size) for b, o in placed if b.lower < buffer.upper and buffer.lower < b.upper]
    starts = sorted(
        {-(-end // buffer.alignment) * buffer.alignment for end in [0, *(end for _, end in beside)]}
    )
    return next(s for s in starts if all(s >= end or s + buffer.size <= offset for offset, end in beside))


def most_live(buffers: tuple[Buffer[int], ...]) -> int:
    moments = {buffer.lower for buffer in buffers}
    return max((sum(b.size for b in buffers if b.lower <= moment < b.upper) for moment in moments), default=0)


@given(instances())
@settings(deadline=None)
def test_plans_are_valid_and_never_below_the_bound(instance: Instance[int]) -> None:
    plan = place(instance, time_limit=0.2)
    check_placement(instance.buffers, plan.offsets, plan.arena, plan.lower_bound)
    assert most_live(instance.buffers) <= plan.lower_bound <= plan.arena <= plan.greedy


@given(instances(most=6, span=6))
@settings(deadline=None)
def test_small_plans_are_as_good_as_brute_force(instance: Instance[int]) -> None:
    plan = place(instance, time_limit=30.0)
    assert plan.optimal
    assert plan.arena == least_arena(instance.buffers)


@given(instances(most=5, span=5, alignments=(1, 2, 4)))
@settings(deadline=None)
def test_aligned_plans_are_as_good_as_brute_force(instance: Instance[int]) -> None:
    plan = place(instance, time_limit=30.0)
    assert all(plan.offsets[buffer.id] % buffer.alignment == 0 for buffer in instance.buffers)
    assert plan.optimal
    assert plan.arena == least_arena(instance.buffers)


@given(instances(alignments=(64,)))
@settings(deadline=None)
def test_one_alignment_for_all(instance: Instance[int]) -> None:
    plan = place(instance, time_limit=0.2)
    assert all(offset % 64 == 0 for offset in plan.offsets.values())
    assert lower_bound(instance.buffers) <= plan.arena


@given(instances(most=12), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_fixed_offsets_are_kept(instance: Instance[int], generator: random.Random) -> None:
    wide = place(instance, time_limit=0.2)
    pinned = tuple(
        Buffer(b.id, b.lower, b.upper, b.size, 1, wide.offsets[b.id] if generator.random() < 0.4 else None)
        for b in instance.buffers
    )
    plan = place(pinned, time_limit=0.2)
    assert all(b.offset is None or plan.offsets[b.id] == b.offset for b in pinned)
    assert plan.arena <= plan.greedy


@given(instances(most=6, span=6), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_plans_around_fixed_offsets_are_as_good_as_brute_force(
    instance: Instance[int], generator: random.Random
) -> None:
    wide, top = [], 0
    for b in instance.buffers:
        top += generator.randrange(4)
        wide.append(Buffer(b.id, b.lower, b.upper, b.size, 1, top if generator.random() < 0.4 else None))
        top += b.size
    plan = place(wide, time_limit=30.0)
    assert plan.optimal
    assert plan.arena == least_arena(tuple(wide))


@given(instances(most=6, span=6), st.integers(0, 2**31), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_ids_and_their_order_do_not_matter(
    instance: Instance[int], seed: int, generator: random.Random
) -> None:
    shuffled = list(instance.buffers)
    generator.shuffle(shuffled)
    renamed = [Buffer(f"b{b.id}", b.lower, b.upper, b.size) for b in shuffled]
    plan = place(renamed, time_limit=30.0, seed=seed)
    check_placement(renamed, plan.offsets, plan.arena, plan.lower_bound)
    assert plan.arena == place(instance, time_limit=30.0).arena


def overlapping(buffers: list[Buffer[int]]) -> Iterator[tuple[Buffer[int], Buffer[int]]]:
    for one, other in itertools.combinations(buffers, 2):
        if one.lower < other.upper and other.lower < one.upper:
            yield one, other


@given(instances(most=40), st.sampled_from(range(len(STACKINGS))))
@settings(deadline=None)
def test_placing_outwards_overlaps_nothing(instance: Instance[int], stacking: int) -> None:
    sized = [buffer for buffer in instance.buffers if buffer.size]
    offsets = dict(
        zip((buffer.id for buffer in sized), place_outward(compiled(sized), stacking), strict=True)
    )
    for one, other in overlapping(sized):
        low, high = sorted((one, other), key=lambda buffer: offsets[buffer.id])
        assert offsets[low.id] >= 0 and offsets[low.id] + low.size <= offsets[high.id]


@given(instances(most=40), st.sampled_from((1, 8)))
@settings(deadline=None)
def test_what_is_in_boxes_overlaps_nothing(instance: Instance[int], alignment: int) -> None:
    sized = [dataclasses.replace(b, alignment=alignment) for b in instance.buffers if b.size]
    boxes = boxed(sized) if sized else None
    if boxes is None:
        return
    plan = place(boxes.boxes, time_limit=0.1)
    offsets = boxes.unpacked([plan.offsets[box.id] for box in boxes.boxes])
    found = {buffer.id: offset for buffer, offset in zip(sized, offsets, strict=True)}
    arena = max(found[buffer.id] + buffer.size for buffer in sized)
    check_placement(sized, found, arena, 0)


@pytest.mark.parametrize("count", [2, 3, 10, 50, 400, 3000])
def test_an_arena_that_was_cut_into_pieces_comes_out_whole(count: int) -> None:
    generator = random.Random(count)
    pieces = [(0, 1_000_000, 0, 1_000_000)]
    while len(pieces) < count:
        lower, upper, bottom, top = pieces.pop(generator.randrange(len(pieces)))
        if generator.random() < 0.5:
            cut = generator.randrange(lower, upper)
            pieces += [(lower, cut, bottom, top), (cut, upper, bottom, top)]
        else:
            cut = generator.randrange(bottom, top)
            pieces += [(lower, upper, bottom, cut), (lower, upper, cut, top)]
        pieces = [piece for piece in pieces if piece[0] < piece[1] and piece[2] < piece[3]]
    generator.shuffle(pieces)
    buffers = [Buffer(i, *piece[:2], piece[3] - piece[2]) for i, piece in enumerate(pieces)]
    plan = place(buffers, time_limit=5.0)
    assert plan.optimal and plan.arena == 1_000_000


def test_no_time_limit_is_a_limit_too() -> None:
    buffers = [Buffer(index, index % 7, index % 7 + 1 + index % 5, 1 + index % 11) for index in range(60)]
    assert place(buffers, time_limit=FOREVER, capacity=200).arena <= 200


@given(instances(most=10))
@settings(deadline=None)
def test_never_worse_than_any_greedy_order(instance: Instance[int]) -> None:
    sized = [buffer for buffer in instance.buffers if buffer.size]
    if not sized:
        return
    native = compiled(sized)
    each = [place_in_order(sized, native, order, FOREVER).arena for order in orders(sized)]
    assert place(instance, time_limit=5.0).arena <= min(each)


# Sizes by live range in which no greedy order is good enough, and what the arena is at least.
PINNED = [
    pytest.param([(0, 3, 4), (3, 9, 4), (0, 9, 4), (9, 21, 4), (0, 21, 4)], 12, id="steps"),
    pytest.param([(0, 2, 1), (1, 3, 2), (2, 4, 1), (3, 5, 2), (4, 6, 1)], 3, id="zigzag"),
    pytest.param([(0, 1, 5), (1, 2, 5), (0, 2, 5), (1, 3, 2), (2, 3, 8)], 12, id="blocks"),
    # The most that is live is 4, but the two of 2 bytes can never both lie beside a free pair of bytes.
    pytest.param(
        [(0, 2, 1), (2, 5, 1), (1, 3, 1), (0, 1, 2), (3, 5, 2), (1, 4, 1), (2, 3, 1)], 4, id="puzzle"
    ),
]


@pytest.mark.parametrize(("ranges", "arena"), PINNED)
def test_known_optima(ranges: list[tuple[int, int, int]], arena: int) -> None:
    plan = place([Buffer(index, *each) for index, each in enumerate(ranges)])
    assert (plan.arena, plan.optimal) == (arena, True)


def test_an_optimum_above_the_live_bytes_is_proved() -> None:
    buffers = [Buffer("fixed", 0, 2, 2, 1, 3), Buffer("large", 0, 2, 4), Buffer("small", 1, 3, 3)]
    assert lower_bound(buffers) == 9
    plan = place(buffers)
    assert (plan.arena, plan.lower_bound, plan.optimal) == (9, 9, True)
    plan = place(buffers[:2])
    assert lower_bound(buffers[:2]) == 6
    assert (plan.arena, plan.lower_bound, plan.optimal) == (9, 9, True)


def test_parts_of_time_are_planned_apart() -> None:
    buffers = [Buffer(index, 10 * index, 10 * index + 10, 7 + index) for index in range(20)]
    plan = place(buffers)
    assert (plan.arena, plan.optimal, set(plan.offsets.values())) == (26, True, {0})


def test_nothing_to_place() -> None:
    plan = place([])
    assert (plan.arena, plan.lower_bound, plan.optimal, dict(plan.offsets)) == (0, 0, True, {})
    assert place([Buffer("empty", 0, 1, 0)]).offsets == {"empty": 0}


def test_a_capacity_is_enough() -> None:
    buffers = [Buffer(index, index, index + 2, 10) for index in range(6)]
    assert place(buffers, capacity=1000).fits(1000)
    assert place(buffers, capacity=19).fits(19) is False


def test_large_sizes_do_not_overflow() -> None:
    plan = place([Buffer("a", 0, 2, 2**62), Buffer("b", 1, 3, 2**61)])
    assert plan.arena == 2**62 + 2**61


def test_many_buffers_are_near_the_bound() -> None:
    generator = random.Random(0)
    buffers = []
    for index in range(3000):
        lower = generator.randrange(3000)
        buffers.append(Buffer(index, lower, lower + generator.randrange(1, 40), generator.randrange(1, 1000)))
    plan = place(buffers, time_limit=60.0, capacity=int(1.02 * lower_bound(buffers)))
    assert plan.arena <= 1.02 * plan.lower_bound


@pytest.mark.parametrize(
    ("buffers", "offsets", "arena", "bound", "message"),
    [
        (
            [Buffer("a", 0, 2, 4), Buffer("b", 1, 3, 4)],
            {"a": 0, "b": 3},
            7,
            7,
            "'a' at 0 and 'b' at 3 overlap",
        ),
        ([Buffer("a", 0, 2, 4)], {}, 4, 4, "'a' has no offset"),
        ([Buffer("a", 0, 2, 4)], {"a": -1}, 3, 3, "'a' at -1"),
        ([Buffer("a", 0, 2, 4)], {"a": 0}, 5, 4, "said to be 5"),
        ([Buffer("a", 0, 2, 4)], {"a": 0}, 4, 5, "bound 5 is above"),
        ([Buffer("a", 0, 2, 4, 8)], {"a": 4}, 8, 4, "not aligned to 8"),
        ([Buffer("a", 0, 2, 4, 1, 4)], {"a": 0}, 4, 4, "fixed to 4"),
    ],
)
def test_the_checker_refuses(
    buffers: list[Buffer[str]], offsets: dict[str, int], arena: int, bound: int, message: str
) -> None:
    with pytest.raises(VerificationError, match=message):
        check_placement(buffers, offsets, arena, bound)


@pytest.mark.parametrize(("limit", "capacity"), [(-1.0, None), (float("nan"), None), (1.0, -1)])
def test_limits_out_of_range(limit: float, capacity: int | None) -> None:
    with pytest.raises(UsageError):
        place([Buffer("a", 0, 1, 1)], time_limit=limit, capacity=capacity)
