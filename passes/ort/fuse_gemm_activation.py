"""Fuse a Gemm and the activation behind it into FusedGemm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes, Reject, Rule, Tape, attribute_float, op, rest, rule
from graphopt.passes.ort._contrib import CONTRIB, is_float32, rewrite_into_contrib
from graphopt.pipeline import RewritePass


@rule(
    op(("Relu", "LeakyRelu", "Sigmoid", "Tanh"), op("Gemm", rest("inputs"), name="gemm"), name="activation")
)
def gemm_activation(
    tape: Tape, gemm: ir.Node, inputs: tuple[ir.Value | None, ...], activation: ir.Node
) -> ir.Value:
    """activation(Gemm(a, b, c))  ->  FusedGemm(a, b, c)."""
    if not is_float32(inputs[0]):
        raise Reject("onnxruntime has FusedGemm for float32 alone")
    attributes = {**gemm.attributes, "activation": activation.op_type}
    if activation.op_type == "LeakyRelu":
        attributes["activation_alpha"] = attribute_float(activation, "alpha", 0.01)
    return tape.op("FusedGemm", inputs, attributes, domain=CONTRIB)


@dataclass(frozen=True)
class FuseGemmActivation(RewritePass):
    """Fuse a Gemm and the activation behind it into FusedGemm."""

    name: ClassVar[str] = "fuse-gemm-activation"
    rules: ClassVar[tuple[Rule, ...]] = (gemm_activation,)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        rewrite_into_contrib(model, self.rules, changes)
