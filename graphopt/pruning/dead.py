"""Units that can go without a change of any output: what they hold is not looked at, or is the same always.

A constant that is not zero is what a node that reads it adds, so it may stand in the node's bias. Where zeros
are padded around it, it cannot: there one constant unit stands for all others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import attribute_int, constant
from graphopt.pruning.constants import ConstantChannels, is_padded
from graphopt.pruning.groups import Group, Groups
from graphopt.pruning.site import Axis, Index, Sink

PADDED = "its channels are constant and not zero, and zeros are padded around them"
SHARED = "its channels are constant and not zero, and the weight that reads them is read by others too"
UNEVEN = "without them a convolution has a number of channels for which kernels take far longer"
FEW_CHANNELS = 16
"""Of fewer channels kernels do not take several at once."""
_BIASED = ("Conv", "Gemm", "MatMul")


@dataclasses.dataclass(frozen=True)
class Fold:
    """Constant channels of what a sink reads, to be folded into what it adds, or into another channel.

    Attributes:
        sink: The sink.
        channels: Their positions on the data's axis.
        numbers: What they hold.
        into: Position of the channel to fold each into; empty for the bias.
        held: What that channel holds.
    """

    sink: Sink
    channels: Index
    numbers: npt.NDArray[np.float64]
    into: Index
    held: npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Dead:
    """Units of one group that nothing depends on.

    Attributes:
        group: The group.
        units: Their numbers.
        folds: What has to be folded before they go.
        refusals: Reason -> units that hold constants and must stay all the same.
    """

    group: Group
    units: tuple[int, ...]
    folds: tuple[Fold, ...]
    refusals: dict[str, int]


@np.errstate(over="ignore", invalid="ignore")  # weights may be infinite
def dead_units(groups: Groups, align: int = 1) -> list[Dead]:
    """Find the dead units of all groups; of each axis something is left.

    Args:
        groups: All groups of a graph.
        align: Of the channels of convolutions, where they are a multiple of it, a multiple is left.
    """
    constants = ConstantChannels(groups)
    left = {
        axis: groups.site.size(axis.value, axis.axis) or 0 for group in groups.groups for axis in group.axes
    }
    found = []
    for group in groups.groups:
        dead = _of_group(groups, group, constants)
        most = _most(group, len(dead.units), left, align)
        if most < len(dead.units):
            dead.refusals[UNEVEN] = len(dead.units) - most
        units = _leaving_some(group, dead.units[:most], left)
        if units != dead.units:  # folds would speak of channels that stay
            units = tuple(unit for unit in units if not _touched(group, unit, dead.folds))
            dead = dataclasses.replace(dead, units=units, folds=_only(group, units, dead.folds))
        if dead.units or dead.refusals:
            found.append(dead)
    return found


def _is_convolved(axis: Axis) -> bool:
    """Whether an axis is the channels that a convolution reads."""
    readers = [use.node for use in axis.value.uses() if use.idx == 0]
    return axis.axis == 1 and any(node.op_type == "Conv" for node in readers)


def _most(group: Group, units: int, left: Mapping[Axis, int], align: int) -> int:
    """How many of some units may go so that a multiple of channels of convolutions is left."""
    sizes = [
        (left[axis], len(place))
        for axis, place in zip(group.axes, group.units[0], strict=True)
        if _is_convolved(axis) and left[axis] >= FEW_CHANNELS and left[axis] % align == 0
    ]
    while units and any((size - units * each) % align for size, each in sizes):
        units -= 1
    return units


def _leaving_some(group: Group, units: tuple[int, ...], left: dict[Axis, int]) -> tuple[int, ...]:
    """The units, without one where an axis would be empty."""
    taken = []
    for unit in units:
        sizes = {axis: len(place) for axis, place in zip(group.axes, group.units[unit], strict=True)}
        if all(left[axis] > size for axis, size in sizes.items()):
            taken.append(unit)
            for axis, size in sizes.items():
                left[axis] -= size
    return tuple(taken)


def _touched(group: Group, unit: int, folds: tuple[Fold, ...]) -> bool:
    """Whether another unit is folded into this one."""
    return any(
        np.isin(fold.into, group.units[unit][group.axes.index(fold.sink.data)]).any()
        for fold in folds
        if fold.sink.data in group.axes
    )


def _only(group: Group, units: tuple[int, ...], folds: tuple[Fold, ...]) -> tuple[Fold, ...]:
    """Folds of the channels of some units."""
    kept = []
    for fold in folds:
        places = group.positions(fold.sink.data)
        own = np.concatenate([places[unit] for unit in units]) if units else np.zeros(0, np.int64)
        mask = np.isin(fold.channels, own)
        if mask.any():
            into = fold.into[mask] if len(fold.into) else fold.into
            held = fold.held[mask] if len(fold.held) else fold.held
            kept.append(Fold(fold.sink, fold.channels[mask], fold.numbers[mask], into, held))
    return tuple(kept)


@dataclasses.dataclass
class _SinkView:
    """What a sink says of each channel of its data: it does not look, or it sees this constant."""

    sink: Sink
    ignored: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.float64]
    against: str  # why constants cannot go into the bias, "" if they can


def _of_group(groups: Groups, group: Group, constants: ConstantChannels) -> Dead:
    views = [_view(groups, sink, constants) for sink in groups.sinks_of(group) if sink.data in group.axes]
    if any(sink.data not in group.axes for sink in groups.sinks_of(group)):
        return Dead(group, (), (), {})
    free: list[int] = []
    folded: list[int] = []
    held: list[int] = []
    refusals: dict[str, int] = {}
    averages = {
        axis: constants.of(axis) for axis in dict.fromkeys(groups.site.averages) if axis in group.axes
    }
    for number, unit in enumerate(group.units):
        places = dict(zip(group.axes, unit, strict=True))
        if not all(mean and mean.zero[places[axis]].all() for axis, mean in averages.items()):
            continue
        looked = [view for view in views if not view.ignored[places[view.sink.data]].all()]
        if not all((view.ignored | view.known)[places[view.sink.data]].all() for view in looked):
            continue
        against = {view.against for view in looked} - {""}
        if not looked:
            free.append(number)
        elif not against:
            folded.append(number)
        elif against == {PADDED} and all(len(place) == 1 for place in unit):
            held.append(number)
        else:
            refusals[sorted(against)[-1]] = refusals.get(sorted(against)[-1], 0) + 1
    folds = [_bias_fold(view, group, folded) for view in views]
    merged, more = _merged(group, views, held)
    if len(held) > len(merged):
        refusals[PADDED] = refusals.get(PADDED, 0) + len(held) - len(merged)
    units = tuple(sorted({*free, *folded, *merged}))
    return Dead(group, units, tuple(fold for fold in [*folds, *more] if len(fold.channels)), refusals)


def _bias_fold(view: _SinkView, group: Group, units: list[int]) -> Fold:
    channels = _channels(view, group, units)
    none = np.zeros(0, np.int64)
    return Fold(view.sink, channels, view.numbers[channels], none, np.zeros(0))


def _channels(view: _SinkView, group: Group, units: list[int]) -> Index:
    """Channels of units that a sink looks at."""
    places = group.positions(view.sink.data)
    found = np.concatenate([places[unit] for unit in units]) if units else np.zeros(0, np.int64)
    return np.asarray(found[~view.ignored[found]], np.int64)


def _merged(group: Group, views: list[_SinkView], held: list[int]) -> tuple[list[int], list[Fold]]:
    """Constant units that one of them can stand for: one that is not zero wherever another is not."""

    def number(view: _SinkView, unit: int) -> tuple[int, float]:
        place = int(group.units[unit][group.axes.index(view.sink.data)][0])
        return place, float(view.numbers[place]) if view.known[place] else 0.0

    for keeper in held:
        held_by = [number(view, keeper) for view in views]
        if not all(value and view.known[place] for view, (place, value) in zip(views, held_by, strict=True)):
            continue
        others = [unit for unit in held if unit != keeper]
        folds = []
        for view, (place, value) in zip(views, held_by, strict=True):
            channels = _channels(view, group, others)
            folds.append(
                Fold(
                    view.sink, channels, view.numbers[channels],
                    np.full(len(channels), place), np.full(len(channels), value),
                )
            )  # fmt: skip
        return others, folds
    return [], []


def _view(groups: Groups, sink: Sink, constants: ConstantChannels) -> _SinkView:
    size = groups.site.size(sink.data.value, sink.data.axis) or 0
    ignored = _unread(groups, sink, size)
    weight = constants.of(sink.weight)
    if weight is not None and len(weight.known) == size:
        ignored = ignored | weight.zero
    found = constants.of(sink.data)
    if found is None:
        return _SinkView(sink, ignored, np.zeros(size, bool), np.zeros(size), "")
    ignored = ignored | found.zero
    against = _against(sink)
    known = found.known & np.isfinite(found.numbers)
    return _SinkView(sink, ignored, known, found.numbers, against)


def _unread(groups: Groups, sink: Sink, size: int) -> npt.NDArray[np.bool_]:
    """Channels of the data that meet nothing but zeros in the weight."""
    array = constant(sink.weight.value)
    if array is None or not array.size:
        return np.zeros(size, bool)
    rows = np.moveaxis(array, sink.weight.axis, 0).reshape(array.shape[sink.weight.axis], -1)
    if len(rows) == size:
        return np.asarray(~(rows != 0).any(axis=1))
    if sink.node.op_type == "Conv" and sink.weight.axis == 1:
        count = attribute_int(sink.node, "group", 1)
        parts = array.reshape(count, len(array) // count, array.shape[1], -1)
        return np.asarray(~(parts != 0).any(axis=(1, 3)).reshape(-1))
    return np.zeros(size, bool)


def _against(sink: Sink) -> str:
    """Why constants that a node reads cannot go into what it adds."""
    node, weight = sink.node, sink.weight.value
    kind = f"its channels are constant and not zero, and {node.op_type} reads them"
    if node.op_type not in _BIASED or constant(weight) is None:
        return kind
    if weight is not node.inputs[1] or (node.op_type == "MatMul" and len(weight.shape or ()) != 2):
        return kind
    if node.op_type == "Gemm" and (attribute_int(node, "transA", 0) or not _has_plain_bias(node)):
        return kind
    if (
        node.op_type == "Conv"
        and len(node.inputs) > 2
        and node.inputs[2]
        and constant(node.inputs[2]) is None
    ):
        return kind
    if len(weight.uses()) > 1:
        return SHARED
    return PADDED if node.op_type == "Conv" and is_padded(node) else ""


def _has_plain_bias(node: ir.Node) -> bool:
    """Whether a Gemm adds nothing, or a constant vector."""
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    array = constant(bias)
    return bias is None or (array is not None and array.ndim <= 1)
