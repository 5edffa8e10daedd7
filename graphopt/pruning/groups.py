"""Dependency groups of a graph: which channels of which values go together, and what keeps others.

Found from the graph alone; nothing is said of which channels are worth keeping. A unit is the least that can
go: a channel of a convolution with all that follows from it, or a head with its rows of Q, K, V and of the
output. Units on the same axes make a group.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from graphopt.ir import constant_tensor, refresh_shapes
from graphopt.pruning.rules import rule_for
from graphopt.pruning.site import Axis, Index, Link, Sink, Site, View, components


@dataclasses.dataclass(frozen=True)
class Group:
    """Units on the same axes; any of them may go, but not all of those of an axis.

    Attributes:
        name: Of the weight that makes the channels.
        axes: The axes that lose elements, in the order of the graph.
        units: For each unit the positions on each axis, in the order of `axes`.
    """

    name: str
    axes: tuple[Axis, ...]
    units: tuple[tuple[Index, ...], ...]

    def __len__(self) -> int:
        return len(self.units)

    def positions(self, axis: Axis) -> list[Index]:
        """For each unit its positions on an axis of the group."""
        place = self.axes.index(axis)
        return [unit[place] for unit in self.units]


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Channels of a weight that must stay.

    Attributes:
        reason: Why.
        node: Name of the node, input or output that says so.
        weights: Names of the weights whose channels they are.
        channels: How many.
    """

    reason: str
    node: str
    weights: tuple[str, ...]
    channels: int


@dataclasses.dataclass(frozen=True)
class Groups:
    """The dependency groups of a graph.

    Attributes:
        groups: Those that may lose units.
        refusals: Channels of weights that may not, and what blocks them.
        links: What nodes say of their axes, in the order of the graph.
        sinks: Where channels are summed over.
        site: The atoms behind it.
    """

    groups: tuple[Group, ...]
    refusals: tuple[Refusal, ...]
    links: tuple[Link, ...]
    sinks: tuple[Sink, ...]
    site: Site

    def sinks_of(self, group: Group) -> list[Sink]:
        """Where channels of a group are summed over."""
        axes = set(group.axes)
        return [sink for sink in self.sinks if sink.data in axes or sink.weight in axes]


def dependency_groups(model: ir.Model) -> Groups:
    """Find the groups of a model's main graph.

    Args:
        model: Its shapes are inferred if they are not known; nothing else is changed. Calls of functions are
            not looked into, so they should be inlined.
    """
    refresh_shapes(model)
    site = Site(model)
    for node in model.graph:
        site.visit(node, rule_for(node))
    for value in model.graph.inputs:
        site.block_value(value, "it is an input of the model")
    for value in model.graph.outputs:
        site.block_value(value, "it is an output of the model")
    _decide_views(site)
    return _grouped(site)


def _decide_views(site: Site) -> None:
    """Choose for each axis that is several elsewhere the one of them that may lose elements.

    One that another view has chosen already, else the outermost that is not blocked: whole heads. Where the
    factors come back in another order, as channels are shuffled, it is the longest.
    """
    if not site.views:
        return
    number = {axis: index for index, axis in enumerate(site.axes)}
    pairs = [
        (np.asarray([number[link.source]]), np.asarray([number[link.target]]))
        for link in site.links
        if link.source in number and link.target in number
    ]
    kinds = components(len(site.axes), pairs)
    atoms = _components(site)
    bad = np.zeros(site.count, bool)
    bad[atoms[site.blocked() >= 0]] = True

    def kind(axis: Axis) -> int:
        return int(kinds[number[axis]])

    def is_blocked(axis: Axis) -> bool:
        own = site.atoms(axis)
        return own is None or bool(bad[atoms[own]].all())

    orders = {tuple(map(kind, view.factors)) for view in site.views}
    chosen: set[int] = set()
    for view in site.views:
        open_ones = [axis for axis in view.factors if not is_blocked(axis)]
        known = [axis for axis in open_ones if kind(axis) in chosen]
        order = tuple(map(kind, view.factors))
        if known:
            best = known[0]
        elif not open_ones:
            site.block(view.node, view.whole, f"{view.node.op_type} puts them together with axes that stay")
            continue
        elif any(other != order and sorted(other) == sorted(order) for other in orders):
            best = max(open_ones, key=lambda axis: len(_atoms(site, axis)))
        else:
            best = open_ones[0]
        chosen.add(kind(best))
        _choose(site, view, best)


