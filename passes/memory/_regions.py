"""Where a network begins with nodes that work on a part of an image as on the whole: what each part needs.

Arithmetic on ranges of rows and columns; nothing is changed here.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator

import onnx_ir as ir

from graphopt.ir import attribute_int, attribute_ints, attribute_string, constant_tensor, facts, static_shape
from graphopt.memory.steps import START, Steps

POOLS = ("AveragePool", "MaxPool")

Range = tuple[int, int]
"""Rows or columns [first, last) of an image."""


@dataclasses.dataclass(frozen=True)
class Slide:
    """How a node's window moves along rows or columns.

    Attributes:
        extent: Rows from the first to the last that the window covers, both included.
        stride: Rows from one output row to the next.
        pad: Rows of padding before the first.
    """

    extent: int = 1
    stride: int = 1
    pad: int = 0

    def reads(self, made: Range) -> Range:
        """Rows that some output rows need, padding included: the first may be negative."""
        first = made[0] * self.stride - self.pad
        return first, (made[1] - 1) * self.stride - self.pad + self.extent


@dataclasses.dataclass(frozen=True)
class Region:
    """The first steps of a graph up to the only value that is alive behind them.

    Attributes:
        steps: The graph.
        members: Steps that depend on the image, in order; all can work on parts.
        slides: For each the windows along rows and along columns.
        source: The image.
        target: The value behind them.
    """

    steps: Steps
    members: tuple[int, ...]
    slides: tuple[tuple[Slide, Slide], ...]
    source: int
    target: int

    def goes_on_to(self, further: Region) -> bool:
        """Whether a further region is this one and a step that takes nothing but its own place."""
        if further.members[:-1] != self.members or further.slides[-1] != (Slide(), Slide()):
            return False
        sizes = self.steps.sizes
        return sizes[further.target] <= sizes[self.target] and not self.macs(further.members[-1])

    def inside(self, step: int) -> list[int]:
        """What a step reads of the image or of other members."""
        steps = self.steps
        return [
            index
            for value in steps.nodes[step].inputs
            if value is not None and (index := steps.index.get(value)) is not None
        ]

    def needs(self, part: Range, axis: int) -> dict[int, Range]:
        """Rows (axis 0) or columns (axis 1) of each value that a part of the target needs, no padding."""
        steps = self.steps
        needed = {self.target: part}
        for step, slides in zip(reversed(self.members), reversed(self.slides), strict=True):
            made = needed[steps.index[steps.nodes[step].outputs[0]]]
            first, last = slides[axis].reads(made)
            for value in self.inside(step):
                size = steps.shapes[value][2 + axis]
                known = needed.get(value, (size, 0))
                needed[value] = (min(known[0], max(first, 0)), max(known[1], min(last, size)))
        return needed

    def macs(self, step: int) -> int:
        """Multiply-accumulates for one element of one plane of a step's output, all channels together."""
        node = self.steps.nodes[step]
        if node.op_type != "Conv":
            return 0
        weights = constant_tensor(node.inputs[1])
        assert weights is not None
        output = self.steps.shapes[self.steps.index[node.outputs[0]]]
        return output[0] * output[1] * math.prod(weights.shape.numpy()[1:])


def regions(steps: Steps) -> Iterator[Region]:
    """Regions that begin at the graph's only image, small ones first."""
    images = [
        value
        for value, maker in enumerate(steps.makers)
        if maker == START and steps.users[value] and _is_image(steps.values[value])
    ]
    if len(images) != 1 or images[0] in steps.outputs:
        return
    members: list[int] = []
    slides: list[tuple[Slide, Slide]] = []
    inside = {images[0]}
    for step, node in enumerate(steps.nodes):
        reads = [steps.index[value] for value in node.inputs if value is not None and value in steps.index]
        if inside.isdisjoint(reads):
            continue
        moves = _slides(steps, node, inside)
        if moves is None or steps.scratch[step]:
            return
        made = steps.index[node.outputs[0]]
        if made in steps.outputs:
            return
        members.append(step)
        slides.append(moves)
        inside.add(made)
        taken = set(members)
        alive = [value for value in inside if not taken.issuperset(steps.users[value])]
        if alive == [made]:
            yield Region(steps, tuple(members), tuple(slides), images[0], made)


