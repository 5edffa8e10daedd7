"""Work: products by their multiply-accumulates, everything else by what it writes."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.execute import Session
from graphopt.execute.inputs import make_inputs
from graphopt.execute.work import work


def estimate(text: str) -> int:
    model = ir.from_onnx_text(f'<ir_version: 8, opset_import: ["": 17]>\n{text}')
    _, shapes = Session(model, observe_shapes=True).run_observed(make_inputs(model)[0].values)
    return work(model, shapes)


@pytest.mark.parametrize(
    ("text", "macs", "written"),
    [
        ("g (float[2, 3] x) => (float[2, 3] y) { y = Neg(x) }", 0, 6),
        ("g (float[2, 3] x, float[3, 5] w) => (float[2, 5] y) { y = MatMul(x, w) }", 30, 10),
        (
            "g (float[3, 2] x, float[5, 3] w) => (float[2, 5] y) { y = Gemm <transA=1, transB=1> (x, w) }",
            30,
            10,
        ),
        (
            "g (float[1, 3, 8, 8] x, float[4, 3, 3, 3] w) => (float[1, 4, 6, 6] y) { y = Conv(x, w) }",
            3888,
            144,
        ),
        (
            "g (float[1, 3, 4, 4] x, float[3, 2, 2, 2] w) => (float[1, 2, 8, 8] y) "
            "{ y = ConvTranspose <strides=[2, 2]> (x, w) }",
            384,
            128,
        ),
        (
            "g (float[7, 1, 3] x, float[1, 8, 3] w, float[1, 8, 2] r) => (float[7, 1, 1, 2] y) "
            "{ y = LSTM <hidden_size=2> (x, w, r) }",
            280,
            14,
        ),
    ],
)
def test_work_of_one_node(text: str, macs: int, written: int) -> None:
    assert estimate(text) == macs + 16 * written


def test_nodes_without_shapes_are_left_out() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float[N] y) { y = Neg(x) }'
    )
    assert work(model, {}) == 0
