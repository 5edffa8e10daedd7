"""Which values may stand in the memory of another, by what their operators are.

A link is a possibility, not a decision: `storages` joins what links allow, `order` looks whether it pays.
Nothing here asks when a value dies, except to tell that an overlap is possible in every order.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterator, Sequence

import onnx_ir as ir

from graphopt.ir import attribute_int, attribute_ints, attribute_string, facts, ints
from graphopt.memory.overlap import safe_distance
from graphopt.memory.steps import START, Steps

POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})


class Kind(enum.Enum):
    """Why two values can share memory."""

    VIEW = "view"
    """The output holds the input's bytes in their order."""
    CONCAT = "concat"
    """An input is made where the Concat would copy it to."""
    SPLIT = "split"
    """An output, also of a Slice, is read where it stands in the input."""
    OVERLAP = "overlap"
    """The output is written behind where the input is being read."""


@dataclasses.dataclass(frozen=True)
class Link:
    """A value that may stand at a fixed distance from another.

    Attributes:
        kind: Why.
        step: The step whose node allows it.
        whole: The value whose memory it is.
        part: The value that moves in.
        offset: Bytes from the start of `whole` to that of `part`; negative where it starts before.
    """

    kind: Kind
    step: int
    whole: int
    part: int
    offset: int


