"""Stretches of a graph that can be run part by part along axes of what they make; nothing is changed here.

A region's members are the steps that only its target depends on. What they read of other steps are its
sources, which are whole in memory.
"""

from __future__ import annotations

import dataclasses
import functools
import heapq
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from graphopt.cost.call import Call, UnknownShapeError
from graphopt.cost.rules import rule_for
from graphopt.ir import static_shape
from graphopt.memory.aliases import in_place
from graphopt.memory.steps import START, Steps
from graphopt.passes.memory._along import Along, Fit, along, pads_follow_sizes, shapes_of
from graphopt.passes.memory._reads import Places, Range, all_within

PART_KEY = "graphopt.memory.part"
"""Metadata of a node that is run on a part: it is not cut again."""

MOST_MEMBERS = 64
"""Of a region: each is written once for each part."""


class Sized:
    """Steps as they can be cut: what is asked of a step more than once is remembered."""

    def __init__(self, steps: Steps, opset: int) -> None:
        self.steps = steps
        self.opset = opset
        self._along: dict[tuple[int, int], Along | None] = {}

    def along(self, step: int, axis: int) -> Along | None:
        """How a step works along an axis of its output; None where it cannot be cut there."""
        key = (step, axis)
        if key not in self._along:
            self._along[key] = self._find(step, axis)
        return self._along[key]

    def _find(self, step: int, axis: int) -> Along | None:
        steps, node = self.steps, self.steps.nodes[step]
        if (
            steps.scratch[step]
            or PART_KEY in node.metadata_props
            or not self._is_fixed(steps.index.get(node.outputs[0]), axis)
        ):
            return None
        found = along(self._call(step), axis, self.opset)
        if found is None or not self._fits(step, found):
            return None
        for value, reads in zip(node.inputs, found.reads, strict=True):
            index = None if value is None else steps.index.get(value)
            if index is not None and reads is not None and not self._is_fixed(index, reads.axis):
                return None
        return found

    def _fits(self, step: int, found: Along) -> bool:
        """Whether what must be fitted to parts can be told in numbers."""
        node, value = self.steps.nodes[step], self.steps.index[self.steps.nodes[step].outputs[0]]
        axes = range(len(self.steps.shapes[value]))
        if found.fit is Fit.SHAPE or (found.fit is Fit.SIZES and len(node.inputs) > 3):
            return all(self._is_fixed(value, axis) for axis in axes)
        if found.fit is Fit.PADS and pads_follow_sizes(node):
            call = self._call(step)
            return all(along(call, axis, self.opset) and self._is_fixed(value, axis) for axis in axes[2:])
        return True

    def _is_fixed(self, value: int | None, axis: int) -> bool:
        """Whether a size is the same for every caller, and more than nothing."""
        if value is None or 0 in self.steps.shapes[value]:
            return False
        shape = self.steps.values[value].shape
        return shape is not None and isinstance(shape.dims[axis], int)

    @functools.cached_property
    def macs(self) -> tuple[int, ...]:
        """Multiply-accumulates of each step."""
        return tuple(map(self._macs, range(len(self.steps.nodes))))

    def _macs(self, step: int) -> int:
        node = self.steps.nodes[step]
        rule = rule_for(node)
        try:
            return 0 if rule is None else rule(self._call(step)).macs
        except (ArithmeticError, IndexError, TypeError, UnknownShapeError, ValueError):
            return 0

    def _call(self, step: int) -> Call:
        steps = self.steps
        return shapes_of(
            steps.nodes[step],
            lambda value: steps.shapes[steps.index[value]] if value in steps.index else static_shape(value),
        )

    @functools.cached_property
    def reads(self) -> tuple[tuple[int, ...], ...]:
        """Values that each step reads, bodies aside."""
        index = self.steps.index
        return tuple(
            tuple(dict.fromkeys(index[value] for value in node.inputs if value in index))  # type: ignore[index]
            for node in self.steps.nodes
        )

    @functools.cached_property
    def overwrites(self) -> tuple[tuple[int, ...], ...]:
        """Operands that each step may write over."""
        return tuple(tuple(in_place(self.steps, step)) for step in range(len(self.steps.nodes)))


