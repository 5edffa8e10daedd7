"""quantize-dynamic: products with constant weights, and LSTMs for onnxruntime, compute with codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import Session
from graphopt.passes.quantization.quantize_dynamic import QuantizeDynamic
from graphopt.quant import sqnr_db
from graphopt.testing import PassRun, check_pass, check_pass_on_models, parse_model

RANDOM = np.random.default_rng(0)
PRODUCT = "g (float[M,64] x, float[64,24] w) => (float[M,24] y) { y = MatMul(x, w) }"
GEMM = "g (float[M,64] x, float[24,64] w, float[24] c) => (float[M,24] y) { y = Gemm<transB = 1>(x, w, c) }"
LSTM = """g (float[S,1,16] x, float[1,32,16] w, float[1,32,8] r) => (float[S,1,1,8] y, float[1,1,8] h) {
    y, h = LSTM<hidden_size = 8>(x, w, r) }"""
FORM = ["DynamicQuantizeLinear", "MatMulInteger", "Cast", "Mul", "Mul"]


def model(text: str, opset: int = 17, **shapes: Any) -> ir.Model:
    """A model in which the inputs named become normally distributed constants of those shapes."""
    made = parse_model(text, opset=opset)
    for name, shape in shapes.items():
        (value,) = (each for each in made.graph.inputs if each.name == name)
        made.graph.inputs.remove(value)
        value.const_value = ir.tensor(RANDOM.normal(size=shape).astype(np.float32), name=name)
        value.shape = ir.Shape(shape)
        made.graph.initializers.add(value)
    return made


def run(given: ir.Model, **options: Any) -> PassRun:
    return check_pass(QuantizeDynamic(**{"least": 1, **options}), given)


def accuracy(result: PassRun, **feed: Any) -> float:
    before, after = (Session(each).run(feed) for each in (result.before, result.model))
    return min(sqnr_db(before[name], after[name]) for name in before)


@pytest.mark.parametrize("reduce_range", [False, True])
@pytest.mark.parametrize(
    ("text", "shapes", "more"),
    [(PRODUCT, {"w": (64, 24)}, []), (GEMM, {"w": (24, 64), "c": (24,)}, ["Add"])],
)
def test_products(text: str, shapes: dict[str, Any], more: list[str], reduce_range: bool) -> None:
    result = run(model(text, 11, **shapes), reduce_range=reduce_range)
    assert sorted(result.ops) == sorted(FORM + more)
    codes = [each for each in result.model.graph.initializers.values() if each.dtype == ir.DataType.INT8]
    (tensor,) = (each.const_value for each in codes)
    assert tensor is not None
    assert np.abs(tensor.numpy().astype(int)).max() == (63 if reduce_range else 127)
    assert accuracy(result, x=RANDOM.normal(size=(5, 64)).astype(np.float32)) > (32 if reduce_range else 36)


def test_products_share_the_codes_of_what_they_read() -> None:
    text = """g (float[M,64] x, float[64,24] u, float[64,24] w) => (float[M,24] y, float[M,24] z,
        float[M,24] v) {
        y = MatMul(x, u) z = MatMul(x, w) a = Neg(x) v = MatMul(a, w) }"""
    result = run(model(text, u=(64, 24), w=(64, 24)))
    assert result.ops.count("DynamicQuantizeLinear") == 2 and result.ops.count("MatMulInteger") == 3
    assert len([name for name in result.model.graph.initializers if name.endswith("codes")]) == 2


def test_an_lstm_for_onnxruntime() -> None:
    result = run(model(LSTM, w=(1, 32, 16), r=(1, 32, 8)), target="ort-cpu")
    assert result.ops == ["DynamicQuantizeLSTM"]
    assert accuracy(result, x=RANDOM.normal(size=(7, 1, 16)).astype(np.float32)) > 30


@pytest.mark.parametrize(
    ("text", "shapes", "opset", "options", "reason"),
    [
        (PRODUCT, {"w": (64, 24)}, 10, {}, "needs opset 11, and the model is at 10"),
        (PRODUCT, {"w": (64, 24)}, 17, {"least": 1537}, "its weights are fewer than 1537"),
        (PRODUCT, {"w": (64, 24)}, 17, {"keep": ("y",)}, "it is to stay"),
        (PRODUCT, {}, 17, {}, "both operands are computed"),
        (
            LSTM,
            {"w": (1, 32, 16), "r": (1, 32, 8)},
            17,
            {},
            "no standard operator is an LSTM of dynamic int8",
        ),
        (LSTM, {"w": (1, 32, 16)}, 17, {"target": "ort-cpu"}, "its weights are no constants of float32"),
        (
            GEMM.replace("transB", "alpha = 0.5, transB"),
            {"w": (24, 64)},
            17,
            {},
            "the Gemm scales or transposes its first operand",
        ),
        (
            "g (float[1,8,H,W] x, float[4,8,3,3] w) => (float[1,4,P,Q] y) { y = Conv(x, w) }",
            {"w": (4, 8, 3, 3)},
            17,
            {},
            "a ConvInteger takes ten times as long as a Conv of float32",
        ),
        (
            "g (float[2,M,64] x, float[2,64,24] w) => (float[2,M,24] y) { y = MatMul(x, w) }",
            {"w": (2, 64, 24)},
            17,
            {},
            "its weights are no matrix",
        ),
    ],
)
def test_what_stays(
    text: str, shapes: dict[str, Any], opset: int, options: dict[str, Any], reason: str
) -> None:
    result = run(model(text, opset, **shapes), **options)
    assert (result.changes, set(result.refusals)) == (0, {reason})


def test_defaults_of_inputs_stay() -> None:
    given = model(PRODUCT, w=(64, 24))
    given.graph.inputs.append(given.graph.initializers["w"])
    assert set(run(given).refusals) == {"a caller may override its weights"}


def test_products_in_bodies_read_codes_from_outside() -> None:
    text = """g (bool c, float[2,64] x, float[64,24] w) => (float[2,24] y) {
        y = If(c) < then_branch = t () => (float[2,24] a) { a = MatMul(x, w) },
                    else_branch = e () => (float[2,24] b) { d = MatMul(x, w) b = Neg(d) } >
    }"""
    result = run(model(text, w=(64, 24)))
    assert result.hits == {"product of codes": 2}
    assert sorted(result.model.graph.initializers) == ["w/codes", "w/scale"]


@pytest.mark.parametrize("target", ["portable", "ort-cpu"])
def test_generated_models_survive(target: str) -> None:
    made = QuantizeDynamic(least=1, target=target)
    assert check_pass_on_models(made, examples=30, seed=len(target) * 1000).changed


def test_weights_that_are_an_output_too_stay_beside_their_codes() -> None:
    result = run(model(PRODUCT.replace("[M,24] y", "[M,24] y, float[64,24] w"), w=(64, 24)))
    assert result.hits == {"product of codes": 1} and "w" in result.model.graph.initializers
