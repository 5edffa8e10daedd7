"""Rotary position embeddings are recognised however they are spelled, and refused where something differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphopt.ir import attribute_int
from graphopt.passes.idioms.fuse_rotary import FuseRotary
from graphopt.testing import PassRun, run_pass

HALVES = "x1 = Slice(x, none, half, last) x2 = Slice(x, half, end, last)"
TURNED = "n = Neg(x2) r = Concat <axis = -1> (n, x1)"
FULL = "a = Mul(x, cos) b = Mul(r, sin) y = Add(a, b)"
ANGLES = """f = Mul(p, rates) d = Concat <axis = -1> (f, f)
    co = Cos(d) si = Sin(d) cos = Unsqueeze(co, one) sin = Unsqueeze(si, one)"""
HALF_ANGLES = "f = Mul(p, rates) co = Cos(f) si = Sin(f) cos = Unsqueeze(co, one) sin = Unsqueeze(si, one)"


def rotary(body: str, *, x: str = "float[B,3,S,8] x", p: str = "float[B,S,1] p", constants: str = "") -> str:
    """The text of a model that turns `x` by the angles of positions `p`."""
    return f"""agraph ({x}, {p}) => (float[b,h,s,d] y)
    <int64[1] none = {{0}}, int64[1] half = {{4}}, int64[1] end = {{9223372036854775807}},
     int64[1] last = {{-1}},
     int64[1] one = {{1}}, int64[1] two = {{2}}, float[4] rates = {{1.0, 0.5, 0.25, 0.125}}{constants}> {{
        {body}
    }}"""


def found(run: PassRun) -> Any:
    """The RotaryEmbedding that stands for the rotation."""
    node = run.node("RotaryEmbedding")
    assert not {"Neg", "Sub", "Slice", "Concat", "Split"} & set(run.ops), run.ops
    return node


@pytest.mark.parametrize(
    "body",
    [
        f"{HALVES} {TURNED} {ANGLES} {FULL}",
        f"{HALVES} {TURNED} {ANGLES} a = Mul(cos, x) b = Mul(sin, r) y = Add(b, a)",
        f"x1, x2 = Split <axis = -1, num_outputs = 2> (x) {TURNED} {ANGLES} {FULL}",
        f"x1, x2 = Split <axis = 3> (x, sizes) {TURNED} {ANGLES} {FULL}",
        f"{HALVES} m = Constant <value_float = -1.0> () n = Mul(x2, m) r = Concat <axis = 3> (n, x1)"
        f" {ANGLES} {FULL}",
        f"{HALVES} n = Neg(x1) r = Concat <axis = -1> (x2, n) {ANGLES}"
        " a = Mul(x, cos) b = Mul(r, sin) y = Sub(a, b)",
        f"{HALVES} {HALF_ANGLES} a = Mul(x1, cos) b = Mul(x2, sin) c = Mul(x2, cos) d = Mul(x1, sin)"
        " e = Sub(a, b) g = Add(c, d) y = Concat <axis = -1> (e, g)",
        f"{HALVES} {HALF_ANGLES} a = Mul(cos, x1) b = Mul(sin, x2) c = Mul(x2, cos) d = Mul(sin, x1)"
        " e = Sub(a, b) g = Add(d, c) y = Concat <axis = 3> (e, g)",
        f"{HALVES} {TURNED} f = Mul(p, rates) co0 = Cos(f) si0 = Sin(f) co = Concat <axis = -1> (co0, co0)"
        f" si = Concat <axis = -1> (si0, si0) cos = Unsqueeze(co, one) sin = Unsqueeze(si, one) {FULL}",
        f"{HALVES} {TURNED} f = Mul(p, rates) d0 = Concat <axis = -1> (f, f) d = Unsqueeze(d0, one)"
        f" co = Cos(d) si = Sin(d) cos = Cast <to = 1> (co) sin = Mul(si, unit) {FULL}",
    ],
)
def test_halves_turned_by_angles(body: str) -> None:
    constants = ", int64[2] sizes = {4, 4}, float unit = {1.0}"
    run = run_pass(rotary(body, constants=constants), "fuse-rotary,dce", opset=23)
    assert (
        attribute_int(
            found(run) if "Concat" not in run.ops else run.node("RotaryEmbedding"), "interleaved", 0
        )
        == 0
    )


STACKED = (
    "u1 = Unsqueeze(e, minus) u2 = Unsqueeze(g, minus) s = Concat <axis = -1> (u1, u2) y = Reshape(s, shape)"
)
PAIRS = "q = Reshape(x, pairs)"
TURNED_PAIRS = "x1, x2 = SPLIT n = Neg(x2) v = Concat <axis = -1> (n, x1) r = Reshape(v, shape)"
NEIGHBOUR_ANGLES = (
    "f = Mul(p, rates) h = Unsqueeze(f, minus) i = Concat <axis = -1> (h, h) d = Reshape(i, flat)"
    " co = Cos(d) si = Sin(d) cos = Unsqueeze(co, one) sin = Unsqueeze(si, one)"
)
NEIGHBOURS = "x1 = Slice(x, none, end, last, two) x2 = Slice(x, one, end, last, two)"


@pytest.mark.parametrize(
    "body",
    [
        f"{NEIGHBOURS} {HALF_ANGLES} a = Mul(x1, cos) b = Mul(x2, sin) c = Mul(x2, cos) d = Mul(x1, sin)"
        f" e = Sub(a, b) g = Add(c, d) {STACKED}",
        f"{NEIGHBOURS} {HALF_ANGLES} a = Mul(cos, x1) b = Mul(sin, x2) c = Mul(cos, x2) d = Mul(sin, x1)"
        f" e = Sub(a, b) g = Add(d, c) {STACKED}",
        f"{NEIGHBOURS} n = Neg(x2) v1 = Unsqueeze(n, minus) v2 = Unsqueeze(x1, minus)"
        " v = Concat <axis = -1> (v1, v2) r = Reshape(v, shape) f = Mul(p, rates) h = Unsqueeze(f, minus)"
        " i = Concat <axis = -1> (h, h) d = Reshape(i, flat) co = Cos(d) si = Sin(d)"
        f" cos = Unsqueeze(co, one) sin = Unsqueeze(si, one) {FULL}",
        f"{PAIRS} x1 = Gather <axis = -1> (q, zero) x2 = Gather <axis = 4> (q, first) {HALF_ANGLES}"
        " a = Mul(x1, cos) b = Mul(x2, sin) c = Mul(x2, cos) d = Mul(x1, sin)"
        f" e = Sub(a, b) g = Add(c, d) {STACKED}",
        f"{PAIRS} {TURNED_PAIRS} {NEIGHBOUR_ANGLES} {FULL}".replace("SPLIT", "Split <axis = -1> (q, ones)"),
        f"{PAIRS} {TURNED_PAIRS} {NEIGHBOUR_ANGLES} {FULL}".replace(
            "x1, x2 = SPLIT", "x1 = Gather <axis = -1> (q, none) x2 = Slice(q, one, end, last)"
        ),
    ],
)
def test_neighbours_turned_by_angles(body: str) -> None:
    constants = (
        ", int64 zero = {0}, int64 first = {1}, int64[2] ones = {1, 1}, int64[5] pairs = {0, 0, 0, 4, 2}"
    )
    constants += ", int64[1] minus = {-1}, int64[4] shape = {0, 0, 0, 8}, int64[3] flat = {0, 0, 8}"
    run = run_pass(rotary(body, constants=constants), "fuse-rotary,dce", opset=23)
    assert attribute_int(run.node("RotaryEmbedding"), "interleaved", 0) == 1
    assert "Neg" not in run.ops and "Sub" not in run.ops


def table(function: Any, *, flipped: bool = False, shape: str = "1,1,5,8") -> str:
    """Cosines or sines of five positions, both halves alike, or opposite."""
    angles = np.outer(np.arange(5), [1.0, 0.5, 0.25, 0.125])
    half = function(angles)
    both = np.concatenate([-half if flipped else half, half], -1).reshape(-1)
    return f"float[{shape}] {function.__name__} = {{{', '.join(f'{each:.6f}' for each in both)}}}"


@pytest.mark.parametrize("shape", ["1,1,5,8", "5,8", "1,5,8"])
@pytest.mark.parametrize("flipped", [False, True])
def test_constant_angles(shape: str, flipped: bool) -> None:
    turned = "r = Concat <axis = -1> (x2, x1)" if flipped else TURNED
    constants = f", {table(np.cos, shape=shape)}, {table(np.sin, flipped=flipped, shape=shape)}"
    text = rotary(f"{HALVES} {turned} {FULL}", x="float[B,3,5,8] x", constants=constants)
    run = run_pass(text, "fuse-rotary,dce", opset=23)
    assert [each for each in run.ops if each != "Shape"] == [
        "Concat",
        "Expand",
        "Concat",
        "Expand",
        "RotaryEmbedding",
    ]


def test_angles_read_from_a_table_of_positions() -> None:
    constants = f", {table(np.cos, shape='5,8')}, {table(np.sin, shape='5,8')}"
    text = rotary(
        f"""{HALVES} {TURNED} i = Cast <to = 7> (p) j = Clip(i, low, high)
        co = Gather(cos0, j) si = Gather(sin0, j)
        cos = Unsqueeze(co, one) sin = Unsqueeze(si, one) {FULL}""",
        p="float[B,S] p",
        constants=constants.replace(" cos =", " cos0 =").replace(" sin =", " sin0 =")
        + ", int64 low = {0}, int64 high = {4}",
    )
    run = run_pass(text, "fuse-rotary,dce", opset=23)
    assert found(run) and run.ops.count("Gather") == 2


@pytest.mark.parametrize(
    ("part", "turns"), [("zero, five, rows", 1), ("zeros, all", 0), ("zero, eight, columns", 0)]
)
def test_angles_of_some_rows(part: str, turns: int) -> None:
    """Where the axes of a Slice are not named, it is not looked through; nor is one along the columns."""
    body = f"""{HALVES} {TURNED} f = Mul(p, rates) d = Concat <axis = -1> (f, f) e = Slice(d, {part})
        co = Cos(e) si = Sin(e) cos = Unsqueeze(co, one) sin = Unsqueeze(si, one) {FULL}"""
    constants = (
        ", int64[1] zero = {0}, int64[1] five = {5}, int64[1] eight = {8}, int64[1] rows = {1},"
        " int64[1] columns = {2}, int64[3] zeros = {0, 0, 0}, int64[3] all = {9, 9, 9}"
    )
    text = rotary(body, x="float[2,3,5,8] x", p="float[2,5,1] p", constants=constants)
    assert run_pass(text, "fuse-rotary,dce", opset=23).ops.count("RotaryEmbedding") == turns


def test_heads_behind_rows() -> None:
    angles = ANGLES.replace("(co, one)", "(co, two)").replace("(si, one)", "(si, two)")
    text = rotary(f"{HALVES} {TURNED} {angles} {FULL}", x="float[B,S,3,8] x")
    run = run_pass(text, "fuse-rotary,dce", opset=23)
    assert attribute_int(run.node("RotaryEmbedding"), "num_heads", 0) == 3


def test_heads_stay_unsplit() -> None:
    text = rotary(
        f"""w = Reshape(wide, heads) x = Transpose <perm = [0,2,1,3]> (w)
        {HALVES} {TURNED} {ANGLES} {FULL}""",
        x="float[B,S,24] wide",
        constants=", int64[4] heads = {0, 0, 3, 8}",
    )
    run = run_pass(text, "{fuse-rotary,merge-reshapes,eliminate-identities,dce}*", opset=23)
    node = run.node("RotaryEmbedding")
    assert attribute_int(node, "num_heads", 0) == 3 and node.inputs[0] is not None
    assert node.inputs[0].name == "wide"


@pytest.mark.parametrize("halves", ["Slice", "Split"])
def test_columns_that_are_not_turned(halves: str) -> None:
    parts = "x = Slice(z, none, eight, last) k = Slice(z, eight, end, last)"
    if halves == "Split":
        parts = "x, k = Split <axis = -1> (z, sizes)"
    body = f"{parts} {HALVES} {TURNED} {ANGLES} {FULL.replace('y =', 't =')} y = Concat <axis = -1> (t, k)"
    constants = ", int64[1] eight = {8}, int64[2] sizes = {8, 6}"
    run = run_pass(rotary(body, x="float[B,3,S,14] z", constants=constants), "fuse-rotary,dce", opset=23)
    node = run.node("RotaryEmbedding")
    assert attribute_int(node, "rotary_embedding_dim", 0) == 8 and "Split" not in run.ops


def test_halves_taken_from_the_whole() -> None:
    body = f"""x = Slice(z, none, eight, last) k = Slice(z, eight, end, last)
    x1 = Slice(z, none, half, last) x2 = Slice(z, half, eight, last)
    {TURNED} {ANGLES} {FULL.replace("y =", "t =")} y = Concat <axis = -1> (t, k)"""
    constants = ", int64[1] eight = {8}"
    run = run_pass(rotary(body, x="float[B,3,S,14] z", constants=constants), "fuse-rotary,dce", opset=23)
    assert attribute_int(run.node("RotaryEmbedding"), "rotary_embedding_dim", 0) == 8


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            f"{HALVES} n = Neg(x2) m = Neg(x1) r = Concat <axis = -1> (n, m) {ANGLES} {FULL}",
            "both halves are negated",
        ),
        (
            f"{HALVES} {TURNED} f = Mul(p, rates) g = Mul(p, rates2) d = Concat <axis = -1> (f, g)"
            " co = Cos(d)"
            f" si = Sin(d) cos = Unsqueeze(co, one) sin = Unsqueeze(si, one) {FULL}",
            "cosines or sines of both halves are not certainly alike",
        ),
        (
            f"{HALVES} r = Concat <axis = -1> (x2, x1) {ANGLES} {FULL}",
            "of both halves are not certainly alike",
        ),
        (
            f"{HALVES} {TURNED} {ANGLES} a = Mul(x, cos) b = Mul(r, sin) y = Sub(b, a)",
            "what is turned is subtracted from",
        ),
        (
            f"{HALVES} {TURNED} a = Mul(x, each) b = Mul(r, each) y = Add(a, b)",
            "differ between heads",
        ),
        (
            "x1 = Slice(x, none, three, last) x2 = Slice(x, three, end, last) n = Neg(x2)"
            f" r = Concat <axis = -1> (n, x1) {ANGLES} {FULL}",
            "rotary: the columns that change places are not both halves",
        ),
        (
            f"{HALVES} n = Neg(x2) r = Concat <axis = -1> (n, x2) {ANGLES} {FULL}",
            "rotary: the columns that change places are not both halves",
        ),
        (
            f"{HALVES} {HALF_ANGLES} a = Mul(x1, cos) b = Mul(x2, sin) c = Mul(x2, cos) d = Mul(x1, sin)"
            " e = Add(a, b) g = Add(c, d) y = Concat <axis = -1> (e, g)",
            "rotary: the halves are mixed with other signs than those of a rotation",
        ),
    ],
)
def test_near_misses(body: str, reason: str) -> None:
    fixed = {"x": "float[B,3,5,8] x", "p": "float[B,5,1] p"}
    ones = ", ".join(["1.0"] * 120)
    constants = ", float[4] rates2 = {1.0, 0.5, 0.25, 0.1251}, int64[1] three = {3}"
    constants += f", float[3,5,8] each = {{{ones}}}"
    run = run_pass(rotary(body, **fixed, constants=constants), "fuse-rotary", opset=23)
    assert run.changes == 0
    assert not reason or [each for each in run.refusals if reason in each], run.refusals


def test_an_older_opset_is_refused_and_raised() -> None:
    text = rotary(f"{HALVES} {TURNED} {ANGLES} {FULL}")
    kept = run_pass(text, "fuse-rotary", opset=18)
    assert kept.changes == 0 and "needs opset 23" in next(iter(kept.refusals))
    assert "RotaryEmbedding" in run_pass(text, "{fuse-rotary,raise-opset}*", opset=18).ops


def test_a_target_may_keep_the_spelling(tmp_path: Path) -> None:
    target = tmp_path / "slow.toml"
    target.write_text(
        'name = "slow"\ndescription = "one"\ndomains = [""]\n[times]\nRotaryEmbedding = 2.0\n', "utf-8"
    )
    text = rotary(f"{HALVES} {TURNED} {ANGLES} {FULL}")
    assert run_pass(text, FuseRotary(target=str(target)), opset=23).changes == 0


SWAPPED = f"{HALVES} {TURNED} {ANGLES} {FULL}"
MIXED = (
    f"{HALVES} {HALF_ANGLES} a = Mul(x1, cos) b = Mul(x2, sin) c = Mul(x2, cos) d = Mul(x1, sin)"
    " e = Sub(a, b) g = Add(c, d) y = Concat <axis = -1> (e, g)"
)
NEIGHBOURS_MIXED = MIXED.replace(HALVES, NEIGHBOURS).replace("y = Concat <axis = -1> (e, g)", STACKED)
IN_PAIRS = f"{PAIRS} {TURNED_PAIRS} {NEIGHBOUR_ANGLES} {FULL}".replace("SPLIT", "Split <axis = -1> (q, ones)")


@pytest.mark.parametrize(
    ("body", "old", "new"),
    [
        (SWAPPED, "Slice(x, none, half, last)", "Slice(x, one, half1, last)"),
        (SWAPPED, "Slice(x, half, end, last)", "Slice(x, none, eight, last, two)"),
        (SWAPPED, "Slice(x, half, end, last)", "Slice(o, half, end, last)"),
        (SWAPPED, "x1 = Slice(x, none, half, last)", "x1 = Slice(x, none, eight, last, two)"),
        (SWAPPED, "n = Neg(x2)", "n = Abs(x2)"),
        (SWAPPED, "n = Neg(x2)", "n = Mul(x2, two_and_a_half)"),
        (SWAPPED, "Mul(r, sin)", "Mul(r, cos)"),
        (SWAPPED, "Mul(x, cos)", "Mul(x, sin)"),
        (SWAPPED, "Mul(x, cos)", "Mul(o, cos)"),
        (SWAPPED, "Mul(x, cos)", "Div(x, cos)"),
        (SWAPPED, "y = Add(a, b)", "y = Mul(a, b)"),
        (SWAPPED, "y = Add(a, b)", "y = Sub(b, a)"),
        (SWAPPED, "co = Cos(d)", "co = Sin(d)"),
        (SWAPPED, "si = Sin(d)", "si = Tanh(d)"),
        (MIXED, "a = Mul(x1, cos)", "a = Mul(x2, cos)"),
        (MIXED, "a = Mul(x1, cos)", "a = Mul(x1, sin)"),
        (MIXED, "b = Mul(x2, sin)", "b = Mul(x2, cos)"),
        (MIXED, "c = Mul(x2, cos)", "c = Mul(x1, cos)"),
        (MIXED, "d = Mul(x1, sin)", "d = Mul(x2, sin)"),
        (MIXED, "d = Mul(x1, sin)", "d = Mul(x1, cos)"),
        (MIXED, "e = Sub(a, b)", "e = Sub(b, a)"),
        (MIXED, "e = Sub(a, b)", "e = Max(a, b)"),
        (MIXED, "g = Add(c, d)", "g = Sub(c, d)"),
        (MIXED, "Slice(x, half, end, last)", "Slice(o, half, end, last)"),
        (NEIGHBOURS_MIXED, "Slice(x, one, end, last, two)", "Slice(x, none, eight, last, two)"),
        (NEIGHBOURS_MIXED, "Slice(x, one, end, last, two)", "Slice(x, half, end, last)"),
        (NEIGHBOURS_MIXED, "Concat <axis = -1> (u1, u2)", "Concat <axis = -1> (u2, u1)"),
        (NEIGHBOURS_MIXED, "Unsqueeze(g, minus)", "Unsqueeze(e, minus)"),
        (NEIGHBOURS_MIXED, "y = Reshape(s, shape)", "t = Reshape(s, turned) y = Reshape(t, shape)"),
        (IN_PAIRS, "(n, x1)", "(x1, n)"),
        (IN_PAIRS, "(h, h)", "(h, k)"),
        (IN_PAIRS, "n = Neg(x2)", "n = Neg(x1)"),
    ],
)
def test_what_is_nearly_a_rotation_keeps_its_numbers(body: str, old: str, new: str) -> None:
    assert old in body
    constants = (
        ", int64[5] pairs = {0, 0, 0, 4, 2}, int64[1] minus = {-1}, int64[4] shape = {0, 0, 0, 8},"
        " int64[3] flat = {0, 0, 8}, int64[2] ones = {1, 1}, int64[1] half1 = {5}, int64[1] eight = {8},"
        " int64[5] turned = {0, 0, 2, 0, -1}, float two_and_a_half = {-2.5}"
    )
    text = rotary(body.replace(old, new, 1), x="float[2,3,4,8] x, float[2,3,4,8] o", constants=constants)
    text = text.replace("h = Unsqueeze(f, minus)", "h = Unsqueeze(f, minus) k = Neg(h)")
    run = run_pass(text, "fuse-rotary,dce", opset=23, full_check=False)
    assert "RotaryEmbedding" not in run.ops


@pytest.mark.parametrize("dtype", ["double", "bfloat16"])
def test_types_that_onnxruntime_does_not_turn(dtype: str) -> None:
    text = rotary(SWAPPED).replace("float[", f"{dtype}[")
    if dtype == "bfloat16":
        text = text.replace("{1.0, 0.5, 0.25, 0.125}", "{16256, 16128, 16000, 15872}")
    run = run_pass(text, "fuse-rotary", opset=23, inputs=())
    name = "DOUBLE" if dtype == "double" else "BFLOAT16"
    assert run.refusals == {f"fuse-full-rotary: rotary: onnxruntime has no RotaryEmbedding for {name}": 1}


def test_three_dimensions_have_no_heads() -> None:
    angles = "f = Mul(p, rates) d = Concat <axis = -1> (f, f) cos = Cos(d) sin = Sin(d)"
    run = run_pass(rotary(f"{HALVES} {TURNED} {angles} {FULL}", x="float[B,S,8] x"), "fuse-rotary", opset=23)
    assert [each for each in run.refusals if "no axis of heads" in each]


@pytest.mark.parametrize(
    "kept",
    [
        "k = Slice(z, seven, end, last) y = Concat <axis = -1> (t, k)",
        "k = Slice(z, eight, most, last) y = Concat <axis = -1> (t, k)",
        "k = Slice(z, eight, end, last) y = Concat <axis = -1> (k, t)",
        "k = Slice(other, eight, end, last) y = Concat <axis = -1> (t, k)",
    ],
)
def test_other_columns_behind_the_turned_ones_stay(kept: str) -> None:
    body = f"x = Slice(z, none, eight, last) {HALVES} {TURNED} {ANGLES} {FULL.replace('y =', 't =')} {kept}"
    constants = ", int64[1] seven = {7}, int64[1] eight = {8}, int64[1] most = {13}"
    x = "float[B,3,S,14] z, float[B,3,S,14] other"
    run = run_pass(rotary(body, x=x, constants=constants), "fuse-rotary,dce", opset=23)
    assert attribute_int(run.node("RotaryEmbedding"), "rotary_embedding_dim", 0) == 0
    assert "Concat" in run.ops


@pytest.mark.parametrize(("cosines", "sines"), [("one", "two"), ("two", "one")])
def test_angles_laid_out_differently_stay(cosines: str, sines: str) -> None:
    angles = ANGLES.replace("(co, one)", f"(co, {cosines})").replace("(si, one)", f"(si, {sines})")
    text = rotary(f"{HALVES} {TURNED} {angles} {FULL}", x="float[2,4,4,8] x", p="float[2,4,1] p")
    run = run_pass(text, "fuse-rotary", opset=23)
    assert run.changes == 0


@pytest.mark.parametrize("attribute", ["num_heads = 2", "rotary_embedding_dim = 4, num_heads = 2"])
def test_a_rotation_that_names_its_heads_takes_no_columns_in(attribute: str) -> None:
    text = f"""agraph (float[B,S,24] z, float[B,S,D] co, float[B,S,D] si) => (float[b,s,d] y)
    <int64[1] none = {{0}}, int64[1] begin = {{16}}, int64[1] end = {{24}}, int64[1] last = {{-1}}> {{
        x = Slice(z, none, begin, last) k = Slice(z, begin, end, last)
        t = RotaryEmbedding <{attribute}> (x, co, si) y = Concat <axis = -1> (t, k)
    }}"""
    assert run_pass(text, "fuse-rotary", opset=23, inputs=()).changes == 0


@pytest.mark.parametrize(
    ("view", "turned"),
    [
        ("Slice({x}0, none, five, one)", True),
        ("Slice({x}0, none, five, minus_two)", True),
        ("Slice({x}0, none, five, one, one)", True),
        ("Transpose <perm = [1,0,2]> ({x}9)", True),
        ("Expand({x}9, shape)", True),
        ("Squeeze({x}8, two)", True),
    ],
)
def test_views_of_angles_that_keep_their_columns(view: str, turned: bool) -> None:
    made = "f = Mul(p, rates) d = Concat <axis = -1> (f, f) co1 = Cos(d) si1 = Sin(d)"
    if "9" in view and "Transpose" in view:
        made += " co9 = Transpose <perm = [1,0,2]> (co1) si9 = Transpose <perm = [1,0,2]> (si1)"
        rows = 5
    elif "9" in view:
        made, rows = made.replace("co1", "co9").replace("si1", "si9"), 5
    elif "8" in view:
        made += " co8 = Unsqueeze(co1, two) si8 = Unsqueeze(si1, two)"
        rows = 5
    else:
        made, rows = made.replace("co1", "co0").replace("si1", "si0"), 9
    views = f"co = {view.format(x='co')} si = {view.format(x='si')}"
    both = "cos = Unsqueeze(co, one) sin = Unsqueeze(si, one)"
    text = rotary(
        f"{HALVES} {TURNED} {made} {views} {both} {FULL}",
        x="float[2,3,5,8] x",
        p=f"float[2,{rows},1] p",
        constants=", int64[1] five = {5}, int64[1] minus_two = {-2}, int64[3] shape = {2, 5, 8}",
    )
    run = run_pass(text, "fuse-rotary,dce", opset=23)
    assert ("RotaryEmbedding" in run.ops) == turned, run.refusals


@pytest.mark.parametrize("batch", ["2", "B"])
def test_angles_of_one_batch_serve_all(batch: str) -> None:
    text = rotary(f"{HALVES} {TURNED} {ANGLES} {FULL}", x=f"float[{batch},3,5,8] x", p="float[1,5,1] p")
    run = run_pass(text, "fuse-rotary,dce", opset=23)
    assert "RotaryEmbedding" in run.ops and run.ops.count("Expand") == 2
