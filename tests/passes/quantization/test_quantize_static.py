"""Q and DQ stand where the target computes on codes; what cannot, stays in float and says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.cost import machine
from graphopt.ir import constant
from graphopt.passes.quantization.quantize_static import QuantizeStatic
from graphopt.testing import parse_model

Weights = Callable[..., str]
Quantize = Callable[..., Any]

GOOD = 30.0
"""Decibels that 8 bits keep of a layer or two."""


def _array(value: ir.Value | None) -> np.ndarray[Any, Any]:
    array = constant(value)
    assert array is not None
    return array


def test_a_conv_between_others_runs_on_codes(weights: Weights, quantized: Quantize) -> None:
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,6,6] y)
        {weights(w=(8, 4, 1, 1), b=(8,), v=(4, 8, 1, 1))} {{
            c = Conv(x, w, b)
            y = Conv(c, v)
        }}""",
        quantize_outputs=True,
    )
    assert run.ops == ["Conv", "Conv"]
    assert run.on_codes == ["Conv", "Conv"]
    assert run.count("QuantizeLinear") == 3
    assert run.sqnr() > GOOD


def test_weights_have_a_symmetric_scale_for_each_channel(
    weights: Weights, quantized: Quantize, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_cpu_fields", lambda: {"flags": "avx_vnni"})
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,8,1,1] y) {weights(w=(8, 4, 3, 3), b=(8,))} {{
            c = Conv(x, w, b)
            y = GlobalAveragePool(c)
        }}"""
    )
    reads = run.node("Conv").inputs[1].producer()
    codes, scale, zero = map(_array, reads.inputs)
    assert codes.dtype == np.int8 and codes.min() >= -127
    assert scale.shape == (8,) and not zero.any()
    assert reads.attributes["axis"].as_int() == 0
    assert np.abs(codes).max(axis=(1, 2, 3)).tolist() == [127] * 8


def test_a_transposed_conv_runs_on_codes_where_there_is_a_kernel(
    weights: Weights, quantized: Quantize
) -> None:
    text = f"""agraph (float[1,4,6,6] x) => (float[1,8,12,12] y) {weights(w=(4, 8, 2, 2), b=(8,))} {{
        y = ConvTranspose <strides = [2, 2]> (x, w, b)
    }}"""
    run = quantized(text, target="native")
    data, weight, bias = (value.producer() for value in run.node("ConvTranspose").inputs)
    assert weight.attributes["axis"].as_int() == 1 and _array(weight.inputs[1]).shape == (8,)
    assert np.array_equal(_array(bias.inputs[1]), _array(data.inputs[1]) * _array(weight.inputs[1]))
    assert run.count("QuantizeLinear") == 1, "floats are read, and floats it writes"
    assert run.sqnr() > GOOD
    assert quantized(text, target="ort-cpu").count("QuantizeLinear") == 0


def test_a_bias_has_the_scale_of_the_products(weights: Weights, quantized: Quantize) -> None:
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,8,1,1] y) {weights(w=(8, 4, 3, 3), b=(8,))} {{
            c = Conv(x, w, b)
            y = GlobalAveragePool(c)
        }}"""
    )
    data, weight, bias = (value.producer() for value in run.node("Conv").inputs)
    assert _array(bias.inputs[0]).dtype == np.int32
    assert np.array_equal(_array(bias.inputs[1]), _array(data.inputs[1]) * _array(weight.inputs[1]))


@pytest.mark.parametrize(
    "activation", ["Relu(c)", "Clip(c, zero, six)", "Clip(c, , six)", "Clip(c, low, six)"]
)
def test_codes_clamp_in_place_of_an_activation(
    weights: Weights, quantized: Quantize, activation: str
) -> None:
    text = weights(w=(8, 4, 1, 1), v=(4, 8, 1, 1))[:-1]
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,1,1] y)
        {text}, float zero = {{0.0}}, float six = {{6.0}}, float low = {{-1.5}}> {{
            c = Conv(x, w)
            r = {activation}
            d = Conv(r, v)
            y = GlobalAveragePool(d)
        }}"""
    )
    assert run.ops == ["Conv", "Conv", "GlobalAveragePool"]
    assert run.sqnr() > GOOD


@pytest.mark.parametrize("bounds", ["one, six", "low, minus"])
def test_a_clip_away_from_zero_stays(weights: Weights, quantized: Quantize, bounds: str) -> None:
    text = weights(w=(8, 4, 1, 1), v=(4, 8, 1, 1))[:-1]
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,6,6] y)
        {text}, float one = {{1.0}}, float six = {{6.0}}, float low = {{-6.0}}, float minus = {{-1.0}}> {{
            c = Conv(x, w)
            r = Clip(c, {bounds})
            y = Conv(r, v)
        }}""",
        quantize_outputs=True,
    )
    assert run.ops == ["Conv", "Clip", "Conv"]
    assert run.sqnr() > GOOD


