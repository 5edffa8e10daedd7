"""How a graph uses each of its inputs: as an index, a mask, a shape, a divisor, something compared.

Reads the graph by following an input forward through operators that keep its numbers. It runs nothing and
makes no values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import constant, constant_tensor, facts, nodes, scalar

_MAX_STEPS = 2000
"""Uses followed per input; what lies further is left to trial runs."""

_INDEX_SLOTS = frozenset(
    {("Gather", 1), ("GatherElements", 1), ("GatherND", 1), ("ScatterElements", 1), ("Scatter", 1),
     ("ScatterND", 1), ("OneHot", 0), ("GatherBlockQuantized", 1), ("NegativeLogLikelihoodLoss", 1),
     ("SoftmaxCrossEntropyLoss", 1), ("SequenceAt", 1), ("SequenceInsert", 2), ("SequenceErase", 1),
     ("ArrayFeatureExtractor", 1), ("RoiAlign", 2), ("TensorScatter", 2)}
)  # fmt: skip

_COMPARISONS = frozenset({"Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"})
_LOGIC = frozenset({"Not", "And", "Or", "Xor"})
_POSITIVE_SLOTS = frozenset({("Log", 0), ("Sqrt", 0), ("Pow", 0), ("BatchNormalization", 4), ("Acosh", 0)})
_LARGE_NEGATIVE = -100.0
"""A factor at or below this turns a 0/1 mask into an additive attention mask."""


@dataclass
class Usage:
    """What was found out about one input.

    Attributes:
        limit: Exclusive upper bound of an index; None if it is no index.
        constants: Numbers the input is compared with, in order of appearance.
        decides: A comparison of it, or the input itself, chooses a branch of an If.
        mask: It keeps or hides elements.
        hides: It hides where it is true: something else than a large negative number stays where it is not.
        nonzero: It divides.
        positive: It must be above zero.
        operands: (node, input position) where it is a parameter such as a shape, axes or a count.
    """

    limit: int | None = None
    constants: list[float] = field(default_factory=list)
    decides: bool = False
    mask: bool = False
    hides: bool = False
    nonzero: bool = False
    positive: bool = False
    operands: list[tuple[ir.Node, int]] = field(default_factory=list)

    def bound(self, limit: int) -> None:
        """Keep the smaller bound."""
        self.limit = limit if self.limit is None else min(self.limit, limit)


@dataclass(frozen=True)
class _Step:
    value: ir.Value
    shift: float = 0.0
    truth: bool = False
    direct: bool = True
    negated: bool = False


def trace(model: ir.Model, value: ir.Value) -> Usage:
    """Follow a graph input forward and collect what its numbers must be."""
    usage = Usage()
    if re.search(r"(^|_|\b)masks?($|_|\b)", value.name or "", re.IGNORECASE):
        usage.mask = True
    seen: set[ir.Value] = set()
    pending = [_Step(value)]
    for _ in range(_MAX_STEPS):
        if not pending:
            break
        step = pending.pop()
        if step.value in seen:
            continue
        seen.add(step.value)
        for use in step.value.uses():
            pending.extend(_follow(model, usage, step, use.node, use.idx))
    return usage


def _follow(model: ir.Model, usage: Usage, step: _Step, node: ir.Node, position: int) -> Iterator[_Step]:
    function = model.functions.get(node.op_identifier())
    if function is not None:
        if position < len(function.inputs):
            yield _Step(function.inputs[position], step.shift, step.truth, step.direct)
        return
    kind = node.op_type
    if kind == "If":
        usage.decides = True
        return
    if kind in ("Loop", "Scan"):
        body = node.attributes["body"].as_graph()
        if kind == "Loop" and position < 2:
            usage.operands.append((node, position))
        elif position < len(body.inputs):
            yield _Step(body.inputs[position], step.shift, step.truth, direct=False)
        return
    if step.truth:
        if kind == "Where" and position == 0:
            _note_mask(usage, node, negated=step.negated)
        if kind in _LOGIC or kind in ("Cast", "CastLike") or _keeps_numbers(node, position):
            negated = step.negated != (kind == "Not")
            yield from (_Step(v, step.shift, truth=True, direct=False, negated=negated) for v in node.outputs)
        return
    yield from _follow_number(usage, step, node, position)


def _follow_number(usage: Usage, step: _Step, node: ir.Node, position: int) -> Iterator[_Step]:
    kind = node.op_type
    if (kind, position) in _INDEX_SLOTS:
        usage.bound(max(1, int(_index_limit(node) - step.shift)))
        return
    if kind == "EmbedLayerNormalization" and position < 2:
        usage.bound(_table_rows(node.inputs[2 if position == 0 else 4], 0))
        return
    if step.direct and position in _parameter_slots(node):
        usage.operands.append((node, position))
        return
    usage.positive |= (kind, position) in _POSITIVE_SLOTS
    usage.nonzero |= kind in ("Div", "Mod") and position == 1
    other = _other_constant(node, position)
    if kind in _COMPARISONS:
        if other is not None and other.size <= 4096:
            found = [float(number) - step.shift for number in other.ravel().tolist()]
            usage.constants.extend(number for number in found if number not in usage.constants)
        yield from (_Step(v, truth=True, direct=False) for v in node.outputs)
    elif kind in _LOGIC or (kind == "Where" and position == 0):
        if kind == "Where":
            _note_mask(usage, node, negated=False)
        else:
            negated = kind == "Not"
            yield from (_Step(v, truth=True, direct=False, negated=negated) for v in node.outputs)
    elif kind == "Cast" and node.attributes.get_int("to", 0) == ir.DataType.BOOL.value:
        usage.mask = True
    elif kind in ("Add", "Sub") and other is not None and other.dtype.kind in "iuf" and other.size:
        if kind == "Sub" and position == 1:
            usage.mask |= bool(np.all(other == 1))
            return
        shift = float(np.max(other)) if kind == "Add" else -float(np.min(other))
        yield _Step(node.outputs[0], step.shift + shift, direct=False)
    elif kind == "Mul" and other is not None and other.dtype.kind == "f" and other.size:
        usage.mask |= bool(np.all(other <= _LARGE_NEGATIVE))
    elif kind in ("Cast", "CastLike", "Max", "Min") or _keeps_numbers(node, position):
        direct = step.direct and kind in ("Cast", "Identity")
        yield from (_Step(v, step.shift, direct=direct) for v in node.outputs)


def _note_mask(usage: Usage, node: ir.Node, *, negated: bool) -> None:
    """A Where chooses by it; one with a large negative number where it is true hides what is there."""
    usage.mask = True
    number = scalar(node.inputs[2 if negated else 1])
    usage.hides |= number is not None and bool(number <= _LARGE_NEGATIVE)


def _parameter_slots(node: ir.Node) -> tuple[int, ...]:
    from graphopt.execute.operands import SLOTS

    return tuple({*facts(node).shape_inputs, *SLOTS.get(node.op_type, ())})


def _keeps_numbers(node: ir.Node, position: int) -> bool:
    known = facts(node)
    return known.moves and position not in known.shape_inputs


def _other_constant(node: ir.Node, position: int) -> np.ndarray[Any, Any] | None:
    """The constant real numbers that a node of two operands takes beside this one."""
    if len(node.inputs) != 2:
        return None
    other = constant(node.inputs[1 - position])
    return None if other is None or other.dtype.kind in "OSUc" else other


def _index_limit(node: ir.Node) -> int:
    kind = node.op_type
    if kind == "OneHot":
        depth = constant(node.inputs[1])
        return int(depth.ravel()[0]) if depth is not None and depth.size else 2
    if kind in ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"):
        return _table_rows(node.inputs[0], 1)
    if kind in ("SequenceAt", "SequenceInsert", "SequenceErase"):
        return 2
    if kind in ("GatherND", "ScatterND"):
        sizes = [_table_rows(node.inputs[0], axis) for axis in range(_rank(node.inputs[0]))]
        return min(sizes, default=2)
    return _table_rows(node.inputs[0], node.attributes.get_int("axis", 0))


def _rank(value: ir.Value | None) -> int:
    shape = _shape(value)
    return 0 if shape is None else len(shape)


def _table_rows(table: ir.Value | None, axis: int | None) -> int:
    """Rows of the table along an axis; 2 where they are unknown, which nearly every table has."""
    shape = _shape(table)
    if shape is None or axis is None or not -len(shape) <= axis < len(shape):
        return 2
    rows = shape[axis]
    return rows if isinstance(rows, int) and rows > 0 else 2


def _shape(value: ir.Value | None) -> tuple[int | ir.SymbolicDim, ...] | None:
    if value is None:
        return None
    if value.const_value is not None:
        return tuple(value.const_value.shape.numpy())
    producer = value.producer()
    converts = producer is not None and producer.op_type in ("Cast", "Identity", "DequantizeLinear")
    if value.shape is None and producer is not None and converts:
        return _shape(producer.inputs[0])
    return None if value.shape is None else tuple(value.shape)


Strides = tuple[int, int]
"""Product of the strides along (height, width); a signal has width only."""


def downsampling(model: ir.Model) -> Strides:
    """Largest product of Conv and pooling strides on any path: the granularity of image and signal sizes."""
    strides: dict[ir.Value, Strides] = {}

    def visit(graph: ir.Graph) -> None:
        for node in graph:
            incoming = [strides[value] for value in node.inputs if value is not None and value in strides]
            for attribute in node.attributes.values():
                if not attribute.is_ref() and attribute.type == ir.AttributeType.GRAPH:
                    body: ir.Graph = attribute.value
                    visit(body)
                    incoming.extend(strides[value] for value in body.outputs if value in strides)
            reached = _largest(incoming)
            steps = _steps(node)
            reached = (reached[0] * steps[0], reached[1] * steps[1])
            if reached != (1, 1):
                strides.update(dict.fromkeys(node.outputs, reached))

    visit(model.graph)
    return _largest(strides.values())


_MOST_HINTS = 24
_LARGEST_HINT = 65536


def size_hints(model: ir.Model) -> tuple[int, ...]:
    """Sizes that constants of the graph speak of: Reshape targets, rows of matrices, parts of a Split."""
    found: dict[int, None] = {}
    for node in nodes(model):
        found.update(dict.fromkeys(size for size in _hints_of(node) if 1 < size <= _LARGEST_HINT))
        if len(found) >= _MOST_HINTS:
            break
    return tuple(found)[:_MOST_HINTS]


def _hints_of(node: ir.Node) -> list[int]:
    if node.op_type == "Reshape" and len(node.inputs) == 2:
        target = constant(node.inputs[1])
        sizes = [] if target is None else [int(size) for size in target.ravel() if size > 0]
        return [math.prod(sizes), *sizes]
    if node.op_type in ("MatMul", "Gemm") and len(node.inputs) > 1:
        tensor = constant_tensor(node.inputs[1])
        rows = () if tensor is None else tuple(tensor.shape.numpy())
        transposed = node.op_type == "Gemm" and bool(node.attributes.get_int("transB", 0))
        return [rows[-1 if transposed else -2]] if len(rows) >= 2 else []
    if node.op_type == "Split" and len(node.inputs) > 1:
        parts = constant(node.inputs[1])
        return [] if parts is None else [int(parts.sum())]
    return []


def _largest(strides: Iterable[Strides]) -> Strides:
    height = width = 1
    for one, other in strides:
        height, width = max(height, one), max(width, other)
    return height, width


def _steps(node: ir.Node) -> Strides:
    if node.op_type == "SpaceToDepth":
        block = node.attributes.get_int("blocksize", 1) or 1
        return block, block
    if node.op_type not in ("Conv", "ConvInteger", "QLinearConv", "MaxPool", "AveragePool", "LpPool"):
        return 1, 1
    steps = node.attributes.get_ints("strides", ())
    return (1, steps[-1]) if len(steps) == 1 else (steps[-2], steps[-1]) if steps else (1, 1)
