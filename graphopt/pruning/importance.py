"""Which units of a group to take out first, and what the outputs of layers lose by each.

Losses are shares of what layers compute, so that groups can be held against each other. The measures:

- `l1`, `l2`: norms of the weights that make a unit's channels (H. Li et al., 2017).
- `bn-scale`: size of the scales of BatchNormalizations (Z. Liu et al., 2017).
- `activation`: mean size of what the unit's channels hold.
- `hessian`: the diagonal of the Hessian of layers' squared errors: w^2 E[x^2] (Y. LeCun et al., 1990).
- `reconstruction`: what cannot be made of the channels that stay, by the whole Hessian, one unit after the
  other (B. Hassibi et al., 1993).
- `curvature`: the same, with errors of a layer counted as far as they move the outputs of the model: the
  Hessian is a product of the inputs' mean products and of that curvature (J. Martens and R. Grosse,
  "Optimizing Neural Networks with Kronecker-factored Approximate Curvature", 2015).
- `taylor`: how far the outputs of the whole model move, to first order, told by gradients (P. Molchanov et
  al., 2019).
- `random`: as a control.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from graphopt.errors import UsageError
from graphopt.ir import constant
from graphopt.pruning.compensation import conv_groups
from graphopt.pruning.groups import Group, Groups
from graphopt.pruning.site import Axis, Sink

Floats = npt.NDArray[np.float64]

FREE = ("l2", "l1", "bn-scale", "random")
"""Measures that need no data."""
WITH_DATA = ("reconstruction", "curvature", "taylor", "hessian", "activation")
MEASURES = (*FREE, *WITH_DATA)

DAMPING = 0.01
"""Added to the diagonal of mean products, as a share of its mean."""
CAUTION = 0.1
"""The same where units are ordered: a few inputs leave channels idle that others need."""
MOST_CHANNELS = 4096
"""Of more, as of images made flat, products with each other take too much memory and time."""
_ROUNDS = 32
"""Times that losses are told anew while a group is emptied."""


class Moments:
    """Mean products of the channels of a value, and their means.

    Args:
        channels: How many there are; of more than `MOST_CHANNELS` only the squares are held.
    """

    def __init__(self, channels: int) -> None:
        self.rows = 0
        self._products = np.zeros((channels, channels) if channels <= MOST_CHANNELS else channels)
        self._sizes = np.zeros(channels)

    def observe(self, rows: npt.NDArray[Any]) -> None:
        """Take in rows [..., channels]; those that are not finite are left out."""
        rows = rows[np.isfinite(rows).all(axis=1)].astype(np.float32, copy=False)
        self._products += rows.T @ rows if self.whole else np.square(rows).sum(axis=0, dtype=np.float64)
        self._sizes += np.abs(rows).sum(axis=0, dtype=np.float64)
        self.rows += len(rows)

    def __add__(self, other: Moments) -> Moments:
        """Of the rows of both."""
        made = Moments(len(self._sizes))
        made.rows = self.rows + other.rows
        made._products = self._products + other._products
        made._sizes = self._sizes + other._sizes
        return made

    @property
    def whole(self) -> bool:
        """Whether products of different channels are held."""
        return self._products.ndim > 1

    @property
    def products(self) -> Floats:
        """Mean of x x^T; for `whole` ones."""
        return self._products / max(self.rows, 1)

    @property
    def squares(self) -> Floats:
        """Mean of x^2."""
        held = np.diagonal(self._products) if self.whole else self._products
        return np.asarray(held / max(self.rows, 1))

    def damped(self, damping: float = DAMPING) -> Floats:
        """Mean products, shrunk to their diagonal the more, the fewer rows there are for so many channels.

        Of few rows every channel seems to be made of the others.

        Args:
            damping: Added to the diagonal, as a share of its mean.
        """
        made = self.products
        share = len(made) / (len(made) + self.rows)
        diagonal = np.diag(made).copy()
        made *= 1.0 - share
        made[np.diag_indices(len(made))] = diagonal + (damping * diagonal.mean() or 1.0)
        return made

    @property
    def sizes(self) -> Floats:
        """Mean of |x|."""
        return self._sizes / max(self.rows, 1)


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Units of a group in the order in which to take them out.

    Attributes:
        order: Numbers of units.
        losses: What each loses when those before it are gone; never less than the one before.
    """

    order: npt.NDArray[np.int64]
    losses: Floats