def _slides(steps: Steps, node: ir.Node, inside: set[int]) -> tuple[Slide, Slide] | None:
    """The windows of a node; None if it cannot work on a part of an image as on the whole."""
    if node.domain or len(node.outputs) != 1:
        return None
    output = steps.shapes[steps.index[node.outputs[0]]]
    if not _is_image(node.outputs[0]) or 0 in output:
        return None
    if node.op_type in ("Conv", *POOLS):
        return _windows(steps, node)
    is_pointwise = facts(node).elementwise or node.op_type == "BatchNormalization"
    if not is_pointwise and not (node.op_type == "Concat" and attribute_int(node, "axis", 0) in (1, -3)):
        return None
    for value in node.inputs:
        if value is None:
            continue
        index = steps.index.get(value)
        if index is not None:
            if index not in inside or steps.shapes[index][2:] != output[2:]:
                return None
        elif node.op_type != "BatchNormalization" and not _is_per_channel(value):
            return None
    return Slide(), Slide()


def _is_image(value: ir.Value) -> bool:
    """Whether a value is of rank 4, its rows and columns the same for every caller."""
    shape = value.shape
    return shape is not None and len(shape) == 4 and all(isinstance(dim, int) for dim in shape.dims[2:])


def _is_per_channel(value: ir.Value) -> bool:
    """Whether a constant is the same for all rows and columns."""
    shape = static_shape(value)
    return shape is not None and all(size == 1 for size in shape[-2:])


def _windows(steps: Steps, node: ir.Node) -> tuple[Slide, Slide] | None:
    if attribute_string(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    if attribute_int(node, "ceil_mode", 0) or attribute_int(node, "storage_order", 0):
        return None
    if any(value is not None and value in steps.index for value in node.inputs[1:]):
        return None
    kernel = attribute_ints(node, "kernel_shape")
    if node.op_type == "Conv":
        weights = constant_tensor(node.inputs[1])
        kernel = None if weights is None else list(weights.shape.numpy()[2:])
    if kernel is None or len(kernel) != 2:
        return None
    strides = attribute_ints(node, "strides") or [1, 1]
    dilations = attribute_ints(node, "dilations") or [1, 1]
    pads = attribute_ints(node, "pads") or [0] * 4
    made = []
    for axis in range(2):
        extent = (kernel[axis] - 1) * dilations[axis] + 1
        if max(pads[axis], pads[2 + axis]) >= extent or min(pads) < 0:
            return None  # a window that covers padding alone
        made.append(Slide(extent, strides[axis], pads[axis]))
    return made[0], made[1]


def parts(size: int, count: int) -> list[Range]:
    """A size cut into so many parts, as even as can be."""
    bounds = [size * index // count for index in range(count + 1)]
    return list(itertools.pairwise(bounds))


@dataclasses.dataclass(frozen=True)
class Extent:
    """Rows or columns of each value that the parts of a cut need.

    Attributes:
        total: Of all parts together; more than there are, where halos overlap.
        largest: Of one part, at most.
    """

    total: dict[int, int]
    largest: dict[int, int]


def extent(region: Region, count: int, axis: int) -> Extent:
    """What cutting the target into so many parts along an axis takes."""
    needs = [region.needs(part, axis) for part in parts(region.steps.shapes[region.target][2 + axis], count)]
    lengths = {value: [need[value][1] - need[value][0] for need in needs] for value in needs[0]}
    return Extent(
        {value: sum(each) for value, each in lengths.items()},
        {value: max(each) for value, each in lengths.items()},
    )