def test_an_activation_whose_input_others_read_is_a_sum_with_zero(
    weights: Weights, quantized: Quantize
) -> None:
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,1,1] y) {weights(w=(4, 4, 1, 1), v=(4, 4, 1, 1))} {{
            c = Conv(x, w)
            r = Relu(c)
            d = Conv(r, v)
            e = Add(c, d)
            y = GlobalAveragePool(e)
        }}"""
    )
    assert run.ops == ["Conv", "Add", "Conv", "Add", "GlobalAveragePool"]
    assert run.on_codes == ["Conv", "Add", "Conv", "Add"]
    assert run.sqnr() > GOOD


@pytest.mark.parametrize(
    ("activation", "spelled"),
    [
        ("HardSwish(c)", ["Add", "Mul"]),
        ("HardSigmoid(c)", ["Add"]),
        ("HardSigmoid <alpha = 0.16666667, beta = 0.5> (c)", ["Add"]),
        ("HardSigmoid <alpha = 0.1, beta = 0.0> (c)", ["Add"]),
    ],
)
def test_hard_activations_are_sums_that_codes_clamp(
    weights: Weights, quantized: Quantize, activation: str, spelled: list[str]
) -> None:
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,1,1] y) {weights(w=(4, 4, 1, 1), v=(4, 4, 1, 1))} {{
            c = Conv(x, w)
            r = {activation}
            d = Conv(r, v)
            y = GlobalAveragePool(d)
        }}"""
    )
    assert run.ops == ["Conv", *spelled, "Conv", "GlobalAveragePool"]
    assert run.on_codes == ["Conv", *spelled, "Conv"]
    assert run.sqnr() > 25.0
    assert run.sqnr(optimize=False) > 25.0


def test_a_squeeze_and_excitation_block(weights: Weights, quantized: Quantize) -> None:
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,1,1] y)
        {weights(w=(4, 4, 1, 1), v=(2, 4, 1, 1), u=(4, 2, 1, 1), t=(4, 4, 1, 1))} {{
            c = HardSwish(x)
            p = GlobalAveragePool(c)
            d = Conv(p, v)
            r = Relu(d)
            e = Conv(r, u)
            s = HardSigmoid(e)
            m = Mul(c, s)
            f = Conv(m, t)
            y = GlobalAveragePool(f)
        }}"""
    )
    assert run.on_codes == ["Add", "Mul", "GlobalAveragePool", "Conv", "Conv", "Add", "Mul", "Conv"]
    assert run.sqnr() > 25.0


def test_readers_share_one_pair(weights: Weights, quantized: Quantize) -> None:
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,6,6] y) {weights(w=(4, 4, 1, 1), v=(4, 4, 1, 1))} {{
            c = Conv(x, w)
            d = Conv(c, v)
            e = Add(c, d)
            y = Identity(e)
        }}"""
    )
    assert [run.count(each) for each in ("QuantizeLinear", "DequantizeLinear")] == [4, 6]
    assert run.on_codes == ["Conv", "Conv", "Add"]


