"""Writes a region part by part in its own place: Slices of what it reads, its nodes for each part, a Concat.

Padding and the like are fitted to each part; constants are cut, not sliced. What is worth cutting, and that
it can be cut, was decided before.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from graphopt.ir import Names, attribute_ints, constant_tensor, ints, opset, remove_node, replace_value
from graphopt.passes.memory._along import Along, Fit
from graphopt.passes.memory._reads import Places, Range, Slide, Spread, Stamp, within
from graphopt.passes.memory._regions import PART_KEY, Region

SLICE_INPUTS_OPSET = 10
"""From it on Slice takes its bounds as inputs."""

Box = Mapping[int, Range]
"""What there is of a value along the axes it is cut along."""


def parts(size: int, count: int) -> list[Range]:
    """A size cut into so many parts, as even as can be."""
    return list(itertools.pairwise(size * index // count for index in range(count + 1)))


def write_parts(model: ir.Model, region: Region, counts: Sequence[int]) -> None:
    """Run a region of the main graph in so many parts along each of its axes.

    Args:
        model: Changed in place; `region` was found in it as it stands.
        region: What to cut.
        counts: Parts along each axis.
    """
    _Writer(model, region).write(counts)


class _Writer:
    def __init__(self, model: ir.Model, region: Region) -> None:
        self._graph, self._region, self._steps = model.graph, region, region.steps
        self._opset = opset(model) or 0
        self._names = Names(model)
        self._made: list[ir.Node] = []
        self._needs: list[dict[int, tuple[Places, Places]]] = []
        self._numbers: dict[tuple[int, ...], ir.Value] = {}
        self._cut: dict[tuple[ir.Value, tuple[tuple[int, Range], ...]], ir.Value] = {}

    def write(self, counts: Sequence[int]) -> None:
        region, steps = self._region, self._steps
        target = steps.values[region.target]
        cut = [parts(*each) for each in zip(region.sizes(), counts, strict=True)]
        self._needs = [region.needs(each, place) for place, each in enumerate(cut)]
        whole = self._join((), counts)
        self._graph.insert_after(steps.nodes[region.members[-1]], self._made)
        replace_value(target, whole, is_new=True)
        read = {value for step in region.members for value in steps.nodes[step].inputs if value is not None}
        for step in reversed(region.members):
            remove_node(steps.nodes[step])
        for value in read:
            is_needed = value.uses() or value.is_graph_input() or value.is_graph_output()
            if value.is_initializer() and not is_needed:
                self._graph.initializers.pop(value.name or "", None)  # it was cut, or said a shape

    def _join(self, chosen: tuple[int, ...], counts: Sequence[int]) -> ir.Value:
        """The target where some parts are chosen along its first axes."""
        place = len(chosen)
        if place == len(counts):
            return self._part(chosen)
        made = [self._join((*chosen, part), counts) for part in range(counts[place])]
        if len(made) == 1:
            return made[0]
        region = self._region
        lengths = {
            axis: last - first
            for axis, (first, last) in zip(region.axes, self._wanted(region.target, chosen), strict=False)
        }
        axis = ir.AttrInt64("axis", region.axes[place])
        return self._node("Concat", made, [axis], self._steps.values[region.target], lengths)

    def _wanted(self, value: int, part: Sequence[int]) -> list[Range]:
        """What a part needs of a value along each of the axes."""
        return [
            (int(need[value][0][each]), int(need[value][1][each]))
            for need, each in zip(self._needs, part, strict=False)
        ]

    def _part(self, part: Sequence[int]) -> ir.Value:
        region, steps = self._region, self._steps
        have: dict[ir.Value, tuple[ir.Value, Box]] = {}
        self._cut = {key: value for key, value in self._cut.items() if key[0] not in steps.index}
        for step, alongs in zip(region.members, region.alongs, strict=True):
            node = steps.nodes[step]
            output = node.outputs[0]
            wanted = self._wanted(steps.index[output], part)
            inputs: list[ir.Value | None] = []
            boxes = []
            for place, value in enumerate(node.inputs):
                box = {} if value is None else dict(self._box(value, place, alongs, wanted))
                boxes.append(box)
                inputs.append(None if value is None else self._crop(*have.get(value, (value, {})), box))
            made = {
                found.axis: _makes(found, boxes, want) for found, want in zip(alongs, wanted, strict=True)
            }
            attributes = self._fit(step, alongs, wanted, made, boxes, inputs)
            lengths = {axis: last - first for axis, (first, last) in made.items()}
            result = self._node(node.op_type, inputs, attributes, output, lengths)
            asked = {found.axis: want for found, want in zip(alongs, wanted, strict=True)}
            have[output] = (self._crop(result, made, asked), asked)
        return have[steps.values[region.target]][0]

    def _box(
        self, value: ir.Value, place: int, alongs: Sequence[Along], wanted: Sequence[Range]
    ) -> Iterator[tuple[int, Range]]:
        """What a node reads of one of its inputs."""
        for found, want in zip(alongs, wanted, strict=True):
            reads = found.reads[place]
            if reads is not None:
                yield reads.axis, within(reads.reads(want), self._size(value, reads.axis))

    def _size(self, value: ir.Value, axis: int) -> int:
        index = self._steps.index.get(value)
        if index is not None:
            return self._steps.shapes[index][axis]
        assert value.shape is not None
        return int(value.shape[axis])  # type: ignore[arg-type]

    def _fit(
        self,
        step: int,
        alongs: Sequence[Along],
        wanted: Sequence[Range],
        made: Box,
        boxes: Sequence[Box],
        inputs: list[ir.Value | None],
    ) -> list[ir.Attr]:
        """Attributes of a node for a part; its inputs are changed in place where they say shapes or pads."""
        node = self._steps.nodes[step]
        attributes = dict(node.attributes)
        cut = {found.axis: (found, want) for found, want in zip(alongs, wanted, strict=True)}
        for found, want in cut.values():
            if found.fit is Fit.PADS:
                attributes["pads"] = ir.AttrInt64s("pads", self._pads(step, cut))
                attributes.pop("auto_pad", None)
                attributes.pop("ceil_mode", None)
            elif found.fit is Fit.CROPS:
                _crop_stamps(attributes, found, boxes[0], want, len(self._shape(node.outputs[0])) - 2)
            elif found.fit is Fit.PAD_INPUT:
                inputs[1] = self._ints(self._pad_input(node, cut))
            elif found.fit is Fit.GROUPS:
                attributes["group"] = ir.AttrInt64("group", want[1] - want[0])
            elif found.fit is Fit.SHAPE or (found.fit is Fit.SIZES and len(node.inputs) > 3):
                shape = list(self._shape(node.outputs[0]))
                for axis, (first, last) in made.items():
                    shape[axis] = last - first
                inputs[1 if found.fit is Fit.SHAPE else 3] = self._ints(shape)
        return list(attributes.values())

    def _shape(self, value: ir.Value) -> tuple[int, ...]:
        return self._steps.shapes[self._steps.index[value]]

    def _pads(self, step: int, cut: Mapping[int, tuple[Along, Range]]) -> list[int]:
        """Attribute `pads` of a window: of axes that are cut what is left of it, of the others all of it."""
        node = self._steps.nodes[step]
        made = self._shape(node.outputs[0])
        source = node.inputs[0]
        assert source is not None
        given = attribute_ints(node, "pads") or [0] * 2 * (len(made) - 2)
        before, after = given[: len(made) - 2], given[len(made) - 2 :]
        for axis in range(2, len(made)):
            found, want = cut.get(axis, (self._region.sized.along(step, axis), (0, made[axis])))
            reads = None if found is None else found.reads[0]
            if isinstance(reads, Slide):
                before[axis - 2], after[axis - 2] = _outside(reads, want, self._size(source, axis))
        return [*before, *after]

    def _pad_input(self, node: ir.Node, cut: Mapping[int, tuple[Along, Range]]) -> list[int]:
        pads = ints(node.inputs[1])
        source = node.inputs[0]
        assert pads is not None and source is not None
        for axis, (found, want) in cut.items():
            reads = found.reads[0]
            if isinstance(reads, Slide):
                pads[axis], pads[len(pads) // 2 + axis] = _outside(reads, want, self._size(source, axis))
        return pads

    def _crop(self, value: ir.Value, have: Box, want: Box) -> ir.Value:
        """A part of what there is of a value."""
        bounds = []
        for axis, (first, last) in want.items():
            begin, end = have.get(axis) or (0, self._size(value, axis))
            if (first, last) != (begin, end):
                bounds.append((axis, (first - begin, last - begin)))
        if not bounds:
            return value
        key = (value, tuple(bounds))
        if key not in self._cut:
            tensor = constant_tensor(value)
            self._cut[key] = self._slice(value, bounds) if tensor is None else self._sliced(value, bounds)
        return self._cut[key]

    def _slice(self, value: ir.Value, bounds: Sequence[tuple[int, Range]]) -> ir.Value:
        axes = [axis for axis, _ in bounds]
        starts, ends = [part[0] for _, part in bounds], [part[1] for _, part in bounds]
        lengths = {axis: last - first for axis, (first, last) in bounds}
        if self._opset < SLICE_INPUTS_OPSET:
            named = {"axes": axes, "starts": starts, "ends": ends}
            given = [ir.AttrInt64s(name, numbers) for name, numbers in named.items()]
            return self._node("Slice", [value], given, value, lengths)
        inputs = [value, *map(self._ints, (starts, ends, axes))]
        return self._node("Slice", inputs, [], value, lengths)

    def _sliced(self, value: ir.Value, bounds: Sequence[tuple[int, Range]]) -> ir.Value:
        tensor = constant_tensor(value)
        assert tensor is not None
        places = [slice(None)] * len(tensor.shape)
        for axis, part in bounds:
            places[axis] = slice(*part)
        name = self._names.fresh(f"{value.name}/part")
        return self._constant(ir.Tensor(tensor.numpy()[tuple(places)], dtype=tensor.dtype, name=name))

    def _node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Sequence[ir.Attr],
        like: ir.Value,
        lengths: Mapping[int, int],
    ) -> ir.Value:
        """A value like another but for its lengths along some axes."""
        name = self._names.fresh(f"{like.name}/part")
        assert like.shape is not None
        shape = ir.Shape([lengths.get(axis, dim) for axis, dim in enumerate(like.shape.dims)])
        output = ir.Value(name=name, type=like.type, shape=shape)
        node = ir.Node("", op_type, inputs, attributes, outputs=[output], name=name)
        node.metadata_props[PART_KEY] = like.name or ""
        self._made.append(node)
        return output

    def _ints(self, numbers: Sequence[int]) -> ir.Value:
        key = tuple(numbers)
        if key not in self._numbers:
            name = self._names.fresh("bounds")
            self._numbers[key] = self._constant(ir.Tensor(np.array(numbers, dtype=np.int64), name=name))
        return self._numbers[key]

    def _constant(self, tensor: ir.TensorProtocol) -> ir.Value:
        value = ir.Value(name=tensor.name, type=ir.TensorType(tensor.dtype), const_value=tensor)
        value.shape = ir.Shape(tensor.shape.numpy())
        self._graph.register_initializer(value)
        return value


def _makes(found: Along, boxes: Sequence[Box], want: Range) -> Range:
    """What a node makes of what it is given: for a Spread more than is wanted, perhaps."""
    for reads, box in zip(found.reads, boxes, strict=True):
        if isinstance(reads, Spread):
            return reads.makes(box[reads.axis])
    return want


def _outside(reads: Slide, want: Range, size: int) -> Range:
    """How far windows reach beyond both ends of an input."""
    first, last = reads.reads(want)
    return max(-first, 0), max(last - size, 0)


def _crop_stamps(attributes: dict[str, ir.Attr], found: Along, box: Box, want: Range, count: int) -> None:
    """Let a ConvTranspose make no more than a part along one of its axes, and no less."""
    reads, place = found.reads[0], found.axis - 2
    assert isinstance(reads, Stamp)
    first, last = reads.makes(box[reads.axis])
    for name, numbers in (
        ("pads", {place: want[0] - first, count + place: max(last - want[1], 0)}),
        ("output_padding", {place: max(want[1] - last, 0)}),
    ):
        given = attributes.get(name)
        length = 2 * count if name == "pads" else count
        whole = [0] * length if given is None else list(given.as_ints())
        for each, number in numbers.items():
            whole[each] = number
        attributes[name] = ir.AttrInt64s(name, whole)
