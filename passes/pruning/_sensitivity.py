"""How far the outputs of a model move as one group after the other loses units: measured, not guessed.

Units are not taken out for it: the weights that read them are zero, and what stays makes up for them as far
as mean products of channels tell.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.execute import Session
from graphopt.ir import attribute_int, constant_tensor
from graphopt.passes.pruning._values import float_arrays
from graphopt.passes.pruning._walk import Walk
from graphopt.pruning import Axis, Group, Groups, Sink
from graphopt.pruning.importance import Moments, weighed_sinks

Array = npt.NDArray[Any]


class Outputs:
    """What a model gives for samples, to hold others against.

    Args:
        model: The model.
        samples: Sets of inputs.
        threads: Threads of the runtime.
    """

    def __init__(self, model: ir.Model, samples: Sequence[Mapping[str, Any]], threads: int) -> None:
        self._samples = samples
        self._threads = threads
        self._expected = self._run(model)

    def noise(self, model: ir.Model) -> float | None:
        """Noise over signal of another model's outputs, the mean of them; None where it does not run."""
        try:
            actual = self._run(model)
        except ExecutionError:
            return None
        return _noise(self._expected, actual)

    def _run(self, model: ir.Model) -> list[list[Array]]:
        session = Session(model, optimize=True, threads=self._threads)
        found = []
        for sample in self._samples:
            results = session.run({name: sample[name] for name in session.input_names if name in sample})
            found.append(float_arrays(results.values()))
        return found


def _noise(expected: Iterable[list[Array]], actual: Iterable[list[Array]]) -> float:
    """Noise over signal, the mean of all outputs of all samples."""
    found = []
    for wanted, made in zip(expected, actual, strict=True):
        for one, other in zip(wanted, made, strict=True):
            signal = float(np.square(one, dtype=np.float64).sum())
            if signal:
                off = np.subtract(other, one, dtype=np.float64)
                found.append(float(np.square(off).sum()) / signal)
    return float(np.mean(found)) if found else 0.0


class Trials:
    """Runs a model with units of one group without effect.

    Args:
        model: The model; its weights are as they were after each trial.
        groups: Its groups.
        moments: Of data's axes of sinks.
        samples: Sets of inputs.
        threads: Threads of the runtime.
    """

    def __init__(
        self,
        model: ir.Model,
        groups: Groups,
        moments: Mapping[Axis, Moments],
        samples: Sequence[Mapping[str, Any]],
        threads: int,
    ) -> None:
        self._groups = groups
        self._moments = moments
        self._nodes = list(model.graph)
        self._places = {node: place for place, node in enumerate(self._nodes)}
        self._outputs = [value.name or "" for value in model.graph.outputs]
        self._start = functools.partial(Walk, model, samples, threads)
        self._walk = self._start()
        self._begun = 0
        self._expected = self._run()

    def place(self, group: Group) -> int:
        """Place of the first node that reads a group's channels; trials in this order take least time."""
        readers = {
            node for sink in weighed_sinks(self._groups, group) for node in sink.weight.value.consumers()
        }
        return min((self._places.get(node, 0) for node in readers), default=0)

    def noise(self, group: Group, units: Iterable[int]) -> float | None:
        """Noise over signal at the outputs, the mean of them; None where that cannot be told."""
        if not weighed_sinks(self._groups, group):
            return None
        try:
            self._go_to(self.place(group))
            with without_effect(self._groups, group, units, self._moments):
                return _noise(self._expected, self._run())
        except ExecutionError:
            return None

    def _go_to(self, place: int) -> None:
        """Leave the nodes before a place behind: what they compute is known."""
        if place < self._begun:
            self._walk, self._begun = self._start(), 0
        if place > self._begun:
            self._walk.advance(self._nodes[place - 1])
            self._begun = place

    def _run(self) -> list[list[Array]]:
        return [float_arrays(values.values()) for values in self._walk.values(self._outputs)]


@contextlib.contextmanager
def without_effect(
    groups: Groups, group: Group, units: Iterable[int], moments: Mapping[Axis, Moments]
) -> Iterator[None]:
    """Within the block, what reads a group's channels reads nothing of some units; then all is as before.

    Args:
        groups: All groups of the model.
        group: One that constant weights read.
        units: Which of its units; not all.
        moments: Of data's axes of sinks; without that of one, its other weights stay as they are.
    """
    before = [(sink.weight.value, sink.weight.value.const_value) for sink in weighed_sinks(groups, group)]
    try:
        mute(groups, group, units, moments)
        yield
    finally:
        for value, tensor in before:
            value.const_value = tensor


def mute(groups: Groups, group: Group, units: Iterable[int], moments: Mapping[Axis, Moments]) -> None:
    """Have what reads a group's channels read nothing of some units; arguments as above."""
    gone = sorted(units)
    for sink in weighed_sinks(groups, group):
        place = group.positions(sink.data)
        _mute(sink, np.concatenate([place[unit] for unit in gone]), moments.get(sink.data))


def _mute(sink: Sink, channels: npt.NDArray[np.int64], moments: Moments | None) -> None:
    """Zeros for the weights that read channels; others read what can be made of the channels that stay."""
    value = sink.weight.value
    tensor = constant_tensor(value)
    assert tensor is not None
    array = tensor.numpy().astype(np.float64)
    groups = attribute_int(sink.node, "group", 1) if sink.node.op_type == "Conv" else 1
    if groups > 1:
        each = array.shape[1]
        parts = array.reshape(groups, len(array) // groups, *array.shape[1:]).copy()
        parts[channels // each, :, channels % each] = 0.0
        made = parts.reshape(array.shape)
    else:
        rows = np.moveaxis(array, sink.weight.axis, 0).copy()
        if moments is not None and moments.whole and len(moments.products) == len(rows):
            rows = _made_up_for(rows, channels, moments.damped())
        rows[channels] = 0.0
        made = np.moveaxis(rows, 0, sink.weight.axis)
    value.const_value = ir.Tensor(
        np.ascontiguousarray(made).astype(tensor.dtype.numpy()), dtype=tensor.dtype, name=value.name
    )


def _made_up_for(rows: Array, gone: npt.NDArray[np.int64], products: Array) -> Array:
    kept = np.setdiff1d(np.arange(len(rows)), gone)
    across = np.linalg.solve(products[np.ix_(kept, kept)], products[np.ix_(kept, gone)])
    made = rows.copy()
    made[kept] += np.tensordot(across, rows[gone], axes=1)
    return made
