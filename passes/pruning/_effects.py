"""What the outputs of a model owe to channels, told by gradients.

A channel that goes moves the outputs, to first order, by the sum of its elements times their gradients
(P. Molchanov et al., "Importance Estimation for Neural Network Pruning", 2019, equation 8). The loss is the
squared distance that the outputs move. Since it has no slope where they are, sums of the outputs with random
signs are differentiated, and squares of the results averaged: the diagonal of the Gauss-Newton matrix.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.execute import Session
from graphopt.gradients import GradientGraph, Missing, gradient_graph
from graphopt.ir import Names, rank
from graphopt.pruning import Group, Groups, Sink
from graphopt.pruning.compensation import conv_groups
from graphopt.pruning.importance import weighed_sinks

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

CURVATURE_SAMPLES = 48
"""About as many samples tell how the outputs follow layers."""
EVEN = 0.1
"""The share of a curvature in which all channels count alike: a few samples do not move every output."""


@dataclasses.dataclass(frozen=True)
class Effects:
    """Effects on the outputs, as noise over signal.

    Attributes:
        groups: The groups of the model.
        units: For each group what each of its units does by going, to first order; None where that is hidden.
        missing: What hides gradients.
    """

    groups: Groups
    units: tuple[Floats | None, ...]
    missing: tuple[Missing, ...] = ()

    def of(self, group: Group) -> Floats | None:
        """Those of a group's units."""
        pairs = zip(self.groups.groups, self.units, strict=True)
        return next((units for each, units in pairs if each is group), None)


def effects(
    model: ir.Model, groups: Groups, samples: Sequence[Mapping[str, Any]], threads: int, seed: int = 0
) -> Effects:
    """Tell the effects of the units of all groups.

    Args:
        model: Only read.
        groups: Its groups.
        samples: Sets of inputs; each is run forwards twice and backwards once.
        threads: Threads of the runtime.
        seed: Of the signs.
    """
    part, reads = _with_reads(model, groups)
    graph = gradient_graph(part, list(reads.values()))
    sinks = [weighed_sinks(groups, group) for group in groups.groups]
    known = [bool(each) and not any(reads[sink] in graph.hidden for sink in each) for each in sinks]
    if not graph.gradients or not any(known):
        return Effects(groups, (None,) * len(known), graph.missing)
    sums = [np.zeros(len(group)) for group in groups.groups]
    count = 0
    for values in _runs(model, graph, samples, threads, np.random.default_rng(seed)):
        count += 1
        for index in np.flatnonzero(known):
            group, moved = groups.groups[index], np.zeros((1, len(sums[index])))
            for sink in sinks[index]:
                if reads[sink] in graph.gradients:
                    products = values[reads[sink]] * values[graph.gradients[reads[sink]]]
                    moved = moved + _by_unit(group, sink, products)
            sums[index] += np.nan_to_num(np.mean(np.square(moved), axis=0))
    units = tuple(each / count if known[index] and count else None for index, each in enumerate(sums))
    return Effects(groups, units, graph.missing)


