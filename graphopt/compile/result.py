"""What `graphopt.optimize` returns."""

from __future__ import annotations

import dataclasses

import onnx_ir as ir

from graphopt.report import Report


@dataclasses.dataclass(repr=False)
class Result:
    """An optimized model and the account of how it came about.

    Attributes:
        model: The model that was chosen; `graphopt.save` writes it, `onnx_ir.to_proto` gives a ModelProto.
        report: Everything that was done, measured, refused and left out.
    """

    model: ir.Model
    report: Report

    def __repr__(self) -> str:
        return f"Result(model={self.model.graph.name!r}, report={self.report!r})"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()