def links(steps: Steps, *, alignment: int, overlap: bool = False) -> list[Link]:
    """All links of a graph, views first, then those of Concat, of Split, and overlaps.

    Args:
        steps: Of the graph.
        alignment: Parts start at multiples of so many bytes only.
        overlap: Let in overlaps: whoever runs the plan must compute the outputs of windows one after another
            in row-major order, each in registers (see `graphopt.memory.overlap`).
    """
    found: dict[Kind, list[Link]] = {kind: [] for kind in Kind}
    for step, node in enumerate(steps.nodes):
        for link in _of_node(steps, step, node, overlap):
            if link.kind is Kind.OVERLAP:  # any larger distance is safe too
                link = dataclasses.replace(link, offset=link.offset // alignment * alignment)
            if link.offset % alignment == 0:
                found[link.kind].append(link)
    return [link for kind in Kind for link in found[kind]]


def in_place(steps: Steps, step: int) -> list[int]:
    """Operands whose memory the output of a step may take over, if they die there.

    Such a node computes element by element, and element i of these operands is read before element i of the
    output is written, at the same distance from the start. Residual additions are among them.
    """
    node = steps.nodes[step]
    if len(node.outputs) != 1 or node.outputs[0] not in steps.index:
        return []
    if not (facts(node).elementwise or _is_affine(node)):
        return []
    output = steps.index[node.outputs[0]]
    operands = [steps.index[value] for value in node.inputs if value is not None and value in steps.index]
    return [
        operand
        for operand in dict.fromkeys(operands)
        if steps.shapes[operand] == steps.shapes[output] and steps.sizes[operand] == steps.sizes[output]
    ]


def _is_affine(node: ir.Node) -> bool:
    """Whether a node multiplies and adds per channel: BatchNormalization with given statistics."""
    return node.op_type == "BatchNormalization" and not node.domain


def _of_node(steps: Steps, step: int, node: ir.Node, overlap: bool) -> Iterator[Link]:
    if node.domain or not node.inputs or not node.outputs:
        return
    if facts(node).view or _moves_nothing(steps, node):
        yield from _link(steps, Kind.VIEW, step, node.inputs[0], node.outputs[0], 0)
    elif node.op_type == "Concat":
        for value, offset in _slices(steps, node, node.inputs, node.outputs[0], "axis"):
            yield from _link(steps, Kind.CONCAT, step, node.outputs[0], value, offset)
    elif node.op_type == "Split":
        for value, offset in _slices(steps, node, node.outputs, node.inputs[0], "axis"):
            yield from _link(steps, Kind.SPLIT, step, node.inputs[0], value, offset)
    elif node.op_type == "Slice":
        for offset in _place(steps, node):
            yield from _link(steps, Kind.SPLIT, step, node.inputs[0], node.outputs[0], offset)
    elif overlap:
        yield from _overlap(steps, step, node)


def _link(
    steps: Steps, kind: Kind, step: int, whole: ir.Value | None, part: ir.Value | None, offset: int
) -> Iterator[Link]:
    if whole in steps.index and part in steps.index:
        yield Link(kind, step, steps.index[whole], steps.index[part], offset)  # type: ignore[index]


def _moves_nothing(steps: Steps, node: ir.Node) -> bool:
    """Whether a Transpose moves only axes of size 1, so that all elements stay where they are."""
    value = node.inputs[0]
    if node.op_type != "Transpose" or value not in steps.index:
        return False
    shape = steps.shapes[steps.index[value]]  # type: ignore[index]
    order = attribute_ints(node, "perm") or list(reversed(range(len(shape))))
    moved = [axis for axis in order if shape[axis] != 1]
    return moved == sorted(moved)


def _slices(
    steps: Steps, node: ir.Node, parts: Sequence[ir.Value | None], whole: ir.Value | None, axis_name: str
) -> Iterator[tuple[ir.Value, int]]:
    """The values that follow one another in `whole`, and their byte offsets; none where rows interleave."""
    if whole not in steps.index:
        return
    shape = steps.shapes[steps.index[whole]]  # type: ignore[index]
    assert whole is not None and whole.dtype is not None
    axis = attribute_int(node, axis_name, 0) % max(len(shape), 1)
    if math.prod(shape[:axis]) != 1 or whole.dtype.bitwidth % 8:
        return
    elements = 0
    for part in parts:
        if part is None:
            return
        if part in steps.index:
            yield part, elements * whole.dtype.bitwidth // 8
            elements += math.prod(steps.shapes[steps.index[part]])
        elif part.shape is not None and part.shape.is_static():
            elements += math.prod(part.shape.numpy())  # a constant
        else:
            return


def _place(steps: Steps, node: ir.Node) -> Iterator[int]:
    """Byte offset of a Slice in what it is taken from; none where its elements do not follow one another."""
    source, output = node.inputs[0], node.outputs[0]
    if source not in steps.index or output not in steps.index:
        return
    shape, made = steps.shapes[steps.index[source]], steps.shapes[steps.index[output]]  # type: ignore[index]
    cut = [axis for axis, size in enumerate(shape) if size != made[axis]]
    starts, axes = (
        attribute_ints(node, name) or (ints(node.inputs[place]) if place < len(node.inputs) else None)
        for name, place in (("starts", 1), ("axes", 3))
    )
    strides = ints(node.inputs[4]) if len(node.inputs) > 4 and node.inputs[4] is not None else [1]
    if len(cut) != 1 or starts is None or strides is None or set(strides) != {1}:
        return
    axis = cut[0]
    own = [each % len(shape) for each in axes or range(len(starts))]
    assert output.dtype is not None
    if axis not in own or math.prod(shape[:axis]) != 1 or output.dtype.bitwidth % 8:
        return
    start = starts[own.index(axis)]
    first = min(max(start + shape[axis] if start < 0 else start, 0), shape[axis])
    yield first * math.prod(shape[axis + 1 :]) * output.dtype.bitwidth // 8


def _overlap(steps: Steps, step: int, node: ir.Node) -> Iterator[Link]:
    """The output of a window behind its input, where nobody else reads that."""
    source, output = node.inputs[0], node.outputs[0]
    if source not in steps.index or output not in steps.index or len(node.outputs) != 1:
        return
    whole, part = steps.index[source], steps.index[output]  # type: ignore[index]
    if steps.users[whole] != (step,) or whole in steps.outputs or steps.makers[whole] == START:
        return
    if sum(value is source for value in node.inputs) > 1 or source.dtype != output.dtype:  # type: ignore[union-attr]
        return
    distance = _distance(node, steps.shapes[whole], steps.shapes[part])
    assert output.dtype is not None
    if distance is not None and output.dtype.bitwidth % 8 == 0:
        yield Link(Kind.OVERLAP, step, whole, part, -distance * output.dtype.bitwidth // 8)


def _distance(node: ir.Node, shape: Sequence[int], made: Sequence[int]) -> int | None:
    """Elements by which the output of a convolution or pool must start before its input."""
    axes = len(shape) - 2
    if axes < 1 or len(made) != len(shape) or 0 in shape or 0 in made:
        return None
    if attribute_string(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    if node.op_type == "Conv":
        groups = attribute_int(node, "group", 1)
    elif node.op_type in POOLS:
        groups = shape[1]
    else:
        return None
    return safe_distance(
        shape[2:],
        made[2:],
        attribute_ints(node, "strides") or [1] * axes,
        (attribute_ints(node, "pads") or [0] * axes)[:axes],
        groups=shape[0] * groups,
        channels=shape[1] // groups,
        filters=made[1] // groups,
    )
