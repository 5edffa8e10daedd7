"""How nodes, values and codes are called in the sentences of a prediction."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.quant.pairs import Codes


def operator_name(node: ir.Node) -> str:
    """`domain.Name`, or the name alone in the standard's domain."""
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def label(node: ir.Node) -> str:
    """A node, by its name or by what it writes."""
    if node.name:
        return f"{node.op_type} {node.name!r}"
    written = repr(node.outputs[0].name) if node.outputs else "nothing"
    return f"the {node.op_type} that writes {written}"


def dtype_name(dtype: ir.DataType | None) -> str:
    """A type of codes."""
    return "an unknown type" if dtype is None else dtype.name.lower()


def dtype_names(dtypes: tuple[ir.DataType, ...]) -> str:
    """Types of codes, any of which will do."""
    return " or ".join(map(dtype_name, dtypes))


def codes_text(codes: Codes) -> str:
    """Scale and zero point of codes."""
    if not codes.whole:
        return "several scales"
    if not codes.constant or codes.scale is None:
        return "a computed scale"
    zero = f"zero point {codes.zero}" if codes.given else "no zero point given"
    return f"{dtype_name(codes.dtype)} of scale {number(float(codes.scale.reshape(-1)[0]))} and {zero}"


def range_text(bounds: tuple[float, float] | None) -> str:
    """Two bounds."""
    return "computed bounds" if bounds is None else f"{number(bounds[0])}..{number(bounds[1])}"


def number(value: float) -> str:
    """A number in few digits."""
    return f"{value:.6g}"