def _choose(site: Site, view: View, best: Axis) -> None:
    sizes = [len(_atoms(site, axis)) for axis in view.factors]
    at = view.factors.index(best)
    coordinates = np.unravel_index(np.arange(int(np.prod(sizes))), sizes)[at]
    site.link(view.node, view.whole, best, np.arange(len(coordinates)), coordinates)
    for axis in view.factors:
        if axis != best:
            site.block(view.node, axis, f"{view.node.op_type} makes one axis of them and of others that go")


def _atoms(site: Site, axis: Axis) -> Index:
    found = site.atoms(axis)
    assert found is not None
    return found


def _components(site: Site) -> Index:
    pairs = []
    for link in site.links:
        one, other = site.atoms(link.source), site.atoms(link.target)
        if one is not None and other is not None:
            pairs.append((one[link.sources], other[link.targets]))
    return components(site.count, pairs)


def _grouped(site: Site) -> Groups:
    label = _components(site)
    blocked = site.blocked()
    barrier = np.full(site.count, np.iinfo(np.int64).max)
    held = blocked >= 0
    np.minimum.at(barrier, label[held], blocked[held])
    axis_of = np.concatenate(
        [np.full(len(_atoms(site, axis)), index) for index, axis in enumerate(site.axes)]
        or [np.zeros(0, np.int64)]
    )
    starts = np.searchsorted(axis_of, np.arange(len(site.axes)))
    by_label = np.argsort(label, kind="stable")
    edges = np.flatnonzero(np.diff(label[by_label], prepend=-1))
    linked = {axis for link in site.links for axis in (link.source, link.target)}
    weights = {index for index, axis in enumerate(site.axes) if axis in linked and is_weight(axis.value)}
    found: dict[tuple[int, ...], list[tuple[Index, ...]]] = {}
    kept: dict[tuple[int, tuple[int, ...]], int] = {}
    for atoms in np.split(by_label, edges[1:]) if len(by_label) else []:
        atoms = np.sort(atoms)
        axes, firsts = np.unique(axis_of[atoms], return_index=True)
        signature = tuple(axes.tolist())
        touched = weights.intersection(signature)
        if not touched:
            continue
        block = int(barrier[label[atoms[0]]])
        if block < np.iinfo(np.int64).max:
            key = (block, tuple(sorted(touched)))
            kept[key] = kept.get(key, 0) + 1
            continue
        positions = tuple(
            part - starts[axis] for axis, part in zip(signature, np.split(atoms, firsts[1:]), strict=True)
        )
        found.setdefault(signature, []).append(positions)
    groups = []
    for signature, units in found.items():
        if len(units) < 2:
            continue
        axes_of_group = tuple(site.axes[index] for index in signature)
        makers = [axis for axis in axes_of_group if is_weight(axis.value)]
        groups.append(Group(_name(site, makers), axes_of_group, tuple(units)))
    refusals = _refusals(site, kept)
    return Groups(tuple(groups), refusals, tuple(site.links), tuple(site.sinks), site)


def _name(site: Site, makers: Sequence[Axis]) -> str:
    """The weight that makes the channels: the first that is not summed over."""
    summed = {sink.weight for sink in site.sinks}
    made = [axis for axis in makers if axis not in summed and len(site.dims(axis.value) or ()) > 1]
    return (made or list(makers))[0].value.name or ""


def _refusals(site: Site, kept: Mapping[tuple[int, tuple[int, ...]], int]) -> tuple[Refusal, ...]:
    """What blocks axes of weights that make channels, one for each block and node."""
    summed = {sink.weight for sink in site.sinks}
    found: dict[tuple[str, str, tuple[str, ...]], int] = {}
    for (block, axes), count in kept.items():
        names = tuple(
            site.axes[index].value.name or ""
            for index in axes
            if site.axes[index] not in summed and len(site.dims(site.axes[index].value) or ()) > 1
        )
        if names and count > 1:
            why = site.blocks[block]
            key = (why.reason, why.node, tuple(dict.fromkeys(names)))
            found[key] = found.get(key, 0) + count
    return tuple(Refusal(*key, channels=count) for key, count in found.items())


def is_weight(value: ir.Value) -> bool:
    """Whether a value is a constant of floats, or filled with one."""
    if value.dtype is not None and not value.dtype.is_floating_point():
        return False
    node = value.producer()
    if node is not None and node.op_type == "ConstantOfShape" and node.domain == "":
        return True
    return constant_tensor(value) is not None