@dataclasses.dataclass(frozen=True)
class Region:
    """Steps that can be run part by part.

    Attributes:
        sized: The graph.
        axes: Of the target, along which it is cut.
        target: The value that is put together from parts.
        members: The steps, in order; the last makes the target.
        alongs: How each works along each of the axes.
        sources: Values of other steps that they read.
    """

    sized: Sized
    axes: tuple[int, ...]
    target: int
    members: tuple[int, ...]
    alongs: tuple[tuple[Along, ...], ...]
    sources: tuple[int, ...]

    @property
    def steps(self) -> Steps:
        """The graph."""
        return self.sized.steps

    @functools.cached_property
    def made(self) -> tuple[int, ...]:
        """The value that each member makes."""
        return tuple(self.steps.index[self.steps.nodes[step].outputs[0]] for step in self.members)

    def sizes(self) -> tuple[int, ...]:
        """Places of the target along each axis."""
        return tuple(self.steps.shapes[self.target][axis] for axis in self.axes)

    def needs(self, parts: Sequence[Range], place: int) -> dict[int, tuple[Places, Places]]:
        """What parts of the target along one of the axes need of each value of a member, along its axis."""
        steps = self.steps
        bounds = np.array(parts, dtype=np.int64)
        needed = {self.target: (bounds[:, 0], bounds[:, 1])}
        inside = set(self.made)
        for step, made, alongs in zip(
            reversed(self.members), reversed(self.made), reversed(self.alongs), strict=True
        ):
            for value, reads in zip(steps.nodes[step].inputs, alongs[place].reads, strict=True):
                index = None if value is None else steps.index.get(value)
                if index is None or reads is None or index not in inside:
                    continue
                first, last = all_within(reads.reads(needed[made]), steps.shapes[index][reads.axis])
                if index in needed:
                    first, last = np.minimum(first, needed[index][0]), np.maximum(last, needed[index][1])
                needed[index] = first, last
        return needed


def regions(sized: Sized, target: int, axes: tuple[int, ...]) -> Iterator[Region]:
    """Regions that end in a value, small ones first: each is the one before and a step more.

    A value that is read by members along other axes, in whole, or by anybody else stays a source.
    """
    steps = sized.steps
    taken: dict[int, tuple[Along, ...]] = {}
    wanted: dict[int, tuple[int | None, ...] | None] = {target: axes}
    waiting = [-steps.makers[target]]
    while waiting and len(taken) < MOST_MEMBERS:
        step = -heapq.heappop(waiting)
        if step == START or step in taken or steps.nodes[step].outputs[0] not in steps.index:
            continue
        node = steps.nodes[step]
        made = steps.index[node.outputs[0]]
        own = wanted.get(made)
        if own is None or None in own:
            continue
        if made != target and (made in steps.outputs or not taken.keys() >= set(steps.users[made])):
            continue
        alongs = tuple(sized.along(step, axis) for axis in own if axis is not None)
        if None in alongs:
            continue
        taken[step] = alongs  # type: ignore[assignment]
        for place, value in enumerate(node.inputs):
            index = None if value is None else steps.index.get(value)
            if index is not None:
                read = tuple(_axis(found, place) for found in alongs)
                wanted[index] = read if wanted.get(index, read) == read else None
                heapq.heappush(waiting, -steps.makers[index])
        yield _region(sized, axes, target, taken)


def _axis(found: Along | None, place: int) -> int | None:
    reads = None if found is None else found.reads[place]
    return None if reads is None else reads.axis


def _region(
    sized: Sized, axes: tuple[int, ...], target: int, taken: Mapping[int, tuple[Along, ...]]
) -> Region:
    members = tuple(sorted(taken))
    read = dict.fromkeys(value for step in members for value in sized.reads[step])
    sources = tuple(value for value in read if sized.steps.makers[value] not in taken)
    return Region(sized, axes, target, members, tuple(taken[step] for step in members), sources)
