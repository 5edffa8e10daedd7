"""Passes of `onnx_ir` alone that return what they must not."""

# mypy: disable-error-code="arg-type, return-value"

from __future__ import annotations

import onnx_ir as ir


class ReturnsNothing(ir.passes.InPlacePass):
    def call(self, model: ir.Model) -> ir.passes.PassResult:
        return None


class ReturnsOther(ir.passes.FunctionalPass):
    def call(self, model: ir.Model) -> ir.passes.PassResult:
        other = model.clone()
        other.graph[0].op_type = "Neg"
        return ir.passes.PassResult(other, False)


class ReturnsNoModel(ir.passes.FunctionalPass):
    def call(self, model: ir.Model) -> ir.passes.PassResult:
        return ir.passes.PassResult(None, True)
