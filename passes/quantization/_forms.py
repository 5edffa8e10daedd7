"""Activations without an operator on codes, spelled with those that have one.

A QuantizeLinear clamps to its range: that is the clip in HardSigmoid(x) = clip(alpha x + beta, 0, 1). An Add
of beta / alpha is written in codes of 0 to 1 / alpha, which the DequantizeLinear behind reads as 0 to 1;
HardSwish multiplies that by x. Relu and Clip are an Add of zero. Nothing is spelled here; `_emit` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir import attribute_float, scalar


@dataclass(frozen=True)
class Form:
    """How to spell an activation on codes.

    Attributes:
        shift: What is added.
        top: The sum is clamped to 0 to this; None: to the range that was observed of the output.
        times_input: The clamped sum, read as 0 to 1, is multiplied by the input.
    """

    shift: float = 0.0
    top: float | None = None
    times_input: bool = False

    @property
    def operators(self) -> tuple[str, ...]:
        """What it is spelled with."""
        return ("Add", "Mul") if self.times_input else ("Add",)


def has_form(node: ir.Node) -> bool:
    """Whether a node is an activation that can be spelled on codes."""
    return form_of(node) is not None


def form_of(node: ir.Node) -> Form | None:
    """The spelling of a node, or None."""
    if node.domain or not node.inputs or node.inputs[0] is None:
        return None
    if any(attribute.is_ref() for attribute in node.attributes.values()):
        return None
    if node.op_type == "HardSwish":
        return Form(shift=3.0, top=6.0, times_input=True)
    if node.op_type == "HardSigmoid":
        alpha, beta = attribute_float(node, "alpha", 0.2), attribute_float(node, "beta", 0.5)
        return Form(shift=beta / alpha, top=1 / alpha) if alpha > 0 and math.isfinite(1 / alpha) else None
    return Form() if clamps_around_zero(node) else None


def clamps_around_zero(node: ir.Node) -> bool:
    """Whether a node is a Relu, or a Clip to an interval that holds zero: codes of its output clamp alike."""
    if node.domain or node.op_type not in ("Relu", "Clip"):
        return False
    bounds = [scalar(value) for value in node.inputs[1:] if value is not None]
    if len(bounds) < sum(value is not None for value in node.inputs[1:]) or any(
        each is None for each in bounds
    ):
        return False
    low, high = _bounds(node)
    return low <= 0 <= high


def _bounds(node: ir.Node) -> tuple[float, float]:
    if node.op_type == "Relu":
        return 0.0, math.inf
    given = [node.inputs[index] if index < len(node.inputs) else None for index in (1, 2)]
    low = attribute_float(node, "min", -math.inf) if given[0] is None else float(scalar(given[0]))
    high = attribute_float(node, "max", math.inf) if given[1] is None else float(scalar(given[1]))
    return low, high


def range_that_matters(reader: ir.Node) -> tuple[float, float]:
    """Outside of which a reader of a value does not tell its elements apart."""
    form = form_of(reader)
    if form is None:
        return -math.inf, math.inf
    if form.top is None:
        return _bounds(reader)
    return -form.shift, math.inf if form.times_input else form.top - form.shift
