"""What is done to rows read from a constant table is done to the table."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.testing import run_pass


def text(body: str, constants: str = "") -> str:
    table = ", ".join(f"{0.37 * (place % 9) - 1.4:.2f}" for place in range(28))
    return f"""agraph (int64[5] free) => (float[5, 4] y)
        <float[7, 4] table = {{{table}}}{constants and ", " + constants}> {{
            seven = Constant <value = int64 {{7}}> ()
            ids = Mod(free, seven)
            rows = Gather(table, ids)
            {body}
        }}"""


BIAS = "float[4] b = {0.5, -1, 2, 0.25}"


@pytest.mark.parametrize(
    "body",
    [
        "y = Gelu(rows)",
        "y = Add(rows, b)",
        "y = Sub(b, rows)",
        "y = Mul(rows, rows)",
        "h = Mul(rows, b)\n y = Tanh(h)",
        "y = LayerNormalization <axis = -1> (rows, b, b)",
        "y = LayerNormalization <axis = 1> (rows, b)",
        "y = Softmax <axis = -1> (rows)",
        "y = Softmax(rows)",
        "y = Clip(rows, low, high)",
        "y = Mul(rows, single)",
        "y = Add(single_row, rows)",
        "y = Where(picked, rows, b)",
    ],
)
def test_what_treats_rows_alike_is_done_to_the_table(body: str) -> None:
    constants = (
        f"{BIAS}, float low = {{-0.5}}, float high = {{1.5}}, float[1] single = {{3}},"
        " float[1,4] single_row = {1, 2, 3, 4}, bool[4] picked = {1, 0, 1, 0}"
    )
    run = run_pass(text(body, constants), "{precompute-gather,fold}*", opset=20)
    assert run.ops == ["Mod", "Gather"]


@pytest.mark.parametrize(
    ("body", "constants", "reason"),
    [
        ("y = Add(rows, b)", "float[5, 4] b", "differs from row to row"),
        ("y = Softmax <axis = 0> (rows)", "", "along the last axis"),
        ("h = Tanh(rows)\n y = Add(h, rows)", "", "also used elsewhere"),
        ("t = ReduceSum <keepdims = 0> (table)\n h = Tanh(rows)\n y = Add(h, t)", "", "stored twice"),
    ],
)
def test_it_must_not_apply(body: str, constants: str, reason: str) -> None:
    if constants:
        constants += " = {" + ", ".join(str(place) for place in range(20)) + "}"
    run = run_pass(text(body, constants), "precompute-gather", opset=20)
    assert not run.changes
    assert any(reason in each for each in run.refusals)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("y = Add(rows, deep)", "a constant gives the result more axes"),
        ("y = Add(thin_rows, wide)", "a constant makes the rows larger"),
        ("y = LayerNormalization <axis = 0> (rows, all)", "it does not run along the last axis"),
        ("y, mean = LayerNormalization(rows, b) m = Add(mean, mean)", "a further output is in use"),
        ("y = LayerNormalization(rows, row)", "its scale has more than one axis"),
        ("y = Add(rows, free_rows)", ""),
        ("c = Gather <axis = 1> (table, places) y = Neg(c)", "the table is not read row by row"),
        ("y = Tanh(table)", ""),
        ("h = Cast <to = 1> (ids) y = Neg(h)", ""),
    ],
)
def test_other_readers_of_rows_stay(body: str, reason: str) -> None:
    constants = (
        f"{BIAS}, float[1,1,4] deep = {{1, 2, 3, 4}}, float[1,4] row = {{1, 2, 3, 4}}, "
        "int64[2] places = {0, 1}, float[4] wide = {1, 2, 3, 4}, float[7,1] narrow = {1, 2, 3, 4, 5, 6, 7},"
        f" float[5,4] all = {{{', '.join(['0.5'] * 20)}}}"
    )
    model = text(body, constants).replace(
        "rows = Gather(table, ids)", "rows = Gather(table, ids) thin_rows = Gather(narrow, ids)"
    )
    model = model.replace("=> (float[5, 4] y)", "=> (y, m)" if "m = " in body else "=> (y)")
    model = model.replace("(int64[5] free)", "(int64[5] free, float[5, 4] free_rows)")
    run = run_pass(model, "precompute-gather", opset=20, full_check=False)
    assert run.changes == 0
    assert not reason or any(reason in each for each in run.refusals), run.refusals


@pytest.mark.parametrize(
    ("axis", "changes"), [("", 1), ("<axis = 1>", 1), ("<axis = -1>", 1), ("<axis = 0>", 0)]
)
def test_an_old_softmax_runs_from_its_axis_on(axis: str, changes: int) -> None:
    model = text(f"y = Softmax {axis} (rows)")
    assert run_pass(model, "precompute-gather", opset=12).changes == changes


def test_an_old_softmax_of_three_axes_stays() -> None:
    model = (
        text("y = Softmax(rows)")
        .replace("int64[5] free", "int64[5,1] free")
        .replace("float[5, 4] y", "float[5,1,4] y")
    )
    assert run_pass(model, "precompute-gather", opset=12).refusals


@pytest.mark.parametrize("opset", [11, 22])
def test_the_last_axis_of_what_is_read_is_another_than_the_table_s(opset: int) -> None:
    run = run_pass(
        """
        g (int64[2,1] i) => (float[2,1,3] y) <float[4,3] t = {1,2,3,4,5,6,7,8,9,1,0,2}>
        { v = Gather (t, i) y = Softmax <axis = 2> (v) }
        """,
        "precompute-gather",
        opset=opset,
        inputs=[{"i": np.array([[1], [3]])}],
    )
    assert run.ops == ["Softmax", "Gather"]
    assert run.node("Softmax").attributes["axis"].as_int() == 1
