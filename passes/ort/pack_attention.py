"""Write self-attention and the projections in front of it as one operator of onnxruntime.

    Attention(x @ q + a, x @ k + b, x @ v + c)  ->  com.microsoft.Attention(x, [q k v], [a b c])

The attention may be spelled out, its heads split off by Reshape and Transpose, or be the operator of the
standard. It takes as long as that, in a seventh of the nodes. A mask gets a row for each position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Changes, Reject, Rule, Tape, op, rank, rule, same_dim
from graphopt.passes.ort._attention import (
    Attention,
    Projection,
    inputs_of,
    read_operator,
    read_projection,
    read_spelled,
)
from graphopt.passes.ort._contrib import CONTRIB, is_float32, rewrite_into_contrib
from graphopt.pipeline import RewritePass

SHAPE_SLICE_OPSET = 15
"""Since then Shape takes a range of axes."""


@rule(op("Attention", name="node"))
def packed_operator(tape: Tape, node: ir.Node) -> ir.Value:
    """Attention of three projections of one value  ->  com.microsoft.Attention of that value."""
    return _packed(tape, read_operator(node))


@rule(op("Reshape", name="node"))
def packed_spelling(tape: Tape, node: ir.Node) -> ir.Value:
    """Spelled attention of three projections of one value  ->  com.microsoft.Attention of that value."""
    return _packed(tape, read_spelled(node))


def _packed(tape: Tape, found: Attention) -> ir.Value:
    parts = [read_projection(value) for value in inputs_of(found)]
    source = parts[0].source
    if any(part.source is not source for part in parts):
        raise Reject("query, key and value are not projected from one value")
    if not is_float32(source):
        raise Reject("onnxruntime has this Attention for float32 alone")
    if not found.scale or not np.isfinite(found.scale):
        raise Reject(f"a scale of {found.scale:g}, in place of which onnxruntime takes the usual one")
    widths = [part.weight.shape[1] for part in parts]
    if widths[0] != widths[1]:
        raise Reject("query and key differ in width")
    mask = None if found.mask is None else _mask(tape, found.mask, found.heads, source)
    weight = tape.const(np.concatenate([part.weight for part in parts], axis=1), "qkv_weight")
    bias = tape.const(np.concatenate([_bias(part) for part in parts]), "qkv_bias")
    attributes: dict[str, object] = {"num_heads": found.heads, "scale": found.scale}
    if found.causal:
        attributes["unidirectional"] = 1
    if widths[2] != widths[0]:
        attributes["qkv_hidden_sizes"] = widths
    tape.consumed = found.nodes[1:]
    inputs = [source, weight, bias] + ([] if mask is None else [None, None, mask])
    return tape.op("Attention", inputs, attributes, domain=CONTRIB)


def _bias(part: Projection) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.zeros(part.weight.shape[1], np.float32) if part.bias is None else part.bias


def _mask(tape: Tape, mask: ir.Value, heads: int, source: ir.Value) -> ir.Value:
    """The mask with a row for each position of the query: [1 or batch, 1 or heads, length, length].

    Raises:
        Reject: Its rank or type is another, or not known.
    """
    if not is_float32(mask):
        raise Reject("the mask of the attention is not in float32")
    axes = rank(mask)
    if not axes or axes > 4 or mask.shape is None or source.shape is None:
        raise Reject("the mask of the attention has another rank, or is not known")
    length = source.shape.dims[1]
    wanted = [source.shape.dims[0], heads, length, length][4 - axes :]
    if not all(dim == 1 or same_dim(dim, full) for dim, full in zip(mask.shape.dims, wanted, strict=True)):
        raise Reject("the mask of the attention is not known to broadcast to its scores")
    if axes == 4 and all(same_dim(dim, length) for dim in mask.shape.dims[2:]):
        return mask
    if isinstance(length, int):
        shape = tape.ints([1, 1, length, length], "mask_shape")
    else:
        if tape.opset < SHAPE_SLICE_OPSET:
            raise Reject("the mask of the attention would have to be expanded, which needs opset 15")
        whole, axis = (mask, axes - 1) if same_dim(mask.shape.dims[-1], length) else (source, 1)
        ends = tape.op("Shape", [whole], {"start": axis, "end": axis + 1})
        shape = tape.op("Concat", [tape.ints([1, 1], "ones"), ends, ends], {"axis": 0})
    return tape.op("Expand", [mask, shape])


@dataclass(frozen=True)
class PackAttention(RewritePass):
    """Write self-attention and the projections in front of it as one operator of onnxruntime."""

    name: ClassVar[str] = "pack-attention"
    rules: ClassVar[tuple[Rule, ...]] = (packed_operator, packed_spelling)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        rewrite_into_contrib(model, self.rules, changes)
