"""merge-slices: composition of constant ranges, checked against every small case."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from graphopt.ir import Reject
from graphopt.passes.chains._ranges import END, Range, compose
from graphopt.testing import run_pass


def ints(name: str, *values: int) -> str:
    return f"{name} = Constant<value_ints = [{', '.join(map(str, values))}]>() "


def taken(size: int, range_: Range) -> list[int]:
    return walked(list(range(size)), range_)


def walked(elements: list[int], range_: Range) -> list[int]:
    """What the standard's text says, step by step."""
    size, step = len(elements), range_.step
    start = range_.start + size if range_.start < 0 else range_.start
    end = range_.end + size if range_.end < 0 else range_.end
    place = min(max(start, 0), size if step > 0 else size - 1)
    end = min(max(end, 0 if step > 0 else -1), size)
    found = []
    while 0 <= place < size and (place < end if step > 0 else place > end):
        found.append(elements[place])
        place += step
    return found


BOUNDS = (-9, -3, -2, -1, 0, 1, 2, 4, 9, END)


@pytest.mark.parametrize("steps", [(1, 1), (2, 1), (1, -1), (-1, 2), (-2, -1)])
def test_composition_with_known_size(steps: tuple[int, int]) -> None:
    for a, b, c, d in itertools.product(BOUNDS[1:8], repeat=4):
        first, second = Range(a, b, steps[0]), Range(c, d, steps[1])
        merged = compose(first, second, 5)
        assert taken(5, merged) == walked(taken(5, first), second)


def test_composition_with_unknown_size_holds_for_every_size() -> None:
    merged_any = False
    for a, b, c, d in itertools.product(BOUNDS, repeat=4):
        try:
            merged = compose(Range(a, b), Range(c, d), None)
        except Reject:
            continue
        merged_any = True
        for size in range(8):
            assert taken(size, merged) == list(np.arange(size)[a:b][c:d]), (a, b, c, d, size)
    assert merged_any


def test_distinct_axes() -> None:
    text = "g (float[N, 8, M] x) => (float[A, B, C] y) {" + ints("a", 1) + ints("b", 5) + ints("q", -1) + \
        "s = Slice(x, a, b, a) t = Slice(s, a, b, q) y = Neg(t) }"  # fmt: skip
    run = run_pass(text, "merge-slices")
    assert run.ops == ["Slice", "Neg"]


@pytest.mark.parametrize("opset", [9, 18])
def test_both_opset_forms(opset: int) -> None:
    old = """g (float[N, 8] x) => (float[A, B] y) {
        s = Slice<starts = [1], ends = [7], axes = [1]>(x) y = Slice<starts = [1], ends = [-1], axes = [1]>(s)
    }"""
    new = "g (float[N, 8] x) => (float[A, B] y) {" + ints("a", 1) + ints("b", 7) + ints("c", -1) + \
        "s = Slice(x, a, b, a) y = Slice(s, a, c, c) }"  # fmt: skip
    assert run_pass(old if opset == 9 else new, "merge-slices", opset=opset).ops == ["Slice"]


def test_ends_that_depend_on_an_unknown_size_are_refused() -> None:
    text = "g (float[N] x) => (float[A] y) {" + ints("z", 0) + ints("b", 4) + ints("c", -1) + \
        "s = Slice(x, z, b, z) y = Slice(s, z, c, z) }"  # fmt: skip
    run = run_pass(text, "merge-slices")
    assert run.changes == 0 and len(run.refusals) == 1


def test_computed_bounds_are_refused() -> None:
    text = "g (float[8] x, int64[1] e) => (float[A] y) {" + ints("z", 0) + ints("b", 4) + \
        "s = Slice(x, z, e, z) y = Slice(s, z, b, z) }"  # fmt: skip
    run = run_pass(text, "merge-slices", inputs=[{"x": np.ones(8, np.float32), "e": np.array([6])}])
    assert run.changes == 0 and len(run.refusals) == 1


def test_a_slice_of_a_concat_comes_from_its_part() -> None:
    text = "g (float[N, 3] x, float[N, 4] w) => (float[A, B] y, float[C, D] z) {" + ints("o", 1) + \
        ints("b", 3) + ints("c", 4) + ints("d", -1) + """k = Concat<axis = -1>(x, w)
        s = Slice(k, b, d, o) y = Neg(s) t = Slice(k, b, c, o) z = Abs(t) }"""  # fmt: skip
    run = run_pass(text, "merge-slices,dce")
    assert "Concat" not in run.ops and run.ops.count("Slice") == 2


def test_a_slice_across_parts_stays() -> None:
    text = "g (float[N, 3] x, float[N, 4] w) => (float[A, B] y) {" + ints("o", 1) + ints("c", 5) + \
        "k = Concat<axis = 1>(x, w) y = Slice(k, o, c, o) }"  # fmt: skip
    assert run_pass(text, "merge-slices").changes == 0


def test_a_backward_slice_from_before_the_first_element_takes_it() -> None:
    run_pass(
        """
        g (float[4] x) => (float[N] y)
        <int64[1] s = {-9}, int64[1] e = {-99}, int64[1] a = {0}, int64[1] t = {-2}, int64[1] o = {0}>
        { z = Slice (x, s, e, a, t)  y = Slice (z, o, e, a, t) }
        """,
        "merge-slices",
    )


def test_a_dimension_that_becomes_known_lets_more_be_merged() -> None:
    """What ends before the first element has a size of its own; merged, it has none."""
    run = run_pass(
        """g (float[1,1] x) => (float[A,B] y) {
            a = Slice <starts = [2], ends = [-9]> (x) b = Slice <starts = [-1], ends = [-1]> (a)
            n = Neg (b) c = Slice <starts = [-1], ends = [-9]> (n) y = Slice <starts = [-1], ends = [0]> (c)
        }""",
        "merge-slices",
        opset=9,
    )
    assert run.ops == ["Slice", "Neg", "Slice"]


@pytest.mark.parametrize("at", [1, 3, 7])
def test_a_slice_of_nothing_stays(at: int) -> None:
    text = "g (float[N, 3] x, float[N, 4] w) => (float[A, B] y) {" + ints("o", 1) + ints("c", at) + \
        "k = Concat<axis = 1>(x, w) y = Slice(k, c, c, o) }"  # fmt: skip
    run = run_pass(text, "merge-slices")
    assert run.refusals == {"slice-of-concat: it takes elements of several parts, or none": 1}


def test_a_backward_slice_to_the_first_element_is_written_with_an_end_in_front_of_it() -> None:
    run = run_pass(
        """g (float[5] x) => (float[4] y)
        <int64[1] zero = {0}, int64[1] four = {4}, int64[1] last = {-1}, int64[1] before = {-9}> {
            s = Slice (x, zero, four) y = Slice (s, last, before, zero, last)
        }""",
        "merge-slices",
    )
    assert run.ops == ["Slice"]
