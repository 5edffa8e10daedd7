"""Attention as text, to spell in many ways; what feeds it, and what is found of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.testing import PassRun

BATCH, ROWS, COLUMNS, HEADS, DEPTH = 2, 5, 7, 3, 4
WIDTH = HEADS * DEPTH
SCALE = DEPTH**-0.5
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


MASK = np.where(np.arange(COLUMNS) < 4, 0, -1e9).astype(np.float32) * np.ones((BATCH, 1, ROWS, 1), np.float32)
