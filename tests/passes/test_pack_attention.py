"""pack-attention: self-attention with its projections becomes one operator, however it is spelled."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import PassRun, run_pass

Weights = Callable[..., str]

PROJECT = {part: f"{part}0 = MatMul(x, w{part}) {part}1 = Add({part}0, b{part})" for part in "qkv"}
SPLIT = {
    "q": "q2 = Reshape(q1, split) q3 = Transpose <perm = [0, 2, 1, 3]> (q2)",
    "k": "k2 = Reshape(k1, split) k3 = Transpose <perm = [0, 2, 3, 1]> (k2)",
    "v": "v2 = Reshape(v1, split) v3 = Transpose <perm = [0, 2, 1, 3]> (v2)",
}
SCORES = "s0 = MatMul(q3, k3) s1 = Mul(s0, scale)"
MASKED = "s2 = Add(s1, mask)"
SOFTMAX = "p = Softmax <axis = -1> (s2) c0 = MatMul(p, v3)"
JOIN = "c1 = Transpose <perm = [0, 2, 1, 3]> (c0) y = Reshape(c1, join)"
OPERATOR = "y = Attention <q_num_heads = 2, kv_num_heads = 2> (q1, k1, v1{mask})"
MERGED = "q1, k1, v1 = Split <axis = -1, num_outputs = 3> (m)"
HEADED = (
    "k2 = Reshape(k1, split) k3 = Transpose <perm = [0, 2, 1, 3]> (k2)"
    " v2 = Reshape(v1, split) v3 = Transpose <perm = [0, 2, 1, 3]> (v2)"
    " c = Attention(q3, k3, v3) d = Transpose <perm = [0, 2, 1, 3]> (c) y = Reshape(d, join)"
)
FULL, KEYS, PLAIN = "B,1,S,S", "B,1,1,S", "S,S"


def model(
    weights: Weights, *parts: str, mask: str = FULL, values: int = 8, opset: int = 18, out: str = "B,S,8"
) -> str:
    """The parts of an attention over x, its mask of a shape; without parts the usual ones."""
    shapes = {f"w{part}": (8, 8) for part in "qk"} | {f"b{part}": (8,) for part in "qk"}
    random = weights(
        **shapes, wv=(8, values), bv=(values,), u=(8, 8), wm=(8, 24), bm=(24,), wt=(24, 8), two=(2, 1, 1)
    )
    constants = (
        f"int64[4] split = {{0, 0, 2, {values // 2}}}, int64[3] join = {{0, 0, {values}}},"
        " int64[4] even = {0, 0, 2, 4}, int64[2] rows = {-1, 8}, float scale = {0.5}, float half = {2.0},"
        " float root = {0.70710678}, float zero = {0.0}, float low = {-3.4028234663852886e38},"
        " float never = {-1.0e30}, float[1,1] one = {0.5}, int64[4] four = {0, 0, 4, 2},"
        " int64[4] three = {0, 0, 3, 8}, int64[1] two_ = {2}, int64[3] same = {-1, 8, 8},"
        " int64[3] halves = {0, -1, 4}"
    )
    body = " ".join(parts or usual())
    header = f'<ir_version: 10, opset_import: ["": {opset}]>'
    ports = f"float[B,S,8] x, float[B,S,8] z, float[{mask}] mask, bool[{mask}] keep"
    return f"{header} g ({ports}) => (float[{out}] y) {random[:-1]}, {constants}> {{ {body} }}"


def usual(**changed: str) -> list[str]:
    """The parts of the usual spelling, some of them changed."""
    parts = {
        **{f"{part}_project": PROJECT[part] for part in "qkv"},
        **{f"{part}_split": SPLIT[part] for part in "qkv"},
        "scores": SCORES,
        "masked": MASKED,
        "softmax": SOFTMAX,
        "join": JOIN,
    }
    assert changed.keys() <= parts.keys()
    return list((parts | changed).values())


def packed(run: PassRun) -> dict[str, object]:
    """Attributes of the one Attention that is left."""
    return {name: each.value for name, each in run.node("Attention").attributes.items()}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"scores": "s0 = MatMul(q3, k3) s1 = Mul(scale, s0)"},
        {"scores": "s0 = MatMul(q3, k3) s1 = Div(s0, half)"},
        {"scores": "s0 = MatMul(q3, k3) s1 = Mul(s0, one)"},
        {"q_split": SPLIT["q"].replace("q3", "q4") + " q3 = Mul(q4, scale)", "scores": "s1 = MatMul(q3, k3)"},
        {
            "q_project": PROJECT["q"].replace("q1", "q9") + " q1 = Div(q9, half)",
            "scores": "s1 = MatMul(q3, k3)",
        },
        {
            "q_split": SPLIT["q"].replace("q3", "q4") + " q3 = Mul(q4, root)",
            "k_split": SPLIT["k"].replace("k3", "k4") + " k3 = Mul(k4, root)",
            "scores": "s1 = MatMul(q3, k3)",
        },
        {"masked": "s2 = Add(mask, s1)"},
        {"softmax": SOFTMAX.replace("-1", "3")},
        {"q_project": "q0 = MatMul(x, wq) q1 = Add(bq, q0)"},
        {
            "q_project": f"m0 = MatMul(x, wm) m = Add(m0, bm) {MERGED}",
            "k_project": "",
            "v_project": "",
        },
        {
            "q_project": "m_lead = Shape <end = 2> (x) m_width = Constant <value_ints = [24]> ()",
            "k_project": "m_shape = Concat <axis = 0> (m_lead, m_width) f = Reshape(x, rows)",
            "v_project": f"m0 = Gemm <transB = 1> (f, wt, bm) m = Reshape(m0, m_shape) {MERGED}",
        },
    ],
)
def test_spellings_become_one_operator(weights: Weights, changed: dict[str, str]) -> None:
    run = run_pass(model(weights, *usual(**changed)), "pack-attention,dce")
    assert [op for op in run.ops if op not in ("Shape", "Concat")] == ["Attention"]
    attributes = packed(run)
    assert attributes["num_heads"] == 2
    assert attributes["scale"] == pytest.approx(0.5)


@pytest.mark.parametrize("mask", [FULL, "B,2,S,S", KEYS, "1,1,S,S", "1,1,1,S", PLAIN, "B,1,S,1"])
def test_masks_get_a_row_for_each_position(weights: Weights, mask: str) -> None:
    run = run_pass(model(weights, mask=mask), "pack-attention")
    expands = mask not in (FULL, "B,2,S,S", "1,1,S,S")
    assert ("Expand" in run.ops) == expands
    assert run.ops[-1] == "Attention"


def test_masks_are_not_expanded_before_there_is_an_expand(weights: Weights) -> None:
    fixed = [model(weights, mask="1,1,1,3", opset=opset).replace("[B,S,8]", "[2,3,8]") for opset in (7, 8)]
    old = run_pass(fixed[0], "pack-attention")
    assert set(old.refusals) == {"packed-spelling: there is no Expand at opset 7"}
    assert run_pass(fixed[1], "pack-attention").ops == ["Expand", "Attention"]


def test_no_mask_and_no_bias_are_fine(weights: Weights) -> None:
    parts = usual(q_project="q1 = MatMul(x, wq)", masked="s2 = Identity(s1)", v_project="v1 = MatMul(x, wv)")
    run = run_pass(model(weights, *parts), "eliminate-identities,pack-attention")
    assert run.ops == ["Attention"]
    assert len(run.node("Attention").inputs) == 3


def test_values_may_be_of_another_width(weights: Weights) -> None:
    parts = usual(q_split=SPLIT["q"].replace("split", "even"), k_split=SPLIT["k"].replace("split", "even"))
    run = run_pass(model(weights, *parts, values=6, out="B,S,6"), "pack-attention")
    assert packed(run)["qkv_hidden_sizes"] == (8, 8, 6)


def test_heads_split_together_with_positions_stay(weights: Weights) -> None:
    text = model(weights, *usual(masked="s2 = Identity(s1)")).replace("[B,S,8]", "[2,6,8]")
    text = text.replace("split = {0, 0, 2, 4}", "split = {3, 4, 2, 4}")
    run = run_pass(
        text.replace("join = {0, 0, 8}", "join = {2, 6, 8}"), "eliminate-identities,pack-attention"
    )
    assert run.refusals == {
        "packed-spelling: the heads of the attention are split together with another axis": 1
    }


def test_the_masked_softmax_without_a_number_may_be_guarded_where_it_always_has_one(weights: Weights) -> None:
    guard = "m = Where(keep, zero, low) s2 = Add(s1, m)"
    softmax = "p0 = Softmax(s2) n = IsNaN(p0) p = Where(n, zero, p0) c0 = MatMul(p, v3)"
    run = run_pass(model(weights, *usual(masked=guard, softmax=softmax)), "pack-attention")
    assert run.ops == ["Where", "Attention"]
    open_mask = run_pass(model(weights, *usual(softmax=softmax)), "pack-attention")
    assert set(open_mask.refusals) == {
        "packed-spelling: rows of the attention without any position are set to 0"
    }


@pytest.mark.parametrize(
    ("operator", "ops"),
    [
        (OPERATOR.format(mask=""), ["Attention"]),
        (OPERATOR.format(mask="").replace("= 2>", "= 2, is_causal = 1>"), ["Attention"]),
        (OPERATOR.format(mask="").replace("= 2>", "= 2, scale = 0.25>"), ["Attention"]),
        ("m = Where(keep, zero, never) " + OPERATOR.format(mask=", m"), ["Where", "Attention"]),
        ("m = Max(mask, never) " + OPERATOR.format(mask=", m"), ["Max", "Attention"]),
        (
            "i = Cast <to = 1> (keep) j = Sub(i, scale) m = Mul(j, half) " + OPERATOR.format(mask=", m"),
            ["Cast", "Sub", "Mul", "Attention"],
        ),
    ],
)
def test_the_operator_of_the_standard_is_packed(weights: Weights, operator: str, ops: list[str]) -> None:
    run = run_pass(model(weights, *PROJECT.values(), operator, opset=23), "pack-attention")
    assert run.ops == ops
    assert run.model.graph.node(-1).domain == "com.microsoft"


@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        (OPERATOR.format(mask=", mask"), "a row may be masked wholly"),
        (OPERATOR.format(mask=", keep"), "a row may be masked wholly"),
        ("m = Where(keep, zero, low) " + OPERATOR.format(mask=", m"), "a row may be masked wholly"),
        (
            OPERATOR.format(mask="").replace("= 2>", "= 2, softcap = 2.0>"),
            "the scores of the Attention are capped",
        ),
        (
            OPERATOR.format(mask="").replace("= 2>", "= 2, softmax_precision = 11>"),
            "the softmax of the Attention is in another type",
        ),
        (
            "y, past, later = " + OPERATOR.format(mask="")[4:] + " h = ReduceMax(past) y9 = Add(y, h)",
            "the Attention keeps keys and values for later",
        ),
        (SPLIT["q"] + " " + HEADED, "the heads of the Attention are split off already"),
        (
            "f = Cast <to = 1> (keep) m = Mul(f, low) " + OPERATOR.format(mask=", m"),
            "a row may be masked wholly",
        ),
        ("m = Min(mask, never) " + OPERATOR.format(mask=", m"), "a row may be masked wholly"),
        ("m = Sub(mask, never) " + OPERATOR.format(mask=", m"), "a row may be masked wholly"),
        (
            "f = Cast <to = 10> (mask) m = Cast <to = 1> (f) " + OPERATOR.format(mask=", m"),
            "a row may be masked",
        ),
    ],
)
def test_what_the_operator_of_the_standard_does_besides_keeps_it(
    weights: Weights, operator: str, reason: str
) -> None:
    text = model(weights, *PROJECT.values(), operator, opset=23)
    if "y9 =" in operator:
        text = text.replace("y, past", "a, past").replace("Add(y, h)", "Add(a, h)").replace("y9 =", "y =")
    run = run_pass(text, "pack-attention", full_check=False)
    assert run.changes == 0
    (found,) = run.refusals
    assert found.startswith(f"packed-operator: {reason}")


TURNED_LATE = "k4 = Transpose <perm = [0, 1, 3, 2]> (k3) s0 = MatMul(q3, k4) s1 = Mul(s0, scale)"
TWO_MASKS = "the scores of the attention get more than one mask, or scale it"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            {"k_project": PROJECT["k"].replace("(x", "(z")},
            "query, key and value are not projected from one value",
        ),
        ({"k_project": "k1 = Relu(x)"}, "an operand of the attention is no product with a constant"),
        ({"softmax": SOFTMAX.replace("-1", "2")}, "the Softmax of the attention is not along the last axis"),
        ({"masked": "s9 = Add(s1, mask) s2 = Add(s9, mask)"}, TWO_MASKS),
        ({"masked": "s9 = Add(s1, mask) s2 = Mul(s9, half)"}, TWO_MASKS),
        (
            {"scores": "s0 = MatMul(q3, k3) s1 = Mul(s0, two)"},
            "an operand of the attention is scaled by more than one number",
        ),
        (
            {"scores": SCORES.replace("scale", "zero")},
            "a scale of 0, in place of which onnxruntime takes the usual one",
        ),
        (
            {"v_split": SPLIT["v"].replace("v3", "v4") + " v3 = Mul(v4, half)"},
            "the values of the attention are scaled",
        ),
        (
            {"q_project": "q0 = MatMul(x, wq) q1 = Add(q0, z)"},
            "what is added to an operand of the attention is no bias",
        ),
        (
            {"q_project": f"{PROJECT['q'].replace('q1', 'q9')} q1 = Cast <to = 1> (q9)"},
            "an operand of the attention is no product with a constant",
        ),
        (
            {"q_project": "q1 = MatMul(wq, x)"},
            "an operand of the attention is no product with a constant matrix",
        ),
        (
            {"q_project": "q0 = MatMul(x, wq) q1 = Add(q0, scale)"},
            "what is added to an operand of the attention is no bias",
        ),
        (
            {"k_split": SPLIT["k"].replace("[0, 2, 3, 1]", "[0, 2, 1, 3]"), "scores": TURNED_LATE},
            "the heads of the attention are split off in another order",
        ),
        (
            {"v_split": SPLIT["v"].replace("split", "four"), "join": JOIN},
            "query, key and value of the attention have different numbers of heads",
        ),
        (
            {"scores": "s0 = MatMul(q3, k3) s1 = Div(scale, s0)"},
            "an operand of the attention is scaled by more than one number",
        ),
        (
            {"scores": "s0 = MatMul(q3, k3) s1 = Tanh(s0)", "masked": "s2 = Mul(s1, scale)"},
            "the scores in front of the Softmax are no product",
        ),
        ({"join": JOIN.replace("join", "halves")}, "the heads of the attention are not joined side by side"),
        (
            {
                "q_project": "m0 = MatMul(x, wm) m1 = Add(m0, bm)",
                "k_project": "m = Reshape(m1, three) a, b, c = Split <axis = 2, num_outputs = 3> (m)",
                "v_project": "q1 = Squeeze(a, two_) k1 = Squeeze(b, two_) v1 = Squeeze(c, two_)",
            },
            "an operand of the attention is no product with a constant",
        ),
        (
            {"q_project": "f = Reshape(x, rows) g = Gemm <alpha = 0.5> (f, wq, bq) q1 = Reshape(g, same)"},
            "an operand of the attention is no product with a constant matrix",
        ),
        (
            {"q_project": "f = Reshape(x, rows) g = Gemm <beta = 0.5> (f, wq, bq) q1 = Reshape(g, same)"},
            "an operand of the attention is no product with a constant matrix",
        ),
        (
            {"q_project": "f = Reshape(x, rows) g = Gemm(f, wq, scale) q1 = Reshape(g, same)"},
            "what is added to an operand of the attention is no bias",
        ),
    ],
)
def test_near_misses_stay_with_a_reason(weights: Weights, changed: dict[str, str], reason: str) -> None:
    text = model(weights, *usual(**changed)).replace("B,S,", "2,8,")
    run = run_pass(text, "pack-attention", full_check=False)
    assert (run.changes, set(run.refusals)) == (0, {f"packed-spelling: {reason}"})


def test_a_number_of_heads_given_at_run_time_stays(weights: Weights) -> None:
    text = model(weights, *usual(q_split=SPLIT["q"].replace("split", "given"))).replace(
        "float[B,S,8] z", "float[B,S,8] z, int64[4] given"
    )
    run = run_pass(text, "pack-attention", inputs=())
    assert set(run.refusals) == {"packed-spelling: the number of heads of the attention is not known"}


def test_other_types_stay(weights: Weights) -> None:
    text = model(weights).replace("float", "double").replace("> (", "> (")
    run = run_pass(text, "pack-attention", inputs=())
    assert set(run.refusals) == {"packed-spelling: the attention is not in float32"}


@pytest.mark.parametrize("used", ["q0", "k1", "v1"])
def test_projections_that_are_used_elsewhere_stay(weights: Weights, used: str) -> None:
    parts = usual(join=JOIN.replace("y =", "y9 =") + f" n = ReduceSum({used}) y = Add(y9, n)")
    run = run_pass(model(weights, *parts), "pack-attention")
    assert set(run.refusals) == {"packed-spelling: an operand of the attention is used elsewhere too"}


def test_scores_that_are_used_elsewhere_stay(weights: Weights) -> None:
    parts = usual(join="n = ReduceSum(s1) c2 = Add(c0, n) " + JOIN.replace("(c0)", "(c2)"))
    assert run_pass(model(weights, *parts), "pack-attention").changes == 0


def test_a_mask_of_more_batches_than_the_scores_stays(weights: Weights) -> None:
    run = run_pass(model(weights, mask="M,1,S,S"), "pack-attention", inputs=())
    assert set(run.refusals) == {
        "packed-spelling: the mask of the attention is not known to broadcast to its scores"
    }
