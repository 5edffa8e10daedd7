"""Write the additions in front of a normalization as one Sum.

    LayerNormalization((x + bias) + residual)  ->  LayerNormalization(Sum(x, bias, residual))

That is one node fewer, and faster than its size tells: onnxruntime fuses Add and LayerNormalization into an
operator whose kernel takes six times as long as both, and does not look for Sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes, Operator, Reject, Rule, Tape, op, rewrite, rule, same_shape
from graphopt.pipeline import Pass
from graphopt.targets import Target

NORMS = ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
FORM = "Sum.LayerNormalization"
"""The form as targets know it."""
BROADCASTING_OPSET = 8
"""Since then the terms of Sum may have different shapes."""
DTYPES = (ir.DataType.FLOAT, ir.DataType.DOUBLE)
"""What onnxruntime's Sum takes."""


@rule(op("Add", name="node"))
def add_before_norm(tape: Tape, node: ir.Node) -> ir.Value:
    """Norm((a + b) + c)  ->  Norm(Sum(a, b, c)), also where only a + b is normalized."""
    total = node.outputs[0]
    norms = [use.node for use in total.uses() if use.node.op_type in NORMS and use.idx == 0]
    if not norms or any(each.domain for each in norms):
        raise Reject("")
    terms, inner = _terms(node)
    if not inner and (len(total.uses()) > 1 or norms[0].op_type != "LayerNormalization"):
        raise Reject("")  # onnxruntime leaves these Adds alone as well
    if total.dtype not in DTYPES:
        raise Reject("Sum takes float32 and float64 alone in onnxruntime")
    if tape.opset < BROADCASTING_OPSET:
        raise Reject(f"Sum broadcasts since opset {BROADCASTING_OPSET}, and the model is at {tape.opset}")
    tape.consumed = inner
    return tape.op("Sum", terms)


def _terms(node: ir.Node) -> tuple[list[ir.Value | None], list[ir.Node]]:
    """What is added up, from left to right, and the Adds in front whose results are used for nothing else.

    A result that has fewer elements than the whole is a term itself: it is cheaper to add up alone.
    """
    shape = node.outputs[0].shape
    terms: list[ir.Value | None] = []
    inner: list[ir.Node] = []
    stack = list(reversed(node.inputs))
    while stack:
        value = stack.pop()
        producer = None if value is None else value.producer()
        if producer is None or producer.op_type != "Add" or producer.graph is not node.graph:
            terms.append(value)
            continue
        part = producer.outputs[0]
        alone = len(part.uses()) == 1 and not part.is_graph_output()
        if alone and part.shape is not None and shape is not None and same_shape(part.shape, shape):
            inner.append(producer)
            stack += reversed(producer.inputs)
        else:
            terms.append(value)
    return terms, inner


@dataclass(frozen=True)
class JoinSums(Pass):
    """Write the additions in front of a normalization as one Sum.

    Attributes:
        target: Says whether that is faster.
    """

    name: ClassVar[str] = "join-sums"
    target: str = "portable"
    rules: ClassVar[tuple[Rule, ...]] = (add_before_norm,)

    def roots(self) -> frozenset[Operator]:
        """The normalizations."""
        return frozenset(("", each) for each in NORMS)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        if Target.load(self.target).pays(FORM):
            rewrite(model, self.rules, changes)