@pytest.mark.parametrize(
    "moving",
    [
        "MaxPool <kernel_shape = [2,2], strides = [2,2]> (c)",
        "Transpose <perm = [0,1,3,2]> (c)",
        "Reshape(c, shape)",
        "Slice(c, begin, end)",
    ],
)
def test_what_only_moves_elements_keeps_their_scale(
    weights: Weights, quantized: Quantize, moving: str
) -> None:
    text = weights(w=(4, 4, 1, 1), v=(4, 4, 1, 1))[:-1]
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[a,b,c,d] y)
        {text}, int64[4] shape = {{1, 4, 3, 12}}, int64[4] begin = {{0,0,1,1}}, int64[4] end = {{1,4,9,9}}> {{
            c = Conv(x, w)
            r = {moving}
            d = Conv(r, v)
            y = Identity(d)
        }}"""
    )
    moved = run.node(moving.split(" ")[0].split("(")[0])
    before, after = moved.inputs[0].producer(), next(iter(moved.outputs[0].uses())).node
    assert all(map(np.array_equal, map(_array, before.inputs[1:]), map(_array, after.inputs[1:])))
    assert run.sqnr() > GOOD


def test_parts_of_a_concat_share_a_scale_where_it_costs_little(quantized: Quantize) -> None:
    def scales(factor: float) -> set[float]:
        run = quantized(
            f"""agraph (float[1,2,4,4] x) => (float[1,4,1,1] y) <float f = {{{factor}}}> {{
                a = Mul(x, f)
                b = Concat <axis = 1> (x, a)
                y = GlobalAveragePool(b)
            }}"""
        )
        made = [value.producer() for value in run.node("Concat").inputs]
        return {float(_array(each.inputs[1])) for each in made}

    assert len(scales(1.5)) == 1
    assert len(scales(9.0)) == 2


def test_a_product_with_weights_writes_floats_where_floats_are_read(
    weights: Weights, quantized: Quantize
) -> None:
    run = quantized(
        f"""agraph (float[2,5,8] x) => (float[2,5,6] y) {weights(w=(8, 6), b=(6,))} {{
            m = MatMul(x, w)
            a = Add(m, b)
            y = Tanh(a)
        }}""",
        ops=("MatMul",),
    )
    assert run.count("QuantizeLinear") == 1
    assert run.on_codes == ["MatMul"]
    assert run.sqnr() > GOOD


def test_a_graph_output_stays_in_float_unless_asked(weights: Weights, quantized: Quantize) -> None:
    text = f"""agraph (float[1,4,6,6] x) => (float[1,4,6,6] y) {weights(w=(4, 4, 1, 1))} {{
        y = Conv(x, w)
    }}"""
    run = quantized(text)
    assert run.ops == ["Conv"] and not run.on_codes
    assert list(run.changes.refusals) == [
        "it writes a graph output, behind which no QuantizeLinear can stand"
    ]
    run = quantized(text, quantize_outputs=True)
    assert run.on_codes == ["Conv"]
    assert [value.name for value in run.model.graph.outputs] == ["y"]
    assert run.sqnr() > GOOD


@pytest.mark.parametrize("named", ["n", "c"])
def test_nodes_to_keep_stay_in_float(weights: Weights, quantized: Quantize, named: str) -> None:
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,1,1] y) {weights(w=(4, 4, 1, 1), v=(4, 4, 1, 1))} {{
            [n] c = Conv(x, w)
            d = Conv(c, v)
            y = GlobalAveragePool(d)
        }}""",
        keep=(named,),
    )
    assert constant(next(node for node in run.model.graph if node.name == "n").inputs[1]) is not None
    assert run.on_codes == ["Conv"]
    assert run.changes.refusals["it was asked to stay in float"] == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("y = Conv(x, z)", "its weights are computed"),
        ("c = Conv(x, w, s)\n y = Tanh(c)", "its bias is computed"),
    ],
)
def test_computed_weights_are_refused(weights: Weights, quantized: Quantize, body: str, reason: str) -> None:
    run = quantized(
        f"""agraph (float[1,4,6,6] x, float[4,4,1,1] z, float[4] s) => (float[1,4,6,6] y)
        {weights(w=(4, 4, 1, 1))} {{ {body} }}"""
    )
    assert reason in run.changes.refusals
    assert not run.changes.count


