"""The versions of ONNX that graphopt reads and writes, stated once."""

from __future__ import annotations

# onnxruntime 1.31 loads up to these; operators older than opset 7 broadcast by other rules.
OLDEST_OPSET = 7
NEWEST_OPSET = 26
NEWEST_IR_VERSION = 13


def oldest_ir_version(opset: int) -> int:
    """The IR version that the release of ONNX with this opset introduced or had."""
    import onnx.helper

    return int(onnx.helper.OP_SET_ID_VERSION_MAP.get(("ai.onnx", opset), NEWEST_IR_VERSION))
