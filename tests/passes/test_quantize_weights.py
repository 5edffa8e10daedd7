"""quantize-weights: each reader of a weight gets the codes in the form that runtimes run fast."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import UsageError
from graphopt.execute import Session
from graphopt.ir import constant, infer_shapes
from graphopt.passes.quantization._rounded import move
from graphopt.passes.quantization.quantize_weights import QuantizeWeights
from graphopt.pipeline import Pipeline
from graphopt.quant import Scheme, affine_for, sqnr_db
from graphopt.testing import PassRun, check_pass, check_pass_on_models, parse_model

RANDOM = np.random.default_rng(0)
SQNR = {8: 38.0, 4: 15.0, 2: 0.0}
"""Decibels of a product with normally distributed weights and activations."""


def model(text: str, opset: int = 21, **shapes: Any) -> ir.Model:
    """A model in which the inputs named become normally distributed constants of those shapes."""
    made = parse_model(text, opset=opset)
    for name, shape in shapes.items():
        (value,) = (each for each in made.graph.inputs if each.name == name)
        made.graph.inputs.remove(value)
        array = RANDOM.normal(size=shape).astype(np.float32)
        value.const_value, value.shape = ir.tensor(array, name=name), ir.Shape(shape)
        made.graph.initializers.add(value)
    return made


def run(given: ir.Model, **options: object) -> PassRun:
    return check_pass(QuantizeWeights(**{"least": 1, "least_read": 1, **options}), given)  # type: ignore[arg-type]


def accuracy(result: PassRun, **feed: Any) -> float:
    before, after = (Session(each).run(feed) for each in (result.before, result.model))
    return min(sqnr_db(before[name], after[name]) for name in before)


PRODUCT = "g (float[M,64] x, float[64,24] w) => (float[M,24] y) { y = MatMul(x, w) }"
GEMM = "g (float[M,64] x, float[24,64] w, float[24] c) => (float[M,24] y) { y = Gemm<transB = 1>(x, w, c) }"
ROWS = "g (int64[1,S] ids, float[50,128] w) => (float[1,S,128] y) { y = Gather(w, ids) }"
CONV = "g (float[1,8,H,W] x, float[4,8,3,3] w) => (float[1,4,P,Q] y) { y = Conv(x, w) }"
LSTM = """g (float[S,1,16] x, float[1,32,16] w, float[1,32,8] r) => (float[S,1,1,8] y) {
    y = LSTM<hidden_size = 8>(x, w, r) }"""
NIBBLES = "Gather Cast Mul Floor Mul Sub Concat Reshape Gather Cast Gather Sub Mul Reshape"
X = RANDOM.normal(size=(5, 64)).astype(np.float32)
IDS = np.array([[3, 0, 49, 3, -1]])


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize(("bits", "opset"), [(8, 13), (4, 21), (2, 25)])
def test_a_product_reads_dequantized_constants(bits: int, opset: int, symmetric: bool) -> None:
    result = run(model(PRODUCT, opset, w=(64, 24)), bits=bits, symmetric=symmetric)
    assert result.ops == ["DequantizeLinear", "MatMul"]
    assert len(result.node("DequantizeLinear").inputs) == (2 if symmetric else 3)
    assert accuracy(result, x=X) > SQNR[bits]


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("text", [PRODUCT, GEMM])
def test_for_onnxruntime_it_is_a_matmul_nbits_at_any_opset(text: str, bits: int) -> None:
    shapes = {"w": (64, 24)} if text == PRODUCT else {"w": (24, 64), "c": (24,)}
    result = run(model(text, 13, **shapes), bits=bits, target="ort-cpu")
    assert result.ops == ["MatMulNBits"]
    assert result.model.opset_imports["com.microsoft"] == 1
    assert accuracy(result, x=X) > SQNR[bits]


def test_what_is_no_vector_is_added_behind() -> None:
    text = "g (float[4,64] x, float[64,24] w, float[4,24] c) => (float[4,24] y) { y = Gemm(x, w, c) }"
    assert run(model(text, 13, w=(64, 24)), bits=4, target="ort-cpu").ops == ["MatMulNBits", "Add"]


def test_a_gemm_stays_and_is_no_more_transposed() -> None:
    result = run(model(GEMM, w=(24, 64), c=(24,)), bits=4)
    assert result.ops == ["DequantizeLinear", "Gemm"] and "transB" not in result.node("Gemm").attributes


@pytest.mark.parametrize(
    ("options", "opset", "ops"),
    [
        ({"bits": 8}, 13, "Gather Cast Gather Cast Sub Gather Mul"),
        ({"bits": 8, "symmetric": True}, 13, "Gather Cast Gather Mul"),
        ({"bits": 4}, 13, NIBBLES),
        ({"bits": 2}, 13, NIBBLES),
        ({"bits": 4, "target": "ort-cpu"}, 13, "GatherBlockQuantized"),
    ],
)
def test_rows_are_read_as_codes(options: dict[str, object], opset: int, ops: str) -> None:
    result = run(model(ROWS, opset, w=(50, 128)), **options)
    assert result.ops == ops.split()
    assert accuracy(result, ids=IDS) > SQNR[8 if options["bits"] == 8 else 4]


def test_products_that_blocks_do_not_divide_are_decoded_at_load() -> None:
    text = PRODUCT.replace("64", "100")
    assert run(model(text, w=(100, 24)), bits=4).hits == {"4 bits, decoded at load": 1}
    assert run(model(text, w=(100, 24)), bits=4, target="ort-cpu").hits == {"4 bits, multiplied by codes": 1}


def test_rows_without_even_blocks_are_of_eight_bits() -> None:
    result = run(model(ROWS.replace("128", "100"), w=(50, 100)), bits=4)
    assert result.ops == ["Gather", "Cast", "Gather", "Cast", "Sub", "Gather", "Mul"]
    assert accuracy(result, ids=IDS) > SQNR[8]


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(
    ("text", "shapes"), [(CONV, {"w": (4, 8, 3, 3)}), (LSTM, {"w": (1, 32, 16), "r": (1, 32, 8)})]
)
def test_other_weights_are_decoded_at_load(text: str, shapes: dict[str, Any], bits: int) -> None:
    result = run(model(text, **shapes), bits=bits)
    assert "DequantizeLinear" not in result.ops
    stored = 8 if text == CONV else bits
    assert result.hits == {f"{stored} bits, decoded at load": len(shapes)}
    kinds = Counter(value.dtype for value in result.model.graph.initializers.values())
    assert kinds[ir.DataType.INT8 if stored == 8 else ir.DataType.INT4] == 2 * len(shapes)


def test_small_weights_are_decoded_at_load() -> None:
    assert run(model(PRODUCT, w=(64, 24)), least_read=1537).hits == {"8 bits, decoded at load": 1}
    assert run(model(ROWS, w=(50, 128)), bits=4, least_read=6401).hits == {"4 bits, decoded at load": 1}


def test_weights_of_several_products_are_decoded_at_load() -> None:
    text = """g (float[M,64] x, float[M,64] z, float[64,24] w) => (float[M,24] y, float[M,24] v) {
        y = MatMul(x, w) v = MatMul(z, w) }"""
    assert run(model(text, w=(64, 24)), bits=4).hits == {"4 bits, decoded at load": 1}
    assert run(model(text, w=(64, 24)), bits=4, target="ort-cpu").ops == ["MatMulNBits"] * 2


@pytest.mark.parametrize(
    ("behind", "how"),
    [
        ("r = Relu(a) y = Exp(r)", "decoded at load"),
        ("r = Clip(a) y = Exp(r)", "decoded at load"),
        ("b = Add(a, a1) r = Tanh(b) y = Exp(r)", "decoded at load"),
        ("y = Relu(a)", "multiplied by codes"),
        ("r = Tanh(a) y = Exp(r)", "multiplied by codes"),
        ("b = Add(a, a1) y = Exp(b)", "multiplied by codes"),
        ("r = Relu(a) y = Sub(r, a)", "multiplied by codes"),
    ],
)
def test_products_that_are_joined_with_an_activation_are_decoded_at_load(behind: str, how: str) -> None:
    """As onnxruntime does that first, and then decodes a DequantizeLinear of them at every run."""
    text = (
        f"g (float[5,64] x, float[64,24] w, float[24] a1) => (float[5,24] y) {{ a = MatMul(x, w) {behind} }}"
    )
    given = (
        model(text, 21, w=(64, 24), a1=(24,))
        if "a1" in behind
        else model(text.replace(", float[24] a1", ""), 21, w=(64, 24))
    )
    assert run(given).hits == {f"8 bits, {how}": 1}
    expected = {"8 bits, multiplied by codes": 1}
    assert run(given, target="ort-cpu").hits == expected


@pytest.mark.parametrize("method", ["k-means", "log", "power-of-two", "tanh"])
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("text", [PRODUCT, GEMM, CONV])
def test_tables_are_read_at_load(method: str, bits: int, text: str) -> None:
    shapes: dict[str, Any] = {PRODUCT: {"w": (64, 24)}, GEMM: {"w": (24, 64)}, CONV: {"w": (4, 8, 3, 3)}}
    result = run(model(text, **shapes[text]), bits=bits, method=method, target="ort-cpu")
    assert result.hits == {f"{bits} bits, decoded at load": 1}
    assert {"Cast", "Gather", "Mul"} < set(result.ops)


@pytest.mark.parametrize("target", ["portable", "ort-cpu"])
@pytest.mark.parametrize("text", [PRODUCT, GEMM])
def test_real_zero_points_are_read_at_load(text: str, target: str) -> None:
    """They fit weights with outliers better than zero points that are codes."""
    shapes: dict[str, Any] = {PRODUCT: {"w": (64, 24)}, GEMM: {"w": (24, 64), "c": (24,)}}
    given = model(text, **shapes[text])
    array = np.random.default_rng(1).standard_t(3, shapes[text]["w"]).astype(np.float32)
    given.graph.initializers["w"].const_value = ir.Tensor(array, name="w")
    fitted, plain = (run(given, bits=4, method=method, target=target) for method in ("hqq", "minmax"))
    assert fitted.hits == {"4 bits, decoded at load": 1}
    assert accuracy(fitted, x=X) > accuracy(plain, x=X)


def test_pointwise_convolutions() -> None:
    text = CONV.replace("3,3", "1,1")
    assert run(model(text, w=(4, 8, 1, 1))).hits == {"8 bits, decoded at load": 1}


def test_weights_outside_of_the_body_that_reads_them_are_decoded_at_load() -> None:
    text = """g (bool c, float[2,64] x, float[64,24] w) => (float[2,24] y) {
        y = If(c) <
            then_branch = t () => (float[2,24] a) { a = MatMul(x, w) },
            else_branch = e () => (float[2,24] b) <float[64,24] u> { d = MatMul(x, w) b = Neg(d) }>
    }""".replace("<float[64,24] u>", "")
    result = run(model(text, w=(64, 24)))
    assert result.hits == {"8 bits, decoded at load": 1}


def test_a_tied_table_gets_codes_for_either_use() -> None:
    text = """g (int64[1,S] ids, float[M,64] x, float[64,128] w) => (float[1,S,128] r, float[M,128] y) {
        r = Gather(w, ids) y = MatMul(x, w) }"""
    hits = run(model(text, w=(64, 128)), bits=4, target="ort-cpu").hits
    assert hits == {"4 bits, rows of codes": 1, "4 bits, multiplied by codes": 1}


@pytest.mark.parametrize(
    ("text", "opset", "options", "reason"),
    [
        (PRODUCT, 20, {"bits": 4}, "4 bits need opset 21, and the model is at 20"),
        (PRODUCT, 21, {"least": 1537}, "its weights are fewer than 1537"),
        (PRODUCT, 21, {"keep": ("y",)}, "its weights are to stay"),
        (PRODUCT.replace("{ y", "{ k = Mul(w, w) y"), 21, {}, "the weights are an operand of a Mul too"),
        (PRODUCT.replace("[M,24] y", "[M,24] y, float[64,24] w"), 21, {}, "its weights are an output of the graph, too"),  # noqa: E501
    ],
)  # fmt: skip
def test_what_stays(text: str, opset: int, options: dict[str, object], reason: str) -> None:
    given = model(text, opset, w=(64, 24))
    result = run(given, **options)
    assert (result.changes, set(result.refusals)) == (0, {reason})


def test_defaults_of_inputs_stay() -> None:
    given = model(PRODUCT, w=(64, 24))
    given.graph.inputs.append(given.graph.initializers["w"])
    assert set(run(given).refusals) == {"a caller may override its weights"}


def test_weights_with_nan_and_of_other_types_stay() -> None:
    given = model(PRODUCT, w=(64, 24))
    weights = constant(given.graph.initializers["w"])
    assert weights is not None
    odd = weights.copy()
    odd[0, 0] = np.nan
    given.graph.initializers["w"].const_value = ir.tensor(odd, name="w")
    assert set(run(given).refusals) == {"its weights hold NaN or infinities"}
    half = model(PRODUCT.replace("float[", "float16["), w=(64, 24))
    half.graph.initializers["w"].const_value = ir.tensor(weights.astype(np.float16), name="w")
    half.graph.initializers["w"].dtype = ir.DataType.FLOAT16
    assert set(run(half).refusals) == {"its weights are of type FLOAT16; those of float32 are quantized"}


def test_raise_opset_makes_room_for_narrow_types() -> None:
    given = model(PRODUCT, 18, w=(64, 24))
    infer_shapes(given)
    pipeline = Pipeline.parse("quantize-weights{bits=4,least=1},raise-opset,quantize-weights{bits=4,least=1}")
    assert [record.changes for record in pipeline.run(given).records] == [0, 1, 1]


def test_a_file_of_four_bits_is_an_eighth_and_scales() -> None:
    given = model(PRODUCT.replace("64", "256").replace("24", "256"), w=(256, 256))
    result = run(given, bits=4)
    tensors = [value.const_value for value in result.model.graph.initializers.values()]
    stored = sum(tensor.nbytes for tensor in tensors if tensor is not None)
    assert stored / (256 * 256 * 4) == pytest.approx((4 + 1 + 4 / 32) / 32)


def test_options_are_checked() -> None:
    with pytest.raises(UsageError, match="bits=3"):
        QuantizeWeights(bits=3)
    with pytest.raises(UsageError, match="hqq"):
        QuantizeWeights(method="hqq", symmetric=True)


@pytest.mark.parametrize(
    ("options", "opsets"),
    [
        ({}, (7, 24)),
        ({"bits": 4, "method": "mse"}, (21, 24)),
        ({"bits": 2, "symmetric": True}, (25, 25)),
        ({"bits": 4, "target": "ort-cpu"}, (7, 24)),
        ({"bits": 4, "method": "k-means"}, (21, 24)),
        ({"bits": 4, "method": "hqq"}, (21, 24)),
        ({"block": 16, "target": "ort-cpu"}, (7, 24)),
    ],
)
def test_generated_models_survive(options: dict[str, object], opsets: tuple[int, int]) -> None:
    made = QuantizeWeights(least=1, least_read=1, **options)  # type: ignore[arg-type]
    assert check_pass_on_models(made, examples=20, seed=opsets[0] * 1000, opsets=opsets).changed


@pytest.mark.parametrize(("text", "shape", "axis"), [(PRODUCT, (64, 24), 0), (GEMM, (24, 64), 1)])
def test_a_weight_that_lies_on_a_grid_keeps_to_it(text: str, shape: tuple[int, int], axis: int) -> None:
    more: Any = {"c": (24,)} if text == GEMM else {}
    given = model(text, w=shape, **more)
    weight = given.graph.initializers["w"]
    array = constant(weight)
    assert array is not None
    wide = affine_for(3 * array, Scheme(ir.DataType.INT4, axis=axis, block=32))
    move(weight, wide.fake(array), wide)
    result = run(given, bits=4)
    assert accuracy(result, x=X) > 35  # what onnxruntime loses by codes of activations
    scale = constant(result.model.graph.initializers["w/scale"])
    assert scale is not None and scale.max() == wide.scale.max()
