"""What onnxruntime does not survive is not handed to it."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.errors import ExecutionError
from graphopt.execute import Session


def session(opset: int, graph: str) -> Session:
    return Session(ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : {opset}]> g {graph}'))


def test_parts_of_no_size() -> None:
    with pytest.raises(ExecutionError, match=r"SplitToSequence node .* splits into parts of \[0\]"):
        session(17, "(float[4] x) => (seq(float[N]) s) <int64 z = {0}> { s = SplitToSequence(x, z) }")


@pytest.mark.parametrize("heads", ["q_num_heads = 0, kv_num_heads = 2", "q_num_heads = 2, kv_num_heads = 0"])
def test_attention_without_heads(heads: str) -> None:
    with pytest.raises(ExecutionError, match="it has no heads"):
        session(23, f"(float[1,2,4] x) => (float[1,2,4] y) {{ y = Attention <{heads}> (x, x, x) }}")


def test_attention_of_heads() -> None:
    heads = "q_num_heads = 2, kv_num_heads = 2"
    session(23, f"(float[1,2,4] x) => (float[1,2,4] y) {{ y = Attention <{heads}> (x, x, x) }}")
