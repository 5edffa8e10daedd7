"""A computed Reshape that only adds or drops axes of size 1 becomes Unsqueeze or Squeeze."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass


def _text(x: str, y: str, target: str) -> str:
    return f"""agraph (float[{x}] x, float[B,1,K,W] z) => (float[{y}] y) <
        int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] c = {{3}}, int64[1] three = {{3}},
        int64[1] four = {{4}}
    > {{ s = Shape(z)  w = Slice(s, three, four)  b = Slice(s, zero, one)
        t = Concat<axis=0>({target})  y = Reshape(x, t) }}"""


@pytest.mark.parametrize(
    ("x", "y", "target", "op"),
    [
        ("B,K,3", "B,1,W,3", "b, one, w, c", "Unsqueeze"),
        ("B,K,3", "B,W,1,3,1", "b, w, one, c, one", "Unsqueeze"),
        ("B,1,K,3", "B,W,3", "b, w, c", "Squeeze"),
        ("1,K,3,1", "W,3", "w, c", "Squeeze"),
    ],
)
def test_axes_of_size_one(x: str, y: str, target: str, op: str) -> None:
    run = run_pass(_text(x.replace("K", "W"), y, target), "reshape-by-count,dce")
    assert run.ops == [op]


@pytest.mark.parametrize(
    ("x", "y", "target", "reason"),
    [
        ("B,W,3", "W,1,B,3", "w, one, b, c", "more than one size of the result is not known"),
        ("1,W,3", "W,3,1", "w, c, one", None),
        ("1,W,3", "W,1,3,1", "w, one, c, one", "axes of size 1 come and go"),
    ],
)
def test_others_stay(x: str, y: str, target: str, reason: str | None) -> None:
    run = run_pass(_text(x, y, target), "reshape-by-count")
    assert not run.changes
    assert dict(run.refusals) == ({f"computed-reshape: {reason}": 1} if reason else {})


def test_constant_targets_stay() -> None:
    run = run_pass(
        "agraph (float[B,3] x) => (float[B,1,3] y) <int64[3] t = {0, 1, 3}> { y = Reshape(x, t) }",
        "reshape-by-count",
    )
    assert not run.changes
