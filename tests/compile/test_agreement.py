"""Quantized models agree where they differ by what rounding moves, and disagree where by more."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.compile.agreement import disagreement
from graphopt.testing import parse_model

RNG = np.random.default_rng(0)
WEIGHTS = ", ".join(str(value) for value in RNG.integers(-90, 90, 16 * 16))
DEEP = """<ir_version: 9, opset_import: ["" : 17]> g (float[N,16] x) => (TYPE[N,16] y)
<float s = {0.02}, uint8 z = {128}, float r = {0.011}, int8 v = {0}, int8[16,16] w = {WEIGHTS}> {
    w1 = DequantizeLinear(w, r, v) w2 = DequantizeLinear(w, r, v)
    a = QuantizeLinear(x, s, z) b = DequantizeLinear(a, s, z) c = MatMul(b, w1) d = QuantizeLinear(c, s, z)
    e = DequantizeLinear(d, s, z) f = MatMul(e, w2) q = QuantizeLinear(f, s, z) END }"""
ENDS = {
    "float": "y = DequantizeLinear(q, s, z)",
    "uint8": "y = Identity(q)",
    "int64": "y = Cast <to = 7> (q)",
}


def model(kind: str, *changes: tuple[str, str]) -> ir.Model:
    text = DEEP.replace("WEIGHTS", WEIGHTS).replace("TYPE", kind).replace("END", ENDS[kind])
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_model(text)


def samples(count: int = 4) -> list[dict[str, Any]]:
    return [{"x": RNG.standard_normal((8, 16)).astype(np.float32)} for _ in range(count)]


@pytest.mark.parametrize("kind", ENDS)
def test_a_model_agrees_with_itself(kind: str) -> None:
    assert disagreement(model(kind), model(kind), samples()) == ""


@pytest.mark.parametrize("kind", ["float", "uint8"])
def test_a_step_here_and_there_is_rounding(kind: str) -> None:
    other = model(kind, ("q = QuantizeLinear(f, s, z)", "h = Mul(f, k) q = QuantizeLinear(h, s, z)"))
    nudged = ir.Value(name="k", const_value=ir.Tensor(np.float32(1.00001), name="k"))
    other.graph.initializers.add(nudged)
    next(node for node in other.graph if node.op_type == "Mul").replace_input_with(1, nudged)
    assert disagreement(model(kind), other, samples()) == ""


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize(
    "change",
    [("int8 v = {0}", "int8 v = {1}"), ("float r = {0.011}", "float r = {0.012}")],
    ids=["zero", "scale"],
)
def test_another_weight_is_no_rounding(kind: str, change: tuple[str, str]) -> None:
    reason = disagreement(model(kind), model(kind, change), samples())
    assert reason.startswith("output 'y': ")


def test_other_shapes_and_types_disagree() -> None:
    one = parse_model("g (float[N,16] x) => (float[N,16] y) { y = Relu(x) }")
    other = parse_model("g (float[N,16] x) => (float[M,O] y) { y = Transpose(x) }")
    assert "expected shape [8, 16], got [16, 8]" in disagreement(one, other, samples())


def test_numbers_that_are_none_disagree() -> None:
    one = parse_model("g (float[N,16] x) => (float[N,16] y) { y = Abs(x) }")
    other = parse_model("g (float[N,16] x) => (float[N,16] y) { y = Sqrt(x) }")
    assert "NaN" in disagreement(one, other, samples())


def test_nothing_is_compared_without_elements() -> None:
    one = parse_model("g (float[N,16] x) => (float[N,16] y) { y = Relu(x) }")
    assert disagreement(one, one, [{"x": np.zeros((0, 16), np.float32)}]) == ""
