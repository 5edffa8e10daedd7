"""What the standard leaves undefined, so that two right ways to compute it need not agree.

A number that an integer type cannot hold, cast to it, becomes any integer, and a MaxPool may keep a NaN or
overlook it: kernels differ, and so do the outputs that depend on such a result. Scores far below -1e4 are
likewise left open, as what is masked with that number is meant to be below them, and those of 1e29 and more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.execute import Session
from graphopt.ir import attribute_int, subgraphs
from graphopt.passes.operands import MASKED
from graphopt.testing.check.noise import meets_odd_numbers

LARGEST_SCORE = 1e29
_AROUND_SCORES = frozenset({"Add", "Cast", "Div", "Mul", "Reshape", "Sub", "Transpose", "Where"})


def is_undefined(model: ir.Model, output: str, inputs: Mapping[str, Any]) -> bool:
    """Whether an output depends on a result that the standard does not define.

    Of nodes in bodies and functions no numbers are seen: NaN or an infinity anywhere counts as theirs.

    Args:
        model: Only read; the types of its values are known.
        output: Its name.
        inputs: One set.
    """
    suspects = list(_suspects(model, output))
    shown = [(node, value) for node, value in suspects if node.graph is model.graph and value is not None]
    names = sorted({str(value.name) for _, value in shown if not value.is_initializer()})
    try:
        seen = Session(model, extra_outputs=names).run(inputs) if names else {}
    except ExecutionError:
        return False
    if any(_defies(node, seen.get(str(value.name), inputs.get(str(value.name)))) for node, value in shown):
        return True
    return len(shown) < len(suspects) and meets_odd_numbers(model, inputs)


def averages_nothing(model: ir.Model, inputs: Mapping[str, Any]) -> bool:
    """Whether a mean of the main graph is over no elements: no number, and onnxruntime has no pool of it.

    Args:
        model: Only read.
        inputs: One set.
    """
    means = [node.inputs[0] for node in model.graph if node.op_type == "ReduceMean" and not node.domain]
    names = sorted({str(value.name) for value in means if value is not None and not value.is_initializer()})
    try:
        seen = Session(model, extra_outputs=names).run(inputs) if names else {}
    except ExecutionError:
        return False
    return any(np.size(array) == 0 for name, array in seen.items() if name in names)


def _suspects(model: ir.Model, output: str) -> Iterator[tuple[ir.Node, ir.Value | None]]:
    """Nodes behind an output that may meet what they have no answer to, and the operand that tells."""
    waiting = [value for value in model.graph.outputs if value.name == output]
    reached: set[ir.Value] = set()
    while waiting:
        value = waiting.pop()
        node = value.producer()
        if value in reached or node is None:
            continue
        reached.add(value)
        waiting += [each for each in node.inputs if each is not None]
        waiting += [each for body in subgraphs(node) for each in body.outputs]
        function = model.functions.get(node.op_identifier())
        if function is not None:
            waiting.extend(iter(function.outputs))
        if node.op_type == "MaxPool":
            yield node, node.inputs[0]
        elif node.op_type == "Softmax":
            yield from ((node, score) for score in _scores(node.inputs[0]))
        elif node.op_type in ("Cast", "CastLike") and (source := _number(node.inputs[0])) is not None:
            yield node, source


def _scores(value: ir.Value | None) -> list[ir.Value]:
    """What a Softmax reads, and what that is made of before it is masked and scaled."""
    found: list[ir.Value] = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if each is None or each in found:
            continue
        found.append(each)
        node = each.producer()
        if node is not None and node.op_type in _AROUND_SCORES and not node.domain:
            waiting.extend(node.inputs)
    return found


def _number(value: ir.Value | None) -> ir.Value | None:
    """The float that a row of Casts begins with, which runtimes may make one; None if there is none.

    A value whose type is not known, as in functions, counts as a float.
    """
    while value is not None and value.dtype is not None and not value.dtype.is_floating_point():
        node = value.producer()
        value = node.inputs[0] if node is not None and node.op_type in ("Cast", "CastLike") else None
    return value


def _defies(node: ir.Node, operand: Any) -> bool:
    """Whether a node has no defined result on an operand."""
    if not isinstance(operand, np.ndarray) or operand.dtype.kind not in "fV":
        return False
    wide = operand.astype(np.float64)
    if node.op_type == "MaxPool":
        return bool(np.isnan(wide).any())
    if node.op_type == "Softmax":
        return bool(wide.size) and (_are_huge(wide) or _mask_wins(wide, attribute_int(node, "axis", -1)))
    target = node.outputs[0].dtype
    if target is None or not target.is_integer():
        return False
    bits = target.bitwidth - target.is_signed()
    with np.errstate(all="ignore"):
        within = (wide > (-(2.0**bits) - 1.0 if target.is_signed() else -1.0)) & (wide < 2.0**bits)
    return not bool(within.all())


def _are_huge(scores: np.ndarray[Any, np.dtype[np.float64]]) -> bool:
    """Whether a score is so large that it shows beside -1e38, which stands for never."""
    return bool(np.any(np.isfinite(scores) & (np.abs(scores) > LARGEST_SCORE)))


def _mask_wins(scores: np.ndarray[Any, np.dtype[np.float64]], axis: int) -> bool:
    """Whether the highest score of a row is as low as masks are, and others are lower still."""
    if not -scores.ndim <= axis < scores.ndim or not np.isfinite(scores).all():
        return False
    highest, lowest = scores.max(axis), scores.min(axis)
    return bool(np.any((highest <= MASKED) & (lowest < 2.0 * highest)))
