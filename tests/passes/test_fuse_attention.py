"""Attention is recognised however it is spelled, and refused with a reason where something differs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.compile.levels import LEVELS
from graphopt.execute.session import Session
from graphopt.ir import attribute_float, attribute_int
from graphopt.passes.idioms._masks import is_causal
from graphopt.passes.idioms.fuse_attention import FuseAttention
from graphopt.testing import PassRun, run_pass

BATCH, ROWS, COLUMNS, HEADS, DEPTH = 2, 5, 7, 3, 4
WIDTH = HEADS * DEPTH
SCALE = DEPTH**-0.5
LOWEST = "-3.4028234663852886e38"

SPLIT = """
    q4 = Reshape(q, heads)
    k4 = Reshape(k, heads)
    v4 = Reshape(v, heads)
    qh = Transpose <perm = [0,2,1,3]> (q4)
    vh = Transpose <perm = [0,2,1,3]> (v4)
"""
KEYS = "kt = Transpose <perm = [0,2,3,1]> (k4)"
MERGE = """
    m = Transpose <perm = [0,2,1,3]> (c)
    y = Reshape(m, wide)
"""


def attention(
    *,
    scores: str = "p = MatMul(qh, kt) s = Mul(p, scale)",
    mask: str = "z = Identity(s)",
    softmax: str = "w = Softmax <axis = -1> (z)",
    weighting: str = "c = MatMul(w, vh)",
    split: str = SPLIT,
    keys: str = KEYS,
    merge: str = MERGE,
    inputs: str = "",
    constants: str = "",
    dims: tuple[object, object, object] = ("B", "S", "T"),
) -> str:
    """The text of a model: queries, keys and values [batch, rows, heads * depth] in and out."""
    batch, rows, columns = dims
    return f"""agraph (float[{batch},{rows},{WIDTH}] q, float[{batch},{columns},{WIDTH}] k,
        float[{batch},{columns},{WIDTH}] v{inputs}) => (float[b,s,w] y)
    <int64[4] heads = {{0, 0, {HEADS}, {DEPTH}}}, int64[3] wide = {{0, 0, {WIDTH}}},
     float scale = {{{SCALE}}}, float root = {{{SCALE**0.5}}}, float divisor = {{{1 / SCALE}}}{constants}> {{
        {split} {keys} {scores} {mask} {softmax} {weighting} {merge}
    }}"""


def feeds(**more: Any) -> list[dict[str, Any]]:
    """One set of inputs; `more` names masks by what they are, [batch, 1, rows, columns] and the like."""
    rng = np.random.default_rng(0)
    shapes = {"q": (BATCH, ROWS, WIDTH), "k": (BATCH, COLUMNS, WIDTH), "v": (BATCH, COLUMNS, WIDTH)}
    feed = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return [{**feed, **more}]


def found(run: PassRun) -> Any:
    """The Attention that stands for everything between queries, keys, values and the merged result."""
    node = run.node("Attention")
    assert not {"Softmax", "MatMul", "Einsum", "Transpose"} & set(run.ops), run.ops
    assert {each.idiom for record in run.records for each in record.findings} >= {"attention"}
    return node


@pytest.mark.parametrize(
    "scores",
    [
        "p = MatMul(qh, kt) s = Mul(p, scale)",
        "p = MatMul(qh, kt) s = Mul(scale, p)",
        "p = MatMul(qh, kt) s = Div(p, divisor)",
        "qs = Mul(qh, scale) s = MatMul(qs, kt)",
        "qs = Div(qh, divisor) s = MatMul(qs, kt)",
        "ks = Mul(scale, kt) s = MatMul(qh, ks)",
        "qs = Mul(qh, root) ks = Mul(kt, root) s = MatMul(qs, ks)",
        "qs = Mul(qh, root) ks = Div(kt, cube) s = MatMul(qs, ks)",
        "p = MatMul(qh, kt) t = Mul(p, scale) s = Mul(t, one)",
        "p = MatMul(qh, kt) i = Identity(p) s = Mul(i, wide_scale)",
        's = Einsum <equation = "bhid,bhdj->bhij"> (qs, kt)',
    ],
)
def test_a_scale_may_stand_anywhere(scores: str) -> None:
    constants = (
        f", float cube = {{{SCALE**-0.5}}}, float one = {{1.0}}, float[1,1,1,1] wide_scale = {{{SCALE}}}"
    )
    prefix = "qs = Mul(qh, scale) " if "Einsum" in scores else ""
    run = run_pass(
        attention(scores=prefix + scores, constants=constants), "fuse-attention", opset=23, inputs=feeds()
    )
    assert attribute_float(found(run), "scale", 0) == pytest.approx(SCALE)


def test_a_scale_may_hide_behind_the_transposition_of_heads() -> None:
    turned = "qh = Transpose <perm = [0,2,1,3]> ({})"
    split = SPLIT.replace(turned.format("q4"), "qs = Mul(q4, scale) " + turned.format("qs"))
    run = run_pass(
        attention(split=split, scores="s = MatMul(qh, kt)"), "fuse-attention", opset=23, inputs=feeds()
    )
    assert attribute_float(found(run), "scale", 0) == pytest.approx(SCALE)
    assert "Mul" not in run.ops


@pytest.mark.parametrize(
    ("split", "keys", "scores"),
    [
        (SPLIT, "kt = Transpose <perm = [0,2,3,1]> (k4)", "s = MatMul(qh, kt)"),
        (
            SPLIT,
            "kh = Transpose <perm = [0,2,1,3]> (k4) kt = Transpose <perm = [0,1,3,2]> (kh)",
            "s = MatMul(qh, kt)",
        ),
        (
            SPLIT,
            "kh = Transpose <perm = [0,2,1,3]> (k4)",
            's = Einsum <equation = "bhid,bhjd->bhij"> (qh, kh)',
        ),
        (SPLIT, "", 's = Einsum <equation = "bihd,bjhd->bhij"> (q4, k4)'),
        (SPLIT, "", 's = Einsum <equation = "bjhd, bihd -> bhij"> (k4, q4)'),
        (SPLIT, KEYS, 's = Einsum <equation = "nhqd,nhdk->nhqk"> (qh, kt)'),
        (
            SPLIT,
            """kh = Transpose <perm = [0,2,1,3]> (k4) k3 = Reshape(kh, flat)
            t3 = Transpose <perm = [0,2,1]> (k3) kt = Reshape(t3, turned)""",
            "s = MatMul(qh, kt)",
        ),
        (SPLIT, "ks = Mul(k4, one) kt = Transpose <perm = [0,2,3,1]> (ks)", "s = MatMul(qh, kt)"),
    ],
)
def test_keys_may_be_transposed_in_any_way(split: str, keys: str, scores: str) -> None:
    constants = (
        f", float one = {{1.0}}, int64[3] flat = {{{BATCH * HEADS}, {COLUMNS}, {DEPTH}}},"
        f" int64[4] turned = {{{BATCH}, {HEADS}, {DEPTH}, {COLUMNS}}}"
    )
    text = attention(split=split, keys=keys, scores=scores, constants=constants, dims=(BATCH, ROWS, COLUMNS))
    run = run_pass(
        text, "{merge-transposes,merge-reshapes,eliminate-identities,fuse-attention,dce}*", opset=23
    )
    assert attribute_float(found(run), "scale", 0) == 1.0


@pytest.mark.parametrize(
    "weighting",
    [
        "c = MatMul(w, vh)",
        'c = Einsum <equation = "bhij,bhjd->bhid"> (w, vh)',
        'm = Einsum <equation = "bhij,bjhd->bihd"> (w, v4) y = Reshape(m, wide)',
        'm = Einsum <equation = "bjhd,bhij->bihd"> (v4, w) y = Reshape(m, wide)',
        "d = Dropout(w) c = MatMul(d, vh)",
        "d = Cast <to = 1> (w) c = MatMul(d, vh)",
        "n = IsNaN(w) zero = Constant <value_float = 0.0> () g = Where(n, zero, w) c = MatMul(g, vh)",
        """n = IsNaN(w) o = Not(n) zero = Constant <value_float = 0.0> () g = Where(o, w, zero)
        c = MatMul(g, vh)""",
    ],
)
def test_weights_may_pass_what_leaves_them_alone(weighting: str) -> None:
    merge = "" if "y =" in weighting else MERGE
    run = run_pass(
        attention(weighting=weighting, merge=merge),
        "{merge-transposes,merge-reshapes,eliminate-identities,fuse-attention,dce}*",
        opset=23,
        inputs=feeds(),
    )
    found(run)


MASK = np.where(np.arange(COLUMNS) < 4, 0, -1e9).astype(np.float32) * np.ones((BATCH, 1, ROWS, 1), np.float32)
SEEN = (np.arange(COLUMNS) < np.arange(3, 3 + ROWS)[:, None]) & np.ones((BATCH, 1, ROWS, 1), np.bool_)


@pytest.mark.parametrize(
    ("declared", "mask", "value"),
    [
        ("float[B,1,S,T] mask", "z = Add(s, mask)", MASK),
        ("float[B,1,S,T] mask", "z = Add(mask, s)", MASK),
        ("float[1,1,S,T] mask", "z = Add(s, mask)", MASK[:1]),
        ("float[S,T] mask", "z = Add(s, mask)", MASK[0, 0]),
        ("float[1,S,T] mask", "z = Add(s, mask)", MASK[0]),
        ("float[B,1,1,T] mask", "z = Add(s, mask)", MASK[:, :, :1]),
        ("float[T] mask", "z = Add(s, mask)", MASK[0, 0, 0]),
        ("float[B,3,S,1] mask", "z = Add(s, mask)", np.ones((BATCH, HEADS, ROWS, 1), np.float32)),
        ("float[B,1,S,T] mask", "h = Mul(mask, scale) a = Add(s, h) z = Add(a, mask)", MASK),
        ("float[B,1,S,T] mask", "z = Sub(s, mask)", -MASK),
        ("bool[B,1,S,T] mask", f"z = Where(mask, s, {'low'})", SEEN),
        ("bool[B,1,S,T] mask", f"z = Where(mask, {'low'}, s)", ~SEEN),
        ("bool[B,1,S,T] mask", "n = Not(mask) z = Where(n, low, s)", SEEN),
        ("bool[B,1,S,T] mask", "z = Where(mask, s, never)", SEEN),
        ("bool[B,1,S,T] mask", "b = Where(mask, zero, never) z = Add(s, b)", SEEN),
        ("bool[B,1,S,T] mask", "b = Where(mask, zero, lowest) z = Add(s, b)", SEEN),
        (
            "int64[B,T] mask",
            """f = Cast <to = 1> (mask) u = Unsqueeze(f, axes) n = Sub(one, u) b = Mul(n, lowest)
            z = Add(s, b)""",
            SEEN[:, 0, 0].astype(np.int64),
        ),
    ],
)
def test_masks_of_all_kinds(declared: str, mask: str, value: Any) -> None:
    constants = (
        f", float zero = {{0.0}}, float one = {{1.0}}, float low = {{-1e9}}, float never = {{-inf}},"
        f" float lowest = {{{LOWEST}}}, int64[2] axes = {{1, 2}}"
    )
    run = run_pass(
        attention(mask=mask, inputs=f", {declared}", constants=constants),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=value),
    )
    node = found(run)
    assert len(node.inputs) == 4 and attribute_float(node, "scale", 0) == pytest.approx(SCALE)


@pytest.mark.parametrize(
    "views",
    [
        "e = Expand(lowest, square) b = Trilu <upper = 1> (e, k1)",
        "e = Expand(lowest, square) f = Mul(e, one) b = Trilu <upper = 1> (f, k1)",
        "e = Expand(line, square) f = Transpose <perm = [1,0]> (e) b = Min(f, one)",
        "e = Expand(line, square) b = Slice(e, k1v, k5v, k1v)",
        "e = ConstantOfShape <value = float[1] {-2}> (square) b = Trilu <upper = 1> (e, k1)",
    ],
)
def test_what_reads_the_shape_of_a_mask_finds_it_expanded(views: str) -> None:
    run = run_pass(
        attention(
            mask=f"{views} z = Add(s, b)",
            constants=f", float lowest = {{{LOWEST}}}, float one = {{1}}, int64[2] square = {{5, 5}},"
            f" float[5] line = {{{LOWEST}, 0, 0, 0, 0}}, int64 k1 = {{1}},"
            " int64[1] k1v = {0}, int64[1] k5v = {5}",
            dims=(1, 5, 5),
        ),
        "fuse-attention",
        opset=23,
    )
    run.node("Attention")


def test_a_scaled_mask_stays_scaled() -> None:
    run = run_pass(
        attention(
            scores="s = MatMul(qh, kt)",
            mask="a = Add(s, mask) z = Mul(a, scale)",
            inputs=", float[B,1,S,T] mask",
        ),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=np.random.default_rng(1).standard_normal(MASK.shape).astype(np.float32)),
    )
    assert attribute_float(found(run), "scale", 0) == pytest.approx(SCALE)


@pytest.mark.parametrize("guard", [True, False])
@pytest.mark.parametrize(
    "mask",
    [
        "b = Where(mask, zero, lowest) z = Add(s, b)",
        "e = Cast <to = 1> (mask) n = Sub(one, e) b = Mul(n, lowest) z = Add(s, b)",
        "z = Where(mask, s, lowest)",
        "z = Where(mask, s, low)",
        "e = Expand(fill, shape) b = Where(mask, zero, e) z = Add(s, b)",
    ],
)
def test_a_row_masked_wholly_by_finite_numbers_weighs_all_alike(mask: str, guard: bool) -> None:
    seen = SEEN.copy()
    seen[0, :, 2] = False
    guarded = "w0 = Softmax <axis = -1> (z) n0 = IsNaN(w0) w = Where(n0, zero, w0)"
    run = run_pass(
        attention(
            mask=mask,
            softmax=guarded if guard else "w = Softmax <axis = -1> (z)",
            inputs=", bool[B,1,S,T] mask",
            constants=f", float zero = {{0.0}}, float one = {{1.0}}, float low = {{-1e9}},"
            f" float lowest = {{{LOWEST}}}, float[1,1,1,1] fill = {{{LOWEST}}},"
            " int64[4] shape = {1, 1, 1, 1}",
        ),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=seen),
    )
    found(run)


def test_a_row_masked_wholly_by_infinity_is_zero_where_the_spelling_guards_it() -> None:
    seen = SEEN.copy()
    seen[0, :, 2] = False
    run = run_pass(
        attention(
            mask="b = Where(mask, zero, never) z = Add(s, b)",
            softmax="w0 = Softmax <axis = -1> (z) n0 = IsNaN(w0) w = Where(n0, zero, w0)",
            inputs=", bool[B,1,S,T] mask",
            constants=", float zero = {0.0}, float never = {-inf}",
        ),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=seen),
    )
    assert found(run).inputs[3].name == "mask"


@pytest.mark.parametrize(
    ("number", "step"), [("nan", "Add"), ("inf", "Add"), ("-inf", "Sub"), ("nan", "Sub")]
)
@pytest.mark.parametrize("constant", [False, True])
def test_a_mask_that_takes_all_weights_away_stays_guarded(number: str, step: str, constant: bool) -> None:
    """Attention has no number for such a row, where the guard has zeros."""
    mask = f"z = {step}(s, odd)" if constant else f"b = Where(mask, zero, odd) z = {step}(s, b)"
    run = run_pass(
        attention(
            mask=mask,
            softmax="w0 = Softmax <axis = -1> (z) n0 = IsNaN(w0) w = Where(n0, zero, w0)",
            inputs=", bool[B,1,S,T] mask",
            constants=f", float zero = {{0.0}}, float odd = {{{number}}}",
        ),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=SEEN),
    )
    assert "Attention" not in run.ops
    assert any("which a guard looks for" in reason for reason in run.refusals)


def test_a_mask_given_by_the_user_may_hold_the_lowest_float() -> None:
    mask = np.where(SEEN, 0, np.finfo(np.float32).min).astype(np.float32)
    mask[1, :, 1] = np.finfo(np.float32).min
    run = run_pass(
        attention(mask="z = Add(s, mask)", inputs=", float[B,1,S,T] mask"),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=mask),
    )
    assert "Max" in run.ops


@pytest.mark.parametrize("lowest", [False, True])
def test_a_given_mask_under_a_guard(lowest: bool) -> None:
    never = np.finfo(np.float32).min if lowest else -np.inf
    mask = np.where(SEEN, 0, never).astype(np.float32)
    mask[1, :, 1] = never
    run = run_pass(
        attention(
            mask="z = Add(s, mask)",
            softmax="w0 = Softmax <axis = -1> (z) n0 = IsNaN(w0) w = Where(n0, zero, w0)",
            inputs=", float[B,1,S,T] mask",
            constants=", float zero = {0.0}",
        ),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=mask),
    )
    found(run)


def test_a_mask_multiplied_with_minus_one() -> None:
    run = run_pass(
        attention(
            mask="n = Sub(mask, one) b = Mul(n, largest) z = Add(s, b)",
            inputs=", float[B,1,S,T] mask",
            constants=f", float one = {{1.0}}, float largest = {{{LOWEST[1:]}}}",
        ),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=np.zeros(MASK.shape, np.float32)),
    )
    found(run)


def test_a_product_written_transposed() -> None:
    text = attention(
        weighting="""wt = Transpose <perm = [0,1,3,2]> (w) vt = Transpose <perm = [0,2,3,1]> (v4)
        ct = MatMul(vt, wt) c = Transpose <perm = [0,1,3,2]> (ct)"""
    )
    pipeline = "{merge-transposes,merge-reshapes,eliminate-identities,fuse-attention,dce}*"
    found(run_pass(text, pipeline, opset=23, inputs=feeds()))


def test_a_softmax_that_is_spelled() -> None:
    text = attention(
        softmax="""m1 = ReduceMax <keepdims = 1> (z, behind) d1 = Sub(z, m1) e1 = Exp(d1)
        s1 = ReduceSum <keepdims = 1> (e1, behind) w = Div(e1, s1)""",
        constants=", int64[1] behind = {-1}",
    )
    run = run_pass(text, LEVELS[2], opset=18, inputs=feeds())
    assert run.ops == ["Attention"]


def test_a_constant_causal_mask_becomes_an_attribute() -> None:
    lower = ", ".join(["0, -1e9, -1e9", "0, 0, -1e9", "0, 0, 0"])
    run = run_pass(
        attention(
            mask="z = Add(s, causal)",
            constants=f", float[1,1,3,3] causal = {{{lower}}}",
            dims=("B", 3, 3),
        ),
        "fuse-attention",
        opset=23,
    )
    node = found(run)
    assert attribute_int(node, "is_causal", 0) == 1 and len(node.inputs) == 3


@pytest.mark.parametrize("yes", ["zero", "blank"])
def test_a_mask_chosen_from_constants_is_one(yes: str) -> None:
    run = run_pass(
        attention(
            mask=f"b = Where(tri, {yes}, never) z = Add(s, b)",
            constants=", bool[3,3] tri = {1, 0, 0, 1, 1, 0, 1, 1, 1}, float zero = {0},"
            " float[1,1] blank = {0}, float never = {-inf}",
            dims=("B", 3, 3),
        ),
        "fuse-attention",
        opset=23,
    )
    assert attribute_int(found(run), "is_causal", 0) == 1
    assert "Where" not in run.ops


def test_a_mask_that_hides_nothing_goes() -> None:
    run = run_pass(
        attention(
            mask="e = Expand(all, shape) b = Where(e, zero, low) z = Add(s, b)",
            constants=", bool[1,1,1,1] all = {1}, float zero = {0.0}, float low = {-1e9},"
            " int64[4] shape = {1, 1, 5, 7}",
            dims=("B", ROWS, COLUMNS),
        ),
        "fuse-attention",
        opset=23,
    )
    assert len(found(run).inputs) == 3


def test_capped_scores() -> None:
    run = run_pass(
        attention(
            scores="p = MatMul(qh, kt) d = Mul(p, small) t = Tanh(d) s = Mul(t, cap)",
            mask="z = Add(s, mask)",
            inputs=", float[B,1,S,T] mask",
            constants=", float small = {0.1}, float cap = {5.0}",
        ),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=MASK),
    )
    node = found(run)
    assert attribute_float(node, "softcap", 0) == 5.0
    assert attribute_float(node, "scale", 0) == pytest.approx(0.5)


HALF_MASK = "l16 = Cast <to = 10> (low) z = Add(s, l16)"
HALF_SCORES = "s16 = Cast <to = 10> (scale) p = MatMul(qh, kt) s = Mul(p, s16)"
NARROW = "w32 = Softmax <axis = 3> (z32) w = Cast <to = 10> (w32)"


@pytest.mark.parametrize(
    ("scores", "mask", "softmax", "precision"),
    [
        (HALF_SCORES, HALF_MASK, "w = Softmax <axis = 3> (z)", 0),
        (HALF_SCORES, HALF_MASK, f"z32 = Cast <to = 1> (z) {NARROW}", 1),
        (HALF_SCORES, "f = Cast <to = 1> (s) z32 = Add(f, low)", NARROW, 1),
        (
            "q32 = Cast <to = 1> (qh) k32 = Cast <to = 1> (kt) p = MatMul(q32, k32) s = Mul(p, scale)",
            "z32 = Add(s, low)",
            NARROW,
            1,
        ),
    ],
)
def test_half_floats(scores: str, mask: str, softmax: str, precision: int) -> None:
    text = attention(
        scores=scores,
        mask=mask,
        softmax=softmax,
        dims=("B", "S", COLUMNS),
        constants=", float[1,7] low = {0, 0, 0, 0, 0, 0, -65504}",
    )
    text = re.sub(r"float(\[[^\]]*\] [qkvy]\b)", r"float16\1", text)
    (feed,) = feeds()
    feed = {name: array.astype(np.float16) for name, array in feed.items()}
    run = run_pass(text, "fold,fuse-attention,dce", opset=23, inputs=())
    before, after = Session(run.before), Session(run.model)
    for expected, actual in zip(before.run(feed).values(), after.run(feed).values(), strict=True):
        assert np.abs(expected.astype(float) - actual).max() <= 4e-3
    assert attribute_int(found(run), "softmax_precision", 0) == precision


def test_heads_merged_into_the_batch() -> None:
    flat = f"int64[3] flat = {{{BATCH * HEADS}, -1, {DEPTH}}}"
    text = attention(
        split=SPLIT + "q3 = Reshape(qh, flat) v3 = Reshape(vh, flat)",
        keys="""kh = Transpose <perm = [0,2,1,3]> (k4) k3 = Reshape(kh, flat)
        kt = Transpose <perm = [0,2,1]> (k3)""",
        scores="p = MatMul(q3, kt) s = Mul(p, scale)",
        weighting="c3 = MatMul(w, v3) c = Reshape(c3, apart)",
        constants=f", {flat}, int64[4] apart = {{{BATCH}, {HEADS}, {ROWS}, {DEPTH}}}",
        dims=(BATCH, ROWS, COLUMNS),
    )
    run = run_pass(text, "fuse-attention", opset=23)
    node = run.node("Attention")
    assert attribute_int(node, "q_num_heads", 0) == 1 and "Softmax" not in run.ops


@pytest.mark.parametrize(
    "scores",
    [
        "p = MatMul(q3, kt) s3 = Mul(p, scale) b3 = Add(s3, slopes) s = Reshape(b3, apart)",
        "p = MatMul(q3, kt) s3 = Mul(scale, p) b3 = Add(tall, s3) s = Reshape(b3, apart)",
        "p = MatMul(q3, kt) s3 = Div(p, divisor) b3 = Add(s3, row) s = Reshape(b3, apart)",
        "p = MatMul(q3, kt) s3 = Mul(p, scale) b3 = Where(wide_seen, s3, low) s = Reshape(b3, apart)",
        "p = MatMul(q3, kt) s3 = Mul(p, scale) b3 = Sub(s3, slopes) s = Reshape(b3, apart)",
        "p = MatMul(q3, kt) b3 = Add(p, slopes) s3 = Mul(b3, scale) s = Reshape(s3, apart)",
    ],
)
@pytest.mark.parametrize("mask", ["z4 = Add(s, mask)", "z4 = Where(seen, s, low)"])
@pytest.mark.parametrize("back", [True, False])
def test_masks_over_heads_merged_into_the_batch_and_apart(scores: str, mask: str, back: bool) -> None:
    merged = BATCH * HEADS
    flat = f"int64[3] flat = {{{merged}, -1, {DEPTH}}}"
    rng = np.random.default_rng(1)
    slopes = ", ".join(f"{each:.3f}" for each in rng.standard_normal(merged * COLUMNS))
    tall = ", ".join(f"{each:.3f}" for each in rng.standard_normal(merged * ROWS * COLUMNS))
    z, softmax = (
        ("z = Reshape(z4, joined)", "w = Softmax <axis = -1> (z)")
        if back
        else ("", "w4 = Softmax <axis = -1> (z4) w = Reshape(w4, joined)")
    )
    text = attention(
        split=SPLIT + "q3 = Reshape(qh, flat) v3 = Reshape(vh, flat)",
        keys="kh = Transpose <perm = [0,2,1,3]> (k4) k3 = Reshape(kh, flat)"
        " kt = Transpose <perm = [0,2,1]> (k3)",
        scores=scores,
        mask=f"{mask} {z}",
        softmax=softmax,
        weighting="c3 = MatMul(w, v3) c = Reshape(c3, out)",
        inputs=f", float[{BATCH},1,{ROWS},{COLUMNS}] mask, bool[{BATCH},1,{ROWS},{COLUMNS}] seen,"
        f" bool[{merged},{ROWS},{COLUMNS}] wide_seen",
        constants=f", {flat}, int64[4] out = {{{BATCH}, {HEADS}, {ROWS}, {DEPTH}}}, float low = {{-1e9}},"
        f" int64[4] apart = {{{BATCH}, {HEADS}, {ROWS}, {COLUMNS}}},"
        f" int64[3] joined = {{{merged}, {ROWS}, {COLUMNS}}}, float[{COLUMNS}] row = {{1, 0, 2, 0, 3, 0, 1}},"
        f" float[{merged},1,{COLUMNS}] slopes = {{{slopes}}},"
        f" float[{merged},{ROWS},{COLUMNS}] tall = {{{tall}}}",
        dims=(BATCH, ROWS, COLUMNS),
    )
    seen = rng.random((BATCH, 1, ROWS, COLUMNS)) < 0.8
    seen[..., 0] = True
    wide_seen = rng.random((merged, ROWS, COLUMNS)) < 0.8
    wide_seen[..., 0] = True
    bias = np.where(seen, 0, -1e4).astype(np.float32)
    given = feeds(mask=bias, seen=seen, wide_seen=wide_seen)
    node = run_pass(text, "fuse-attention", opset=23, inputs=given).node("Attention")
    assert node.inputs[0] is not None and node.inputs[0].shape == (BATCH, HEADS, ROWS, DEPTH)


def test_queries_may_be_learned() -> None:
    learned = ", ".join(
        f"{each:.3f}" for each in np.random.default_rng(1).standard_normal(HEADS * ROWS * DEPTH)
    )
    text = attention(
        scores="p = MatMul(learned, kt) s = Mul(p, scale)",
        constants=f", float[1,{HEADS},{ROWS},{DEPTH}] learned = {{{learned}}}",
        dims=(1, ROWS, COLUMNS),
    )
    run = run_pass(text, "fuse-attention", opset=23)
    assert attribute_int(run.node("Attention"), "q_num_heads", 0) == HEADS and "Softmax" not in run.ops


FLAT = """q3 = Reshape(q, flat) qt = Transpose <perm = [1,0,2]> (q3) qh = Reshape(qt, apart)
    v3 = Reshape(v, flat) vt = Transpose <perm = [1,0,2]> (v3) vh = Reshape(vt, apart)"""
FLAT_KEYS = "k3 = Reshape(k, flat) kt = Transpose <perm = [1,2,0]> (k3) kh = Reshape(kt, turned)"
SPLIT_ROWS_FIRST = """q4 = Reshape(q, split) qh = Transpose <perm = [1,2,0,3]> (q4)
    v4 = Reshape(v, split) vh = Transpose <perm = [1,2,0,3]> (v4)"""


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("split", [FLAT, SPLIT_ROWS_FIRST])
@pytest.mark.parametrize(
    "keys",
    [
        FLAT_KEYS,
        "k4 = Reshape(k, split) kh = Transpose <perm = [1,2,3,0]> (k4)",
        "k4 = Reshape(k, split) kt = Transpose <perm = [1,2,0,3]> (k4)"
        " kh = Transpose <perm = [0,1,3,2]> (kt)",
    ],
)
@pytest.mark.parametrize("rows", [ROWS, "S"])
def test_rows_in_front_of_the_batch(batch: int, split: str, keys: str, rows: object) -> None:
    merged = batch * HEADS
    run = run_pass(
        f"""agraph (float[{rows},{batch},{WIDTH}] q, float[{COLUMNS},{batch},{WIDTH}] k,
            float[{COLUMNS},{batch},{WIDTH}] v) => (float[r,b,w] y)
        <int64[3] flat = {{-1, {merged}, {DEPTH}}}, int64[4] apart = {{{batch}, {HEADS}, -1, {DEPTH}}},
         int64[4] turned = {{{batch}, {HEADS}, {DEPTH}, {COLUMNS}}}, int64[3] wide = {{-1, {batch}, {WIDTH}}},
         int64[4] split = {{-1, {batch}, {HEADS}, {DEPTH}}}, float scale = {{{SCALE}}}> {{
            {split} {keys}
            p = MatMul(qh, kh) s = Mul(p, scale) w0 = Softmax(s) c = MatMul(w0, vh)
            m = Transpose <perm = [2,0,1,3]> (c)
            y = Reshape(m, wide)
        }}""",
        "fuse-attention",
        opset=23,
    )
    node = run.node("Attention")
    assert attribute_int(node, "q_num_heads", 0) == HEADS and "Softmax" not in run.ops


def test_queries_of_merged_heads_that_are_given() -> None:
    """The number of their rows is asked of the input, which no node makes."""
    run = run_pass(
        f"""agraph (float[6,S,4] q, float[6,7,4] k, float[6,7,4] v, float[2,1,S,7] mask) => (float[h,s,w] y)
        <float scale = {{{SCALE}}}, int64[4] apart = {{2, 3, -1, 7}}, int64[3] back = {{6, -1, 7}}> {{
            kt = Transpose <perm = [0,2,1]> (k) p = MatMul(q, kt) s = Mul(p, scale)
            s4 = Reshape(s, apart) z = Add(s4, mask) w4 = Softmax(z) w = Reshape(w4, back)
            y = MatMul(w, v)
        }}""",
        "fuse-attention",
        opset=23,
    )
    assert "Attention" in run.ops and "Softmax" not in run.ops


def test_one_head_without_an_axis_of_its_own() -> None:
    run = run_pass(
        f"""agraph (float[2,5,4] q, float[2,7,4] k, float[2,7,6] v, float[2,5,7] mask) => (float[b,s,w] y)
        <float scale = {{{SCALE}}}> {{
            kt = Transpose <perm = [0,2,1]> (k)
            p = MatMul(q, kt)
            s = Mul(p, scale)
            z = Add(s, mask)
            w = Softmax(z)
            y = MatMul(w, v)
        }}""",
        "fuse-attention",
        opset=23,
    )
    assert "Attention" in run.ops and "Softmax" not in run.ops


@pytest.mark.parametrize(
    "repeat",
    [
        """{x}u = Unsqueeze({x}h, two) {x}e = Expand({x}u, times) {x}r = Reshape({x}e, all)""",
        """{x}u = Unsqueeze({x}h, two) {x}e = Tile({x}u, tiles) {x}r = Reshape({x}e, all)""",
        """{x}u = Unsqueeze({x}h, two) {x}e = Concat <axis = 2> ({x}u, {x}u, {x}u)
        {x}r = Reshape({x}e, all)""",
        """{x}u = Reshape({x}h, single) {x}e = Expand({x}u, times) {x}r = Reshape({x}e, all)""",
        """{x}r = Gather <axis = 1> ({x}h, each)""",
        """{x}r = Gather <axis = -3> ({x}h, each)""",
        """{x}u = Unsqueeze({x}h, two) {x}e = Expand({x}u, whole) {x}r = Reshape({x}e, all)""",
        """{x}u = Unsqueeze({x}h, two) {x}e = Expand({x}u, times) {x}r = Reshape({x}e, open)""",
    ],
)
def test_heads_that_serve_a_group_of_queries(repeat: str) -> None:
    run = run_pass(
        f"""agraph (float[2,5,24] q, float[2,7,8] k, float[2,7,8] v) => (float[b,s,w] y)
        <int64[4] heads = {{0, 0, 6, 4}}, int64[4] groups = {{0, 0, 2, 4}}, int64[3] wide = {{0, 0, 24}},
         int64[1] two = {{2}}, int64[5] times = {{1, 1, 3, 1, 1}}, int64[5] whole = {{2, 2, 3, 7, 4}},
         int64[5] tiles = {{1, 1, 3, 1, 1}}, int64[4] all = {{2, 6, 7, 4}}, int64[4] open = {{2, -1, 7, 4}},
         int64[5] single = {{2, 2, 1, 7, 4}}, int64[6] each = {{0, 0, 0, 1, 1, 1}}> {{
            q4 = Reshape(q, heads)
            qh = Transpose <perm = [0,2,1,3]> (q4)
            k4 = Reshape(k, groups)
            kh = Transpose <perm = [0,2,1,3]> (k4)
            v4 = Reshape(v, groups)
            vh = Transpose <perm = [0,2,1,3]> (v4)
            {repeat.format(x="k")} {repeat.format(x="v")}
            kt = Transpose <perm = [0,1,3,2]> (kr)
            s = MatMul(qh, kt)
            w = Softmax(s)
            c = MatMul(w, vr)
            m = Transpose <perm = [0,2,1,3]> (c)
            y = Reshape(m, wide)
        }}""",
        "fuse-attention",
        opset=23,
    )
    node = found(run)
    assert (attribute_int(node, "q_num_heads", 0), attribute_int(node, "kv_num_heads", 0)) == (6, 2)


def test_heads_repeated_in_turns_stay_repeated() -> None:
    run = run_pass(
        """agraph (float[2,4,5,8] q, float[2,2,7,8] k, float[2,2,7,8] v) => (float[b,h,s,d] y)
        <int64[4] each = {0, 1, 0, 1}> {
            kr = Gather <axis = 1> (k, each)
            vr = Gather <axis = 1> (v, each)
            kt = Transpose <perm = [0,1,3,2]> (kr)
            s = MatMul(q, kt)
            w = Softmax(s)
            y = MatMul(w, vr)
        }""",
        "fuse-attention",
        opset=23,
    )
    assert run.ops == ["Gather", "Gather", "Attention"]


GROUPED = """agraph (float[2,6,5,4] q, float[2,2,7,4] k, float[2,2,7,4] v) => (float[b,h,s,d] y)
    <int64[1] two = {{2}}, int64[1] one = {{1}}, int64[5] times = {{1, 1, 3, 1, 1}},
     int64[4] all = {{2, 6, 7, 4}}, int64[5] turns = {{1, 3, 1, 1, 1}}, int64[5] wide = {{2, 2, 1, 7, 4}},
     int64[6] mixed = {{0, 0, 1, 0, 1, 1}}, int64[6] back = {{1, 1, 1, 0, 0, 0}}> {{
        {keys} {values} kt = Transpose <perm = [0,1,3,2]> (kr)
        s = MatMul(q, kt) w = Softmax(s) y = MatMul(w, vr)
    }}"""
REPEATED = "{x}u = Unsqueeze({x}, two) {x}e = Expand({x}u, times) {x}r = Reshape({x}e, all)"


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        (REPEATED, REPEATED.replace("Unsqueeze({x}, two)", "Unsqueeze({x}, one)").replace("times", "turns")),
        (REPEATED, "{x}r = Gather <axis = 1> ({x}, mixed)"),
        ("{x}r = Gather <axis = 1> ({x}, back)", "{x}r = Gather <axis = 1> ({x}, back)"),
        (REPEATED, REPEATED.replace("Unsqueeze({x}, two)", "Reshape({x}, wide)")),
        ("{x}r = Concat <axis = 1> ({x}, {x}, {x})", "{x}r = Concat <axis = 1> ({x}, {x}, {x})"),
        (REPEATED, "vn = Neg(v) {x}u = Unsqueeze({x}, two) n = Unsqueeze(vn, two)"
         " {x}e = Concat <axis = 2> ({x}u, n, {x}u) {x}r = Reshape({x}e, all)"),
    ],
)  # fmt: skip
def test_heads_repeated_otherwise_are_not_taken_for_groups(keys: str, values: str) -> None:
    text = GROUPED.format(keys=keys.format(x="k"), values=values.format(x="v"))
    run = run_pass(text, "fuse-attention", opset=23)
    node = run.node("Attention")
    heads = [None if each is None or each.shape is None else each.shape[1] for each in node.inputs[:3]]
    regular = "wide" in values
    assert heads == ([6, 2, 2] if regular else [6, 6, 6])


CACHED = """agraph (float[B,S,12] q, float[B,S,12] k, float[B,S,12] v, float[B,3,P,4] pk, float[B,3,P,4] pv,
    float[B,1,S,T] mask) => (float[b,s,w] y{more})
    <int64[4] heads = {{0, 0, 3, 4}}, int64[3] wide = {{0, 0, 12}}> {{
        {split}
        kh = Transpose <perm = [0,2,1,3]> (k4)
        ka = Concat <axis = {axis}> (pk, kh)
        va = Concat <axis = {axis}> (pv, vh)
        kt = Transpose <perm = [0,1,3,2]> (ka)
        s = MatMul(qh, kt)
        z = Add(s, mask)
        w = Softmax(z)
        c = MatMul(w, va)
        {merge}
    }}"""


@pytest.mark.parametrize("axis", [2, -2])
@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("past", [0, 3])
def test_keys_and_values_of_earlier_tokens(axis: int, kept: bool, past: int) -> None:
    more = ", float[B,3,T,4] ka, float[B,3,T,4] va" if kept else ""
    text = CACHED.format(split=SPLIT, merge=MERGE, axis=axis, more=more)
    feed = feeds()[0]
    feed = {name: array[:, :ROWS] for name, array in feed.items()}
    rng = np.random.default_rng(2)
    for name in ("pk", "pv"):
        feed[name] = rng.standard_normal((BATCH, HEADS, past, DEPTH)).astype(np.float32)
    feed["mask"] = rng.standard_normal((BATCH, 1, ROWS, past + ROWS)).astype(np.float32)
    run = run_pass(text, "fuse-attention", opset=23, inputs=[feed])
    node = found(run)
    assert "Concat" not in run.ops[: run.ops.index("Attention")] or "Expand" in run.ops
    assert len(node.inputs) == 6 and len(node.outputs) == 3


def test_queries_keys_and_values_stacked_by_one_product() -> None:
    run = run_pass(
        """agraph (float[B,S,36] x) => (float[b,s,w] y)
        <int64[5] apart = {0, 0, 3, 3, 4}, int64[3] wide = {0, 0, 12}, int64 zero = {0}, int64 one = {1},
         int64 two = {2}, float scale = {0.5}> {
            r = Reshape(x, apart)
            t = Transpose <perm = [2,0,3,1,4]> (r)
            q = Gather <axis = 0> (t, zero)
            k = Gather <axis = 0> (t, one)
            v = Gather <axis = 0> (t, two)
            qs = Mul(q, scale)
            kt = Transpose <perm = [0,1,3,2]> (k)
            s = MatMul(qs, kt)
            w = Softmax <axis = 3> (s)
            c = MatMul(w, v)
            m = Transpose <perm = [0,2,1,3]> (c)
            y = Reshape(m, wide)
        }""",
        "{fuse-attention,merge-reshapes,eliminate-identities,dce}*",
        opset=23,
    )
    assert run.ops == ["Split", "Attention"]


ADDED = {"weighting": "c0 = MatMul(w, vh) c = Mul(c0, r)"}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            {"softmax": "w = Softmax <axis = 2> (z)"},
            "attention: the softmax runs over axis 2, not the last one",
        ),
        (
            {"mask": "z = Where(seen, s, few)"},
            "attention: the value of the mask, -100, leaves weight on what is masked",
        ),
        (
            {"mask": "z = Where(seen, s, uneven)"},
            "attention: scores are replaced by more than one number",
        ),
        (
            {"scores": "p = MatMul(qh, kt) s = Mul(p, uneven)"},
            "attention: the scores are scaled by more than one number",
        ),
        ({"scores": "p = MatMul(qh, kt) s = Mul(p, negative)"}, "attention: the scale -1 is not positive"),
        (
            {"mask": "z = Add(s, larger)"},
            "attention: the mask may have more rows, heads or batches than the scores",
        ),
        (
            {"mask": "z = Where(taller, s, low)"},
            "attention: the mask may have more rows, heads or batches than the scores",
        ),
        (
            {"scores": "p = MatMul(qh, kt) s = Relu(p)", "mask": "h = Shape(p) z = Identity(s)"},
            "",
        ),
        (
            {"scores": "p = MatMul(qh, kt) a = Add(p, row) t = Tanh(a) s = Mul(t, scale)"},
            "attention: a mask is added before the scores are capped",
        ),
        (
            {"keys": "kh = Reshape(k4, square)", "scores": "p = MatMul(qh, kh) s = Mul(p, scale)"},
            "attention: the keys are not transposed",
        ),
        ({"weighting": "v0 = Identity(vh) c0 = MatMul(w, v0) c = Mul(c0, w4)"}, "elsewhere"),
        (
            {"weighting": "f = Cast <to = 1> (seen) w5 = Mul(f, w) c = MatMul(w5, vh)"},
            "attention: a mask or factor is laid over the weights, behind the softmax",
        ),
        (
            {"softmax": "w = Sigmoid(z)"},
            "attention: the weights come from a Sigmoid, not from a softmax",
        ),
        (
            {"scores": "p = MatMul(qh, kt) a = Where(seen, p, low) t = Tanh(a) s = Mul(t, scale)"},
            "attention: a mask is laid over the scores before they are capped",
        ),
        (
            {"scores": "p = MatMul(qh, kt) a = Tanh(p) t = Tanh(a) s = Mul(t, scale)"},
            "attention: the scores pass Tanh, and are not scaled back by a positive bound",
        ),
        (
            {"scores": "p = MatMul(qh, kt) t = Tanh(p) s = Mul(t, negative)"},
            "attention: the scores pass Tanh, and are not scaled back by a positive bound",
        ),
        (
            {"scores": "p = MatMul(qh, kt) s = Mul(p, scale) r = ReduceMax <keepdims = 1> (s)", **ADDED},
            "attention: its scores or weights are used elsewhere too",
        ),
        (
            {"softmax": "w0 = Softmax(z) w = Cast <to = 1> (w0) r = ReduceMax <keepdims = 1> (w0)", **ADDED},
            "attention: its scores or weights are used elsewhere too",
        ),
        (
            {"softmax": "w0 = Softmax(z) w = Identity(w0) r = ReduceMax <keepdims = 1> (w)", **ADDED},
            "attention: its scores or weights are used elsewhere too",
        ),
        (
            {"scores": "p = MatMul(qh, kt) d = Cast <to = 11> (p) s = Cast <to = 1> (d)"},
            "attention: the scores are cast to DOUBLE",
        ),
    ],
)
def test_near_misses(changed: dict[str, str], reason: str) -> None:
    if "w4" in changed.get("weighting", ""):
        changed["weighting"] = "r = ReduceMax <keepdims = 1> (w) c0 = MatMul(w, vh) c = Mul(c0, r)"
    text = attention(
        inputs=", bool[1,1,5,5] seen, bool[2,1,5,5] taller",
        constants=", float few = {-100}, float low = {-1e9}, float negative = {-1}, float[5] uneven ="
        " {-1e9, -2e9, -3e9, -4e9, -5e9}, float[2,1,1,1] larger = {0, 1}, float[1,1,1,5] row ="
        " {0, 0, 0, 0, 1}, int64[4] square = {0, 3, 4, 5}",
        dims=(1, 5, 5),
        **changed,
    )
    run = run_pass(text, "fuse-attention", opset=23)
    assert run.changes == 0
    assert not reason or [each for each in run.refusals if reason in each], run.refusals


def test_an_older_opset_is_refused_and_raised() -> None:
    text = attention()
    kept = run_pass(text, "fuse-attention", opset=18)
    assert kept.changes == 0 and "needs opset 23" in next(iter(kept.refusals))
    raised = run_pass(text, "{fuse-attention,raise-opset}*", opset=18)
    found(raised)


def test_a_target_may_keep_the_spelling(tmp_path: Path) -> None:
    target = tmp_path / "slow.toml"
    target.write_text(
        'name = "slow"\ndescription = "one"\ndomains = [""]\n[times]\nAttention = 2.0\n', "utf-8"
    )
    assert run_pass(attention(), FuseAttention(target=str(target)), opset=23).changes == 0


@pytest.mark.parametrize("axis", [None, 1, 3])
def test_a_softmax_of_an_old_opset_flattens(axis: int | None) -> None:
    softmax = "w = Softmax (z)" if axis is None else f"w = Softmax <axis = {axis}> (z)"
    run = run_pass(attention(softmax=softmax), "fuse-attention", opset=12)
    reason = next(iter(run.refusals))
    assert ("needs opset 23" if axis == 3 else "runs over axis 1") in reason


@pytest.mark.parametrize(
    ("mask", "causal"),
    [
        ([[1, 0, 0], [1, 1, 0], [1, 1, 1]], True),
        ([[0.0, -1e9, -1e4], [0.0, 0.0, -np.inf], [0.0, 0.0, 0.0]], True),
        ([[[[1, 0], [1, 1]]]], True),
        ([[1, 0, 0], [1, 1, 0]], False),
        ([[1, 0], [1, 1], [1, 1]], False),
        ([[[1, 0], [1, 1]], [[1, 0], [1, 1]]], False),
        ([[1, 1], [1, 1]], False),
        ([[1, 0], [0, 1]], False),
        ([[0.0, -10.0], [0.0, 0.0]], False),
        ([[1e-3, -1e9], [0.0, 0.0]], False),
        ([1], False),
    ],
)
def test_which_masks_are_causal(mask: Any, causal: bool) -> None:
    array = np.array(mask, np.float32)
    array = array if array.min() < 0 or 1e-3 in array else array.astype(np.bool_)
    value = ir.Value(name="mask", const_value=ir.Tensor(array), shape=ir.Shape(array.shape))
    ir.Graph([], [], nodes=[], initializers=[value])
    assert is_causal(value) == causal


def test_types_that_onnxruntime_has_no_attention_for() -> None:
    text = re.sub(r"\bfloat\b", "bfloat16", attention(scores="s = MatMul(qh, kt)"))
    text = re.sub(r"(scale|root|divisor) = \{[^}]*\}", r"\1 = {16128}", text)
    run = run_pass(text, "fuse-attention", opset=23, inputs=())
    assert run.refusals == {"fuse-attention: attention: onnxruntime has no Attention for BFLOAT16": 1}


def test_products_of_three_letters() -> None:
    """Without heads the rows are the second letter of three, and not the third."""
    run = run_pass(
        """agraph (float[B,S,4] q, float[B,T,4] k, float[B,T,4] v) => (float[B,S,4] y) <float scale = {0.5}> {
            p = Einsum <equation = "bqd,bkd->bqk"> (q, k)  s = Mul(p, scale)  w = Softmax <axis = -1> (s)
            y = Einsum <equation = "bqk,bkd->bqd"> (w, v)
        }""",
        "fuse-attention,dce",
        opset=23,
    )
    assert "Attention" in run.ops and "Einsum" not in run.ops
