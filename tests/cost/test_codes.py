"""Times on codes and in float follow from the rates of a node's kind and the sizes of its values."""

from __future__ import annotations

import math

import onnx_ir as ir
import pytest

from graphopt.cost import CodeRates
from graphopt.cost.codes import kind_of
from graphopt.targets import Target
from graphopt.testing import parse_model

PLAIN = {
    "quantize": {"node": 5.0},
    "dequantize": {"node": 5.0},
    "Conv": {
        "float": {"node": 1.0, "mac": 2.0},
        "codes": {"row": 1.0, "tap": 10.0, "input": 0.5, "output": 100.0},
    },
    "Gemm": {"float": {"mac": 1.0, "weight": 3.0}, "codes": {"mac": 1.0}},
    "Relu": {"float": {"unfused": 2.0}, "codes": {"output": 1.0}},
}


def _size(value: ir.Value) -> float:
    return float(math.prod(dim for dim in value.shape or () if isinstance(dim, int)))


def _node(text: str) -> ir.Node:
    return parse_model(text).graph[-1]


def test_a_conv_counts_products_taps_and_rows() -> None:
    node = _node("agraph (float[1,4,5,5] x, float[2,4,3,3] w) => (float[1,2,3,3] y) { y = Conv(x, w) }")
    rates = CodeRates.from_dict(PLAIN)
    assert rates.float_time(node, _size) == 1 + 2 * 18 * 36
    assert rates.code_time(node, _size) == 9 * (3 + 10 * 9) + 0.5 * 100 + 100 * 18


def test_a_transposed_conv_counts_what_reaches_an_output() -> None:
    node = _node(
        """agraph (float[1,4,5,5] x, float[4,2,3,3] w) => (float[1,2,11,11] y) {
            y = ConvTranspose <strides = [2, 2]> (x, w)
        }"""
    )
    plain = {"ConvTranspose": {"float": {"mac": 1.0}, "codes": {"mac": 1.0}}}
    assert CodeRates.from_dict({**PLAIN, **plain}).float_time(node, _size) == 2 * 11 * 11 * (4 * 3 * 3 // 4)


@pytest.mark.parametrize(("attribute", "shape"), [("transB = 1", "7,4"), ("transB = 0", "4,7")])
def test_a_gemm_counts_products_and_weights(attribute: str, shape: str) -> None:
    numbers = ",".join("1" * 28)
    node = _node(
        f"""agraph (float[2,4] x) => (float[2,7] y) <float[{shape}] w = {{{numbers}}}> {{
            y = Gemm <{attribute}> (x, w)
        }}"""
    )
    assert CodeRates.from_dict(PLAIN).float_time(node, _size) == 14 * 4 + 3 * 28


def test_an_activation_is_lost_to_a_conv_on_codes() -> None:
    node = _node("agraph (float[3] x) => (float[3] y) { y = Relu(x) }")
    rates = CodeRates.from_dict(PLAIN)
    assert (rates.float_time(node, _size), rates.unfused_time(node, _size)) == (0.0, 6.0)
    assert rates.unfused_time(_node("agraph (float[3] x) => (float[3] y) { y = Tanh(x) }"), _size) == 0.0


@pytest.mark.parametrize(
    ("weight", "group", "kind"),
    [
        ("8,4,3,3", 1, "Conv"),
        ("8,3,3,3", 1, "Conv.narrow"),
        ("8,3,1,1", 1, "Conv.pointwise"),
        ("16,1,3,3", 16, "Conv.grouped"),
        ("24,1,3,3", 24, "Conv.grouped.uneven"),
    ],
)
def test_kinds_of_convs(weight: str, group: int, kind: str) -> None:
    node = _node(
        f"""agraph (float[1,c,9,9] x, float[{weight}] w) => (float[n,m,h,v] y) {{
            y = Conv <group = {group}> (x, w)
        }}"""
    )
    assert kind_of(node) == kind


def test_a_product_of_activations_is_a_kind() -> None:
    node = _node("agraph (float[2,3] x, float[3,4] w) => (float[2,4] y) { y = MatMul(x, w) }")
    assert kind_of(node) == "MatMul.computed"
    assert not CodeRates.from_dict(PLAIN).knows(node)


@pytest.mark.parametrize(
    "wrong",
    [
        {"Conv": {"float": {}}},
        {"Conv": {"float": {"speed": 1.0}, "codes": {}}},
        {"Conv": {"float": {"node": "fast"}, "codes": {}}},
    ],
)
def test_tables_that_are_none(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"codes\.Conv"):
        CodeRates.from_dict({**PLAIN, **wrong})


def test_rates_may_build_on_others() -> None:
    base = CodeRates.from_dict(PLAIN)
    made = CodeRates.from_dict({"quantize": {"output": 1.0}}, base)
    assert made.quantize.output == 1.0 and made.quantize.node == 0.0
    assert (made.dequantize, made.in_float, made.on_codes) == (base.dequantize, base.in_float, base.on_codes)


@pytest.mark.parametrize("name", ["portable", "ort-cpu"])
def test_targets_have_rates_of_what_their_rules_call_heavy(name: str) -> None:
    target = Target.load(name)
    assert target.quantization is not None and target.codes is not None
    heavy = {op for op, rule in target.quantization.ops.items() if rule.heavy}
    assert heavy <= target.codes.in_float.keys()
