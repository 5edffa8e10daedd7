"""Fuse a bias and the Gelu behind it: `Gelu(x + bias)` into BiasGelu, with tanh into FastGelu."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes, Reject, Rule, Tape, attribute_string, op, rank, rule, same_dim, var
from graphopt.passes.ort._contrib import CONTRIB, is_float32, rewrite_into_contrib
from graphopt.pipeline import RewritePass


@rule(
    op("Gelu", op("Add", var("x"), var("bias")), name="gelu"),
    op("Gelu", op("Add", var("x"), var("bias")), name="gelu", domain=CONTRIB),
    op("FastGelu", op("Add", var("x"), var("bias")), name="gelu", domain=CONTRIB),
)
def bias_gelu(tape: Tape, x: ir.Value, bias: ir.Value, gelu: ir.Node) -> ir.Value:
    """Gelu(x + bias)  ->  BiasGelu(x, bias), or FastGelu(x, bias) for the one by tanh."""
    if rank(bias) != 1 or not rank(x):
        raise Reject("" if rank(x) == 1 else "the bias is not a vector")
    assert x.shape is not None and bias.shape is not None
    if not same_dim(x.shape.dims[-1], bias.shape.dims[0]):
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
