"""Shrink dimensions: of inputs and constants together, as far as they belong together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.io.weights import Slot, slots
from graphopt.ir import attribute_int, facts, graphs, is_constant_node
from graphopt.testing.reduce.case import Case, Take
from graphopt.testing.reduce.links import Classes, Place, dimension_classes, shape_elements
from graphopt.testing.reduce.reductions.constants import put


def dimensions_to_one(case: Case, take: Take) -> None:
    """Let each class of dimensions have the size 1."""
    _shrink(case, take, lambda size: 1)


def dimensions_to_two(case: Case, take: Take) -> None:
    """Let each class of larger dimensions have the size 2."""
    _shrink(case, take, lambda size: min(size, 2))


def dimensions_to_half(case: Case, take: Take) -> None:
    """Halve each class of dimensions."""
    _shrink(case, take, lambda size: max(size // 2, min(size, 2)))


def all_of_a_size(case: Case, take: Take) -> None:
    """Let all dimensions of one size, whether they belong together or not, have the size 1, or 2."""
    sources = _sources(case)
    shrinkable = _shrinkable(sources)
    sizes = {size for value in shrinkable for size in _sizes(value) if size > 1}
    smaller: dict[int, int] = {}
    for size in sorted(sizes, reverse=True):
        taken = [new for new in (1, 2) if new < size and take()]
        if taken:
            smaller[size] = taken[0]
    places = [(value, axis, size) for value in shrinkable for axis, size in enumerate(_sizes(value))]
    chosen = {(value, axis): smaller[size] for value, axis, size in places if size in smaller}

    def new_size(place: Place) -> int | None:
        value, axis = place
        return smaller.get(_sizes(value)[axis])

    _apply(case, chosen, sources, new_size)


def _shrink(case: Case, take: Take, smaller: Callable[[int], int]) -> None:
    """Resize the taken classes, which are asked for in the order of their first place."""
    sources = _sources(case)
    classes = dimension_classes(case.model)
    asked: dict[Place, int | None] = {}
    chosen: dict[Place, int] = {}
    for value in _shrinkable(sources):
        for axis, size in enumerate(_sizes(value)):
            new = smaller(size)
            if new >= size or size < 0:
                continue
            root = classes.find((value, axis))
            if root not in asked:
                asked[root] = new if take() else None
            if asked[root] is not None:
                chosen[value, axis] = new
    _apply(case, chosen, sources, lambda place: asked.get(classes.find(place)))
    _resize_groups(case, classes, asked)


def _apply(
    case: Case,
    chosen: dict[Place, int],
    sources: dict[ir.Value, Slot | None],
    new_size: Callable[[Place], int | None],
) -> None:
    if not chosen:
        return
    elements: dict[ir.Value, dict[int, int]] = {}
    for operand, index, place in shape_elements(case.model):
        size = new_size(place)
        if size is not None and operand in sources:
            elements.setdefault(operand, {})[index] = size
    for value, slot in sources.items():
        sizes = {axis: chosen[value, axis] for axis in range(len(_sizes(value))) if (value, axis) in chosen}
        if sizes:
            _resize(case, value, slot, sizes)
    for value, changes in elements.items():
        slot = sources[value]
        if slot is not None:
            _rewrite(value, changes)


def _sources(case: Case) -> dict[ir.Value, Slot | None]:
    """Graph inputs of static shape, and constants with the slots of their tensors."""
    found: dict[ir.Value, Slot | None] = {}
    for slot in slots(case.model):
        if isinstance(slot.holder, ir.Value):
            found[slot.holder] = slot
        elif is_constant_node(slot.holder):
            found[slot.holder.outputs[0]] = slot
    for value in case.model.graph.inputs:
        if value.shape is not None:
            found.setdefault(value, None)
    return found


def _shrinkable(sources: Iterable[ir.Value]) -> list[ir.Value]:
    """Those that are data: how many elements a shape or a list of axes has is no matter of size."""
    return [value for value in sources if not any(_is_list(node, index) for node, index in value.uses())]


def _is_list(node: ir.Node, index: int) -> bool:
    return index in facts(node).shape_inputs and not node.op_type.startswith("Gather")


def _sizes(value: ir.Value) -> list[int]:
    """Sizes of the dimensions; -1 for one that is not static."""
    return [dim if isinstance(dim, int) else -1 for dim in (() if value.shape is None else value.shape.dims)]


def _resize(case: Case, value: ir.Value, slot: Slot | None, sizes: dict[int, int]) -> None:
    cut = tuple(slice(0, sizes.get(axis)) for axis in range(len(_sizes(value))))
    if slot is not None:
        put(slot, slot.tensor.numpy()[cut])
    value.shape = ir.Shape(
        [sizes.get(axis, dim) for axis, dim in enumerate((value.shape or ir.Shape(())).dims)]
    )
    if value.is_graph_input():
        for feed in case.feeds:
            array = feed.get(value.name or "")
            if isinstance(array, np.ndarray):
                feed[value.name or ""] = np.ascontiguousarray(array[cut]).reshape(array[cut].shape)


def _rewrite(value: ir.Value, changes: dict[int, int]) -> None:
    """Change elements of a constant that says a shape; 0 and -1 mean the same as before."""
    producer = value.producer()
    slot: Slot
    if producer is None:
        assert value.const_value is not None
        slot = Slot(value.const_value, value)
    else:
        tensor = producer.attributes["value"].as_tensor()
        slot = Slot(tensor, producer, "value")
    array: np.ndarray[Any, Any] = slot.tensor.numpy().copy()
    for index, size in changes.items():
        if index < array.size and array[index] > 0:
            array[index] = size
    put(slot, array)


def _resize_groups(case: Case, classes: Classes, asked: dict[Place, int | None]) -> None:
    """A depthwise convolution has as many groups as its input has channels."""
    for graph in graphs(case.model):
        for node in graph:
            groups = attribute_int(node, "group", 1) if node.op_type in ("Conv", "ConvTranspose") else 1
            weight = node.inputs[1] if groups > 1 else None
            if weight is None or not _sizes(weight):
                continue
            new = asked.get(classes.find((weight, 0)))
            if new is not None:
                node.attributes["group"] = ir.AttrInt64("group", new)
