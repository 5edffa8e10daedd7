"""What `graphopt.optimize` returns."""

from __future__ import annotations

import dataclasses
from typing import Any

import onnx_ir as ir

from graphopt.report import Report


@dataclasses.dataclass(repr=False)
class Result:
    """An optimized model and the account of how it came about.

    Attributes:
        model: The model that was chosen; `graphopt.save` writes it, `onnx_ir.to_proto` gives a ModelProto.
            With `emit="fx"` a `torch.fx.GraphModule` in eval mode.
        report: Everything that was done, measured, refused and left out.
    """

    model: Any
    report: Report

    def __repr__(self) -> str:
        model = self.model
        name = repr(model.graph.name) if isinstance(model, ir.Model) else type(model).__name__
        return f"Result(model={name}, report={self.report!r})"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()
