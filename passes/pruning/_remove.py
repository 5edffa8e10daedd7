"""Take elements of axes out of a graph: weights lose slices, and nodes that name sizes get new ones.

What belongs together stands in dependency groups; nothing is chosen here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import (
    Names,
    attribute_int,
    constant,
    constant_tensor,
    constant_value,
    ints,
    opset,
    replace_value,
)
from graphopt.pruning import Axis, Group
from graphopt.pruning.groups import Groups
from graphopt.pruning.rules.mixing import reduced_axes
from graphopt.pruning.rules.movement import slice_bounds
from graphopt.pruning.sizes import TAKERS, Sizes

Index = npt.NDArray[np.int64]
SPLIT_TAKES_SIZES = 13
"""From here on Split and others take sizes as an input."""


class Removal:
    """Removes units from a model in place.

    Args:
        model: That the groups were found in.
        groups: Its groups.
    """

    def __init__(self, model: ir.Model, groups: Groups) -> None:
        self._model = model
        self._site = groups.site
        self._names = Names(model)
        self._gone: dict[Axis, Index] = {}

    def remove(self, chosen: Iterable[tuple[Group, Sequence[int]]]) -> None:
        """Remove units.

        Args:
            chosen: Groups and the numbers of the units to take out. Every axis keeps an element.
        """
        positions: dict[Axis, list[Index]] = {}
        for group, units in chosen:
            for unit in units:
                for axis, place in zip(group.axes, group.units[unit], strict=True):
                    positions.setdefault(axis, []).append(place)
        self._gone = {axis: np.unique(np.concatenate(found)) for axis, found in positions.items()}
        if not self._gone:
            return
        values = dict.fromkeys(axis.value for axis in self._gone)
        nodes: dict[ir.Node, None] = {}
        for value in values:
            maker = value.producer()
            if maker is not None:
                nodes[maker] = None
            nodes.update(dict.fromkeys(value.consumers()))
        for node in nodes:
            fix = FIXES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
            if fix is not None:
                fix(self, node)
        for value in values:
            self._cut(value)

    def gone_by_name(self) -> dict[tuple[str, int], Index]:
        """Positions that went, by the name of the value and the axis."""
        return {(axis.value.name or "", axis.axis): places for axis, places in self._gone.items()}

    def kept(self, value: ir.Value | None, axis: int) -> int:
        """Size of an axis afterwards; 0 where it is not known."""
        if value is None:
            return 0
        place = self._site.place(value, axis)
        size = self._site.size(value, place.axis) or 0
        return size - len(self._gone.get(place, ()))

    def gone(self, value: ir.Value | None, axis: int) -> Index:
        """Positions on an axis that go."""
        none = np.zeros(0, np.int64)
        return none if value is None else self._gone.get(self._site.place(value, axis), none)

    def _cut(self, value: ir.Value) -> None:
        axes = [axis for axis in self._gone if axis.value is value]
        tensor = constant_tensor(value)
        if tensor is not None:
            array = tensor.numpy()
            for axis in axes:
                array = np.delete(array, self._gone[axis], axis=axis.axis)
            cut = ir.Tensor(np.ascontiguousarray(array), dtype=tensor.dtype, name=value.name)
            maker = value.producer()
            if maker is None:
                value.const_value = cut
            else:
                maker.attributes.clear()
                maker.attributes["value"] = ir.AttrTensor("value", cut)
        if value.shape is not None:
            dims = list(value.shape.dims)
            for axis in axes:
                dims[axis.axis] = self.kept(value, axis.axis)
            value.shape = ir.Shape(dims)

    def constant(self, array: npt.NDArray[Any], hint: str) -> ir.Value:
        """A new initializer."""
        value = constant_value(self._names.fresh(hint), array)
        self._model.graph.initializers.add(value)
        return value

    @property
    def opset(self) -> int:
        """Of the model."""
        return opset(self._model)

    def elements(self, value: ir.Value | None) -> Any:
        """What is known of a vector of sizes."""
        return Sizes(self._site).elements(value)


def _convolution(removal: Removal, node: ir.Node) -> None:
    groups = attribute_int(node, "group", 1)
    if groups > 1:
        each = removal.kept(node.inputs[1], 1)
        node.attributes["group"] = ir.AttrInt64("group", removal.kept(node.inputs[0], 1) // each)


def _takes_shape(removal: Removal, node: ir.Node) -> None:
    """Sizes that a node names are those that are left."""
    index = TAKERS[node.op_type]
    if index >= len(node.inputs) or node.inputs[index] is None:
        return
    value, y = node.inputs[index], node.outputs[0]
    elements = removal.elements(value)
    dims = removal._site.dims(y)
    if elements is None or dims is None or value is None:
        return
    shift = len(dims) - len(elements)
    less = np.zeros(len(elements), np.int64)
    for axis, element in enumerate(elements):
        if isinstance(element, int) and element > 1:
            less[axis] = len(removal.gone(y, axis + shift))
    if not less.any():
        return
    known = constant(value)
    if known is not None:
        node.replace_input_with(
            index, removal.constant(np.asarray(known, np.int64) - less, value.name or "shape")
        )
        return
    graph = node.graph
    assert graph is not None
    delta = removal.constant(-less, f"{value.name}/less")
    name = removal._names.fresh(f"{value.name}/fewer")
    made = ir.Value(name=name, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([len(elements)]))
    graph.insert_before(
        node, ir.Node("", "Add", [value, delta], outputs=[made], name=removal._names.fresh("fewer"))
    )
    node.replace_input_with(index, made)


def _split(removal: Removal, node: ir.Node) -> None:
    x = node.inputs[0]
    dims = removal._site.dims(x)
    axis = attribute_int(node, "axis", 0) % len(dims or (0,))
    if not len(removal.gone(x, axis)):
        return
    sizes = [removal.kept(output, axis) for output in node.outputs]
    if removal.opset < SPLIT_TAKES_SIZES:
        node.attributes["split"] = ir.AttrInt64s("split", sizes)
        return
    node.attributes.pop("num_outputs", None)
    made = removal.constant(np.asarray(sizes, np.int64), f"{node.name}/sizes")
    if len(node.inputs) > 1:
        node.replace_input_with(1, made)
    else:
        node.resize_inputs(2)
        node.replace_input_with(1, made)


def _slice(removal: Removal, node: ir.Node) -> None:
    x = node.inputs[0]
    dims = removal._site.dims(x) or ()
    bounds = slice_bounds(node, len(dims))
    if bounds is None or not any(len(removal.gone(x, axis)) for axis in bounds):
        return
    starts, ends = [], []
    for axis, (start, end, step) in bounds.items():
        size = dims[axis]
        gone = removal.gone(x, axis)
        if isinstance(size, int) and len(gone):
            first, last, _ = slice(start, end, step).indices(size)
            start = int(first - np.sum(gone < first))
            end = int(last - np.sum(gone < last))
        starts.append(start)
        ends.append(end)
    if "starts" in node.attributes:
        node.attributes["starts"] = ir.AttrInt64s("starts", starts)
        node.attributes["ends"] = ir.AttrInt64s("ends", ends)
        return
    for index, places in ((1, starts), (2, ends)):
        node.replace_input_with(
            index, removal.constant(_like(node.inputs[index], places), f"{node.name}/bounds")
        )


def _gather(removal: Removal, node: ir.Node) -> None:
    """Numbers of rows count those that are left."""
    x, index = node.inputs[0], node.inputs[1]
    dims = removal._site.dims(x) or ()
    axis = attribute_int(node, "axis", 0) % max(len(dims), 1)
    gone, known = removal.gone(x, axis), ints(index)
    array = constant(index)
    size = removal._site.size(x, axis)
    if not len(gone) or known is None or array is None or size is None:
        return
    taken = np.asarray(array, np.int64) % size
    left = np.delete(np.arange(size), gone)
    numbers = np.full(size, -1)
    numbers[left] = np.arange(len(left))
    taken = numbers[taken]
    if taken.ndim:
        taken = taken[taken >= 0]
    node.replace_input_with(1, removal.constant(taken.astype(array.dtype), f"{node.name}/rows"))


def _recurrent(removal: Removal, node: ir.Node) -> None:
    node.attributes["hidden_size"] = ir.AttrInt64("hidden_size", removal.kept(node.inputs[2], 2))


def _group_normalization(removal: Removal, node: ir.Node) -> None:
    before = removal._site.size(node.inputs[0], 1)
    groups = attribute_int(node, "num_groups", 1)
    if before:
        now = removal.kept(node.inputs[0], 1) // (before // groups)
        node.attributes["num_groups"] = ir.AttrInt64("num_groups", now)


def _attention(removal: Removal, node: ir.Node) -> None:
    """Fewer heads of the size they had."""
    for name, value in (("q_num_heads", node.inputs[0]), ("kv_num_heads", node.inputs[1])):
        heads = attribute_int(node, name, 0)
        dims = removal._site.dims(value) or ()
        size = removal._site.size(value, 2)
        if heads and size and len(dims) == 3:
            node.attributes[name] = ir.AttrInt64(name, removal.kept(value, 2) // (size // heads))


def _rotary_embedding(removal: Removal, node: ir.Node) -> None:
    """Heads of the last of three axes are counted."""
    x = node.inputs[0]
    heads, size = attribute_int(node, "num_heads", 0), removal._site.size(x, 2)
    if heads and size and len(removal._site.dims(x) or ()) == 3:
        left = removal.kept(x, 2) // (size // heads)
        node.attributes["num_heads"] = ir.AttrInt64("num_heads", left)


def _mean(removal: Removal, node: ir.Node) -> None:
    """A mean over fewer elements is what it was, if those that went were zero, times the share that stays."""
    x, y, graph = node.inputs[0], node.outputs[0], node.graph
    dims = removal._site.dims(x) or ()
    axes = [axis for axis in reduced_axes(node, len(dims)) or () if len(removal.gone(x, axis))]
    if not axes or x is None or x.dtype is None or graph is None:
        return
    share = math.prod(removal.kept(x, axis) / (removal._site.size(x, axis) or 1) for axis in axes)
    scale = removal.constant(np.asarray(share, x.dtype.numpy()), f"{y.name}/share")
    name = removal._names.fresh(f"{y.name}/scaled")
    made = ir.Value(name=name, type=y.type, shape=y.shape)
    replace_value(y, made, is_new=True)
    if y.name == made.name or not y.name:
        y.name = removal._names.fresh(f"{made.name}/mean")
    graph.insert_after(node, ir.Node("", "Mul", [y, scale], outputs=[made], name=name))


def _like(value: ir.Value | None, numbers: Sequence[int]) -> npt.NDArray[Any]:
    tensor = constant_tensor(value)
    return np.asarray(numbers, np.int64 if tensor is None else tensor.dtype.numpy())


FIXES: Mapping[str, Callable[[Removal, ir.Node], None]] = {
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    **dict.fromkeys(TAKERS, _takes_shape),
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    **dict.fromkeys(("RNN", "GRU", "LSTM"), _recurrent),
    "GroupNormalization": _group_normalization,
    "Attention": _attention,
    "RotaryEmbedding": _rotary_embedding,
    "ReduceMean": _mean,
}
