"""The fused forms of attention to time, with rotary and token embeddings: as in `fused_form_cases.py`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from fused_form_cases import CONSTANTS, Array, Case, Shape

EMBEDDING_WORDS = 30000


def attentions() -> Iterator[Case]:
    """Scaled dot product attention, whole or in parts."""
    for length, heads, depth in ((16, 12, 32), (128, 12, 32), (128, 12, 64), (512, 8, 64)):
        width = heads * depth
        size = f"S={length} heads={heads} d={depth}"
        split = np.array([0, 0, heads, depth])
        merge = np.array([0, 0, width])
        scale = depth**-0.5
        weights: dict[str, Shape | Array] = {
            **CONSTANTS,
            "split": split,
            "merge": merge,
            "scale": np.array(scale, np.float32),
            "root": np.array(scale**0.5, np.float32),
        }
        deep = dict.fromkeys("qkv", (1, heads, length, depth))
        wide = dict.fromkeys("qkv", (1, length, width))
        mask = {"mask": (1, 1, length, length)}
        no_mask = "m = MatMul(q, t) s = Mul(m, scale) p = Softmax <axis = -1> (s) y = MatMul(p, v)"
        masked = (
            "m = MatMul(q, t) f = Mul(m, scale) s = Add(f, mask) p = Softmax <axis = -1> (s) y = MatMul(p, v)"
        )
        transposed = "t = Transpose <perm = [0, 1, 3, 2]> (k) "
        heads_of = (
            "qs = Reshape(q, split) qt = Transpose <perm = [0, 2, 1, 3]> (qs)"
            " ks = Reshape(k, split) t = Transpose <perm = [0, 2, 3, 1]> (ks)"
            " vs = Reshape(v, split) vt = Transpose <perm = [0, 2, 1, 3]> (vs) "
        )
        joined = " yt = Transpose <perm = [0, 2, 1, 3]> (y4) y = Reshape(yt, merge)"

        def of_wide(text: str, heads_of: str = heads_of, joined: str = joined) -> str:
            inner = (
                text.replace("MatMul(q,", "MatMul(qt,").replace("(p, v)", "(p, vt)").replace("y =", "y4 =")
            )
            return heads_of + inner + joined

        numbers = f"q_num_heads = {heads}, kv_num_heads = {heads}"
        yield Case(
            "Attention", f"4-D {size}", deep, "y = Attention(q, k, v)", (transposed + no_mask,), weights
        )
        yield Case(
            "Attention",
            f"4-D masked {size}",
            {**deep, **mask},
            "y = Attention(q, k, v, mask)",
            (transposed + masked,),
            weights,
        )
        yield Case(
            "Attention.3D",
            f"3-D {size}",
            wide,
            f"y = Attention <{numbers}> (q, k, v)",
            (of_wide(no_mask),),
            weights,
        )
        yield Case(
            "Attention.3D",
            f"3-D masked {size}",
            {**wide, **mask},
            f"y = Attention <{numbers}> (q, k, v, mask)",
            (of_wide(masked),),
            weights,
        )
        yield Case(
            "com.microsoft.MultiHeadAttention",
            size,
            wide,
            f"y = com.microsoft.MultiHeadAttention <num_heads = {heads}> (q, k, v)",
            (of_wide(no_mask), f"y = Attention <{numbers}> (q, k, v)"),
            weights,
        )
        yield Case(
            "com.microsoft.MultiHeadAttention",
            f"masked {size}",
            {**wide, **mask},
            f"y = com.microsoft.MultiHeadAttention <num_heads = {heads}> (q, k, v, , , mask)",
            (of_wide(masked), f"y = Attention <{numbers}> (q, k, v, mask)"),
            weights,
        )
        biased = {f"b{part}": np.zeros(width, np.float32) for part in "qkv"}
        add = "qb = Add(q, bq) kb = Add(k, bk) vb = Add(v, bv) "
        behind = of_wide(masked).replace("(q,", "(qb,").replace("(k,", "(kb,").replace("(v,", "(vb,")
        yield Case(
            "com.microsoft.MultiHeadAttention",
            f"bias, masked {size}",
            {**wide, **mask},
            f"y = com.microsoft.MultiHeadAttention <num_heads = {heads}> (q, k, v, bm, , mask)",
            (add + behind,),
            {**weights, **biased, "bm": np.zeros(3 * width, np.float32)},
        )
        projections: dict[str, Array] = {
            f"w{part}": np.random.default_rng(number).normal(0, 0.05, (width, width)).astype(np.float32)
            for number, part in enumerate("qkv")
        }
        packed = np.concatenate([projections[f"w{part}"] for part in "qkv"], axis=1)
        project = (
            "qm = MatMul(x, wq) q = Add(qm, bq) km = MatMul(x, wk) k = Add(km, bk)"
            " vm = MatMul(x, wv) v = Add(vm, bv) "
        )
        everything = {
            **weights,
            **biased,
            **projections,
            "wm": packed,
            "bm": np.zeros(3 * width, np.float32),
            "ones": np.ones((1, length), np.int32),
        }
        together = f"com.microsoft.MultiHeadAttention <num_heads = {heads}> (q, k, v, , , mask)"
        apart = f"{project} y = {together}"
        hidden: dict[str, Shape | Array] = {"x": (1, length, width)}
        yield Case(
            "com.microsoft.Attention",
            size,
            hidden,
            f"y = com.microsoft.Attention <num_heads = {heads}> (x, wm, bm)",
            (
                project + of_wide(no_mask),
                apart.replace(", , , mask", ""),
                f"{project} y = Attention <{numbers}> (q, k, v)",
            ),
            everything,
        )
        yield Case(
            "com.microsoft.Attention",
            f"masked {size}",
            {**hidden, **mask},
            f"y = com.microsoft.Attention <num_heads = {heads}> (x, wm, bm, , , mask)",
            (project + of_wide(masked), apart, f"{project} y = Attention <{numbers}> (q, k, v, mask)"),
            everything,
        )
        yield Case(
            "com.microsoft.Attention.key-mask",
            f"masked {size}",
            hidden,
            f"y = com.microsoft.Attention <num_heads = {heads}> (x, wm, bm, ones)",
            (project + of_wide(no_mask),),
            everything,
        )
    yield from rotaries()
    yield from grouped_queries()
    yield from embeddings()


def rotaries() -> Iterator[Case]:
    """Rotary position embedding, over tables of all positions or of those in use."""
    for length, heads, depth in ((1, 12, 64), (16, 8, 64), (128, 12, 64), (512, 8, 64)):
        size = f"S={length} heads={heads} d={depth}"
        half = depth // 2
        angles = np.random.default_rng(0).uniform(-3, 3, (length, half)).astype(np.float32)
        cos, sin = np.cos(angles), np.sin(angles)
        both = [np.concatenate([table, table], -1).reshape(1, 1, length, depth) for table in (cos, sin)]
        weights: dict[str, Shape | Array] = {
            "cos": cos,
            "sin": sin,
            "cos3": cos[None],
            "sin3": sin[None],
            "cos2": both[0],
            "sin2": both[1],
            "p": np.arange(length).reshape(1, length),
            "begin": np.array([0]),
            "middle": np.array([half]),
            "end": np.array([depth]),
            "axis": np.array([-1]),
        }
        spelled = (
            "a = Slice(x, begin, middle, axis) b = Slice(x, middle, end, axis) n = Neg(b)"
            " r = Concat <axis = -1> (n, a) e = Mul(x, cos2) f = Mul(r, sin2) y = Add(e, f)"
        )
        inputs: dict[str, Shape | Array] = {"x": (1, heads, length, depth)}
        yield Case(
            "RotaryEmbedding",
            size,
            inputs,
            "y = RotaryEmbedding(x, cos3, sin3)",
            (spelled,),
            weights,
            repeat=2,
        )
        yield Case(
            "com.microsoft.RotaryEmbedding",
            size,
            inputs,
            "y = com.microsoft.RotaryEmbedding(x, p, cos, sin)",
            (spelled, "y = RotaryEmbedding(x, cos3, sin3)"),
            weights,
            repeat=2,
        )


def grouped_queries() -> Iterator[Case]:
    """Causal attention over a cache, fewer heads of keys than of queries."""
    for length, past, heads, shared, depth in ((1, 64, 8, 2, 64), (1, 512, 8, 8, 64), (128, 0, 8, 2, 64)):
        total = past + length
        size = f"S={length} past={past} heads={heads}/{shared} d={depth}"
        width = heads * depth
        mask = np.where(np.arange(total)[None] > past + np.arange(length)[:, None], -1e9, 0)
        weights: dict[str, Shape | Array] = {
            "split": np.array([0, 0, heads, depth]),
            "ksplit": np.array([0, 0, shared, depth]),
            "merge": np.array([0, 0, width]),
            "scale": np.array(depth**-0.5, np.float32),
            "mask": mask.astype(np.float32).reshape(1, 1, length, total),
            "last": np.array([total - 1], np.int32),
            "total": np.array(total, np.int32),
            "one2": np.array([2]),
            "five": np.array([1, shared, heads // shared, total, depth]),
            "four": np.array([1, heads, total, depth]),
        }
        inputs: dict[str, Shape | Array] = {
            "q": (1, length, width),
            "k": (1, length, shared * depth),
            "v": (1, length, shared * depth),
            "pk": (1, shared, past, depth),
            "pv": (1, shared, past, depth),
        }
        numbers = f"num_heads = {heads}, kv_num_heads = {shared}"
        spelled = (
            "qs = Reshape(q, split) qt = Transpose <perm = [0, 2, 1, 3]> (qs)"
            " ks = Reshape(k, ksplit) kt = Transpose <perm = [0, 2, 1, 3]> (ks)"
            " vs = Reshape(v, ksplit) vt = Transpose <perm = [0, 2, 1, 3]> (vs)"
            " kc = Concat <axis = 2> (pk, kt) vc = Concat <axis = 2> (pv, vt)"
            " ku = Unsqueeze(kc, one2) vu = Unsqueeze(vc, one2)"
            " ke = Expand(ku, five) ve = Expand(vu, five) kr = Reshape(ke, four) vr = Reshape(ve, four)"
            " t = Transpose <perm = [0, 1, 3, 2]> (kr) m = MatMul(qt, t) f = Mul(m, scale)"
            " s = Add(f, mask) p = Softmax <axis = -1> (s) y4 = MatMul(p, vr)"
            " yt = Transpose <perm = [0, 2, 1, 3]> (y4) y = Reshape(yt, merge)"
        )
        standard = (
            f"y, pk1, pv1 = Attention <q_num_heads = {heads}, kv_num_heads = {shared}>"
            " (q, k, v, mask, pk, pv)"
        )
        yield Case("Attention.cached", size, inputs, standard, (spelled,), weights)
        yield Case(
            "com.microsoft.GroupQueryAttention",
            size,
            inputs,
            f"y, pk1, pv1 = com.microsoft.GroupQueryAttention <{numbers}> (q, k, v, pk, pv, last, total)",
            (spelled, standard),
            weights,
        )


def embeddings() -> Iterator[Case]:
    """Token, position and segment embeddings and their normalization."""
    for length, width in ((16, 384), (128, 384), (512, 768)):
        ids = np.random.default_rng(0).integers(0, EMBEDDING_WORDS, (1, length))
        weights: dict[str, Shape | Array] = {
            "words": (EMBEDDING_WORDS, width),
            "positions": (512, width),
            "segments": (2, width),
            "c": (width,),
            "b": (width,),
            "place": np.arange(length).reshape(1, length),
        }
        yield Case(
            "com.microsoft.EmbedLayerNormalization",
            f"{length}x{width}",
            {"i": ids, "j": np.zeros((1, length), np.int64)},
            "i4 = Cast <to = 6> (i) j4 = Cast <to = 6> (j)"
            " y, _ = com.microsoft.EmbedLayerNormalization <epsilon = 1e-5>"
            " (i4, j4, words, positions, segments, c, b)",
            (
                "e = Gather(words, i) g = Gather(segments, j) f = Gather(positions, place)"
                " a = Add(e, g) s = Add(a, f) y = LayerNormalization <epsilon = 1e-5> (s, c, b)",
                "e = Gather(words, i) g = Gather(segments, j) f = Gather(positions, place)"
                " s = Sum(e, g, f) y = LayerNormalization <epsilon = 1e-5> (s, c, b)",
            ),
            weights,
        )
