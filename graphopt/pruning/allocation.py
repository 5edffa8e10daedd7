"""How many units each group loses, so that a model comes to a goal at the least loss.

A goal is an amount, as of MACs, that is a sum over nodes, each a product of the lengths of some axes.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.ir import attribute_int, constant_tensor
from graphopt.pruning.groups import Group, Groups
from graphopt.pruning.importance import Ranking
from graphopt.pruning.rules.recurrent import GATES
from graphopt.pruning.site import Axis

Floats = npt.NDArray[np.float64]

CLOSE = 0.01
"""By so much of a rate, or of what stays where that is less, a goal may be missed or passed."""
FAR = 0.03
"""By so much of the whole a goal must not be missed, unless it lies between two counts of channels."""
BESIDE = (4.0, 8.0, 16.0)
"""What a share of the other amount is worth: MACs of layers that take hardly any time should not go first."""
EVEN = 0.9
"""Of the other amount so much as of the first goes at least, where what it is worth leads there."""
GAIN = 0.01
"""The share of the other amount that has to go beyond what went before to let it be worth more."""
EVEN_COUNT = 4
"""Channels that convolutions read are to be a multiple of it: those of onnxruntime take long for others."""
UNEVEN_GROUPS = 2.5
"""How many times as long one in groups takes otherwise, as measured of depthwise ones."""
UNEVEN_INPUTS = 1.3
"""How many times as long another one takes."""
LEAST_WORTH = 0.01
"""What a share of an amount is worth at least where more of the other is needed for it."""
UNALIGNED = 2.0
"""By so much a loss counts more for each time that a step of a group is halved."""
_MOST_STEPS = 48
"""Steps of a group that are priced together; the first ones are even, later ones ever longer."""
_EVEN_STEPS = 8
LEAST_LEFT = 0.1
"""Share of a group's units that stays whatever the goal is."""


@dataclasses.dataclass(frozen=True)
class Work:
    """A part of an amount: in proportion to the lengths of axes.

    Attributes:
        amount: With all channels.
        axes: The axes; one that stands twice counts squared.
        uneven: An axis of which kernels work on `EVEN_COUNT` elements at once, and how many times as long
            they take for other counts; None without.
    """

    amount: float
    axes: tuple[Axis, ...]
    uneven: tuple[Axis, float] | None = None


def node_works(groups: Groups, amounts: Mapping[ir.Node, float]) -> list[Work]:
    """How amounts of nodes follow from the lengths of axes."""
    summed: dict[ir.Node, list[Axis]] = {}
    for sink in groups.sinks:
        if sink.node.op_type not in GATES:
            summed.setdefault(sink.node, []).append(sink.weight)
    works = []
    for node, amount in amounts.items():
        if node.op_type in GATES:
            works += _recurrent(groups, node, amount)
            continue
        y = node.outputs[0]
        axes = [Axis(y, axis) for axis in range(len(groups.site.dims(y) or ()))]
        read = summed.get(node, ())
        works.append(Work(amount, (*axes, *read), _uneven(node, axes, read)))
    return works


def _uneven(node: ir.Node, made: Sequence[Axis], read: Sequence[Axis]) -> tuple[Axis, float] | None:
    """The channels of a convolution whose count matters to its kernels."""
    if node.op_type != "Conv":
        return None
    if attribute_int(node, "group", 1) > 1:
        return (made[1], UNEVEN_GROUPS) if len(made) > 1 else None
    return (read[0], UNEVEN_INPUTS) if read else None


def _recurrent(groups: Groups, node: ir.Node, amount: float) -> list[Work]:
    """Gates of the input, and of the state, which grow with the state's square."""
    w, r = node.inputs[1], node.inputs[2]
    inputs, hidden = groups.site.size(w, 2), groups.site.size(r, 2)
    if w is None or r is None or inputs is None or hidden is None:
        return []
    share = inputs / (inputs + hidden)
    state = Axis(r, 2)
    return [Work(amount * share, (Axis(w, 2), state)), Work(amount * (1 - share), (state, state))]


def parameter_works(groups: Groups) -> list[Work]:
    """Elements of constants."""
    model = groups.site.model
    constants = list(model.graph.initializers.values())
    works = []
    for value in constants:
        tensor = constant_tensor(value)
        if tensor is not None and tensor.dtype.is_floating_point() and tensor.size:
            works.append(Work(tensor.size, tuple(Axis(value, axis) for axis in range(len(tensor.shape)))))
    return works


