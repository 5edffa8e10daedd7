"""The ways in which a node runs, and which operators are quantized by themselves."""

from __future__ import annotations

INT8 = "int8"
FLOAT = "float"
WEIGHT_ONLY = "weight-only"
GONE = "gone"

_INTEGER = ("ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM")
_INTEGER_PREFIXES = ("QLinear", "QGemm", "QAttention", "QEmbed", "QOrdered", "MatMulIntegerToFloat")
_WEIGHT_ONLY = ("MatMulNBits", "MatMulBnb4", "GatherBlockQuantized")


def integer_kind(domain: str, op_type: str) -> str | None:
    """`INT8` or `WEIGHT_ONLY` for an operator that is quantized by itself, else None."""
    if op_type in _WEIGHT_ONLY and domain:
        return WEIGHT_ONLY
    return INT8 if op_type in _INTEGER or op_type.startswith(_INTEGER_PREFIXES) else None