def rank(
    groups: Groups,
    group: Group,
    measure: str,
    moments: Mapping[Axis, Moments],
    rng: np.random.Generator,
    effects: Floats | None = None,
    curvatures: Mapping[Sink, Floats] | None = None,
) -> Ranking:
    """Order the units of a group.

    Args:
        groups: All groups.
        group: The one to order.
        measure: One of `MEASURES`.
        moments: Of the data's axes of sinks, for measures that need data.
        rng: For the random one.
        effects: Of the group's units on the outputs of the model, for `taylor`; where they are not known,
            `hessian` takes its place.
        curvatures: How the outputs of the model follow the channels that sinks compute, [M, M] and positive
            definite, for `curvature`; where it is not known, all count alike.

    Raises:
        UsageError: There is no such measure.
    """
    if measure not in MEASURES:
        raise UsageError(f"there is no importance {measure!r}", hint=f"there are {', '.join(MEASURES)}")
    if measure == "random":
        return Ranking(rng.permutation(len(group)), np.full(len(group), 1.0 / len(group)))
    if measure == "taylor":
        if effects is not None:
            return _ranked(effects)
        measure = "hessian"
    if measure in WITH_DATA:
        seen = [sink for sink in weighed_sinks(groups, group) if sink.data in moments]
        if seen:
            if measure in ("reconstruction", "curvature") and all(moments[sink.data].whole for sink in seen):
                return _by_reconstruction(group, seen, moments, curvatures or {})
            sums = sum(_by_data(group, sink, moments[sink.data], measure) for sink in seen)
            return _ranked(np.asarray(sums))
        measure = "l2"  # no sink has weights of its own: as of queries and keys alone
    return _ranked(_by_weights(groups, group, measure))


def weighed_sinks(groups: Groups, group: Group) -> list[Sink]:
    """Sinks of a group that multiply its channels by constant weights, one for each."""
    return [
        sink
        for sink in groups.sinks_of(group)
        if sink.data in group.axes and sink.weight in group.axes and constant(sink.weight.value) is not None
    ]


def _ranked(scores: Floats) -> Ranking:
    order = np.argsort(scores, kind="stable")
    total = scores.sum()
    return Ranking(order, scores[order] / total if total > 0 else np.full(len(scores), 1.0 / len(scores)))


def _by_weights(groups: Groups, group: Group, measure: str) -> Floats:
    """Norms of the slices of the weights that make channels; of all where none does."""
    summed = {sink.weight for sink in groups.sinks}
    scales = {
        Axis(node.inputs[1], 0)
        for node in groups.site.model.graph
        if node.op_type == "BatchNormalization" and node.inputs[1] is not None
    }
    makers = [axis for axis in group.axes if axis not in summed and _rank(axis) > 1]
    if measure == "bn-scale":
        makers = [axis for axis in group.axes if axis in scales] or makers
    power = 1 if measure == "l1" else 2
    total = np.zeros(len(group))
    for axis in makers or group.axes:
        array = constant(axis.value)
        if array is None or not array.size:
            continue
        rows = np.abs(np.moveaxis(array, axis.axis, 0).reshape(array.shape[axis.axis], -1).astype(np.float64))
        each = (rows**power).sum(axis=1)
        found = np.asarray([each[place].sum() for place in group.positions(axis)])
        total += found / (found.sum() or 1.0)
    return total


def _rank(axis: Axis) -> int:
    array = constant(axis.value)
    return 0 if array is None else array.ndim


