"""The evaluator computes what onnxruntime computes, operator by operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute.session import Session
from graphopt.idioms.evaluate import OPERATORS, CannotEvaluateError, evaluate
from graphopt.ir import constant
from graphopt.testing import parse_model

INPUTS = "float[2,3,4] x, float[2,3,4] o, bool[2,3,4] b, bool[2,3,4] d"
CONSTANTS = """float[3] scale = {0.5, -2, 3}, float[3] shift = {1, 0, -1}, float[4] last = {1, -2, 0.5, 3},
    float low = {-0.5}, float high = {0.75}, float[1] slope = {0.25}, int64[2] axes = {0, -1},
    int64[1] one = {1}, int64[3] shape = {0, -1, 2}, int64[3] exact = {2, 3, 4}, int64[2] picks = {1, 0},
    int64[3] wide = {2, 3, 4}, float[3,4] plane = {1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 7, 6}"""

UNARY = [
    *("Abs", "Erf", "Exp", "HardSwish", "Identity", "Mish", "Neg", "Reciprocal", "Relu", "Sigmoid", "Sign"),
    *("Softplus", "Softsign", "Tanh", "Celu", "Elu", "Selu", "HardSigmoid", "LeakyRelu", "Flatten", "Size"),
    *(
        "Softmax",
        "LogSoftmax",
        "LpNormalization",
        "IsNaN",
        "IsInf",
        "Shape",
        "GlobalAveragePool",
        "Transpose",
    ),
]
BINARY = [
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Max",
    "Min",
    "Sum",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Equal",
]
REDUCTIONS = ["L1", "L2", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]

CASES = [
    *((f"y = {name}(x)", 18) for name in UNARY),
    *((f"y = {name}(x, o)", 18) for name in BINARY),
    *((f"y = {name}(b, d)", 18) for name in ("And", "Or", "Xor")),
    *((f"y = Reduce{name}(x)", 18) for name in REDUCTIONS),
    *((f"y = Reduce{name}<keepdims = 0>(x, axes)", 18) for name in REDUCTIONS),
    *((f"y = Reduce{name}<axes = [1]>(x)", 11) for name in REDUCTIONS),
    *((f"y = Reduce{name}<noop_with_empty_axes = 1>(x)", 18) for name in ("Max", "Sum")),
    ("p = Abs(x) y = ReduceLogSum(p, one)", 18),
    ("p = Abs(x) y = Sqrt(p)", 18),
    ("p = Abs(x) y = Log(p)", 18),
    ("p = Abs(x) y = Pow(p, high)", 18),
    ("y = Not(b)", 18),
    ("y = Where(b, x, o)", 18),
    ("y = Sum(x, o, x)", 18),
    ("y = Max(x, o, low)", 18),
    ("y = Min(x, o, low)", 18),
    ("y = Clip(x, low, high)", 18),
    ("y = Clip(x, low)", 18),
    ("y = Clip(x, , high)", 18),
    ("y = Clip<min = -0.5, max = 0.75>(x)", 10),
    ("y = Clip<max = 0.75>(x)", 10),
    ("y = Celu<alpha = 0.5>(x)", 18),
    ("y = Elu<alpha = 0.5>(x)", 18),
    ("y = Selu<alpha = 0.5, gamma = 2.0>(x)", 18),
    ("y = HardSigmoid<alpha = 0.5, beta = 0.25>(x)", 18),
    ("y = LeakyRelu<alpha = 0.5>(x)", 18),
    ("y = PRelu(x, slope)", 18),
    ("y = Gelu(x)", 20),
    ('y = Gelu<approximate = "tanh">(x)', 20),
    ("y = Swish(x)", 24),
    ("y = Swish<alpha = 0.5>(x)", 24),
    ("y = Cast<to = 1>(b)", 18),
    ("y = Cast<to = 9>(x)", 18),
    ("y = Cast<to = 11>(x)", 18),
    ("y = IsInf<detect_negative = 0>(i)", 18),
    ("y = IsInf<detect_positive = 0>(i)", 18),
    ("y = IsInf(i)", 18),
    ("y = Softmax<axis = 1>(x)", 18),
    ("y = Softmax(x)", 11),
    ("y = Softmax<axis = 2>(x)", 11),
    ("y = Softmax<axis = -2>(x)", 11),
    ("y = LogSoftmax<axis = 0>(x)", 18),
    ("y = LpNormalization<axis = 1, p = 1>(x)", 18),
    ("y = LpNormalization<axis = 0, p = 2>(x)", 18),
    ("y = Shape<start = 1>(x)", 18),
    ("y = Shape<start = -2, end = -1>(x)", 18),
    ("y = Flatten<axis = 2>(x)", 18),
    ("y = Flatten<axis = -1>(x)", 18),
    ("y = Flatten<axis = 0>(x)", 18),
    ("y = Transpose<perm = [1, 2, 0]>(x)", 18),
    ("y = Reshape(x, shape)", 18),
    ("y = Reshape<allowzero = 1>(x, exact)", 18),
    ("y = Gather(x, picks)", 18),
    ("y = Gather<axis = -1>(x, picks)", 18),
    ("r = ReduceMax(x, one) y = Squeeze(r, one)", 18),
    ("r = ReduceMax(x, one) y = Squeeze(r)", 18),
    ("r = ReduceMax<axes = [1]>(x) y = Squeeze<axes = [1]>(r)", 11),
    ("y = Unsqueeze(x, axes)", 18),
    ("y = Unsqueeze<axes = [1]>(x)", 11),
    ("r = ReduceMax(x, one) y = Expand(r, wide)", 18),
    ("y = LayerNormalization(x, last)", 18),
    ("y = LayerNormalization(x, last, last)", 18),
    ("y = LayerNormalization<axis = 1, epsilon = 0.5>(x, plane, plane)", 18),
    ("y = RMSNormalization(x, last)", 23),
    ("y = RMSNormalization<axis = 1, epsilon = 0.5>(x, plane)", 23),
    ("y = InstanceNormalization(x, scale, shift)", 18),
    ("y = InstanceNormalization<epsilon = 0.5>(x, scale, shift)", 18),
]


@pytest.mark.parametrize(("body", "opset"), CASES)
def test_it_computes_what_the_runtime_computes(body: str, opset: int) -> None:
    first = "i = Div(x, z) " if "(i)" in body else ""
    constants = CONSTANTS + (", float z = {0.0}" if first else "")
    model = parse_model(f"g ({INPUTS}) => (y) <{constants}> {{ {first}{body} }}", opset=opset)
    random = np.random.default_rng(0)
    feed: dict[str, Any] = {name: random.normal(size=(2, 3, 4)).astype(np.float32) for name in "xo"}
    feed |= {name: random.random((2, 3, 4)) < 0.5 for name in "bd"}
    feed["o"][0] = feed["x"][0]
    known = {
        value: feed[str(value.name)].astype(np.float64 if str(value.name) in "xo" else np.bool_)
        for value in model.graph.inputs
    }

    def known_constant(value: ir.Value) -> Any:
        array = constant(value)
        assert array is not None
        return array

    (output,) = model.graph.outputs
    found = evaluate(list(model.graph), known, known_constant)[output]
    (expected,) = Session(model).run(feed).values()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.astype(np.float64), expected.astype(np.float64), rtol=2e-5, atol=2e-6)


def test_every_operator_is_compared() -> None:
    parts = [part for body, _ in CASES for part in body.split(") ")]
    seen = {part.partition(" = ")[2].partition("<")[0].partition("(")[0] for part in parts}
    assert set(OPERATORS) <= seen


@pytest.mark.parametrize(
    "body", ["y = Sin(x)", "y = com.microsoft.Gelu(x)", "y = Cast<to = 7>(x)", "y = Reshape(x, picks)"]
)
def test_what_it_does_not_know_it_refuses(body: str) -> None:
    model = parse_model(f"g ({INPUTS}) => (y) <{CONSTANTS}> {{ {body} }}", opset=18)
    x = model.graph.inputs[0]

    def picks(value: ir.Value) -> Any:
        return np.array([5, 7])

    with pytest.raises(CannotEvaluateError):
        evaluate(list(model.graph), {x: np.ones((2, 3, 4))}, picks)
