"""Scales and shifts around attention: through heads, out of joined projections, and lost in a Softmax."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import PassRun, run_pass

Weights = Callable[..., str]
Close = Callable[[PassRun], None]

CONSTANTS = """,
    int64[4] heads = {0, 0, 2, 3}, int64[3] joined = {0, 0, 6}, float half = {0.5}, float[1] root = {2.0},
    float zero = {0.0}, float low = {-1e9}, int64[5] three = {0, 0, 3, 2, 3}, int64 i0 = {0}, int64 i1 = {1},
    int64 i2 = {2}, int64[3] thirds = {6, 6, 6}, int64[1] b0 = {0}, int64[1] b1 = {6}, int64[1] b2 = {12},
    int64[1] b3 = {18}, int64[1] last = {2}
>"""


def _attention(weights: Weights, scores: str, values: str = "vs", keys: str = "kt", extra: str = "") -> str:
    shapes = {f"w{name}": (6, 6) for name in "qkvo"} | {f"b{name}": (6,) for name in "kvo"}
    text = weights(**shapes)[:-1] + CONSTANTS.replace("b0", "c0").replace("b1", "c1")
    return f"""agraph (float[B,L,6] x, float[B,1,1,L] mask, bool[L,L] causal) => (float[B,L,6] y) {text} {{
        q0 = MatMul(x, wq)  q1 = Reshape(q0, heads)  q = Transpose<perm=[0,2,1,3]>(q1)
        k0 = MatMul(x, wk)  k1 = Add(bk, k0)  k2 = Reshape(k1, heads)  kt = Transpose<perm=[0,2,3,1]>(k2)
        v0 = MatMul(x, wv)  v1 = Add(v0, bv)  v2 = Reshape(v1, heads)  vs = Transpose<perm=[0,2,1,3]>(v2)
        {extra} s = MatMul(q, {keys})  {scores}  a = MatMul(p, {values})
        a1 = Transpose<perm=[0,2,1,3]>(a)  a2 = Reshape(a1, joined)  o = MatMul(a2, wo)  y = Add(o, bo)
    }}"""


@pytest.mark.parametrize(
    "scores",
    [
        "p = Softmax<axis=-1>(s)",
        "p = Softmax<axis=3>(s)",
        "t = Mul(s, half)  p = Softmax<axis=-1>(t)",
        "t = Div(s, root)  p = Softmax<axis=-1>(t)",
        "t = Mul(half, s)  m = Add(t, mask)  p = Softmax<axis=-1>(m)",
        "m = Add(mask, s)  p = Softmax<axis=-1>(m)",
        "m = Where(causal, s, low)  p = Softmax<axis=-1>(m)",
        "m = Where(causal, low, s)  t = Add(m, mask)  p = Softmax<axis=-1>(t)",
    ],
)
def test_biases_of_keys_and_values(weights: Weights, assert_close: Close, scores: str) -> None:
    run = run_pass(_attention(weights, scores), "absorb-affine", inputs=())
    assert run.hits["shift into what reads the value"] == 2
    assert sum(op == "Add" for op in run.ops) == 1 + sum(
        part.startswith("Add") for part in scores.split("= ")
    )
    assert_close(run)


@pytest.mark.parametrize(
    ("scores", "hits"),
    [
        ("p = Softmax<axis=2>(s)", 0),
        ("t = Relu(s)  p = Softmax<axis=-1>(t)", 1),
        ("m = Where(causal, s, zero)  p = Softmax<axis=-1>(m)", 1),
        ("t = Mul(s, mask)  p = Softmax<axis=-1>(t)", 1),
        ("t = Softmax<axis=-1>(s)  p = Mul(t, mask)", 1),
        ("p = Sigmoid(s)", 0),
    ],
)
def test_what_sees_a_shift_keeps_it(weights: Weights, assert_close: Close, scores: str, hits: int) -> None:
    run = run_pass(_attention(weights, scores), "absorb-affine", inputs=())
    assert run.hits["shift into what reads the value"] == hits
    assert_close(run)


@pytest.mark.parametrize(
    ("parts", "rank"),
    [
        ("q = Gather<axis=0>(t, i0)  k = Gather<axis=0>(t, i1)  v = Gather<axis=0>(t, i2)", 5),
        ("q, k, v = Split<axis=2>(a, thirds)", 3),
        ("q = Slice(a, b0, b1, last)  k = Slice(a, b1, b2, last)  v = Slice(a, b2, b3, last)", 3),
    ],
)
@pytest.mark.parametrize("scaled", ["Mul(q, half)", "Mul(half, q)", "Div(q, root)"])
def test_scale_of_one_part_of_a_joined_projection(
    weights: Weights, assert_close: Close, parts: str, rank: int, scaled: str
) -> None:
    shape = "B,2,L,3" if rank == 5 else "B,L,6"
    views = "r = Reshape(a, three)  t = Transpose<perm=[2,0,3,1,4]>(r)" if rank == 5 else ""
    text = weights(w=(6, 18), b=(18,))[:-1] + CONSTANTS
    run = run_pass(
        f"""agraph (float[B,L,6] x) => (float[{shape}] qs, float[{shape}] ks, float[{shape}] vs) {text} {{
            m = MatMul(x, w)  a = Add(m, b)  {views}  {parts}
            qs = {scaled}  ks = Relu(k)  vs = Relu(v)
        }}""",
        "absorb-affine",
        inputs=(),
    )
    assert run.hits == {"scale into what makes the value": 1}
    assert_close(run)


def test_a_part_that_overlaps_stays(weights: Weights) -> None:
    text = weights(w=(6, 18))[:-1] + CONSTANTS
    run = run_pass(
        f"""agraph (float[B,L,6] x) => (float[B,L,6] qs, float[B,L,12] ks) {text} {{
            a = MatMul(x, w)  q = Slice(a, b0, b1, last)  k = Slice(a, b0, b2, last)
            qs = Mul(q, half)  ks = Relu(k)
        }}""",
        "absorb-affine",
    )
    assert run.refusals == {"scale: it reaches an output of the graph": 1}


def test_values_per_channel_pass_views(weights: Weights, assert_close: Close) -> None:
    text = weights(w=(4, 6, 1, 1), s=(6,), t=(6, 1, 1), v=(6, 5))[:-1]
    run = run_pass(
        f"""agraph (float[N,3,2,2] x) => (float[N,2,2,4] y, float[N,5] z) {text},
            int64[3] flat = {{0, -1, 12}}, int64[3] channels = {{0, 6, 2}}
        > {{
            u = Concat<axis=1>(x, x)  m = Mul(u, t)  a = Conv(m, w)  y = Transpose<perm=[0,2,3,1]>(a)
            g = GlobalAveragePool(u)  f = Flatten(g)  h = Mul(f, s)  z = MatMul(h, v)
        }}""",
        "absorb-affine",
    )
    assert run.ops.count("Mul") == 0
    assert_close(run)


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("body", ["Mul(x, s)", "Add(s, x)", "Mul(x, one)", "Sub(x, one)"])
def test_recurrent_weights(weights: Weights, assert_close: Close, kind: str, gates: int, body: str) -> None:
    text = weights(w=(1, gates * 4, 3), r=(1, gates * 4, 4), b=(1, gates * 8), s=(3,), one=())
    run = run_pass(
        f"""agraph (float[L,B,3] x) => (float[L,1,B,4] y) {text} {{
            m = {body}  y = {kind}<hidden_size=4>(m, w, r, b)
        }}""",
        "absorb-affine",
    )
    assert run.ops == [kind]
    assert_close(run)


@pytest.mark.parametrize(
    ("attributes", "more", "bias", "hits"),
    [
        ("q_num_heads = 2, kv_num_heads = 2", "", "6", 2),
        ("q_num_heads = 2, kv_num_heads = 2, is_causal = 1", "", "1,1,6", 2),
        ("q_num_heads = 2, kv_num_heads = 2", ", low", "6", 2),
        ("q_num_heads = 2, kv_num_heads = 2, softcap = 2.0", "", "6", 0),
        ("q_num_heads = 2, kv_num_heads = 2", "", "1,4,6", 0),
        ("q_num_heads = 2, kv_num_heads = 2", ", low, past, past", "6", 0),
    ],
)
def test_biases_of_keys_and_values_of_the_operator(
    weights: Weights, assert_close: Close, attributes: str, more: str, bias: str, hits: int
) -> None:
    shape = tuple(map(int, bias.split(",")))
    outputs = "a, b, c" if "past" in more else "a"
    run = run_pass(
        f"""agraph (float[2,4,6] q, float[2,4,6] k, float[2,4,6] v) => (y)
        {weights(s=shape, t=shape, w=(6, 6), u=(6,), low=(4, 4), past=(2, 2, 0, 3))[:-1]}> {{
            ks = Add(k, s)  vs = Add(t, v)
            {outputs} = Attention <{attributes}> (q, ks, vs{more})
            o = MatMul(a, w)  y = Add(o, u)
        }}""",
        "absorb-affine",
        opset=23,
        inputs=(),
    )
    assert run.hits["shift into what reads the value"] == hits
    assert_close(run)


@pytest.mark.parametrize(
    ("reader", "output", "hits"),
    [("", "scores", 0), ("r = Abs(scores)  z = ReduceMax(r)", "z", 0), ("z = ReduceMax(a)", "z", 1)],
)
def test_biases_stay_where_scores_of_the_operator_are_seen(
    weights: Weights, assert_close: Close, reader: str, output: str, hits: int
) -> None:
    """As an output, or by a node: they are those of the shifted keys."""
    run = run_pass(
        f"""agraph (float[2,4,6] q, float[2,4,6] k, float[2,4,6] v) => (y, {output})
        {weights(s=(6,), w=(6, 6), u=(6,))} {{
            ks = Add(k, s)
            a, pk, pv, scores = Attention <q_num_heads = 2, kv_num_heads = 2> (q, ks, v)
            {reader}  o = MatMul(a, w)  y = Add(o, u)
        }}""",
        "absorb-affine",
        opset=23,
        inputs=(),
    )
    assert run.changes == hits
    assert_close(run)
