"""Products of one-hot rows and a table become Gather, for ids out of range too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphopt.passes.algebra import one_hot_to_gather
from graphopt.testing import run_pass

Weights = Callable[..., str]
IDS = [{"ids": np.array([[0, 4, 3], [-1, 5, 77]])}, {"ids": np.array([[-6, -5, -100], [1, 2, 1 << 40]])}]


def _text(body: str, weights: Weights, numbers: str = "{0, 1, 2, 3, 4}") -> str:
    table = weights(table=(5, 2), row=(2,))[1:-1]
    return f"""agraph (int64[N,3] ids) => (float[N,3,2] y) <{table},
        int64[5] numbers = {numbers}, int64[1,1,5] column = {numbers}, int64[1] last = {{-1}},
        int64[3] shape = {{-1, 3, 1}}, int64 depth = {{5}}, float[2] values = {{0.0, 1.0}}
    > {{ {body} }}"""


@pytest.mark.parametrize(
    "body",
    [
        "u = Unsqueeze(ids, last)  e = Equal(u, numbers)  c = Cast<to=1>(e)  y = MatMul(c, table)",
        "u = Unsqueeze(ids, last)  e = Equal(column, u)  c = Cast<to=1>(e)  y = MatMul(c, table)",
        "u = Reshape(ids, shape)  e = Equal(u, column)  c = Cast<to=1>(e)  y = MatMul(c, table)",
        "o = OneHot(ids, depth, values)  y = MatMul(o, table)",
        "o = OneHot<axis=2>(ids, depth, values)  m = MatMul(o, table)  y = Add(row, m)",
        "u = Unsqueeze(ids, last)  e = Equal(u, numbers)  c = Cast<to=1>(e)  m = MatMul(c, table)  "
        "y = Add(m, row)",
    ],
)
def test_look_ups(weights: Weights, body: str) -> None:
    run = run_pass(_text(body, weights), "{one-hot-to-gather,precompute-gather,fold}*", inputs=IDS)
    assert run.ops == ["Clip", "Gather"]


def test_numbers_with_gaps(weights: Weights) -> None:
    body = "u = Unsqueeze(ids, last)  e = Equal(u, numbers)  c = Cast<to=1>(e)  y = MatMul(c, table)"
    run = run_pass(_text(body, weights, "{4, 1, 9, 0, 2}"), "one-hot-to-gather", inputs=IDS)
    assert run.ops == ["Clip", "Gather"]


@pytest.mark.parametrize("numbers", ["{0, 1, 2, 3, 3}", "{-1, 0, 1, 2, 3}", "{0, 1, 2, 3, 1000000}"])
def test_other_numbers_stay(weights: Weights, numbers: str) -> None:
    body = "u = Unsqueeze(ids, last)  e = Equal(u, numbers)  c = Cast<to=1>(e)  y = MatMul(c, table)"
    run = run_pass(_text(body, weights, numbers), "one-hot-to-gather", inputs=IDS)
    assert run.refusals == {"compared-ids: the numbers compared with are no small, different indices": 1}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "o = OneHot<axis=1>(ids, depth, values)  t = Transpose<perm=[0,2,1]>(o)  y = MatMul(t, table)",
            None,
        ),
        (
            "two = Add(values, values)  o = OneHot(ids, depth, two)  y = MatMul(o, table)",
            "one-hot-ids: its values are not 0 and 1",
        ),
    ],
)
def test_other_one_hots_stay(weights: Weights, body: str, reason: str | None) -> None:
    pipeline = "fold,one-hot-to-gather" if reason else "one-hot-to-gather"
    run = run_pass(_text(body, weights), pipeline, inputs=IDS)
    assert "Gather" not in run.ops
    assert dict(run.refusals) == ({reason: 1} if reason else {})


def test_infinite_rows_stay() -> None:
    run = run_pass(
        """agraph (int64[3,1] ids) => (float[3,1] y) <
            int64[2] numbers = {0, 1}, float[2,1] table = {1.0, inf}
        > { e = Equal(ids, numbers)  c = Cast<to=1>(e)  y = MatMul(c, table) }""",
        "one-hot-to-gather",
        inputs=(),
    )
    assert run.refusals == {"compared-ids: the table is no finite matrix": 1}


def test_ids_without_a_view_are_squeezed(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (int32[3,1] ids) => (float[3,2] y) {weights(table=(2, 2))[:-1]},
            int32[2] numbers = {{0, 1}}
        > {{ e = Equal(ids, numbers)  c = Cast<to=1>(e)  y = MatMul(c, table) }}""",
        "one-hot-to-gather",
    )
    assert run.ops == ["Squeeze", "Clip", "Gather"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "u = Unsqueeze(ids, last)  f = Cast<to=1>(u)  e = Equal(f, fives)"
            "  c = Cast<to=1>(e)  y = MatMul(c, table)",
            "what is compared are no integers of known shape",
        ),
        (
            "e = Equal(five, numbers)  c = Cast<to=1>(e)  y = MatMul(c, table)",
            "what is compared are no integers of known shape",
        ),
        (
            "e = Equal(wide, numbers)  c = Cast<to=1>(e)  y = MatMul(c, table)",
            "the numbers compared with do not stand along the last axis, one for each row",
        ),
        (
            "u = Unsqueeze(ids, last)  e = Equal(u, one)  c = Cast<to=1>(e)  t = Expand(c, to5)"
            "  z = Equal(u, one)  d = Cast<to=1>(z)  y = MatMul(d, table)",
            "the numbers compared with do not stand along the last axis, one for each row",
        ),
        (
            "e = Equal(flat, deep)  c = Cast<to=1>(e)  y = MatMul(c, table)",
            "the numbers compared with give the result more dimensions",
        ),
        ("o = OneHot(ids, six, values)  y = MatMul(o, taller)", "its values are not 0 and 1"),
        (
            "f = Cast<to=1>(ids)  o = OneHot(f, depth, values)  y = MatMul(o, table)",
            "its ids are no integers",
        ),
        ("o = OneHot(ids, depth, values)  y = MatMul(o, vector)", "the table is no finite matrix"),
    ],
)
def test_what_is_nearly_a_look_up_stays(weights: Weights, body: str, reason: str) -> None:
    text = _text(body, weights).replace(
        "int64 depth = {5}",
        "int64 depth = {5}, int64 six = {6}, int64[1] one = {1}, int64[3] to5 = {1, 1, 5},"
        " int64[1,1] five = {5}, int64[1,1,5] deep = {0, 1, 2, 3, 4}, float[5] vector = {1, 2, 3, 4, 5},"
        " float[5] fives = {0, 1, 2, 3, 4},"
        " float[7,2] taller = {1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 7, 6, 5, 4}",
    )
    text = text.replace("int64[N,3] ids", "int64[N,3] ids, int64[N,5] wide, int64[1] flat")
    run = run_pass(text, "one-hot-to-gather", inputs=(), full_check=False)
    assert run.changes == 0
    assert any(reason in each for each in run.refusals), run.refusals


@pytest.mark.parametrize(("most", "changes"), [(40, 1), (39, 0)])
def test_large_tables_are_not_doubled(
    weights: Weights, monkeypatch: pytest.MonkeyPatch, most: int, changes: int
) -> None:
    monkeypatch.setattr(one_hot_to_gather, "DOUBLED_BYTES", most)
    text = _text("o = OneHot(ids, depth, values)  y = MatMul(o, table)", weights)
    run = run_pass(text, "one-hot-to-gather", inputs=IDS)
    assert run.changes == changes


@pytest.mark.parametrize(("opset", "changes"), [(11, 0), (12, 1)])
def test_integers_are_clipped_since_opset_12(weights: Weights, opset: int, changes: int) -> None:
    run = run_pass(
        _text("o = OneHot(ids, depth, values)  y = MatMul(o, table)", weights),
        "one-hot-to-gather",
        opset=opset,
        inputs=IDS,
    )
    assert run.changes == changes
