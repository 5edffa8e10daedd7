"""What is done to rows read from a constant table is done to the table."""

from __future__ import annotations

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
    ],
)
def test_what_treats_rows_alike_is_done_to_the_table(body: str) -> None:
    run = run_pass(text(body, BIAS), "{precompute-gather,fold}*", opset=20)
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
