"""Generated quantized networks: valid, repeatable, and of all that matters."""

from __future__ import annotations

from collections import Counter

import onnx
import onnx_ir as ir
import pytest

from graphopt.testing.generate.quantized import quantized_model

SEEDS = range(150)


@pytest.mark.parametrize("seed", range(0, 60, 6))
def test_a_network_is_valid_and_repeatable(seed: int) -> None:
    proto = ir.to_proto(quantized_model(seed))
    onnx.checker.check_model(proto, full_check=True)
    assert proto == ir.to_proto(quantized_model(seed))


def test_networks_are_varied() -> None:
    operators: Counter[str] = Counter()
    dtypes: set[ir.DataType] = set()
    for seed in SEEDS:
        model = quantized_model(seed)
        operators.update(node.op_type for node in model.graph)
        dtypes |= {value.dtype for value in model.graph.initializers.values() if value.dtype is not None}
    assert {
        "Conv",
        "MatMul",
        "Gemm",
        "Add",
        "Mul",
        "Concat",
        "MaxPool",
        "Reshape",
        "Relu",
    } <= operators.keys()
    assert {ir.DataType.UINT8, ir.DataType.INT8, ir.DataType.UINT16, ir.DataType.INT32} <= dtypes
    assert operators["QuantizeLinear"] > 3 * len(SEEDS) and len(operators) > 25
