"""Slices and Gathers that make up a whole axis become one Split, and work done alike moves before it."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass

CONSTANTS = """<int64[1] zero = {0}, int64[1] two = {2}, int64[1] six = {6},
    int64[1] end = {9223372036854775807}, int64[1] axis = {1}, int64[1] last = {-1},
    int64[2] both = {1, 2}, int64[2] begins = {2, 0},
    int64[2] ends = {6, 9223372036854775807}, int64[1] one = {1}, int64[1] three = {3}, int64 scalar = {0},
    float c = {2.0}, float[1] d = {2.0}, float e = {2.5}>"""


@pytest.mark.parametrize(
    "pieces",
    [
        "a = Slice(x, zero, two, axis)  b = Slice(x, two, six, axis)",
        "b = Slice(x, two, end, axis)  a = Slice(x, zero, two, axis)",
        "a = Slice(x, zero, two, axis, one)  b = Slice(x, begins, ends, both)",
    ],
)
def test_pieces(pieces: str) -> None:
    run = run_pass(
        f"agraph (float[N,6,T] x) => (float[N,2,T] y, float[N,4,T] z) {CONSTANTS}"
        f"{{ {pieces}  y = Neg(a)  z = Relu(b) }}",
        "slices-to-split",
    )
    assert run.ops == ["Split", "Neg", "Relu"]


def test_a_piece_is_taken_apart_in_turn() -> None:
    run = run_pass(
        f"""agraph (float[N,6,T] x) => (float[N,2,T] y, float[N,2,T] z, float[N,2,T] w) {CONSTANTS} {{
            a = Slice(x, zero, two, axis)  b = Slice(x, two, end, axis)
            p = Slice(b, zero, two, axis)  q = Slice(b, two, end, axis)
            y = Neg(a)  z = Relu(p)  w = Abs(q)
        }}""",
        "slices-to-split",
    )
    assert run.ops == ["Split", "Split", "Neg", "Relu", "Abs"]


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_rows(opset: int) -> None:
    run = run_pass(
        f"""agraph (float[2,N] x) => (float[1,N] y, float[1,N] z) {CONSTANTS} {{
            a = Gather(x, zero)  b = Gather(x, one)  y = Neg(a)  z = Relu(b)
        }}""",
        "slices-to-split",
        opset=opset,
    )
    assert run.ops == ["Split", "Neg", "Relu"]


@pytest.mark.parametrize(
    ("pieces", "refused"),
    [
        ("a = Slice(x, zero, two, axis)  b = Slice(x, two, three, axis)", True),
        ("a = Slice(x, zero, three, axis)  b = Slice(x, two, six, axis)", True),
        ("a = Slice(x, zero, two, last)  b = Slice(x, two, six, axis)", False),
        ("a = Gather<axis=1>(x, scalar)  b = Slice(x, one, six, axis)", False),
    ],
)
def test_other_pieces_stay(pieces: str, refused: bool) -> None:
    run = run_pass(
        f"agraph (float[2,6,6] x) => (float[A] y, float[B] z) {CONSTANTS}"
        f"""{{ {pieces}  c0 = Flatten<axis=0>(a)  y = Squeeze(c0, zero)
            d0 = Flatten<axis=0>(b)  z = Squeeze(d0, zero) }}""",
        "slices-to-split",
    )
    assert not run.changes
    assert dict(run.refusals) == (
        {"the pieces do not make up the whole axis, or overlap": 1} if refused else {}
    )


@pytest.mark.parametrize(
    ("left", "right", "ops"),
    [
        ("Relu(a)", "Relu(b)", ["Relu", "Split", "Add"]),
        ("Mul(a, a)", "Mul(b, b)", ["Mul", "Split", "Add"]),
        ("Pow(a, c)", "Pow(b, d)", ["Pow", "Split", "Add"]),
        ("Pow(a, c)", "Pow(b, e)", ["Split", "Pow", "Pow", "Add"]),
        ("LeakyRelu(a)", "LeakyRelu<alpha=0.5>(b)", ["Split", "LeakyRelu", "LeakyRelu", "Add"]),
        ("Relu(a)", "Neg(b)", ["Split", "Relu", "Neg", "Add"]),
        ("Sub(a, c)", "Sub(d, b)", ["Split", "Sub", "Sub", "Add"]),
        ("Cast<to=11>(a)", "Cast<to=11>(b)", ["Cast", "Split", "Add"]),
    ],
)
def test_work_before(left: str, right: str, ops: list[str]) -> None:
    kind = "double" if "Cast" in left else "float"
    run = run_pass(
        f"""agraph (float[N,6] x) => ({kind}[N,3] y) {CONSTANTS} {{
            a, b = Split<axis=1, num_outputs=2>(x)  l = {left}  r = {right}  y = Add(l, r)
        }}""",
        "slices-to-split",
    )
    assert run.ops == ops


def test_magnitude_of_a_spectrum() -> None:
    run = run_pass(
        f"""agraph (float[N,6,T] x) => (float[N,3,T] y) {CONSTANTS} {{
            a = Slice(x, zero, three, axis)  b = Slice(x, three, end, axis)
            p = Pow(a, c)  q = Pow(b, c)  s = Add(p, q)  y = Sqrt(s)
        }}""",
        "slices-to-split",
    )
    assert run.ops == ["Pow", "Split", "Add", "Sqrt"]
