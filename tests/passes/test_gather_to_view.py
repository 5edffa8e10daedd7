"""A Gather by indices that count up becomes a view."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphopt.testing import run_pass

Weights = Callable[..., str]

PLACES = """agraph (float[B,L] x) => (float[B,1,1,L] y) <
    int64 zero = {0}, int64 one = {1}, int64[3] behind = {1, 2, 3}, int64[3] before = {0, 1, 2},
    int64[1] last = {-1}
> {
    s0 = Shape<start=0, end=1>(x)  b = Squeeze(s0)  r0 = Range(%s, b, one)  u0 = Unsqueeze(r0, behind)
    s1 = Shape<start=1, end=2>(x)  l = Squeeze(s1)  r1 = Range(zero, l, one)  u1 = Unsqueeze(r1, before)
    m = Max(u0, u1)  sm = Shape(m)
    e0 = Expand(u0, sm)  e1 = Expand(u1, sm)  i0 = Unsqueeze(e0, last)  i1 = Unsqueeze(e1, last)
    i = Concat<axis=-1>(%s)  y = GatherND(x, i)
}"""


def test_places() -> None:
    run = run_pass(PLACES % ("zero", "i0, i1"), "gather-to-view,dce")
    assert run.ops == ["Unsqueeze"]


@pytest.mark.parametrize(("start", "order"), [("one", "i0, i1"), ("zero", "i1, i0"), ("zero", "i1, i1")])
def test_other_places_stay(start: str, order: str) -> None:
    run = run_pass(PLACES % (start, order), "gather-to-view", inputs=())
    assert not run.changes


FLAT = """agraph (float[B,L] x) => (float[B,1,1,L] y) <
    int64 zero = {0}, int64 one = {1}, int64[3] behind = {1, 2, 3}, int64[3] before = {0, 1, 2},
    int64[4] shape = {0, 1, 1, -1}, int64[2] line = {-1, 1}, int64 three = {3},
    int64[1] line0 = {0}, int64[1] line1 = {-1}
> {
    s = Shape(x)  b = Gather(s, zero)  l = Gather(s, one)  u = Unsqueeze(%s, line0)
    r0 = Range(zero, b, one)  u0 = Unsqueeze(r0, behind)  r1 = Range(zero, l, one)  u1 = Unsqueeze(r1, before)
    f = %s  m = Mul(u0, u)  i = Add(u1, m)  g = Gather(f, i)  y = Reshape(g, shape)
}"""


@pytest.mark.parametrize("flat", ["Flatten<axis=2>(x)", "Reshape(x, line)", "Reshape(x, line1)"])
def test_flat_places(flat: str) -> None:
    text = FLAT % ("l", flat)
    run = run_pass(text, "gather-to-view,dce")
    assert run.ops == ["Unsqueeze", "Reshape"]


@pytest.mark.parametrize("width", ["b", "three"])
def test_other_flat_places_stay(width: str) -> None:
    run = run_pass(FLAT % (width, "Flatten<axis=2>(x)"), "gather-to-view", inputs=())
    assert run.refusals == {"gather-by-flat-places: rows are not as long as the indices take them to be": 1}


@pytest.mark.parametrize(
    ("indices", "ops"), [("0, 0, 0, 1, 0, 2", ["Unsqueeze"]), ("0, 0, 0, 2, 0, 1", ["GatherND"])]
)
def test_constant_places(indices: str, ops: list[str]) -> None:
    run = run_pass(
        f"""agraph (float[1,3] x) => (float[1,1,3] y) <int64[1,1,3,2] i = {{{indices}}}> {{
            y = GatherND(x, i)
        }}""",
        "gather-to-view",
    )
    assert run.ops == ops


def test_token_types(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[B,L,2] x, int64[B,L] ids) => (float[B,L,2] y) {weights(table=(3, 2))[:-1]},
            int64[1,5] zeros = {{1, 1, 1, 1, 1}}, int64[1,5] positions = {{0, 1, 2, 3, 4}},
            int64[1] begin = {{0}}, int64[1] axis = {{1}}
        > {{
            s = Shape(ids)  n = Shape<start=1, end=2>(ids)  p = Slice(positions, begin, n, axis)
            z = GatherElements<axis=1>(zeros, p)  e = Expand(z, s)  g = Gather(table, e)  y = Add(x, g)
        }}""",
        "gather-to-view,drop-expands,fold,dce",
    )
    assert run.ops == ["Add"]