def curvatures(
    model: ir.Model, groups: Groups, samples: Sequence[Mapping[str, Any]], threads: int, seed: int = 0
) -> dict[Sink, Floats]:
    """How the outputs follow what sinks compute, for those of which that can be told.

    Args:
        model: Only read.
        groups: Its groups.
        samples: Sets of inputs; some of them are run.
        threads: Threads of the runtime.
        seed: Of the signs.

    Returns:
        The block of the Gauss-Newton matrix that belongs to the channels of a sink's output, [M, M], its
        positive definite mixture with a part of its trace on the diagonal: errors e of the channels, alike at
        no two places, move the outputs by the mean of e^T C e, up to one factor for all.
    """
    known = {sink: axis for sink in _weighed(groups) if (axis := _output_axis(sink)) is not None}
    graph = gradient_graph(model, list(dict.fromkeys(_output(sink) for sink in known)))
    told = {sink: axis for sink, axis in known.items() if _output(sink) in graph.gradients}
    if not told:
        return {}
    some = samples[:: max(1, len(samples) // CURVATURE_SAMPLES)]
    sums: dict[Sink, Floats] = {}
    for values in _runs(model, graph, some, threads, np.random.default_rng(seed)):
        for sink, axis in told.items():
            gradient = values[graph.gradients[_output(sink)]].astype(np.float64, copy=False)
            rows = np.moveaxis(gradient, axis, -1).reshape(-1, gradient.shape[axis])
            products = rows.T @ rows
            if np.isfinite(products).all():
                sums[sink] = sums[sink] + products if sink in sums else products
    return {sink: _definite(each) for sink, each in sums.items() if np.trace(each) > 0}


def _definite(products: Floats) -> Floats:
    mean = np.trace(products) / len(products)
    return np.asarray((1 - EVEN) * products / mean + EVEN * np.eye(len(products)))


def _weighed(groups: Groups) -> list[Sink]:
    return list(dict.fromkeys(sink for group in groups.groups for sink in weighed_sinks(groups, group)))


def _output(sink: Sink) -> str:
    return sink.node.outputs[0].name or ""


def _output_axis(sink: Sink) -> int | None:
    """The axis of the channels that a sink makes; None where its weight does not have them all in a row."""
    node, axes = sink.node, rank(sink.node.outputs[0])
    if node.op_type in ("Conv", "ConvTranspose") and conv_groups(node) == 1:
        return 1
    if node.op_type in ("Gemm", "MatMul") and rank(sink.weight.value) == 2 and axes is not None and axes > 1:
        return axes - 1
    return None


def _with_reads(model: ir.Model, groups: Groups) -> tuple[ir.Model, dict[Sink, str]]:
    """A copy in which what each sink reads is a value that nothing else reads, and the names of these."""
    part = model.clone()
    names = Names(part)
    twins = dict(zip(model.graph, part.graph, strict=True))
    found: dict[Sink, str] = {}
    for sink in _weighed(groups):
        twin = twins[sink.node]
        x = twin.inputs[0]
        if x is None:
            continue
        name = names.fresh(f"{x.name}/read")
        read = ir.Value(name=name, type=x.type, shape=x.shape)
        part.graph.insert_before(twin, ir.Node("", "Identity", [x], outputs=[read], name=name))
        twin.replace_input_with(0, read)
        found[sink] = name
    return part, found


def _runs(
    model: ir.Model,
    graph: GradientGraph,
    samples: Sequence[Mapping[str, Any]],
    threads: int,
    rng: np.random.Generator,
) -> Iterator[Mapping[str, Array]]:
    """Values and gradients by name, of one sample after the other; those that do not run are left out."""
    try:
        plain = Session(model, optimize=True, threads=threads)
        session = Session(graph.model, optimize=True, threads=threads)
    except ExecutionError:
        return
    for sample in samples:
        given = {name: sample[name] for name in session.input_names if name in sample}
        try:
            outputs = plain.run({name: sample[name] for name in plain.input_names if name in sample})
            for name, seed in graph.seeds.items():
                y = np.asarray(outputs[name])
                size = float(np.sqrt(np.square(y, dtype=np.float64).sum() * len(graph.seeds))) or 1.0
                given[seed] = (rng.choice([-1.0, 1.0], y.shape) / size).astype(y.dtype)
            yield session.run(given)
        except ExecutionError:
            continue


def _by_unit(group: Group, sink: Sink, products: Array) -> Array:
    """Sums over the elements of each unit, for each element of the first axis if it is another."""
    axis = sink.data.axis
    rows = np.moveaxis(products.astype(np.float64), axis, -1)
    rows = rows.reshape(len(rows) if axis else 1, -1, rows.shape[-1]).sum(axis=1)
    unit = np.full(rows.shape[1], len(group))
    for number, place in enumerate(group.positions(sink.data)):
        unit[place] = number
    made = np.zeros((len(rows), len(group) + 1))
    np.add.at(made.T, unit, rows.T)
    return made[:, : len(group)]
