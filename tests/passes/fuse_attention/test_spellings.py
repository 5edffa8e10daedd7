"""Attention is recognised however its scores, weights and types are spelled."""

from __future__ import annotations

import re

import numpy as np
import pytest

from graphopt.compile.levels import LEVELS
from graphopt.execute.session import Session
from graphopt.ir import attribute_float, attribute_int
from graphopt.testing import run_pass

from .spelled import (
    BATCH,
    COLUMNS,
    DEPTH,
    HEADS,
    KEYS,
    MASK,
    MERGE,
    ROWS,
    SCALE,
    SPLIT,
    attention,
    feeds,
    found,
)


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


@pytest.mark.parametrize("axis", [None, 1, 3])
def test_a_softmax_of_an_old_opset_flattens(axis: int | None) -> None:
    softmax = "w = Softmax (z)" if axis is None else f"w = Softmax <axis = {axis}> (z)"
    run = run_pass(attention(softmax=softmax), "fuse-attention", opset=12)
    reason = next(iter(run.refusals))
    assert ("needs opset 23" if axis == 3 else "runs over axis 1") in reason
