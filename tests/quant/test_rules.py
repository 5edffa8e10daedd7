"""Rules of quantization: read from tables, which are checked, and what of a rule a node's own form breaks."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import pytest

from graphopt.quant.rules import OpRule, QuantizationRules

PLAIN: dict[str, Any] = {
    "runtime": "some",
    "activations": "uint8",
    "weights": "int8:symmetric",
    "bias": "int32:symmetric",
    "ops": {"Conv": {"kernel": "QLinearConv", "weight": 1, "bias": 2, "types": ["uint8"]}},
}
GEMM = OpRule.from_dict(
    "Gemm",
    {
        "kernel": "com.microsoft.QGemm",
        "weight": 1,
        "bias": 2,
        "weight_axis": 1,
        "transposed_by": "transB",
        "min_opset": 7,
        "attributes_with_bias": {"alpha": 1.0},
    },
)


def node(op: str, inputs: int, outputs: int = 1, **attributes: Any) -> ir.Node:
    values = [ir.Value(name=f"x{index}") for index in range(inputs)]
    made = ir.node(op, values, attributes=attributes, num_outputs=outputs)
    for index, value in enumerate(made.outputs):
        value.name = f"y{index}"
    return made


def test_a_table_is_read_with_its_types() -> None:
    rules = QuantizationRules.from_dict(PLAIN)
    rule = rules.of(node("Conv", 2))
    assert rule is not None and rule.types == (ir.DataType.UINT8,) and rule.operator == ("", "Conv")
    assert rules.activations.dtype == ir.DataType.UINT8 and rules.weights.symmetric
    assert rules.of(node("Tanh", 1)) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activations": "uint9"}, "quantization.activations: scheme 'uint9'"),
        ({"speed": 1}, "quantization: unknown key 'speed'"),
        ({"steps": ["fly"]}, "unknown step 'fly'"),
        ({"ops": {"Conv": {}}}, "quantization.ops.Conv: key 'kernel' is missing"),
        (
            {"ops": {"Conv": {"kernel": "C", "heavy": 1}}},
            "quantization.ops.Conv.heavy: expected bool, found 1",
        ),
        ({"ops": {"Conv": {"kernel": "C", "types": ["fp8"]}}}, "'fp8' is none of"),
        ({"ops": {"Conv": {"kernel": "C", "output": "seldom"}}}, "output is 'seldom'"),
        ({"weight_only": {"ops": ["MatMul"]}}, "quantization.weight_only: key 'kernel' is missing"),
    ],
)
def test_a_broken_table_says_what_is_wrong(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QuantizationRules.from_dict({**PLAIN, **change})


@pytest.mark.parametrize(
    ("given", "opset", "reason"),
    [
        (node("Gemm", 3), 13, None),
        (node("Gemm", 3, alpha=1.0), 13, None),
        (node("Gemm", 3, alpha=0.5), 13, "its alpha is 0.5, and must be 1 where it has a bias"),
        (node("Gemm", 2, alpha=0.5), 13, None),
        (node("Gemm", 2), 6, "Gemm takes codes from opset 7 on, the model is of opset 6"),
        (node("Gemm", 2, outputs=2), 13, "it has more than 1 output"),
    ],
)
def test_what_a_node_breaks(given: ir.Node, opset: int, reason: str | None) -> None:
    assert GEMM.refusal(given, opset) == reason


def test_a_list_stands_for_any_number_of_its_value() -> None:
    pool = OpRule.from_dict("AveragePool", {"kernel": "Q", "attributes": {"dilations": [1]}})
    assert pool.refusal(node("AveragePool", 1, dilations=[1, 1]), 19) is None
    assert (
        pool.refusal(node("AveragePool", 1, dilations=[2, 1]), 19)
        == "its dilations is [2, 1], and must be all 1"
    )


def test_the_axis_of_channels_follows_the_transposition() -> None:
    assert GEMM.channel_axis(node("Gemm", 2), 2) == 1
    assert GEMM.channel_axis(node("Gemm", 2, transB=1), 2) == 0


def test_data_inputs() -> None:
    concat = OpRule.from_dict("Concat", {"kernel": "Q", "variadic": True})
    assert concat.data_inputs(node("Concat", 3)) == (0, 1, 2)
    assert GEMM.data_inputs(node("Gemm", 3)) == (0,)
