"""merge-concats: what was taken apart and joined again, or the reverse."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass

HEAD = """int64[1] m1 = {-1}, int64[1] k0 = {0}, int64[1] k1 = {1}, int64[1] k2 = {2}, int64[1] k3 = {3},
    int64[1] k5 = {5}, int64[1] big = {9223372036854775807}"""


def model(body: str, outputs: str = "float[A, B] y") -> str:
    return f"g (float[N, 6] x, float[N, 2] w) => ({outputs}) <{HEAD}> {{ {body} }}"


@pytest.mark.parametrize(
    ("body", "ops"),
    [
        ("a = Concat<axis = 1>(x, w) y = Concat<axis = -1>(w, a, x)", ["Concat"]),
        (
            "a = Concat<axis = 1>(x, w) b = Concat<axis = 1>(a, w) y = Concat<axis = 1>(b, b)",
            ["Concat", "Concat"],
        ),
        ("a, b = Split<axis = 1, num_outputs = 2>(x) c = Concat<axis = -1>(a, b) y = Neg(c)", ["Neg"]),
        ("a = Slice(x, k0, k2, k1) b = Slice(x, k2, big, k1) c = Concat<axis = 1>(a, b) y = Neg(c)", ["Neg"]),
        ("a = Slice(x, k0, k2, k0) b = Slice(x, k2, big, k0) c = Concat<axis = 0>(a, b) y = Neg(c)", ["Neg"]),
        ("a = Slice(x, k1, k2, k1) b = Slice(x, k2, k5, k1) y = Concat<axis = 1>(a, b)", ["Slice"]),
        (
            "a = Slice(x, k1, k2, k1) b = Slice(x, k2, k5, k1) y = Concat<axis = 1>(w, a, b, w)",
            ["Slice", "Concat"],
        ),
        (
            """a = Concat<axis = 1>(x, w) s = Constant<value_ints = [6, 2]>() b, c = Split<axis = 1>(a, s)
            d = Neg(b) y = Concat<axis = 1>(d, c)""",
            ["Neg", "Concat"],
        ),
    ],
)
def test_applies(body: str, ops: list[str]) -> None:
    assert run_pass(model(body), "merge-concats,dce").ops == ops


@pytest.mark.parametrize(
    "body",
    [
        "a = Concat<axis = 0>(x, x) y = Concat<axis = 1>(a, a)",
        "a, b = Split<axis = 1, num_outputs = 2>(x) y = Concat<axis = 1>(b, a)",
        "a, b = Split<axis = 1, num_outputs = 2>(x) y = Concat<axis = 0>(a, b)",
        "a, b, c = Split<axis = 1, num_outputs = 3>(x) y = Concat<axis = 1>(a, b)",
        "a = Slice(x, k0, k2, k1) b = Slice(x, k3, big, k1) y = Concat<axis = 1>(a, b)",
        "a = Slice(x, k0, k2, k1) b = Slice(x, k2, big, k1) y = Concat<axis = 0>(w, a)",
        "a = Slice(x, k0, k2, k0) b = Slice(x, k2, m1, k0) y = Concat<axis = 0>(a, b)",  # N may be 2
        "a = Concat<axis = 1>(x, w) b, c = Split<axis = 1, num_outputs = 2>(a) y = Concat<axis = 1>(c, b)",
    ],
)
def test_leaves_alone(body: str) -> None:
    assert run_pass(model(body), "merge-concats").changes == 0


def test_an_inner_concat_with_other_users_stays() -> None:
    body = "a = Concat<axis = 1>(x, w) y = Concat<axis = 1>(a, w) z = Neg(a)"
    assert run_pass(model(body, "float[A, B] y, float[C, D] z"), "merge-concats").changes == 0


def test_slices_used_elsewhere_are_not_joined_into_another_slice() -> None:
    body = "a = Slice(x, k1, k2, k1) b = Slice(x, k2, k5, k1) y = Concat<axis = 1>(a, b) z = Neg(a)"
    run = run_pass(model(body, "float[A, B] y, float[C, D] z"), "merge-concats")
    assert run.changes == 0
    assert run.refusals["concat-of-slices: the slices are also used elsewhere"] == 1


def test_split_of_one_value_twice_to_two_outputs() -> None:
    body = "n = Neg(x) a = Concat<axis = 1>(n, n) y, z = Split<axis = 1, num_outputs = 2>(a)"
    run = run_pass(model(body, "float[A, B] y, float[C, D] z"), "merge-concats")
    assert run.ops == ["Neg", "Concat", "Split"]