class Amount:
    """An amount while units go.

    Args:
        groups: All groups.
        works: Its parts.
        block: Channels that take as long as one more, as kernels work on so many at a time: lengths count as
            the next multiple.
    """

    def __init__(self, groups: Groups, works: Iterable[Work], *, block: int = 1) -> None:
        self._block = block
        self._site = groups.site
        wanted = {axis for group in groups.groups for axis in group.axes}
        self._works: list[Work] = []
        self._by_axis: dict[Axis, list[int]] = {}
        self.whole = 0.0
        for work in works:
            self.whole += work.amount
            axes = tuple(axis for axis in work.axes if axis in wanted)
            for axis in set(axes):
                self._by_axis.setdefault(axis, []).append(len(self._works))
            self._works.append(dataclasses.replace(work, axes=axes))
        self._gone = dict.fromkeys(wanted, 0)
        self._now = [work.amount for work in self._works]
        self.present = self.whole

    def copy(self) -> Amount:
        """The same amount, to go on with apart."""
        made = copy.copy(self)
        made._gone, made._now = dict(self._gone), list(self._now)
        return made

    def saved(self, group: Group, units: int) -> float:
        """What less it would be without so many more units of a group."""
        gone = self._without(group, units)
        touched = {index for axis in gone for index in self._by_axis.get(axis, ())}
        return sum(self._now[index] - self._of(index, gone) for index in touched)

    def remove(self, group: Group, units: int) -> None:
        """Take so many more units of a group out."""
        gone = self._without(group, units)
        self._gone.update(gone)
        for index in {index for axis in gone for index in self._by_axis.get(axis, ())}:
            self._now[index] = self._of(index, gone)
        self.present = sum(self._now)

    def leaves(self, group: Group, units: int) -> bool:
        """Whether every axis keeps an element then."""
        return all(self._size(axis) > gone for axis, gone in self._without(group, units).items())

    def _without(self, group: Group, units: int) -> dict[Axis, int]:
        each = group.units[0]
        return {
            axis: self._gone[axis] + units * len(place) for axis, place in zip(group.axes, each, strict=True)
        }

    def _of(self, index: int, gone: Mapping[Axis, int]) -> float:
        work = self._works[index]
        left = 1.0
        for axis in work.axes:
            size = self._size(axis)
            now = size - gone.get(axis, self._gone[axis])
            longer = work.uneven[1] if work.uneven is not None and axis == work.uneven[0] else 1.0
            left *= self._blocks(now, longer) / self._blocks(size, longer)
        return work.amount * left

    def _blocks(self, size: int, longer: float) -> float:
        """Blocks that take as long as so many elements."""
        blocks = -(-size // self._block)
        return blocks * longer if size % math.gcd(self._block, EVEN_COUNT) else blocks

    def _size(self, axis: Axis) -> int:
        return self._site.size(axis.value, axis.axis) or 1


def aligned(group: Group, align: int) -> int:
    """A step in which units of a group go: so that channels left are a multiple, if the group is large."""
    if any(len(place) > 1 for axis, place in zip(group.axes, group.units[0], strict=True) if axis.axis <= 1):
        return 1
    step = align
    while step > 1 and len(group) < 2 * step:
        step //= 2
    return max(step, 1)


def allocate(
    groups: Sequence[Group],
    ranked: Sequence[Ranking],
    amount: Amount,
    rate: float,
    *,
    align: int = 1,
    curves: Sequence[Floats] | None = None,
    beside: Amount | None = None,
) -> list[int]:
    """How many units each group loses, cheapest first by loss for what is saved.

    Args:
        groups: The groups.
        ranked: Rankings of their units, in the same order.
        amount: What is to shrink.
        rate: By which share of it.
        align: Channels that are left of a group are a multiple of it, as far as the goal lets them.
        curves: What is lost by so many units of each group, from none to all; by default sums of the losses,
            which say little, so that `beside` may be worth more, and losses may count by layers.
        beside: Another amount, as of time, of which about as large a share should go.

    Raises:
        UsageError: So much cannot go.
    """
    goal = (1.0 - rate) * amount.whole
    sums = curves or [np.concatenate([[0.0], np.cumsum(each.losses)]) for each in ranked]
    steps = [aligned(group, align) for group in groups]
    gone, left = [0] * len(groups), math.inf
    free = beside is not None and not curves
    for each in (sums, _by_layers(groups, sums)) if free else (sums,):
        for worth in BESIDE if free else BESIDE[:1]:
            if left <= 1.0 - EVEN * rate:
                break
            other = None if beside is None else beside.copy()
            counts = _allocated(groups, each, amount.copy(), other, steps, rate, worth)
            present = other.present / (other.whole or 1.0) if other is not None else 0.0
            if present > left - GAIN:
                break
            gone, left = counts, present
    for group, units in zip(groups, gone, strict=True):
        if units:
            amount.remove(group, units)
    if amount.present > goal + FAR * amount.whole and not any(
        _next(len(group), units, 1) for group, units in zip(groups, gone, strict=True)
    ):
        most = 1.0 - amount.present / amount.whole
        raise UsageError(
            f"a rate of {rate:g} is asked for, and no more than {most:.2f} can go",
            hint="channels that must stay, and what blocks them, are listed as refusals",
        )
    return gone


def _by_layers(groups: Sequence[Group], sums: Sequence[Floats]) -> list[Floats]:
    """Losses of groups, which count alike, by the layers that lose something: many of a residual stream."""
    return [
        losses * sum(axis.axis < 2 and _is_matrix(axis) for axis in group.axes)
        for group, losses in zip(groups, sums, strict=True)
    ]


def _is_matrix(axis: Axis) -> bool:
    tensor = constant_tensor(axis.value)
    return tensor is not None and len(tensor.shape) > 1


def _allocated(
    groups: Sequence[Group],
    sums: Sequence[Floats],
    amount: Amount,
    beside: Amount | None,
    steps: Sequence[int],
    rate: float,
    worth: float,
) -> list[int]:
    """How many units each group loses, where a share of the other amount is worth so much."""
    gone = [0] * len(groups)
    goal, slack = (1.0 - rate) * amount.whole, _slack(amount, rate)
    _greedily(groups, sums, amount, beside, gone, steps, goal, slack, worth)
    if amount.present > goal + slack:
        _last_step(groups, amount, gone, goal)
    return gone


def _slack(amount: Amount, rate: float) -> float:
    """By how much a goal may be missed or passed."""
    return CLOSE * min(rate, 1.0 - rate) * amount.whole


def _last_step(groups: Sequence[Group], amount: Amount, gone: list[int], goal: float) -> None:
    """One unit more, and some of another group less, where that leads nearer to a goal.

    Of few channels each is a large share, which finer groups make even.
    """
    best = abs(amount.present - goal), -1, -1, 0
    for index, group in enumerate(groups):
        if not _next(len(group), gone[index], 1) or not amount.leaves(group, 1):
            continue
        amount.remove(group, 1)
        best = min(best, (abs(amount.present - goal), index, -1, 0))
        for other, given in enumerate(groups):
            if other != index and gone[other] and amount.present < goal:
                units = _units_to_give_back(given, amount, gone[other], goal)
                distance = abs(amount.present - amount.saved(given, -units) - goal)
                best = min(best, (distance, index, other, units))
        amount.remove(group, -1)
    _, index, other, units = best
    if index >= 0:
        amount.remove(groups[index], 1)
        gone[index] += 1
    if other >= 0:
        amount.remove(groups[other], -units)
        gone[other] -= units


def _units_to_give_back(group: Group, amount: Amount, gone: int, goal: float) -> int:
    """How many units of a group to have again so that an amount comes nearest to a goal above it."""
    low, high = 0, gone
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if amount.present - amount.saved(group, -middle) <= goal else (low, middle - 1)
        )
    return min(
        (low, min(low + 1, gone)), key=lambda units: abs(amount.present - amount.saved(group, -units) - goal)
    )