def test_without_ranges_nothing_is_quantized(weights: Weights) -> None:
    model = parse_model(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,1,1] y) {weights(w=(4, 4, 1, 1))} {{
            c = Conv(x, w)
            y = GlobalAveragePool(c)
        }}"""
    )
    outcome = QuantizeStatic(everywhere=True).call(model)
    assert not outcome.modified
    assert outcome.changes.refusals["no range was observed of a value that it reads or writes"] == 2


def test_what_gains_nothing_stays_in_float(weights: Weights, quantized: Quantize) -> None:
    text = f"""agraph (float[1,4,6,6] x) => (float[1,4,1,1] y) {weights(w=(4, 4, 1, 1))} {{
        c = Conv(x, w)
        y = GlobalAveragePool(c)
    }}"""
    run = quantized(text, everywhere=False)
    assert run.ops == ["Conv", "GlobalAveragePool"] and not run.on_codes
    assert run.changes.refusals["codes gain it less than converting to and from them takes"] == 1


def test_a_large_product_gains(quantized: Quantize) -> None:
    values = ", ".join(["0.5", "-0.25"] * (256 * 128))
    run = quantized(
        f"""agraph (float[64,256] x) => (float[64,256] y) <float[256,256] w = {{{values}}}> {{
            m = MatMul(x, w)
            y = Tanh(m)
        }}""",
        everywhere=False,
    )
    assert run.on_codes == ["MatMul"]


def test_a_softmax_between_codes_is_spared(weights: Weights, quantized: Quantize) -> None:
    """onnxruntime 1.31 writes a certainty of 1 as 0 on codes."""
    run = quantized(
        f"""agraph (float[2,3,1] x) => (float[2,1,3] y) {weights(b=(1,))} {{
            a = Add(x, b)
            s = Softmax <axis = -1> (a)
            y = Transpose <perm = [0,2,1]> (s)
        }}""",
        quantize_outputs=True,
    )
    assert "Softmax" not in run.on_codes
    assert run.sqnr() > GOOD


def test_what_moves_elements_to_a_softmax_is_spared_with_it(weights: Weights, quantized: Quantize) -> None:
    run = quantized(
        f"""agraph (float[3,1] x) => (float[1,2] y) {weights(b=(1,), w=(3, 2))} {{
            m = Mul(x, b)
            t = Transpose <perm = [1,0]> (m)
            s = Softmax <axis = 0> (t)
            z = MatMul(s, w)
            y = Tanh(z)
        }}"""
    )
    assert run.on_codes == ["MatMul"]
    assert run.sqnr() > GOOD


def test_constants_that_no_range_holds_are_refused() -> None:
    model = parse_model(
        """agraph (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1, 2, 3, 4}> { y = MatMul(x, w) }"""
    )
    weight = model.graph.initializers["w"]
    weight.const_value = ir.Tensor(np.array([[1, 2], [np.inf, 4]], np.float32), name="w")
    outcome = QuantizeStatic(everywhere=True).call(model)
    assert list(outcome.changes.refusals) == ["it reads a constant that holds NaN or infinity"]


@pytest.mark.parametrize("masked", ["-10000", "-3.4e38", "1e9"])
def test_masks_are_refused(quantized: Quantize, masked: str) -> None:
    run = quantized(
        f"""agraph (float[2,2] x) => (float[2,2] y) <float[2] m = {{0, {masked}}}> {{
            a = Add(x, m)
            y = Tanh(a)
        }}"""
    )
    assert not run.on_codes
    assert "it reads or writes a mask, beside which codes tell nothing apart" in run.changes.refusals


@pytest.mark.parametrize("scale", [1e4, 1e9])
def test_large_numbers_are_no_mask(weights: Weights, quantized: Quantize, scale: float) -> None:
    rng = np.random.default_rng(5)
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,1,1] y) {weights(w=(4, 4, 1, 1), v=(4, 4, 1, 1))} {{
            c = Conv(x, w)
            r = Relu(c)
            d = Conv(r, v)
            y = GlobalAveragePool(d)
        }}""",
        [{"x": (scale * rng.normal(size=(1, 4, 6, 6))).astype(np.float32)} for _ in range(4)],
    )
    assert run.on_codes == ["Conv", "Conv"]
    assert run.sqnr() > GOOD


def test_a_mask_that_is_computed_is_told_by_the_constant_that_makes_it(quantized: Quantize) -> None:
    """Of 1 and 0 it makes 0 and a large number, on either side of zero."""
    run = quantized(
        """agraph (float[2,2] x, float[2,2] keep) => (float[2,2] y) <float large = {1e9}> {
            m = Mul(keep, large)
            a = Add(x, m)
            y = Softmax(a)
        }""",
        [{"x": np.eye(2, dtype=np.float32), "keep": np.eye(2, dtype=np.float32)}] * 2,
    )
    assert not run.on_codes
    assert "it reads or writes a mask, beside which codes tell nothing apart" in run.changes.refusals


def test_a_quantized_model_stays_as_it_is(weights: Weights, quantized: Quantize) -> None:
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,1,1] y) {weights(w=(4, 4, 1, 1))} {{
            c = Conv(x, w)
            y = GlobalAveragePool(c)
        }}"""
    )
    outcome = QuantizeStatic(everywhere=True).call(run.model)
    assert not outcome.modified
    assert list(outcome.changes.refusals) == ["the model is quantized already"]


def test_an_old_model_is_raised_to_scales_per_channel(weights: Weights, quantized: Quantize) -> None:
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,1,1] y) {weights(w=(4, 4, 1, 1))} {{
            c = Conv(x, w)
            y = GlobalAveragePool(c)
        }}""",
        opset=11,
    )
    assert run.model.opset_imports[""] == 13
    assert run.on_codes == ["Conv"]


