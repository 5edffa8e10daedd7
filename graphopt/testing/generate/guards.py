"""What is not tried, each with its reason: nodes on which onnxruntime ends the process or gives garbage.

The standard rules most of them out as well, but nobody checks before the kernel runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from graphopt.ir.ops import CONTROL_FLOW, op_facts
from graphopt.testing.generate.known import Known

Inputs = Sequence[Known | None]
Guard = Callable[[Mapping[str, Any], Inputs], str]
"""(attributes, inputs) -> why the node is not tried, or ""."""


def refusal(op_type: str, attributes: Mapping[str, Any], inputs: Inputs) -> str:
    """Why a node is not tried, or ""."""
    if not _takes_nothing(op_type) and any(each is not None and _is_empty(each) for each in inputs):
        return "kernels of this kind divide by sizes, or leave what memory held"
    first = next((each for each in inputs if each is not None), None)
    if "axis" in attributes and first is not None and first.is_tensor and not first.array.ndim:
        return "a scalar has no axes, though some kernels and the checks of old opsets take them"
    guard = _GUARDS.get(op_type)
    return guard(attributes, inputs) if guard else ""


def draws(node: onnx.NodeProto) -> bool:
    """Whether a node, or one in its bodies, draws random numbers, seeded or not."""
    if op_facts("", node.op_type).random:
        return True
    if node.op_type == "Dropout":
        return len(node.input) > 2 and bool(node.input[2])
    if node.op_type not in CONTROL_FLOW:
        return False
    return any(draws(inner) for attribute in node.attribute for inner in attribute.g.node)


def _takes_nothing(op_type: str) -> bool:
    """Whether operands without elements are known to be harmless."""
    known = op_facts("", op_type)
    return known.elementwise or known.moves or known.reads_shape or known.expands or op_type in _HARMLESS


def _is_empty(known: Known) -> bool:
    return known.is_tensor and not known.array.size


def _quotient(attributes: Mapping[str, Any], inputs: Inputs) -> str:
    divisor = inputs[1] if len(inputs) > 1 else None
    if divisor is None or divisor.dtype.is_floating_point():
        return ""
    if not divisor.constant:
        return "other inputs may hold a zero, and the processor traps on integers divided by it"
    if not np.all(divisor.array.astype(np.int64) > 0):
        return "the processor traps on integers divided by zero, and on the smallest divided by -1"
    return ""


def _distribution(attributes: Mapping[str, Any], inputs: Inputs) -> str:
    if attributes.get("scale", 1.0) <= 0.0:
        return "a normal distribution without a positive width ends the process"
    if attributes.get("low", 0.0) >= attributes.get("high", 1.0):
        return "a uniform distribution between bounds in the wrong order ends the process"
    return ""


def _parts(attributes: Mapping[str, Any], inputs: Inputs) -> str:
    sizes = inputs[1] if len(inputs) > 1 else None
    if sizes is not None and not (sizes.constant and np.all(sizes.array > 0)):
        return "the kernel divides by the size of a part"
    return ""


def _joined(attributes: Mapping[str, Any], inputs: Inputs) -> str:
    if any(each is not None and each.is_tensor and not each.array.size for each in inputs):
        return "the kernel ends the process where parts without elements are of another rank, on other inputs"
    return ""


_HARMLESS = CONTROL_FLOW | {
    "CumSum", "Dropout", "LogSoftmax", "Optional", "OptionalGetElement", "OptionalHasElement",
    "SequenceConstruct", "SequenceInsert", "Softmax", "Trilu",
    *(f"Reduce{name}" for name in ("Max", "Mean", "Min", "Prod", "Sum", "SumSquare", "L1", "L2")),
}  # fmt: skip
"""What takes operands without elements, beside those that work element by element or move elements."""

_GUARDS: dict[str, Guard] = {
    **dict.fromkeys(("Div", "Mod"), _quotient),
    **dict.fromkeys(
        ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"), _distribution
    ),
    "Concat": _joined,
    "SplitToSequence": _parts,
}
