"""Fuse a bias and the Gelu behind it: `Gelu(x + bias)` into BiasGelu, with tanh into FastGelu."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes, Reject, Rule, Tape, attribute_string, op, rank, rule, same_dim
from graphopt.passes.ort._contrib import CONTRIB, is_float32, rewrite_into_contrib
from graphopt.pipeline import RewritePass


@rule(
    op("Gelu", op("Add", name="add"), name="gelu"),
    op("Gelu", op("Add", name="add"), name="gelu", domain=CONTRIB),
    op("FastGelu", op("Add", name="add"), name="gelu", domain=CONTRIB),
)
def bias_gelu(tape: Tape, add: ir.Node, gelu: ir.Node) -> ir.Value:
    """Gelu(x + bias)  ->  BiasGelu(x, bias), or FastGelu(x, bias) for the one by tanh."""
    x, bias = sorted(add.inputs, key=lambda value: -(rank(value) or 0))
    if x is None or bias is None or x.shape is None or bias.shape is None or len(bias.shape) != 1:
        raise Reject("no vector is added")
    if not len(x.shape) or not same_dim(x.shape.dims[-1], bias.shape.dims[0]):
        raise Reject("the bias may broadcast along the last axis")
    if not is_float32(x):
        raise Reject("onnxruntime has BiasGelu for float32 alone")
    by_tanh = gelu.op_type == "FastGelu" or attribute_string(gelu, "approximate", "none") == "tanh"
    return tape.op("FastGelu" if by_tanh else "BiasGelu", [x, bias], domain=CONTRIB)


@dataclass(frozen=True)
class FuseBiasGelu(RewritePass):
    """Fuse a bias and the Gelu behind it into one operator."""

    name: ClassVar[str] = "fuse-bias-gelu"
    rules: ClassVar[tuple[Rule, ...]] = (bias_gelu,)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        rewrite_into_contrib(model, self.rules, changes)
