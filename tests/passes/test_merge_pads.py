"""merge-pads: sums of pads of one kind; nothing that crops or mixes values."""

from __future__ import annotations

import pytest

from graphopt.ir import ints
from graphopt.testing import run_pass

HEAD = """int64[4] p = {0, 1, 0, 2}, int64[4] q = {1, 1, 0, 0}, int64[4] n = {0, -1, 0, 0},
    float one = {1.0}, float zero = {0.0}, int64[2] r = {3, 4}, int64[1] axis = {-1}"""


def run(body: str, opset: int = 18) -> tuple[list[str], list[str], list[int] | None]:
    head = HEAD if opset >= 18 else "float unused = {0}"
    found = run_pass(f"g (float[2, 5] x) => (float[A, B] y) <{head}> {{ {body} }}", "merge-pads", opset=opset)
    pads = ints(found.node("Pad").inputs[1]) if found.ops == ["Pad"] and opset > 10 else None
    return found.ops, list(found.refusals), pads


def test_applies() -> None:
    assert run("a = Pad(x, p) y = Pad(a, q, zero)") == (["Pad"], [], [1, 2, 0, 2])
    assert run("a = Pad(x, p, one) y = Pad(a, r, one, axis)") == (["Pad"], [], [0, 4, 0, 6])
    assert run('a = Pad<mode = "edge">(x, p) y = Pad<mode = "edge">(a, q)') == (["Pad"], [], [1, 2, 0, 2])


def test_pads_in_attributes() -> None:
    assert run("a = Pad<pads = [0, 1, 0, 1]>(x) y = Pad<pads = [1, 1, 1, 1]>(a)", 9)[0] == ["Pad"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("a = Pad(x, p) y = Pad(a, q, one)", "different values"),
        ('a = Pad(x, p) y = Pad<mode = "edge">(a, q)', "modes"),
        ('a = Pad<mode = "reflect">(x, q) y = Pad<mode = "reflect">(a, q)', "modes"),
        ("a = Pad(x, p) y = Pad(a, n)", "crops"),
    ],
)
def test_refuses(body: str, reason: str) -> None:
    ops, refusals, _ = run(body)
    assert ops == ["Pad", "Pad"] and reason in refusals[0]
