"""Fold a Pad into the pads of a Conv, AveragePool or MaxPool.

Only where the two mean the same: constant mode, the value that the operator's own padding has (zero, or the
lowest for MaxPool), spatial axes, no cropping. Pools take no padding as wide as their window, and no image
that may be empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Reject,
    Rule,
    Tape,
    attribute_float,
    attribute_int,
    attribute_ints,
    attribute_string,
    ints,
    op,
    rank,
    rest,
    rule,
    scalar,
    var,
)
from graphopt.pipeline import RewritePass

POOLS = ("AveragePool", "MaxPool")


@rule(op(("Conv", *POOLS), op("Pad", var("x"), rest("pads"), name="pad"), rest("weights"), name="window"))
def fold_pad(tape: Tape, pad: ir.Node, window: ir.Node, x: ir.Value) -> ir.Value:
    """Conv(Pad(x, p), w, b)  ->  Conv(x, w, b) with p added to its pads; so for AveragePool and MaxPool."""
    begin, end = _spatial_pads(pad, x)
    value = _pad_value(pad)
    if window.op_type == "MaxPool":
        if not _is_lowest(value, x):
            raise Reject("Pad with a value that MaxPool does not pad with")
    elif value != 0:
        raise Reject(f"Pad with a value that {window.op_type} does not pad with")
    own = _own_pads(window, len(begin))
    pads = [a + b for a, b in zip(own, begin + end, strict=True)]
    attributes = {name: each for name, each in window.attributes.items() if name != "auto_pad"}
    if window.op_type in POOLS:
        _check_pool(window, x, own, pads)
        if window.op_type == "AveragePool":
            attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", 1)
    attributes["pads"] = ir.AttrInt64s("pads", pads)
    return tape.op(window.op_type, [x, *window.inputs[1:]], attributes)


def _spatial_pads(pad: ir.Node, x: ir.Value) -> tuple[list[int], list[int]]:
    """Padding before and after along each spatial axis (from 2 on)."""
    if attribute_string(pad, "mode", "constant") != "constant":
        raise Reject(f"Pad in {attribute_string(pad, 'mode', '')} mode")
    dims = rank(x)
    if dims is None:
        raise Reject("the rank of the padded value is not known")
    amounts = attribute_ints(pad, "pads") if len(pad.inputs) < 2 else ints(pad.inputs[1])
    axes: list[int] | None = list(range(dims))
    if len(pad.inputs) > 3 and pad.inputs[3] is not None:
        axes = ints(pad.inputs[3])
    if amounts is None or axes is None:
        raise Reject("the pads are not constant")
    if x.shape is not None and 0 in x.shape.dims[1:]:
        raise Reject("what is padded has no elements, of which onnxruntime takes no windows")
    begin, end = [0] * dims, [0] * dims
    for index, axis in enumerate(axes):
        begin[axis], end[axis] = amounts[index], amounts[index + len(axes)]
    if min(begin + end, default=0) < 0:
        raise Reject("Pad that crops")
    if any(begin[:2] + end[:2]):
        raise Reject("Pad of the batch or channel axis")
    return begin[2:], end[2:]


def _pad_value(pad: ir.Node) -> float:
    if len(pad.inputs) < 2:
        return attribute_float(pad, "value", 0.0)
    if len(pad.inputs) < 3 or pad.inputs[2] is None:
        return 0.0
    value = scalar(pad.inputs[2])
    if value is None:
        raise Reject("the value of the Pad is not constant")
    return float(value)


def _is_lowest(value: float, x: ir.Value) -> bool:
    if x.dtype is None:
        return False
    if x.dtype.is_floating_point():
        return value == -np.inf
    return value == np.iinfo(x.dtype.numpy()).min


def _own_pads(window: ir.Node, spatial: int) -> list[int]:
    mode = attribute_string(window, "auto_pad", "NOTSET")
    if mode == "VALID":
        return [0] * 2 * spatial
    if mode != "NOTSET":
        raise Reject(f"the {window.op_type} chooses its pads by {mode}")
    return attribute_ints(window, "pads") or [0] * 2 * spatial


def _check_pool(window: ir.Node, x: ir.Value, own: Sequence[int], pads: Sequence[int]) -> None:
    if x.shape is None or not all(isinstance(size, int) for size in x.shape.dims[2:]):
        raise Reject(
            f"a size of the image is not known: onnxruntime takes no {window.op_type} of an empty one"
        )
    if len(window.outputs) > 1:
        raise Reject("the indices of the MaxPool count its padded input")
    dilated = any(size != 1 for size in attribute_ints(window, "dilations") or [])
    if attribute_int(window, "ceil_mode", 0) or dilated:
        raise Reject(f"a {window.op_type} with ceil_mode or dilations")
    if window.op_type == "AveragePool" and any(own) and not attribute_int(window, "count_include_pad", 0):
        raise Reject("the AveragePool does not count its own padding")
    kernel = attribute_ints(window, "kernel_shape") or []
    if any(pad >= size for pad, size in zip(pads, kernel * 2, strict=True)):
        raise Reject("the padding is as wide as the window")


@dataclass(frozen=True)
class FusePad(RewritePass):
    """Fold Pad into the pads of the Conv or pool behind it."""

    name: ClassVar[str] = "fuse-pad"
    rules: ClassVar[tuple[Rule, ...]] = (fold_pad,)
