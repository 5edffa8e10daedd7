"""split: large nodes in parts along a free axis, the same numbers in less memory, nothing computed twice."""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx_ir as ir
import pytest

from graphopt.cost import estimate
from graphopt.cost.dims import Dims
from graphopt.ir import infer_shapes
from graphopt.memory.graph_plan import plan_graph
from graphopt.passes.memory.split import Split
from graphopt.testing import PassRun, parse_model, run_pass

Weights = Callable[..., str]


def arenas(run: PassRun) -> tuple[int, int]:
    """Bytes before and after; nothing may be computed twice."""
    for model in (run.before, run.model):
        infer_shapes(model)
    assert estimate(run.before).macs == estimate(run.model).macs
    before, after = (plan_graph(each.graph, Dims(each).known_shape) for each in (run.before, run.model))
    return before.arena, after.arena


def feed_forward(weights: Weights, tokens: str = "32") -> str:
    given = weights(w=(16, 64), b=(64,), v=(64, 16))
    return f"""g (float[1, {tokens}, 16] x) => (float[1, {tokens}, 16] y) {given} {{
        a = MatMul(x, w) c = Add(a, b) d = Tanh(c) e = MatMul(d, v) y = Add(e, x) }}"""


ATTENTION = """g (float[1, 32, 16] x) => (float[1, 32, 16] y) WEIGHTS {
    q = MatMul(x, w) k = MatMul(x, v) u = MatMul(x, o)
    qs = Reshape(q, heads) ks = Reshape(k, heads) us = Reshape(u, heads)
    qt = Transpose<perm = [0, 2, 1, 3]>(qs) kt = Transpose<perm = [0, 2, 3, 1]>(ks)
    ut = Transpose<perm = [0, 2, 1, 3]>(us) s = MatMul(qt, kt) t = Mul(s, scale) p = Softmax(t)
    m = MatMul(p, ut) n = Transpose<perm = [0, 2, 1, 3]>(m) r = Reshape(n, joined) y = MatMul(r, w) }"""


def attention(weights: Weights) -> str:
    given = weights(w=(16, 16), v=(16, 16), o=(16, 16), scale=())
    shapes = "int64[4] heads = {1, 32, 4, 4}, int64[3] joined = {1, 32, 16}, "
    return ATTENTION.replace("WEIGHTS", given.replace("<", "<" + shapes, 1))


def test_the_expanded_tensor_is_never_whole(weights: Weights) -> None:
    run = run_pass(feed_forward(weights), "split")
    before, after = arenas(run)
    assert before == 2048 + 8192 + 2048 and after < before / 2
    assert run.ops.count("Tanh") >= 4


def test_the_scores_of_an_attention_are_never_whole(weights: Weights) -> None:
    run = run_pass(attention(weights), "split")
    before, after = arenas(run)
    assert run.ops.count("Softmax") >= 4 and after < before / 2


def test_output_channels_take_weights_of_their_own(weights: Weights) -> None:
    text = f"""g (float[1, 4, 16, 16] x) => (float[A, B, C, D] y) {weights(w=(64, 4, 1, 1), b=(64,))} {{
        a = Conv(x, w, b) c = Relu(a) y = GlobalAveragePool(c) }}"""
    run = run_pass(text, "split")
    before, after = arenas(run)
    assert after < before / 3
    weights_left = [
        value for value in run.model.graph.initializers.values() if value.dtype == ir.DataType.FLOAT
    ]
    assert sum(math.prod(value.shape.numpy()) for value in weights_left if value.shape) == 64 * 4 + 64


def test_no_more_parts_than_a_budget_takes(weights: Weights) -> None:
    run = run_pass(feed_forward(weights), Split(9500))
    assert arenas(run)[1] <= 9500 and run.ops.count("Tanh") == 2


@pytest.mark.parametrize(
    "body",
    [
        "a = MatMul(x, w) y = Softmax<axis = 0>(a)",
        "a = Tanh(x) y = MatMul(a, w)",  # what is read and made is all there is
    ],
)
def test_must_not_apply(body: str, weights: Weights) -> None:
    run = run_pass(f"g (float[8, 8] x) => (float[8, 8] y) {weights(w=(8, 8))} {{ {body} }}", "split")
    assert run.changes == 0 and "no further change" in next(iter(run.refusals))


def test_free_sizes_are_told(weights: Weights) -> None:
    run = run_pass(feed_forward(weights, "N"), "split")
    assert "sizes of inputs are free" in next(iter(run.refusals))


def test_no_part_is_made_of_padding_alone() -> None:
    text = """g (float[1,4,1,1] x, float[1,4,1,1] w) => (float[3,1,3,2] y)
        <int64[8] p = {0, 0, 1, 1, 2, 0, 1, 0}> { v = Pad(x, p) y = Conv(v, w) }"""
    assert not run_pass(text, "split").changes


def test_where_nothing_runs_there_is_nothing_to_split() -> None:
    assert not run_pass("g (float[4] x) => (float[4] x) {}", "split").changes


def test_what_has_no_slice_is_not_cut() -> None:
    text = (
        """g (float[64,1] x, float[1,64] w) => (uint4[64,64] y) { a = MatMul(x, w) y = Cast<to = 21>(a) }"""
    )
    assert not run_pass(text, "split", opset=21).changes
    assert run_pass(text.replace("uint4", "uint8").replace("21", "2"), "split", opset=21).changes


def test_a_first_output_that_is_left_out_is_no_value() -> None:
    text = """g (float[8,4,4] x, float[1,4,4] w, float[1,4,4] r) => (float[1,4,4] y) {
        a = Exp(x)  z, h = RNN<hidden_size = 4>(a, w, r)  y = Exp(h) }"""
    model = parse_model(text)
    (node,) = [each for each in model.graph if each.op_type == "RNN"]
    node.outputs[0].name = ""
    run_pass(model, "split")