def _weight_rows(sink: Sink) -> Floats:
    """The weight of a sink as a row for each channel that it sums over: for all outputs, or its group's."""
    array = constant(sink.weight.value)
    assert array is not None
    groups, channels = conv_groups(sink.node), array.shape[sink.weight.axis]
    if groups == 1:
        return np.moveaxis(array, sink.weight.axis, 0).reshape(channels, -1).astype(np.float64)
    parts = array.reshape(groups, len(array) // groups, channels, -1).astype(np.float64)
    return np.asarray(parts.transpose(0, 2, 1, 3).reshape(groups * channels, -1))


def _by_data(group: Group, sink: Sink, moments: Moments, measure: str) -> Floats:
    """Share of what a sink computes."""
    products = moments.squares * (_weight_rows(sink) ** 2).sum(axis=1)
    each = moments.sizes if measure == "activation" else products
    found = np.asarray([each[place].sum() for place in group.positions(sink.data)])
    return found / (each.sum() or 1.0)


def _by_reconstruction(
    group: Group, sinks: list[Sink], moments: Mapping[Axis, Moments], curvatures: Mapping[Sink, Floats]
) -> Ranking:
    """Take the unit that loses least, and tell anew what the others would lose without it."""
    parts = [_Reconstruction(group, sink, moments[sink.data], curvatures.get(sink)) for sink in sinks]
    left = np.arange(len(group))
    order: list[int] = []
    losses: list[float] = []
    chunk = max(1, len(group) // _ROUNDS)
    while len(left):
        scores = np.sum([part.scores(left) for part in parts], axis=0)
        taken = np.argsort(scores, kind="stable")[:chunk]
        order += left[taken].tolist()
        losses += scores[taken].tolist()
        for part in parts:
            part.remove(left[taken])
        left = np.delete(left, taken)
    return Ranking(np.asarray(order), np.maximum.accumulate(np.asarray(losses)))


class _Reconstruction:
    """What one sink loses by each unit if the channels that stay make up for it.

    Args:
        group: The group.
        sink: Where its channels are summed over.
        moments: Of these channels.
        curvature: Of the outputs, if known.
    """

    def __init__(self, group: Group, sink: Sink, moments: Moments, curvature: Floats | None) -> None:
        rows = _weight_rows(sink)
        groups = conv_groups(sink.node)
        if curvature is not None:
            count = len(curvature) // groups
            parts = rows.reshape(groups, len(rows) // groups, count, -1)
            roots = [
                np.linalg.cholesky(curvature[first : first + count, first : first + count])
                for first in range(0, len(curvature), count)
            ]
            rows = np.einsum("gcmk,gmr->gcrk", parts, np.stack(roots), optimize=True).reshape(rows.shape)
        products, damped = moments.products, moments.damped(CAUTION)
        if groups > 1:  # no output has channels of two of them to be made of
            of = np.arange(len(rows)) // (len(rows) // groups)
            within = of[:, None] == of
            products, damped = products * within, damped * within
        total = float(np.sum((products @ rows) * rows)) or 1.0
        self._rows = (rows / np.sqrt(total)).astype(np.float32)
        self._inverse = np.linalg.inv(damped).astype(np.float32)
        self._units = np.full(len(rows), -1)
        for unit, place in enumerate(group.positions(sink.data)):
            self._units[place] = unit
        self._count = len(group)

    def scores(self, left: npt.NDArray[np.int64]) -> Floats:
        """The loss by each of the units."""
        diagonal = np.maximum(np.diag(self._inverse), 1e-30)
        each = np.einsum("ck,ck->c", self._rows, self._rows) / diagonal
        fine = self._units >= 0
        sums = np.bincount(self._units[fine], each[fine].astype(np.float64), self._count)
        return np.asarray(sums[left], np.float64)

    def remove(self, units: npt.NDArray[np.int64]) -> None:
        """Go on without units."""
        gone = np.flatnonzero(np.isin(self._units, units))
        within = np.linalg.inv(self._inverse[np.ix_(gone, gone)])
        across = self._inverse[:, gone] @ within
        self._rows -= across @ self._rows[gone]
        self._inverse -= across @ self._inverse[gone]
