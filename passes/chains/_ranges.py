"""Slices with constant bounds as plain numbers, and their composition. Changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import onnx_ir as ir

from graphopt.ir import Reject, Tape
from graphopt.ir.slices import slice_range
from graphopt.passes.operands import known_rank, node_ints, normalized_axes

END = (1 << 63) - 1
"""An end beyond every dimension."""
SURELY_THE_END = (1 << 31) - 1
"""Exporters write this and more for "to the end", also where the size is not known."""
BEFORE_BEGIN = -(1 << 63) + 1
"""The end of a backward slice that takes the first element too."""
FIRST_OPSET_WITH_INPUTS = 10


@dataclasses.dataclass(frozen=True)
class Range:
    """Start, end and step along one axis, as in a Slice: negative bounds count from the end."""

    start: int
    end: int
    step: int = 1

    def normalized(self, size: int | None) -> Range:
        """Bounds from 0 to `size` where the size is known; else an end beyond all sizes becomes `END`."""
        if size is None:
            return Range(self.start, END if self.end >= SURELY_THE_END else self.end, self.step)
        taken = slice_range(self.start, self.end, self.step, size)
        return Range(taken.start, taken.stop, taken.step)


def ranges(node: ir.Node) -> dict[int, Range]:
    """Axis -> range of a Slice.

    Raises:
        Reject: A bound is not constant or an axis is not known.
    """
    starts, ends = node_ints(node, "starts", 1), node_ints(node, "ends", 2)
    if starts is None or ends is None:
        raise Reject("its bounds are not known")
    axes, steps = node_ints(node, "axes", 3), node_ints(node, "steps", 4)
    if axes is None:
        axes = list(range(len(starts)))
    elif min(axes, default=0) < 0:
        assert node.inputs[0] is not None
        axes = normalized_axes(axes, known_rank(node.inputs[0]))
    steps = steps or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Reject("it has not as many ends, axes and steps as starts")
    return {
        axis: Range(start, end, step)
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    }


def _python_slice(taken: range) -> slice:
    return slice(taken.start, None if taken.stop < 0 else taken.stop, taken.step)


def compose(first: Range, second: Range, size: int | None) -> Range:
    """The range that takes from `size` elements what `second` takes of what `first` takes.

    Raises:
        Reject: That depends on a size that is not known.
    """
    if size is not None:
        taken = slice_range(first.start, first.end, first.step, size)
        taken = taken[_python_slice(slice_range(second.start, second.end, second.step, len(taken)))]
        if not taken:
            return Range(0, 0)
        backward_to_begin = taken.step < 0 and taken.stop < 0
        return Range(taken.start, BEFORE_BEGIN if backward_to_begin else taken.stop, taken.step)
    first, second = first.normalized(None), second.normalized(None)
    if first.step != 1 or second.step != 1 or first.start < 0 or second.start < 0:
        raise Reject("steps, or starts counted from the end, of a dimension of unknown size")
    start = first.start + second.start
    if second.end == END:
        return Range(start, first.end)
    if second.end >= 0:
        if first.end < 0:
            raise Reject("one end is counted from the end and the other is not, the size is not known")
        return Range(start, min(first.end, first.start + second.end))
    if first.end == END:
        return Range(start, second.end)
    if first.end < 0:
        return Range(start, first.end + second.end)
    raise Reject("one end is counted from the end and the other is not, the size is not known")


def sliced(tape: Tape, x: ir.Value, taken: Mapping[int, Range]) -> ir.Value:
    """A Slice of `x` in the form that the opset has."""
    axes = sorted(taken)
    starts, ends = [taken[axis].start for axis in axes], [taken[axis].end for axis in axes]
    steps = [taken[axis].step for axis in axes]
    if tape.opset < FIRST_OPSET_WITH_INPUTS:
        return tape.op("Slice", [x], {"starts": starts, "ends": ends, "axes": axes})
    inputs = [tape.ints(starts, "starts"), tape.ints(ends, "ends"), tape.ints(axes, "axes")]
    if set(steps) != {1}:
        inputs.append(tape.ints(steps, "steps"))
    return tape.op("Slice", [x, *inputs])
