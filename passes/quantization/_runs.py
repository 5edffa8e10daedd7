"""Run a float model on calibration data and hand out values of it, one sample at a time.

Where the values would take too much memory together, they are looked at in turns: each turn runs all samples
for some of them. Nothing is changed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError, UsageError
from graphopt.execute import PROGRESS_KEY, Session, samples_for
from graphopt.execute.sampled import infinite_input, refuse_nan, run_sample, spoilt
from graphopt.execute.samples import Sample
from graphopt.passes.quantization._ranges import size_of
from graphopt.quant.predict import HEAVY

Progress = Callable[[int, int], None]
Array = np.ndarray[Any, np.dtype[Any]]


class Runs:
    """Runs of a model on samples.

    Args:
        model: In float.
        data: A folder or file of sets of inputs; "" for what the caller handed over with the model.
        name: The pass that asks, for messages.
        megabytes: Values that take more together are looked at in turns.
        threads: Threads inside an operator; 0 for as many as there are processors.

    Raises:
        UsageError: There are no data, or they do not fit the model.
    """

    def __init__(self, model: ir.Model, data: str, name: str, *, megabytes: int, threads: int) -> None:
        samples = samples_for(model, data)
        if samples is None:
            raise UsageError(
                "there are no data to calibrate with",
                hint=f"name a folder or an .npz file: {name}{{data=PATH}}",
            )
        self.samples = samples
        self._model = model
        self._room = megabytes << 20
        self._threads = threads

    def turns(
        self, values: Sequence[ir.Value], beside: Callable[[ir.Value], int] = lambda value: 0
    ) -> Iterator[tuple[list[ir.Value], Iterator[tuple[ir.Value, Any]]]]:
        """The values of each turn, and what they are in each sample: pairs of a value and an array.

        Args:
            values: Of the main graph, with names.
            beside: Bytes that the caller keeps of a value during its turn.

        Raises:
            DataError: The model cannot run on a sample, or infinities in it leave nothing to take a range of.
        """
        progress: Progress = self._model.meta.get(PROGRESS_KEY, lambda done, total: None)
        turns = list(self._split(values, beside))
        total = len(turns) * len(self.samples)
        for number, turn in enumerate(turns):
            tell = functools.partial(_tell, progress, number * len(self.samples), total)
            yield turn, self._run(turn, tell)

    def _run(self, turn: list[ir.Value], tell: Callable[[int], None]) -> Iterator[tuple[ir.Value, Any]]:
        given = {value.name: value.const_value for value in self._model.graph.inputs}
        outputs = {value.name for value in self._model.graph.outputs}
        wanted = [value.name or "" for value in turn if value.name not in given and value.name not in outputs]
        session = Session(self._model, extra_outputs=wanted, threads=self._threads, optimize=True)
        for runs, sample in enumerate(self.samples, start=1):
            results = run_sample(session, self._model, sample)
            for name in outputs:
                refuse_nan(sample, name or "", results[name or ""])
            for value in turn:
                name = value.name or ""
                if name not in given:
                    array = results[name]
                elif (default := given[name]) is None:
                    array = np.asarray(sample[name])
                else:
                    array = np.asarray(sample.get(name, default))
                _refuse_infinite(sample, value, array)
                yield value, array
            tell(runs)

    def _split(
        self, values: Sequence[ir.Value], beside: Callable[[ir.Value], int]
    ) -> Iterator[list[ir.Value]]:
        """Runs of values that fit into the memory allowed, by their sizes in a sample; one at least."""
        sizes = self._sizes(next(iter(self.samples)))
        turn: list[ir.Value] = []
        taken = 0.0
        for value in values:
            size = sizes(value) + beside(value)
            if taken and taken + size > self._room:
                yield turn
                turn, taken = [], 0.0
            turn.append(value)
            taken += size
        if turn:
            yield turn

    def _sizes(self, sample: Mapping[str, Any]) -> Callable[[ir.Value], float]:
        """Bytes of a value in a sample; 0 of an input, which is there anyhow."""
        try:
            _, shapes = Session(self._model, observe_shapes=True, threads=self._threads).run_observed(sample)
        except ExecutionError:
            shapes = {}  # onnxruntime has no Shape of some types
        given = {value.name for value in self._model.graph.inputs}

        def size(value: ir.Value) -> float:
            if value.name in given:
                return 0.0
            return 4.0 * (math.prod(shapes[value.name]) if value.name in shapes else size_of(value))

        return size


def _refuse_infinite(sample: Sample, value: ir.Value, array: Array) -> None:
    """Raise a `DataError` where infinities in a sample reach what is to be quantized.

    Those of a mask do not: they end in a Softmax, and what reads and writes them stays in float.
    """
    refuse_nan(sample, value.name or "", array)
    if not _is_multiplied(value) or array.dtype.kind != "f" or np.isfinite(array).all():
        return
    culprit = infinite_input(sample)
    if culprit is not None:
        raise spoilt(sample, culprit, f"reach {value.name!r}, so that it has no range")


def _is_multiplied(value: ir.Value) -> bool:
    """Whether a node that does most of the work reads or writes a value."""
    nodes = [value.producer(), *value.consumers()]
    return any(node is not None and node.op_type in HEAVY for node in nodes)


def _tell(progress: Progress, before: int, total: int, done: int) -> None:
    progress(before + done, total)
