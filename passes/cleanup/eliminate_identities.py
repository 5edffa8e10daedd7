"""Remove nodes that hand their input on unchanged, whatever operator spells it.

Bit for bit: identities that hold only up to the sign of zero or at infinity belong to `fast-math`.
Arithmetic with neutral elements is `simplify-algebra`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Reject,
    Rule,
    Tape,
    attribute_int,
    attribute_ints,
    attribute_string,
    const,
    constant,
    is_deterministic,
    op,
    rank,
    rest,
    rule,
    var,
)
from graphopt.passes.operands import (
    is_filled_with,
    keep,
    keeps_shape,
    node_ints,
    squeezed_reduction,
    static_dim,
)
from graphopt.pipeline import RewritePass


@rule(op("Identity", var("x")))
def identity(tape: Tape, x: ir.Value) -> ir.Value:
    """Identity."""
    return x


@rule(op(("Concat", "Sum", "Mean", "Max", "Min", "Split"), var("x"), rest("_"), name="node"))
def only_one(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Concat, Sum, Mean, Max or Min of one value; Split into one part."""
    parts = node.outputs if node.op_type == "Split" else node.inputs
    return keep(x, len(parts) == 1)


@rule(op("Dropout", var("x"), rest("_"), name="node"))
def dropout(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Dropout outside training."""
    if tape.opset < 7:
        raise Reject(f"Dropout of opset {tape.opset} may be in training mode")
    return keep(x, is_deterministic(node), "it is or may be in training mode")


@rule(op("Cast", var("x"), name="node"))
def cast_to_own_type(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Cast to the dtype the value has."""
    return keep(x, x.dtype is not None and x.dtype == attribute_int(node, "to", 0))


@rule(op("CastLike", var("x"), var("like"), name="node"))
def cast_like_of_known_type(tape: Tape, node: ir.Node, x: ir.Value, like: ir.Value) -> ir.Value:
    """CastLike: nothing where the dtypes are equal, else a Cast that no longer needs the second value."""
    if not like.dtype or x.dtype is None:  # undefined is no type, and false
        raise Reject("a dtype is not known")
    if x.dtype == like.dtype:
        return x
    kept = {name: attribute for name, attribute in node.attributes.items() if name == "saturate"}
    return tape.op("Cast", [x], {**kept, "to": int(like.dtype)})


VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile")


@rule(op(VIEWS, var("x"), rest("_"), name="node"))
def to_own_shape(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Reshape, Flatten, Squeeze, Unsqueeze, Expand or Tile to the shape the value has."""
    return keep(x, keeps_shape(x, node.outputs[0]))


@rule(op("Transpose", var("x"), name="node"))
def transpose_in_order(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Transpose that leaves every axis where it is."""
    perm = attribute_ints(node, "perm")
    if perm is None:  # reverses the axes
        return keep(x, rank(x) in (0, 1))
    return keep(x, perm == sorted(perm))


@rule(op("Slice", var("x"), rest("_"), name="node"))
def slice_of_everything(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Slice with positive steps that is as large as its input."""
    if not keeps_shape(x, node.outputs[0]):
        raise Reject("")
    steps = node_ints(node, "steps", 4)
    return keep(x, steps is None or min(steps, default=1) > 0, "a negative step reverses the order")


@rule(op("Pad", var("x"), rest("_"), name="node"))
def pad_of_nothing(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Pad by zero elements everywhere."""
    return keep(x, not any(node_ints(node, "pads", 1) or ()))


@rule(op(("Resize", "Upsample"), var("x"), rest("_"), name="node"))
def resize_by_one(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Resize or Upsample to the size the value has."""
    if not keeps_shape(x, node.outputs[0]):
        raise Reject("")
    if attribute_string(node, "coordinate_transformation_mode", "") == "tf_crop_and_resize":
        raise Reject("it crops")
    size = node.inputs[-1]  # scales, or sizes
    by_scales = len(node.inputs) == 1 or size is None or size.dtype == ir.DataType.FLOAT
    if by_scales and not (size is not x and size is not None and is_filled_with(size, 1.0)):
        raise Reject("its scales are not known to be 1")
    return x


@rule(op("Gather", var("x"), const("indices"), name="node"))
def gather_in_order(tape: Tape, node: ir.Node, x: ir.Value, indices: ir.Value) -> ir.Value:
    """Gather of every index in order."""
    size = static_dim(x, attribute_int(node, "axis", 0))
    if size is None or indices.shape is None or indices.shape.dims != (size,):
        raise Reject("")
    return keep(x, np.array_equal(constant(indices), np.arange(size)))  # type: ignore[arg-type]


@rule(op(("ReduceMax", "ReduceMin", "ReduceProd"), var("x"), rest("_"), name="node"))
def reduction_of_single_elements(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Maximum, minimum or product over axes of size 1, or none (a sum or mean makes 0.0 of -0.0)."""
    return squeezed_reduction(tape, node, x)


@rule(op(("ReduceSum", "ReduceMean"), var("x"), rest("_"), name="node"))
def reduction_over_no_axis(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Sum or mean over no axis at all."""
    return keep(x, attribute_int(node, "noop_with_empty_axes", 0) and not node_ints(node, "axes", 1))


@dataclass(frozen=True)
class EliminateIdentities(RewritePass):
    """Remove nodes that hand their input on unchanged."""

    name: ClassVar[str] = "eliminate-identities"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (
        identity,
        only_one,
        dropout,
        cast_to_own_type,
        cast_like_of_known_type,
        to_own_shape,
        transpose_in_order,
        slice_of_everything,
        pad_of_nothing,
        resize_by_one,
        gather_in_order,
        reduction_of_single_elements,
        reduction_over_no_axis,
    )
