"""Gradients of every operator that has a rule, against central differences; and what has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from graphopt.execute import Session
from graphopt.gradients import gradient_graph
from graphopt.gradients.rules import RULES
from graphopt.ir import static_shape
from graphopt.testing import parse_model

STEP = 2.0**-8
SMOOTH = 3e-3
"""Differences of float32 results, over such a step, are no better than that."""

Array = npt.NDArray[Any]

# Operator: a graph from x, or from several inputs, to y; those not named here are in POINTWISE.
CASES: dict[str, str] = {
    "Add": "(float[2,3,4] x, float[3,1] z) => (float y) { y = Add(x, z) }",
    "Sum": "(float[2,3] x, float[3] z, float[1,3] v) => (float y) { y = Sum(x, z, v) }",
    "Sub": "(float[3,1] x, float[2,3,4] z) => (float y) { y = Sub(x, z) }",
    "Mul": "(float[2,3,4] x, float[1,4] z) => (float y) { y = Mul(x, z) }",
    "Mul of itself": "(float[2,3] x) => (float y) { y = Mul(x, x) }",
    "Div": "(float[2,3] x, float[3] z) => (float y) { one = Constant<value_float=3.0>() b = "
    "Add(z, one) y = Div(x, b) }",
    "Pow": "(float[2,3] x) => (float y) { p = Constant<value_float=2.0>() y = Pow(x, p) }",
    "PRelu": "(float[2,3,4] x, float[3,1] z) => (float y) { y = PRelu(x, z) }",
    "Max": "(float[2,3] x, float[3] z) => (float y) { y = Max(x, z) }",
    "Min": "(float[2,3] x, float[3] z) => (float y) { y = Min(x, z) }",
    "Mean": "(float[2,3] x, float[3] z) => (float y) { y = Mean(x, z) }",
    "Where": "(float[2,3] x, float[3] z) => (float y) { n = Constant<value_float=0.1>() c = "
    "Greater(x, n) y = Where(c, x, z) }",
    "Identity": "(float[3] x) => (float y) { y = Identity(x) }",
    "Neg": "(float[3] x) => (float y) { y = Neg(x) }",
    "Cast": "(float[3] x) => (double y) { y = Cast<to=11>(x) }",
    "CastLike": "(float[3] x) => (float y) { n = Constant<value_float=0.0>() y = CastLike(x, n) }",
    "Dropout": "(float[3] x) => (float y) { y = Dropout(x) }",
    "MatMul": "(float[2,3,4] x, float[4,5] z) => (float y) { y = MatMul(x, z) }",
    "MatMul of batches": "(float[2,1,3,4] x, float[3,4,5] z) => (float y) { y = MatMul(x, z) }",
    "MatMul of a vector": "(float[4] x, float[2,4,5] z) => (float y) { y = MatMul(x, z) }",
    "MatMul by a vector": "(float[2,3,4] x, float[4] z) => (float y) { y = MatMul(x, z) }",
    "MatMul of vectors": "(float[4] x, float[4] z) => (float y) { y = MatMul(x, z) }",
    "Gemm": "(float[2,3] x, float[3,4] z, float[4] v) => (float y) { y = Gemm<alpha=0.5, "
    "beta=2.0>(x, z, v) }",
    "Gemm of the transposed": "(float[3,2] x, float[4,3] z, float[2,1] v) => (float y) { y = Gemm<transA=1, "
    "transB=1>(x, z, v) }",
    "Gemm by the transposed": "(float[2,3] x, float[4,3] z) => (float y) { y = Gemm<transB=1>(x, z) }",
    "Einsum": '(float[2,3] x, float[2,3,4] z) => (float y) { y = Einsum<equation="ab,abc->ca">(x, z) }',
    "Conv": "(float[2,4,7,6] x, float[6,2,3,2] W) => (float y) "
    "{ y = Conv<group=2, strides=[2,2], pads=[1,0,2,1], dilations=[1,2]>(x, W) }",
    "Conv with a bias": "(float[1,2,5] x, float[3] z, float[3,2,3] W) => (float y) { y = Conv(x, W, z) }",
    "Conv of its size": "(float[1,2,6,5] x, float[3,2,2,3] W) => (float y) "
    '{ y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, W) }',
    "ConvTranspose": "(float[1,4,3,4] x, float[4,2,3,3] W) => (float y) "
    "{ y = ConvTranspose<group=2, strides=[2,2], pads=[1,0,0,1], output_padding=[1,0]>(x, W) }",
    "ReduceSum": "(float[2,3,4] x) => (float y) { a = Constant<value_ints=[1]>() y = "
    "ReduceSum<keepdims=0>(x, a) }",
    "ReduceSum of all": "(float[2,3] x) => (float y) { y = ReduceSum<keepdims=0>(x) }",
    "ReduceMean": "(float[2,3,4] x) => (float y) { a = Constant<value_ints=[0,-1]>() y = ReduceMean(x, a) }",
    "GlobalAveragePool": "(float[2,3,4,5] x) => (float y) { y = GlobalAveragePool(x) }",
    "ReduceMax": "(float[2,9] x) => (float y) { a = Constant<value_ints=[1]>() y = "
    "ReduceMax<keepdims=0>(x, a) }",
    "ReduceMin": "(float[2,9] x) => (float y) { y = ReduceMin(x) }",
    "GlobalMaxPool": "(float[2,3,4] x) => (float y) { y = GlobalMaxPool(x) }",
    "ReduceL1": "(float[2,9] x) => (float y) { a = Constant<value_ints=[1]>() y = ReduceL1(x, a) }",
    "ReduceL2": "(float[2,9] x) => (float y) { a = Constant<value_ints=[1]>() y = "
    "ReduceL2<keepdims=0>(x, a) }",
    "ReduceSumSquare": "(float[2,9] x) => (float y) { y = ReduceSumSquare(x) }",
    "ReduceLogSum": "(float[2,9] x) => (float y) { e = Exp(x) y = ReduceLogSum(e) }",
    "ReduceLogSumExp": "(float[2,9] x) => (float y) { a = Constant<value_ints=[1]>() y = "
    "ReduceLogSumExp(x, a) }",
    "Softmax": "(float[2,5,3] x) => (float y) { y = Softmax<axis=1>(x) }",
    "LogSoftmax": "(float[2,5] x) => (float y) { y = LogSoftmax(x) }",
    "BatchNormalization": "(float[2,3,4] x, float[3] S, float[3] B, float[3] M, float[3] V) => (float y) "
    "{ e = Exp(V) y = BatchNormalization(x, S, B, M, e) }",
    "InstanceNormalization": "(float[2,3,4,5] x, float[3] S, float[3] B) => (float y) "
    "{ y = InstanceNormalization(x, S, B) }",
    "GroupNormalization": "(float[2,6,4] x, float[2] S, float[2] B) => (float y) "
    "{ y = GroupNormalization<num_groups=2>(x, S, B) }",
    "LayerNormalization": "(float[2,3,4] x, float[3,4] S, float[3,4] B) => (float y) "
    "{ y = LayerNormalization<axis=1>(x, S, B) }",
    "LpNormalization": "(float[2,5] x) => (float y) { y = LpNormalization<axis=1>(x) }",
    "MeanVarianceNormalization": "(float[2,3,4,5] x) => (float y) { y = MeanVarianceNormalization(x) }",
    "LRN": "(float[2,7,3,2] x) => (float y) { y = LRN<size=5, alpha=0.5, beta=0.6, bias=2.0>(x) }",
    "AveragePool": "(float[2,3,7,6] x) => (float y) { y = AveragePool<kernel_shape=[3,2], "
    "strides=[2,2], pads=[1,0,1,1]>(x) }",
    "AveragePool with padding": "(float[2,3,7] x) => (float y) "
    "{ y = AveragePool<kernel_shape=[3], strides=[2], pads=[1,1], count_include_pad=1>(x) }",
    "MaxPool": "(float[2,3,7,6] x) => (float y) { y = MaxPool<kernel_shape=[3,2], "
    "strides=[2,1], pads=[1,0,1,1]>(x) }",
    "Reshape": "(float[2,6] x) => (float y) { s = Constant<value_ints=[3,-1]>() y = Reshape(x, s) }",
    "Flatten": "(float[2,3,4] x) => (float y) { y = Flatten(x) }",
    "Squeeze": "(float[2,1,4] x) => (float y) { y = Squeeze(x) }",
    "Unsqueeze": "(float[2,4] x) => (float y) { a = Constant<value_ints=[1]>() y = Unsqueeze(x, a) }",
    "Transpose": "(float[2,3,4] x) => (float y) { y = Transpose<perm=[2,0,1]>(x) }",
    "Transpose of all": "(float[2,3,4] x) => (float y) { y = Transpose(x) }",
    "Concat": "(float[2,3] x, float[2,1] z, float[2,4] v) => (float y) { y = Concat<axis=1>(x, z, v) }",
    "Split": "(float[2,7] x) => (float y) { s = Constant<value_ints=[2,1,4]>() a, b, c = Split<axis=1>(x, s) "
    "d = ReduceSum(a) y = Mul(c, d) }",
    "Expand": "(float[3,1] x) => (float y) { s = Constant<value_ints=[2,3,4]>() y = Expand(x, s) }",
    "Pad": "(float[3,4] x) => (float y) { p = Constant<value_ints=[1,-1,0,2]>() y = Pad(x, p) }",
    "Pad of one axis": "(float[3,4] x) => (float y) { p = Constant<value_ints=[-1,2]>() "
    "n = Constant<value_float=1.0>() a = Constant<value_ints=[1]>() y = Pad(x, p, n, a) }",
    "Pad by reflection": "(float[3,4] x) => (float y) { p = Constant<value_ints=[1,0,0,2]>() y = "
    'Pad<mode="reflect">(x, p) }',
    "Resize": "(float[1,2,3,4] x) => (float y) { s = Constant<value_floats=[1.0,1.0,2.0,1.5]>() "
    'y = Resize<mode="nearest">(x, , s) }',
    "Slice": "(float[3,8] x) => (float y) { s = Constant<value_ints=[-1]>() e = Constant<value_ints=[0]>() "
    "a = Constant<value_ints=[1]>() t = Constant<value_ints=[-2]>() y = Slice(x, s, e, a, t) }",
    "Gather": "(float[3,4] x) => (float y) { i = Constant<value_ints=[2,0,2]>() y = Gather(x, i) }",
    "Tile": "(float[2,3] x) => (float y) { r = Constant<value_ints=[2,2]>() y = Tile(x, r) }",
    "DepthToSpace": "(float[1,8,2,3] x) => (float y) { y = DepthToSpace<blocksize=2>(x) }",
    "SpaceToDepth": "(float[1,2,4,6] x) => (float y) { y = SpaceToDepth<blocksize=2>(x) }",
    "Round": "(float[2,3] x) => (float y) { r = Round(x) y = Add(x, r) }",
}
NEWER: dict[str, tuple[int, str]] = {
    "GroupNormalization by channels": (
        21,
        "(float[2,6,4] x, float[6] S, float[6] B) => (float y) { y = "
        "GroupNormalization<num_groups=2>(x, S, B) }",
    ),
    "RMSNormalization": (23, "(float[2,5] x, float[5] S) => (float y) { y = RMSNormalization(x, S) }"),
    "Attention": (
        23,
        "(float[2,3,8] x, float[2,4,8] z, float[2,4,8] v, float[3,4] M) => (float y) "
        "{ y = Attention<q_num_heads=2, kv_num_heads=2>(x, z, v, M) }",
    ),
    "Attention of what was": (
        23,
        "(float[1,2,3,4] x, float[1,2,3,4] z, float[1,2,3,4] v) => (float y) "
        "{ y = Attention<is_causal=1, scale=0.7>(x, z, v) }",
    ),
}
POINTWISE = {
    **dict.fromkeys(
        ("Relu", "LeakyRelu", "ThresholdedRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Elu"), ""
    ),
    **dict.fromkeys(("Celu", "Selu", "Softplus", "Softsign", "Mish", "Erf", "Exp", "Abs", "Sin", "Cos"), ""),
}
WITH_OPTIONS = {
    "LeakyRelu": "<alpha=0.3>",
    "Elu": "<alpha=0.7>",
    "Celu": "<alpha=0.7>",
    "HardSigmoid": "<alpha=0.3, beta=0.4>",
    "ThresholdedRelu": "<alpha=0.3>",
}


def cases() -> list[tuple[str, int, str]]:
    found = [(name, 18, text) for name, text in CASES.items()]
    found += [(name, *case) for name, case in NEWER.items()]
    for op_type in POINTWISE:
        call = f"{op_type}{WITH_OPTIONS.get(op_type, '')}"
        found.append((op_type, 18, f"(float[2,9] x) => (float y) {{ y = {call}(x) }}"))
    for op_type in ("Log", "Sqrt", "Reciprocal"):
        body = f"e = Exp(x) y = {op_type}(e)"
        found.append((op_type, 18, f"(float[2,9] x) => (float y) {{ {body} }}"))
    clip = "l = Constant<value_float=-0.5>() h = Constant<value_float=0.6>() y = Clip(x, l, h)"
    found.append(("Clip", 18, f"(float[2,9] x) => (float y) {{ {clip} }}"))
    found.append(("Gelu", 20, "(float[2,9] x) => (float y) { y = Gelu(x) }"))
    found.append(("Gelu by tanh", 20, '(float[2,9] x) => (float y) { y = Gelu<approximate="tanh">(x) }'))
    found.append(("Swish", 24, "(float[2,9] x) => (float y) { y = Swish<alpha=1.5>(x) }"))
    return found


def made(text: str, opset: int) -> ir.Model:
    """A model whose weights, which have the capital names, are drawn."""
    model = parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]> agraph {text}')
    rng = np.random.default_rng(1)
    for value in [value for value in model.graph.inputs if (value.name or "").isupper()]:
        shape = static_shape(value) or ()
        array = rng.uniform(0.3, 1.0, shape) * rng.choice([-1, 1], shape)
        value.const_value = ir.tensor(array.astype(np.float32), name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    model.graph.outputs[0].shape = None
    return model


def drawn(values: list[ir.Value]) -> dict[str, Array]:
    """Numbers of which no two are near each other, and none near a bend of the functions above."""
    rng, found = np.random.default_rng(2), {}
    for value in values:
        shape = static_shape(value) or ()
        count = int(np.prod(shape))
        steps = (np.arange(count) - count / 2 + 0.37) * max(3.0 / count, 4 * STEP)
        found[value.name or ""] = rng.permutation(steps).reshape(shape).astype(np.float32)
    return found


def compared(model: ir.Model) -> None:
    """Hold the gradients of all inputs against differences of outputs."""
    inputs = drawn(list(model.graph.inputs))
    graph = gradient_graph(model, list(inputs))
    assert not graph.missing and not graph.hidden
    plain = Session(model, optimize=False)
    before = plain.run(inputs)["y"]
    seed = np.random.default_rng(3).normal(size=before.shape).astype(before.dtype)
    results = Session(graph.model, optimize=False).run({**inputs, graph.seeds["y"]: seed})
    for name, array in inputs.items():
        expected = np.zeros(array.shape)
        for place in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                moved = array.copy()
                moved[place] += sign * STEP
                y = plain.run({**inputs, name: moved})["y"]
                ends.append(float(np.sum(y.astype(np.float64) * seed)))
            expected[place] = (ends[0] - ends[1]) / (2 * STEP)
        gradient = results[graph.gradients[name]]
        assert gradient.shape == array.shape
        assert np.abs(gradient - expected).max() <= SMOOTH * max(1.0, np.abs(expected).max()), name


@pytest.mark.parametrize(("name", "opset", "text"), cases(), ids=[case[0] for case in cases()])
def test_the_gradient_is_that_of_differences(name: str, opset: int, text: str) -> None:
    compared(made(text, opset))


def test_every_rule_is_tried() -> None:
    told = {name.split()[0] for name, _, _ in cases()} | {"Sign", "Floor", "Ceil", "Upsample"}
    assert set(RULES) <= told


NETWORK = (
    "(float[N,3,H,8] x, float[6,3,3,3] W, float[6,6,1,1] V, float[6,4] B) => (float y) {"
    " a = Conv<pads=[1,1,1,1]>(x, W) r = Relu(a) c = Conv(r, V) s = Add(r, c)"
    " p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(s) g = GlobalAveragePool(p) f = "
    "Flatten(g) y = MatMul(f, B) }"
)


def test_values_read_by_several_get_the_sum_of_all_whatever_the_sizes() -> None:
    model = made(NETWORK, 13)
    graph = gradient_graph(model, ["x", "r"])
    rng = np.random.default_rng(5)
    session = Session(graph.model, optimize=False)
    for shape in ((1, 3, 6, 8), (2, 3, 4, 8)):
        x = rng.normal(size=shape).astype(np.float32)
        plain = Session(model, optimize=False)
        direction, step = rng.normal(size=shape).astype(np.float32), 1e-3
        ends = [plain.run({"x": x + sign * step * direction})["y"].astype(np.float64) for sign in (1, -1)]
        seed = rng.normal(size=ends[0].shape).astype(np.float32)
        results = session.run({"x": x, graph.seeds["y"]: seed})
        expected = float(np.sum((ends[0] - ends[1]) * seed)) / (2 * step)
        assert float(np.sum(results[graph.gradients["x"]] * direction)) == pytest.approx(expected, rel=2e-2)
        assert results[graph.gradients["r"]].shape == results["r"].shape


def test_the_model_itself_stays_as_it_is() -> None:
    model = made(NETWORK, 13)
    before = [node.op_type for node in model.graph], len(model.graph.inputs), model.opset_imports[""]
    gradient_graph(model, ["x", "p"])
    assert before == (
        [node.op_type for node in model.graph],
        len(model.graph.inputs),
        model.opset_imports[""],
    )


def test_what_lies_before_an_operator_without_a_rule_has_no_gradient_and_it_is_named() -> None:
    text = "(float[3,3] x) => (float y) { a = Relu(x) d = Det(a) e = Sigmoid(a) f = Add(d, e) y = Relu(f) }"
    graph = gradient_graph(made(text, 18), ["a", "d", "x"])
    assert set(graph.gradients) == {"d"}
    assert graph.hidden == {"a", "x"}
    (missing,) = graph.missing
    assert (missing.op_type, missing.reason) == ("Det", "nothing is known of the derivative of Det")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(float[1,2,5] x, float[3,2,2] z) => (float y) { y = Conv(x, z) }", "the weights of the conv"),
        ("(float[2,3] x, float[3] z) => (float y) { y = Pow(x, z) }", "the exponent of Pow"),
        ('(float[2,3] x) => (float y) { y = Einsum<equation="ij->i">(x) }', "repeated letters"),
        ('(float[1,1,3,4] x) => (float y) <float[4] s> { s = Constant<value_floats=[1.0,1.0,2.0,2.0]>() '
         'y = Resize<mode="linear">(x, , s) }', "only nearest copies"),
        ("(float[1,1,5] x) => (float y) { y = AveragePool<kernel_shape=[2], strides=[2], ceil_mode=1>(x) }",
         "stand out"),
        ("(bool c, float[3] x) => (float y) { y = If(c) <then_branch = t () => (float[3] a) { a = Relu(x) },"
         " else_branch = e () => (float[3] b) { b = Neg(x) }> }", "holds graphs"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_said(text: str, reason: str) -> None:
    model = made(text, 18)
    graph = gradient_graph(model, [value.name or "" for value in model.graph.inputs])
    assert any(reason in each.reason for each in graph.missing)
    assert graph.hidden


def test_what_no_output_depends_on_has_none() -> None:
    graph = gradient_graph(made("(float[3] x) => (float y) { a = Relu(x) y = Floor(x) }", 18), ["x", "a"])
    assert not graph.gradients
    assert not graph.hidden
    assert not graph.missing
