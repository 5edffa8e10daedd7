"""Write the additions in front of a normalization as one Sum.

    LayerNormalization((x + bias) + residual)  ->  LayerNormalization(Sum(x, bias, residual))

That is one node fewer, and faster than its size tells: onnxruntime fuses Add and LayerNormalization into an
operator whose kernel takes six times as long as both, and does not look for Sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.cost import Target
from graphopt.ir import Changes, Reject, Rule, Tape, op, rewrite, rule, same_shape, var
from graphopt.pipeline import Pass

NORMS = ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
FORM = "Sum.LayerNormalization"
"""The form as targets know it."""
BROADCASTING_OPSET = 8
"""Since then the terms of Sum may have different shapes."""
DTYPES = (ir.DataType.FLOAT, ir.DataType.DOUBLE)
"""What onnxruntime's Sum takes."""


@rule(op("Add", var("a"), var("b"), name="node"))
def add_before_norm(tape: Tape, node: ir.Node) -> ir.Value:
    """Norm((a + b) + c)  ->  Norm(Sum(a, b, c)), also where only a + b is normalized."""
    total = node.outputs[0]
    norms = [use.node for use in total.uses() if use.node.op_type in NORMS and use.idx == 0]
    if not norms or any(each.domain for each in norms):
        raise Reject("")
    inner = list(_inner(node))
    if not inner and (len(total.uses()) > 1 or norms[0].op_type != "LayerNormalization"):
        raise Reject("")  # onnxruntime leaves these Adds alone as well
    if total.dtype not in DTYPES:
        raise Reject("Sum takes float32 and float64 alone in onnxruntime")
    if tape.opset < BROADCASTING_OPSET:
        raise Reject(f"Sum broadcasts since opset {BROADCASTING_OPSET}, and the model is at {tape.opset}")
    tape.consumed = inner
    return tape.op("Sum", _terms(node, set(inner)))


def _inner(node: ir.Node) -> Iterator[ir.Node]:
    """The Adds in front whose result is of the same shape and used for nothing else."""
    total = node.outputs[0].shape
    for value in node.inputs:
        producer = None if value is None else value.producer()
        if (
            producer is None
            or producer.op_type != "Add"
            or producer.domain
            or producer.graph is not node.graph
        ):
            continue
        term = producer.outputs[0]
        alone = len(term.uses()) == 1 and not term.is_graph_output()
        if alone and term.shape is not None and total is not None and same_shape(term.shape, total):
            yield producer
            yield from _inner(producer)


def _terms(node: ir.Node, inner: set[ir.Node]) -> list[ir.Value | None]:
    terms: list[ir.Value | None] = []
    for value in node.inputs:
        producer = None if value is None else value.producer()
        terms += [value] if producer not in inner or producer is None else _terms(producer, inner)
    return terms


@dataclass(frozen=True)
class JoinSums(Pass):
    """Write the additions in front of a normalization as one Sum.

    Attributes:
        target: Says whether that is faster.
    """

    name: ClassVar[str] = "join-sums"
    target: str = "portable"
    rules: ClassVar[tuple[Rule, ...]] = (add_before_norm,)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        if Target.load(self.target).pays(FORM):
            rewrite(model, self.rules, changes)
