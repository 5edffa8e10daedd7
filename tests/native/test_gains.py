"""Which regions are left to onnxruntime where nothing is measured."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.compile import optimize
from graphopt.native import Session
from graphopt.testing import parse_model

CODES = ", ".join(map(str, np.random.default_rng(0).integers(0, 256, 8 * 2 * 16)))
THREES = ", ".join(["3"] * 64 * 64)
SCALES = ", ".join(["0.01"] * 16)


def by_blocks(rows: str, more: str = "") -> ir.Model:
    """Floats times weights of 4 bits."""
    return parse_model(f"""<ir_version: 9, opset_import: ["" : 17, "com.microsoft" : 1]>
    g (float[{rows},64] x) => (float[{rows},8] y)
    <uint8[8,2,16] w = {{{CODES}}}, float[16] s = {{{SCALES}}}> {{
        y = com.microsoft.MatMulNBits<K = 64, N = 8, bits = 4, block_size = 32{more}>(x, w, s) }}""")


@pytest.mark.parametrize(
    ("rows", "more", "reason"),
    [
        ("1", "", None),
        ("2,16", "", None),
        ("33", "", "with many rows"),
        ("N", "", "how many there are is not known"),
        ("1", ", accuracy_level = 4", "multiplies codes"),
    ],
)
def test_products_with_weights_in_blocks(rows: str, more: str, reason: str | None) -> None:
    session = Session(by_blocks(rows, more))
    assert session.programs == (reason is None)
    if reason is not None:
        (told,) = session.refusals
        assert reason in told


def test_nothing_is_doubted_beside_other_work() -> None:
    model = parse_model(f"""<ir_version: 9, opset_import: ["" : 17, "com.microsoft" : 1]>
    g (uint8[N,64] x) => (float[N,8] y) <uint8[8,2,16] w = {{{CODES}}}, float[16] s = {{{SCALES}}},
        float t = {{0.1}}, uint8 z = {{128}}, int8[64,64] v = {{{THREES}}}, int8 o = {{0}}> {{
        a = DequantizeLinear(x, t, z) b = DequantizeLinear(v, t, o) c = MatMul(a, b)
        y = com.microsoft.MatMulNBits<K = 64, N = 8, bits = 4, block_size = 32>(c, w, s) }}""")
    assert Session(model).programs == 1


def test_what_is_not_measured_is_doubted_by_optimize_too() -> None:
    result = optimize(by_blocks("40"), target="native", measure=False)
    assert [node.op_type for node in result.model.graph] == ["MatMulNBits"]
    assert any("with many rows" in note for note in result.report.notes)