@pytest.mark.parametrize("numbers", ["{0, 1, 2}", "{0, 2, 1}", "{0, 1, 1}"])
def test_all_of_an_axis(numbers: str) -> None:
    run = run_pass(
        f"""agraph (float[2,3] x) => (float[2,3] y) <int64[3] i = {numbers}> {{
            g = Gather<axis=1>(x, i)  y = Neg(g)
        }}""",
        "gather-to-view",
    )
    assert run.ops == (["Neg"] if numbers == "{0, 1, 2}" else ["Gather", "Neg"])


def test_a_part_of_an_axis_stays() -> None:
    run = run_pass(
        "agraph (float[4] x) => (float[3] y) <int64[3] i = {0, 1, 2}> { y = Gather(x, i) }", "gather-to-view"
    )
    assert not run.changes


@pytest.mark.parametrize("axis", ["1", "-1"])
def test_position_embeddings(weights: Weights, axis: str) -> None:
    run = run_pass(
        f"""agraph (float[B,L] x) => (float[1,M,2] y) {weights(table=(5, 2))[:-1]},
            int64[1,4] positions = {{0, 1, 3, 2}}, int64[1] begin = {{0}}, int64[1] axis = {{{axis}}}
        > {{
            n = Shape<start=1, end=2>(x)  p = Slice(positions, begin, n, axis)  y = Gather(table, p)
        }}""",
        "gather-to-view",
    )
    assert run.ops == ["Shape", "Slice"]


