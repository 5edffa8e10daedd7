"""Drop pairs of views with elementwise nodes and pads between them, as around convolutions of one dimension.

Before: Conv - Squeeze - Add - Relu - Pad - Unsqueeze - Conv. After: Conv - Add - Relu - Pad - Conv. All
operands must come from the shape that the last view goes back to; constants are fitted to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import onnx_ir as ir

from graphopt.ir import (
    Reject,
    Rule,
    Tape,
    attribute_ints,
    constant,
    constant_tensor,
    facts,
    ints,
    op,
    rank,
    rest,
    rule,
    same_shape,
    var,
)
from graphopt.passes.chains.merge_reshapes import VIEWS
from graphopt.passes.fusion._linear import refuse_big_copy
from graphopt.passes.layout._perms import Segment, reshape_segments
from graphopt.pipeline import RewritePass

MOST_NODES = 16
"""Nodes between two views."""


@rule(op(VIEWS, var("y"), rest("_"), name="outer"))
def views_around_elementwise(tape: Tape, y: ir.Value, outer: ir.Node) -> ir.Value:
    """View(f(View(x), ...))  ->  f(x, ...), where the shape of x comes back."""
    shape = outer.outputs[0].shape
    if shape is None or y.shape is None or y.producer() is None or y.producer().op_type in VIEWS:  # type: ignore[union-attr]
        raise Reject("")
    return _Lift(tape, outer).value(y, shape)


class _Lift:
    """Rebuilds what is between two views in the shape outside of them."""

    def __init__(self, tape: Tape, outer: ir.Node) -> None:
        self._tape = tape
        self._outer = outer
        self._budget = MOST_NODES

    def value(self, value: ir.Value, shape: ir.Shape) -> ir.Value:
        """A value as it is in front of a view, of the shape given there.

        Raises:
            Reject: It does not come from there.
        """
        node = value.producer()
        if node is None or node.graph is not self._outer.graph or node.domain:
            raise Reject("")
        if node.op_type in VIEWS:
            source = node.inputs[0]
            if source is None or constant_tensor(source) is not None or not same_shape(source.shape, shape):
                raise Reject("")
            return source
        self._budget -= 1
        if self._budget < 0 or len(node.outputs) != 1 or value.is_graph_output() or len(value.uses()) != 1:
            raise Reject("")
        if value.shape is None or any(attribute.is_ref() for attribute in node.attributes.values()):
            raise Reject("")
        segments = reshape_segments(value.shape.dims, shape.dims)
        if node.op_type == "Pad":
            return self._pad(node, segments, shape)
        if not facts(node).elementwise or "axis" in node.attributes or "broadcast" in node.attributes:
            raise Reject("")
        computed = [each for each in node.inputs if each is not None and constant_tensor(each) is None]
        if not any(same_shape(each.shape, value.shape) for each in computed):
            raise Reject("")  # the shape comes of constants, or of operands that broadcast against each other
        inputs = [operand and self._operand(node, operand, value, segments, shape) for operand in node.inputs]
        return self._tape.op(node.op_type, inputs, node.attributes)

    def _operand(
        self, node: ir.Node, operand: ir.Value, value: ir.Value, segments: Sequence[Segment], shape: ir.Shape
    ) -> ir.Value:
        tensor = constant_tensor(operand)
        if tensor is None:
            if rank(operand) == 0 and value.shape is not None and len(value.shape):
                return operand
            if not same_shape(operand.shape, value.shape):
                raise Reject(f"an operand of the {node.op_type} broadcasts")
            return self.value(operand, shape)
        if tensor.size == 1:
            return self._scalar(operand, len(tensor.shape), len(shape))
        refuse_big_copy(operand)
        dims = (1,) * (len(value.shape or ()) - len(tensor.shape)) + tuple(tensor.shape.numpy())
        fitted: list[int] = []
        for ins, outs in segments:
            if len(ins) == len(outs) == 1:
                fitted.append(dims[ins[0]])
            elif all(dims[axis] == 1 for axis in ins):
                fitted += [1] * len(outs)
            else:
                raise Reject(f"an operand of the {node.op_type} spans axes that are joined or split")
        array = constant(operand)
        assert array is not None
        return self._tape.const(array.reshape(fitted), operand.name or "constant")

    def _scalar(self, operand: ir.Value, axes: int, most: int) -> ir.Value:
        """A single element, which must not add axes to a result of fewer than it has."""
        if axes <= most:
            return operand
        array = constant(operand)
        assert array is not None
        return self._tape.const(array.reshape(()), operand.name or "constant")

    def _pad(self, node: ir.Node, segments: Sequence[Segment], shape: ir.Shape) -> ir.Value:
        source = node.inputs[0]
        pads = attribute_ints(node, "pads")
        named = pads is not None
        if pads is None and len(node.inputs) > 1:
            pads = ints(node.inputs[1])
        if source is None or source.shape is None or pads is None or len(node.inputs) > 3:
            raise Reject("the pads are not constant")
        axes = len(source.shape)
        front: list[int] = []
        back: list[int] = []
        dims: list[Any] = list(shape.dims)
        for ins, outs in segments:
            amounts = [(pads[axis], pads[axis + axes]) for axis in ins]
            if len(ins) == len(outs) == 1:
                dims[outs[0]] = source.shape.dims[ins[0]]
            elif any(amount != (0, 0) for amount in amounts):
                raise Reject("a Pad of axes that are joined or split")
            else:
                amounts = [(0, 0)] * len(outs)
            front += [amount[0] for amount in amounts]
            back += [amount[1] for amount in amounts]
        data = self.value(source, ir.Shape(dims))
        if named:
            return self._tape.op("Pad", [data], {**node.attributes, "pads": [*front, *back]})
        return self._tape.op(
            "Pad", [data, self._tape.ints([*front, *back], "pads"), *node.inputs[2:]], node.attributes
        )


@dataclass(frozen=True)
class SinkReshapes(RewritePass):
    """Drop pairs of views with elementwise nodes and pads between them."""

    name: ClassVar[str] = "sink-reshapes"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (views_around_elementwise,)