@pytest.mark.parametrize("product", ["Gemm(x, w, b)", "MatMul(x, w)"])
def test_a_product_whose_activation_ends_in_floats_writes_codes(
    weights: Weights, quantized: Quantize, product: str
) -> None:
    """Floats of it would do, but not behind an activation, which only codes make redundant."""
    run = quantized(
        f"""agraph (float[3,16] x) => (float[3,16] y) {weights(w=(16, 16), b=(16,))} {{
            p = {product}
            r = Relu(p)
            y = Erf(r)
        }}"""
    )
    assert run.on_codes == [product.partition("(")[0]]
    assert run.ops == [product.partition("(")[0], "Erf"]
    assert run.sqnr() > GOOD


def test_seven_bits_of_weights(weights: Weights, quantized: Quantize) -> None:
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,1,1] y) {weights(w=(4, 4, 1, 1))} {{
            c = Conv(x, w)
            y = GlobalAveragePool(c)
        }}""",
        reduce_range=True,
    )
    codes = _array(run.node("Conv").inputs[1].producer().inputs[0])
    assert np.abs(codes).max() == 63


def test_a_machine_whose_products_saturate_gets_seven_bits(
    weights: Weights, quantized: Quantize, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = {"flags": "fpu sse2 avx2"}
    monkeypatch.setattr(machine, "_cpu_fields", lambda: flags)
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,1,1] y) {weights(w=(4, 4, 1, 1))} {{
            c = Conv(x, w)
            y = GlobalAveragePool(c)
        }}"""
    )
    codes = _array(run.node("Conv").inputs[1].producer().inputs[0])
    assert np.abs(codes).max() == 63


def test_a_value_read_inside_a_branch_is_dequantized(weights: Weights, quantized: Quantize) -> None:
    run = quantized(
        f"""agraph (float[1,4,6,6] x) => (float[1,4,6,6] y) {weights(w=(4, 4, 1, 1))} {{
            c = Conv(x, w)
            d = Add(c, c)
            s = ReduceSum <keepdims = 0> (x)
            t = Greater(s, s)
            y = If (t) <
                then_branch = then () => (float[1,4,6,6] a) {{ a = Neg(c) }},
                else_branch = other () => (float[1,4,6,6] b) {{ b = Abs(d) }}
            >
        }}"""
    )
    assert run.on_codes == ["Conv", "Add"]
    assert run.sqnr() > GOOD


def test_half_floats_are_left_alone(quantized: Quantize) -> None:
    model = parse_model(
        """agraph (float16[2,4] x) => (float16[2,4] y) <float16[4,4] w = {1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8}> {
            y = MatMul(x, w)
        }"""
    )
    outcome = QuantizeStatic(everywhere=True).call(model)
    assert list(outcome.changes.refusals) == ["it computes in FLOAT16"]
    assert isinstance(outcome.model, ir.Model)


def test_a_product_that_some_read_as_codes_writes_codes_for_all(
    weights: Weights, quantized: Quantize
) -> None:
    run = quantized(
        f"""agraph (float[2,5,8] x) => (float[2,5,4] y, float[2,5,8] z) {weights(w=(8, 8), v=(8, 4))} {{
            m = MatMul(x, w)
            y = MatMul(m, v)
            z = Tanh(m)
        }}"""
    )
    assert run.on_codes == ["MatMul", "MatMul"]
    assert run.node("Tanh").inputs[0].producer().op_type == "DequantizeLinear"
    assert run.sqnr() > GOOD


def test_a_product_read_as_codes_and_as_a_graph_output_stays_in_float(
    weights: Weights, quantized: Quantize
) -> None:
    run = quantized(
        f"""agraph (float[2,5,8] x) => (float[2,5,8] m, float[2,5,4] y) {weights(w=(8, 8), v=(8, 4))} {{
            m = MatMul(x, w)
            y = MatMul(m, v)
        }}"""
    )
    assert run.on_codes == ["MatMul"]
    assert run.sqnr() > GOOD


def test_an_average_pool_names_no_dilations(quantized: Quantize) -> None:
    """onnxruntime 1.31 makes a node of them that it then refuses to load."""
    run = quantized(
        """agraph (float[1,2,6,6] x) => (float[1,2,5,5] y) {
            a = AveragePool <kernel_shape = [2,2], dilations = [1,1]> (x)
            y = Relu(a)
        }""",
        opset=19,
        quantize_outputs=True,
    )
    assert run.on_codes == ["AveragePool"]
    assert run.sqnr() > GOOD
