"""Fold scale, bias, affine and BatchNormalization into the neighbouring Conv or ConvTranspose.

After a Conv all of them fold. Before one a scale folds always, a bias only where no padding puts zeros beside
it. Scales and biases farther away are the work of `absorb-affine`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, attribute_int, const, op, rest, rule, var
from graphopt.passes.fusion._affine import BINARY, affine, norm_affine
from graphopt.passes.fusion._linear import CONVS, linear
from graphopt.pipeline import RewritePass

_NORM = (const("scale"), const("bias"), const("mean"), const("variance"))


@rule(
    op(BINARY, op(CONVS, name="conv"), const("constant"), name="node"),
    op("Sub", const("constant"), op(CONVS, name="conv"), name="node"),
    op("Neg", op(CONVS, name="conv"), name="node"),
)
def fold_affine_into_conv(tape: Tape, conv: ir.Node, node: ir.Node) -> ir.Value:
    """s * Conv(x, w, b) + t  ->  Conv(x, s * w, s * b + t), s and t one value or one per output channel."""
    view, read = linear(conv), affine(node)
    return view.then(view.of_outputs(read.scale), view.of_outputs(read.shift)).emit(tape)


@rule(op("BatchNormalization", op(CONVS, name="conv"), *_NORM, name="norm"))
def fold_batch_norm_into_conv(tape: Tape, conv: ir.Node, norm: ir.Node) -> ir.Value:
    """BatchNormalization(Conv(x, w, b))  ->  Conv(x, w', b')."""
    view = linear(conv)
    return view.then(*norm_affine(norm, tape.opset)).emit(tape)


@rule(
    op(CONVS, op(BINARY, var("x"), const("constant"), name="node"), rest("weights"), name="conv"),
    op(CONVS, op("Sub", const("constant"), var("x"), name="node"), rest("weights"), name="conv"),
    op(CONVS, op("Neg", var("x"), name="node"), rest("weights"), name="conv"),
)
def fold_affine_before_conv(tape: Tape, conv: ir.Node, node: ir.Node) -> ir.Value:
    """Conv(s * x + t, w, b)  ->  Conv(x, s * w, b + w * t), s and t one value or one per input channel."""
    view, read = linear(conv), affine(node)
    if not read.keeps_shape:
        raise Reject(f"a constant of shape {list(read.shape)} may broadcast the input of the {conv.op_type}")
    return view.after(view.of_inputs(read.scale), view.of_inputs(read.shift)).emit(tape, read.data)


@rule(op(CONVS, op("BatchNormalization", var("x"), *_NORM, name="norm"), rest("weights"), name="conv"))
def fold_batch_norm_before_conv(tape: Tape, conv: ir.Node, norm: ir.Node, x: ir.Value) -> ir.Value:
    """Conv(BatchNormalization(x), w, b)  ->  Conv(x, w', b'), if no padding puts zeros beside its shift."""
    view = linear(conv)
    return view.after(*norm_affine(norm, tape.opset)).emit(tape, x)


@rule(
    op("BatchNormalization", op("Concat", rest("parts"), name="concat"), *_NORM, name="norm"),
)
def fold_batch_norm_into_joined_convs(
    tape: Tape, parts: tuple[ir.Value, ...], concat: ir.Node, norm: ir.Node
) -> ir.Value:
    """BatchNormalization(Concat(Conv(x), Conv(z)))  ->  Concat(Conv'(x), Conv'(z)), along the channels."""
    convs = [_own_conv(part) for part in parts]
    views = [linear(conv) for conv in convs]
    if attribute_int(concat, "axis", 0) not in (1, 1 - (views[0].rank or 0)):
        raise Reject("what is joined is not the channels of one Conv each")
    scale, shift = norm_affine(norm, tape.opset)
    joined, begin = [], 0
    for view in views:
        end = begin + view.outputs
        joined.append(view.then(scale[begin:end], shift[begin:end]).emit(tape))
        begin = end
    tape.consumed = convs[::-1]
    return tape.op("Concat", joined, concat.attributes)


def _own_conv(value: ir.Value) -> ir.Node:
    """The Conv whose result nothing else reads."""
    node = value.producer()
    if node is None or node.op_type not in CONVS or node.domain:
        raise Reject("")
    if len(value.uses()) > 1 or value.is_graph_output():
        raise Reject("the result of a Conv is also used elsewhere")
    return node


@dataclass(frozen=True)
class FuseConv(RewritePass):
    """Fold scale, bias, affine and BatchNormalization into the neighbouring Conv or ConvTranspose."""

    name: ClassVar[str] = "fuse-conv"
    rules: ClassVar[tuple[Rule, ...]] = (
        fold_affine_into_conv,
        fold_batch_norm_into_conv,
        fold_affine_before_conv,
        fold_batch_norm_before_conv,
        fold_batch_norm_into_joined_convs,
    )