def _greedily(
    groups: Sequence[Group],
    sums: Sequence[Floats],
    amount: Amount,
    beside: Amount | None,
    gone: list[int],
    steps: Sequence[int],
    goal: float,
    slack: float,
    worth_beside: float,
) -> None:
    """Take steps, the cheapest first, until the goal is met; none that leads below it by more than `slack`.

    Of a group whose step is too long for that, shorter ones are offered, each half as long at a higher price.
    Several steps of a group count as one where together they are cheaper: a group may lose much for its first
    units, and little for the next.
    """
    offers: dict[int, tuple[float, int] | None] = {}
    neighbours = _neighbours(groups)

    def fits(index: int, units: int) -> bool:
        return amount.present - amount.saved(groups[index], units) >= goal - slack

    def offer(index: int) -> tuple[float, int] | None:
        """The least price of a group's next steps, and how many units they are."""
        step, factor = steps[index], 1.0
        while True:
            found = of_steps(index, step)
            if found is not None or step == 1 or amount.present <= goal + slack:
                return None if found is None else (factor * found[0], found[1])
            step, factor = step // 2, factor * UNALIGNED

    def of_steps(index: int, step: int) -> tuple[float, int] | None:
        """The same for steps of a length."""
        group, best = groups[index], None
        units = 0
        for count in range(1, _MOST_STEPS):
            more = _next(len(group), gone[index] + units, step * max(1, count // _EVEN_STEPS))
            units += more
            if not more or not amount.leaves(group, units) or not fits(index, units):
                break
            saved = amount.saved(group, units)
            if saved <= 0.0:
                continue
            worth = saved / amount.whole
            if beside is not None and beside.whole:
                worth += worth_beside * beside.saved(group, units) / beside.whole
                worth = max(worth, LEAST_WORTH * saved / amount.whole)
            price = float(sums[index][gone[index] + units] - sums[index][gone[index]]) / worth
            if best is None or price < best[0]:
                best = price, units
        return best

    while amount.present > goal:
        for index in range(len(groups)):
            if index not in offers:
                offers[index] = offer(index)
        found = [(each[0], index, each[1]) for index, each in offers.items() if each is not None]
        if not found:
            return
        _, index, units = min(found)
        if not fits(index, units):
            offers[index] = offer(index)
            continue
        amount.remove(groups[index], units)
        if beside is not None:
            beside.remove(groups[index], units)
        gone[index] += units
        for other in neighbours[index] if amount.present > goal + slack else range(len(groups)):
            offers.pop(other, None)


def _neighbours(groups: Sequence[Group]) -> list[set[int]]:
    """Groups whose prices change with one: those that share a node with it."""
    by_node: dict[ir.Node | None, set[int]] = {}
    for index, group in enumerate(groups):
        for axis in group.axes:
            for node in (axis.value.producer(), *axis.value.consumers()):
                by_node.setdefault(node, set()).add(index)
    found: list[set[int]] = [{index} for index in range(len(groups))]
    for node, indices in by_node.items():
        if node is not None:
            for index in indices:
                found[index] |= indices
    return found


def _next(units: int, gone: int, step: int) -> int:
    """How many more go until what is left is a multiple of a step; 0 where too few would be left."""
    left = units - gone
    after = (left - 1) // step * step
    least = max(1, math.ceil(units * LEAST_LEFT))
    return left - after if after >= least else 0


def uniformly(groups: Sequence[Group], amount: Amount, rate: float, *, align: int = 1) -> list[int]:
    """The same share of every group, found so that the goal is met."""

    goal = (1.0 - rate) * amount.whole
    best = _at_share(groups, amount, goal, align)
    while align > 1 and abs(_with(amount, groups, best) - goal) > 2 * _slack(amount, rate):
        align //= 2
        best = _at_share(groups, amount, goal, align)
    for group, units in zip(groups, best, strict=True):
        if units:
            amount.remove(group, units)
    return best


def _at_share(groups: Sequence[Group], amount: Amount, goal: float, align: int) -> list[int]:
    """Units of each group at the share that comes nearest to a goal."""

    def counts(share: float) -> list[int]:
        found = []
        for group in groups:
            step = aligned(group, align)
            least = max(1, math.ceil(len(group) * LEAST_LEFT))
            left = max(round(len(group) * (1 - share) / step) * step, least)
            found.append(max(len(group) - left, 0))
        return found

    low, high = 0.0, 1.0
    for _ in range(24):
        middle = (low + high) / 2
        left = _with(amount, groups, counts(middle))
        low, high = (middle, high) if left > goal else (low, middle)
    return min(
        (counts(share) for share in (low, high)), key=lambda found: abs(_with(amount, groups, found) - goal)
    )


def _with(amount: Amount, groups: Sequence[Group], counts: Sequence[int]) -> float:
    """The amount without some units, as it would be."""
    for group, units in zip(groups, counts, strict=True):
        amount.remove(group, units)
    left = amount.present
    for group, units in zip(groups, counts, strict=True):
        amount.remove(group, -units)
    return left