def test_a_table_that_is_used_elsewhere_stays(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (int64[1] n, int64[1] k) => (float[M,2] y, float[1,2] z) {weights(table=(5, 2))[:-1]},
            int64[4] positions = {{0, 1, 3, 2}}, int64[1] begin = {{0}}
        > {{ p = Slice(positions, begin, n)  y = Gather(table, p)  z = Gather(table, k) }}""",
        "gather-to-view",
        inputs=(),
    )
    assert run.refusals == {"gather-of-sliced-positions: the table would grow": 1}


def sliced_positions(positions: str, *, table: str = "5, 2", axes: str = "axis", gather: str = "") -> str:
    """A Gather, from the table, of positions cut by sizes given at run time."""
    size = 1
    for dim in table.split(","):
        size *= int(dim)
    numbers = ", ".join(f"{number}.5" for number in range(size))
    names = positions.count(",") + 1
    return f"""agraph (int64[1] n, int64[1] k) => (y) <float[{table}] table = {{{numbers}}},
        int64[{names}] positions = {{{positions}}}, int64[1] begin = {{0}}, int64[1] axis = {{-1}}
    > {{ p = Slice(positions, begin, n, {axes})  y = Gather{gather}(table, p) }}"""


TWO = [{"n": np.array([2]), "k": np.array([0])}]


@pytest.mark.parametrize(
    ("positions", "table"),
    [("0, 1, 3, 2, 4", "5, 2"), ("-5, 4, -1", "5, 2"), ("1, 0", "2, 1"), ("2", "3, 2"), ("1, 2, 0", "3")],
)
def test_the_table_is_picked_where_it_does_not_grow(positions: str, table: str) -> None:
    run = run_pass(sliced_positions(positions, table=table), "gather-to-view", inputs=TWO)
    assert run.ops == ["Slice"]
    taken = run.node("Slice").inputs[0]
    assert taken is not None and taken.shape is not None and taken.shape[0] == positions.count(",") + 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (sliced_positions("0, 1, 2, 1, 0, 2", table="5, 2"), "the table would grow"),
        (sliced_positions("0, 5"), "an index is out of range"),
        (sliced_positions("0, -6"), "an index is out of range"),
        (sliced_positions("0, 1", axes="k"), "the axes of the Slice are not constant"),
    ],
)
def test_positions_that_stay(text: str, reason: str) -> None:
    run = run_pass(text, "gather-to-view", inputs=() if "out" in reason else TWO)
    assert run.changes == 0
    assert run.refusals == {f"gather-of-sliced-positions: {reason}": 1}


def test_positions_of_another_axis_stay() -> None:
    text = sliced_positions("0, 1", table="2, 5", gather="<axis = 1>")
    assert run_pass(text, "gather-to-view", inputs=TWO).changes == 0


@pytest.mark.parametrize(
    ("data", "shape", "ops"),
    [
        ("int64[1,3] z = {7, 7, 7}", "Shape(ids)", ["Shape", "Expand"]),
        ("int64[1,1] z = {7}", "Shape(ids)", ["Shape", "Expand"]),
        ("int64[1,3] z = {7, 7, 8}", "Shape(ids)", ["GatherElements", "Shape", "Expand"]),
        ("int64[1,3] z = {7, 7, 7}", "Shape<start = 1>(ids)", ["GatherElements", "Shape", "Expand"]),
    ],
)
def test_elements_all_alike(data: str, shape: str, ops: list[str]) -> None:
    run = run_pass(
        f"""agraph (int64[B,2] ids, int64[1,K] p) => (y) <{data}> {{
            g = GatherElements<axis = 1>(z, p)  s = {shape}  e = Expand(g, s)  y = Neg(e)
        }}""",
        "gather-to-view,dce",
        inputs=[{"ids": np.zeros((3, 2), np.int64), "p": np.zeros((1, 2), np.int64)}],
    )
    assert run.ops == [*ops, "Neg"]


@pytest.mark.parametrize(
    "body",
    [
        "g = Gather<axis=1>(x, i)",
        "c = Cast<to=6>(i)  g = Gather<axis=-1>(x, c)",
        "r = Range(zero, three, one)  g = Gather<axis=1>(x, r)",
    ],
)
def test_all_of_an_axis_in_other_spellings(body: str) -> None:
    run = run_pass(
        f"""agraph (float[2,3] x) => (float[2,3] y) <int64[3] i = {{0, 1, 2}}, int64 zero = {{0}},
            int64 one = {{1}}, int64 three = {{3}}> {{ {body}  y = Neg(g) }}""",
        "gather-to-view,dce",
    )
    assert run.ops == ["Neg"]


@pytest.mark.parametrize(
    "body",
    [
        "g = Gather<axis=1>(x, wide)",
        "r = Range(one, three, one)  g = Gather<axis=0>(x, r)",
        "r = Range(zero, four, two)  g = Gather<axis=0>(x, r)",
        "g = Gather<axis=0>(x, i)",
        "g = GatherND<batch_dims=1>(x, places)",
        "g = GatherND(x, rows)",
        "g = GatherND(x, broadcast)",
    ],
)
def test_other_indices_stay(body: str) -> None:
    run = run_pass(
        f"""agraph (float[4,2] x) => (y) <int64[2] i = {{0, 1}}, int64[1,2] wide = {{0, 1}},
            int64 zero = {{0}}, int64 one = {{1}}, int64 two = {{2}}, int64 three = {{3}}, int64 four = {{4}},
            int64[4,1] places = {{0, 1, 0, 1}}, int64[4,1] rows = {{0, 1, 2, 3}},
            int64[1,2,2] broadcast = {{0, 0, 1, 1}}
        > {{ {body}  y = Neg(g) }}""",
        "gather-to-view",
    )
    assert run.changes == 0


@pytest.mark.parametrize("axis", [0, 1])
def test_indices_of_two_dimensions_stay(axis: int) -> None:
    run = run_pass(
        f"""agraph (float[2,2] x) => (y) <int64[1,2] i = {{0, 1}}> {{
            g = Gather<axis={axis}>(x, i)  y = Neg(g)
        }}""",
        "gather-to-view",
    )
    assert run.changes == 0


@pytest.mark.parametrize(
    "change",
    [
        ("float[B,L] x", "float[B,L,1] x"),
        ("Gather(f, i)", "Gather<axis=1>(f, i)"),
        ("Flatten<axis=2>(x)", "Reshape(x, pairs)"),
        ("r1 = Range(zero, l, one)", "r1 = Range(one, l, one)"),
        ("Add(u1, m)", "Add(u0, m)"),
    ],
)
def test_flat_places_that_are_others_stay(change: tuple[str, str]) -> None:
    text = (FLAT % ("l", "Flatten<axis=2>(x)")).replace(
        "int64 three", "int64[2] pairs = {-1, 2}, int64 three"
    )
    assert change[0] in text
    run = run_pass(text.replace(*change), "gather-to-view", inputs=(), full_check=False)
    assert run.changes == 0
