"""Where the readers of a value no longer tell its elements apart: codes spent there are lost.

A Swish of -8 and one of -20 are both nothing next to a step of the codes. What a range may leave out is told
from the functions themselves: no element outside comes out further from where it would than rounding to codes
moves those inside. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.idioms.evaluate import erf, gelu, gelu_tanh, sigmoid
from graphopt.ir import attribute_float, attribute_string
from graphopt.passes.quantization._forms import range_that_matters

Vector = np.ndarray[Any, np.dtype[np.float64]]
Range = tuple[float, float]

POINTS = 1025
_AROUND_ZERO = np.linspace(-8.0, 8.0, POINTS)
HALF_STEPS = 510
"""Half steps of 8-bit codes in a range."""


def told_apart(value: ir.Value, observed: Range) -> Range:
    """The part of an observed range that matters to those who read a value."""
    low, high = observed
    if value.is_graph_output() or not value.uses():
        return observed
    needed = [_needed(value, use.node, observed) for use in value.uses()]
    return max(low, min(each[0] for each in needed)), min(high, max(each[1] for each in needed))


def _needed(value: ir.Value, reader: ir.Node, observed: Range) -> Range:
    function = _swish if _is_part_of_swish(value, reader) else _function(reader)
    if function is None:
        return range_that_matters(reader)
    low, high = observed
    return -_reach(lambda x: function(-x), -low, high), _reach(function, high, -low)


def _reach(function: Callable[[Vector], Vector], end: float, other: float) -> float:
    """How far out on one side elements must be told apart.

    Args:
        function: What reads them.
        end: Where the range ends on this side, seen from zero.
        other: Where it ends on the other.
    """
    if not 0 < end < np.inf:
        return end
    places = np.linspace(end, 0.0, POINTS)
    with np.errstate(all="ignore"):
        results = function(places)
    moved = np.maximum(np.maximum.accumulate(results) - results, results - np.minimum.accumulate(results))
    slope = np.max(np.abs(np.gradient(function(_AROUND_ZERO), _AROUND_ZERO)))
    allowed = slope * (places + max(other, 0.0)) / HALF_STEPS
    (fine,) = np.nonzero(moved <= allowed)
    return float(places[fine[-1]]) if len(fine) else end


def _is_part_of_swish(value: ir.Value, reader: ir.Node) -> bool:
    """Whether a reader is the Sigmoid or the Mul of x * Sigmoid(x), and nothing else reads the Sigmoid."""
    if reader.op_type == "Mul" and not reader.domain:
        others = [term for term in reader.inputs if term is not value]
        gate = others[0].producer() if len(others) == 1 and others[0] is not None else None
        return gate is not None and gate.op_type == "Sigmoid" and gate.inputs[0] is value
    if reader.op_type != "Sigmoid":
        return False
    uses = [use.node for use in reader.outputs[0].uses()]
    alone = len(uses) == 1 and not reader.outputs[0].is_graph_output()
    return alone and uses[0].op_type == "Mul" and value in uses[0].inputs


def _swish(x: Vector) -> Vector:
    return x * sigmoid(x)


def _function(node: ir.Node) -> Callable[[Vector], Vector] | None:
    if node.domain:
        return None
    if node.op_type == "Gelu" and attribute_string(node, "approximate", "none") != "none":
        return gelu_tanh
    if node.op_type == "Swish":
        alpha = attribute_float(node, "alpha", 1.0)
        return lambda x: x * sigmoid(alpha * x)
    return _FUNCTIONS.get(node.op_type)


_FUNCTIONS: dict[str, Callable[[Vector], Vector]] = {
    "Sigmoid": sigmoid,
    "Tanh": np.tanh,
    "Erf": erf,
    "Gelu": gelu,
}
