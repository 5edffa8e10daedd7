"""Fold scale, bias, BatchNormalization and Transpose into Gemm and MatMul, and join constant products.

A MatMul of two dimensions and its bias become one Gemm. Of more dimensions they stay: Gemm has two. Two
matrices in a row become one only where that takes fewer multiplications.
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
    const,
    constant,
    op,
    rest,
    rule,
    var,
)
from graphopt.passes.fusion._affine import BINARY, affine, is_zero, norm_affine
from graphopt.passes.fusion._arrays import ZERO, Array, dtype_of, exact, is_float, rounded
from graphopt.passes.fusion._linear import DENSE, Linear, linear, refuse_big_copy
from graphopt.pipeline import RewritePass

_NORM = (const("scale"), const("bias"), const("mean"), const("variance"))
VIEWS = ("Flatten", "Reshape")
OPTIONAL_BIAS_OPSET = 11


@rule(
    op(BINARY, op(DENSE, name="dense"), const("constant"), name="node"),
    op("Sub", const("constant"), op(DENSE, name="dense"), name="node"),
    op("Neg", op(DENSE, name="dense"), name="node"),
)
def fold_affine_into_gemm(tape: Tape, dense: ir.Node, node: ir.Node) -> ir.Value:
    """s * Gemm(x, w, b) + t  ->  Gemm(x, w * s, b * s + t), s and t one value or one per column."""
    view, read = linear(dense), affine(node)
    scale, shift = view.of_outputs(read.scale), view.of_outputs(read.shift)
    return _with_bias(view, shift).then(scale, shift).emit(tape)


@rule(
    op(DENSE, op(BINARY, var("x"), const("constant"), name="node"), rest("weights"), name="dense"),
    op(DENSE, op("Sub", const("constant"), var("x"), name="node"), rest("weights"), name="dense"),
    op(DENSE, op("Neg", var("x"), name="node"), rest("weights"), name="dense"),
)
def fold_affine_before_gemm(tape: Tape, dense: ir.Node, node: ir.Node) -> ir.Value:
    """Gemm(s * x + t, w, b)  ->  Gemm(x, s * w, b + t @ w), s and t one value or one per row of w."""
    view, read = linear(dense), affine(node)
    if not read.keeps_shape:
        raise Reject(f"a constant of shape {list(read.shape)} may broadcast the input of the {dense.op_type}")
    return view.after(view.of_inputs(read.scale), view.of_inputs(read.shift)).emit(tape, read.data)


@rule(op("BatchNormalization", op(DENSE, name="dense"), *_NORM, name="norm"))
def fold_batch_norm_into_gemm(tape: Tape, dense: ir.Node, norm: ir.Node) -> ir.Value:
    """BatchNormalization(Gemm(x, w, b))  ->  Gemm(x, w', b'); so for a MatMul of two dimensions."""
    view, (scale, shift) = linear(dense), norm_affine(norm, tape.opset)
    if view.rank != 2:
        raise Reject("the BatchNormalization of a MatMul that is not known to have two dimensions")
    return _with_bias(view, shift).then(scale, shift).emit(tape)


@rule(
    op(
        "BatchNormalization",
        op(VIEWS, op(DENSE, name="dense"), rest("sizes"), name="rows"),
        *_NORM,
        name="norm",
    )
)
def fold_batch_norm_behind_rows(
    tape: Tape, dense: ir.Node, rows: ir.Node, norm: ir.Node, sizes: tuple[ir.Value, ...]
) -> ir.Value:
    """BatchNormalization(Reshape(x @ w))  ->  Reshape(x @ w' + b'), rows laid out anew."""
    view, (scale, shift) = linear(dense), norm_affine(norm, tape.opset)
    laid = rows.outputs[0].shape
    if laid is None or len(laid) != 2 or laid.dims[1] != view.outputs:
        raise Reject("a BatchNormalization behind a view that is not known to keep the columns")
    if view.op_type == "Gemm":
        result = view.then(scale, shift).emit(tape)
    else:
        result = view.then(scale, ZERO).emit(tape)
        if not is_zero(shift):
            bias = tape.const(rounded(np.broadcast_to(shift, (view.outputs,)), view.dtype), "bias")
            result = tape.op("Add", [result, bias])
    return tape.op(rows.op_type, [result, *sizes], rows.attributes)


@rule(op("Gemm", op("BatchNormalization", var("x"), *_NORM, name="norm"), rest("weights"), name="dense"))
def fold_batch_norm_before_gemm(tape: Tape, dense: ir.Node, norm: ir.Node, x: ir.Value) -> ir.Value:
    """Gemm(BatchNormalization(x), w, b)  ->  Gemm(x, w', b')."""
    if attribute_int(dense, "transA", 0):
        raise Reject("the Gemm transposes the output of a BatchNormalization")
    return linear(dense).after(*norm_affine(norm, tape.opset)).emit(tape, x)


@rule(op("Gemm", op("Transpose", var("x"), name="transpose"), rest("others"), name="gemm"))
def fold_transpose_into_left(tape: Tape, x: ir.Value, transpose: ir.Node, gemm: ir.Node) -> ir.Value:
    """Gemm(Transpose(a), b, c)  ->  Gemm(a, b, c) with transA turned over."""
    return _turned(tape, gemm, "transA", [x, *gemm.inputs[1:]], transpose)


@rule(op("Gemm", var("a"), op("Transpose", var("x"), name="transpose"), rest("others"), name="gemm"))
def fold_transpose_into_right(
    tape: Tape, a: ir.Value, x: ir.Value, transpose: ir.Node, gemm: ir.Node
) -> ir.Value:
    """Gemm(a, Transpose(b), c)  ->  Gemm(a, b, c) with transB turned over."""
    return _turned(tape, gemm, "transB", [a, x, *gemm.inputs[2:]], transpose)


@rule(op("Gemm", var("a"), var("b"), const("c"), name="gemm"))
def drop_zero_bias(tape: Tape, a: ir.Value, b: ir.Value, c: ir.Value, gemm: ir.Node) -> ir.Value:
    """Gemm(a, b, zeros)  ->  Gemm(a, b), where the bias may be left out (from opset 11 on)."""
    if tape.opset < OPTIONAL_BIAS_OPSET or not is_float(c) or np.any(constant(c)):
        raise Reject("")
    return tape.op("Gemm", [a, b], gemm.attributes)


@rule(op("Gemm", var("a"), const("b"), const("c", optional=True), name="gemm"))
def fold_alpha_and_beta(tape: Tape, a: ir.Value, b: ir.Value, c: ir.Value | None, gemm: ir.Node) -> ir.Value:
    """Gemm(a, b, c) with alpha and beta  ->  Gemm(a, alpha * b, beta * c)."""
    alpha, beta = attribute_float(gemm, "alpha", 1.0), attribute_float(gemm, "beta", 1.0)
    if alpha == 1 and (beta == 1 or c is None):
        raise Reject("")
    inputs = [a]
    for value, factor in ((b, alpha), (c, beta)):
        if value is not None:
            refuse_big_copy(value)
            scaled = rounded(exact(value) * factor, dtype_of(value))
            inputs.append(value if factor == 1 else tape.const(scaled, value.name or "constant"))
    kept = {name: each for name, each in gemm.attributes.items() if name not in ("alpha", "beta")}
    return tape.op("Gemm", inputs, kept)


@rule(op(DENSE, op(DENSE, rest("inner"), name="first"), rest("outer"), name="second"))
def join_products(tape: Tape, first: ir.Node, second: ir.Node) -> ir.Value:
    """(x @ v + a) @ w + b  ->  x @ (v @ w) + (a @ w + b), where that takes fewer multiplications."""
    left, right = linear(first), linear(second)
    if left.input_axis != -1 or right.input_axis != -1:
        raise Reject("a product with a transposed operand")
    if left.inputs * right.outputs >= (left.inputs + right.outputs) * left.outputs:
        raise Reject("")
    for view in (left, right):
        view.require_constant_bias()
        refuse_big_copy(view.weight)
    x = first.inputs[0]
    weight = tape.const(rounded(left.matrix() @ right.matrix(), right.dtype), right.weight.name or "weight")
    bias = right.behind(left).bias
    if bias is None:
        return tape.op("MatMul", [x, weight])
    return tape.op("Gemm", [x, weight, tape.const(rounded(bias, right.dtype), "bias")])


@rule(
    op(
        "MatMul",
        op("Add", op("MatMul", rest("inner"), name="first"), const("bias"), name="add"),
        rest("outer"),
        name="second",
    )
)
def join_products_over_a_bias(tape: Tape, first: ir.Node, add: ir.Node, second: ir.Node) -> ir.Value:
    """(x @ v + a) @ w  ->  x @ (v @ w) + a @ w, where that takes fewer multiplications."""
    left, right, read = linear(first), linear(second), affine(add)
    if left.input_axis != -1 or right.input_axis != -1 or left.outputs != right.inputs:
        raise Reject("")
    if left.inputs * right.outputs >= (left.inputs + right.outputs) * left.outputs:
        raise Reject("")
    if not read.keeps_shape:
        raise Reject(f"a constant of shape {list(read.shape)} may broadcast the input of the MatMul")
    shift = np.broadcast_to(left.of_outputs(read.shift), (left.outputs,))
    for view in (left, right):
        view.require_constant_weight()
        refuse_big_copy(view.weight)
    weight = tape.const(rounded(left.matrix() @ right.matrix(), right.dtype), right.weight.name or "weight")
    bias = tape.const(rounded(shift @ right.matrix(), right.dtype), "bias")
    return tape.op("Add", [tape.op("MatMul", [first.inputs[0], weight]), bias])


def _with_bias(view: Linear, shift: Array) -> Linear:
    """A MatMul of two dimensions that is to get a bias becomes a Gemm."""
    return view.as_gemm() if view.rank == 2 and not is_zero(shift) else view


def _turned(
    tape: Tape, gemm: ir.Node, side: str, inputs: Sequence[ir.Value | None], transpose: ir.Node
) -> ir.Value:
    if (attribute_ints(transpose, "perm") or [1, 0]) != [1, 0]:
        raise Reject("")
    return tape.op("Gemm", inputs, {**gemm.attributes, side: 1 - attribute_int(gemm, side, 0)})


@dataclass(frozen=True)
class FuseGemm(RewritePass):
    """Fold scale, bias, BatchNormalization and Transpose into the neighbouring Gemm or MatMul."""

    name: ClassVar[str] = "fuse-gemm"
    rules: ClassVar[tuple[Rule, ...]] = (
        fold_affine_into_gemm,
        fold_affine_before_gemm,
        fold_batch_norm_into_gemm,
        fold_batch_norm_behind_rows,
        fold_batch_norm_before_gemm,
        fold_transpose_into_left,
        fold_transpose_into_right,
        fold_alpha_and_beta,
        drop_zero_bias,
        join_products,
        join_products_over_a_bias,
    )
