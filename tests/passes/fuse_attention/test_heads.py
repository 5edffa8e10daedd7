"""Heads of attention: merged into the batch, repeated for groups of queries, kept from earlier tokens."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.ir import attribute_int
from graphopt.testing import run_pass

from .spelled import BATCH, COLUMNS, DEPTH, HEADS, MERGE, ROWS, SCALE, SPLIT, WIDTH, attention, feeds, found


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
