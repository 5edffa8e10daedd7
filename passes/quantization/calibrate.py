"""Run the float model on calibration data and note the range of each value that may be quantized.

One sample is in memory at a time. Where the values to look at would take too much memory together, they are
looked at in turns: each turn runs all samples for some of them. The graph itself stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Changes, constant_tensor
from graphopt.passes.quantization._forms import has_form
from graphopt.passes.quantization._ranges import forget, note, note_size, size_of
from graphopt.passes.quantization._runs import Runs
from graphopt.passes.quantization._units import tail_of
from graphopt.pipeline import Pass
from graphopt.quant import Scheme
from graphopt.quant.observers import Observer, make_observer
from graphopt.quant.rules import QuantizationRules
from graphopt.targets import Target

MOST_ELEMENTS = 1 << 17
"""Of a value in a sample, so many elements are counted, spread over it, and its ends."""
GOLDEN = 0.6180339887498949
"""Steps of this share of a whole fall evenly, and on no rhythm of channels."""
_PLACES = np.arange(MOST_ELEMENTS)


@dataclass
class Seen:
    """What was seen of a value so far."""

    observer: Observer
    elements: int = 0
    samples: int = 0
    finite: bool = True

    def add(self, array: np.ndarray[Any, Any]) -> None:
        """Take the value of one sample into account."""
        self.samples += 1
        self.elements += array.size
        if not array.size:
            return
        ends = np.array([array.min(), array.max()])
        self.finite &= bool(np.isfinite(ends).all())
        if array.size > MOST_ELEMENTS:
            places = _PLACES * (int(array.size * GOLDEN) | 1) % array.size
            array = np.append(array.reshape(-1)[places], ends)
        self.observer.observe(array)


@dataclass(frozen=True)
class Calibrate(Pass):
    """Note the ranges of values in calibration data.

    Attributes:
        data: A folder or file of sets of inputs; by default what the caller hands over with the model.
        observer: How a range is chosen from what was seen, as `minmax` or `percentile{p=99.99}`.
        target: What the model will run on: it says which values may be quantized.
        megabytes: Values that take more together are looked at in turns.
        threads: Threads inside an operator; 0 for as many as there are processors.
    """

    name: ClassVar[str] = "calibrate"
    exact: ClassVar[bool] = True
    only_removes: ClassVar[bool] = True
    data: str = ""
    observer: str = "mse"
    target: str = "portable"
    megabytes: int = 256
    threads: int = 0

    @property
    def needs_data(self) -> bool:
        """Whether no data of its own are named."""
        return not self.data

    def apply(self, model: ir.Model, changes: Changes) -> None:
        rules = Target.load(self.target).quantization
        if rules is None:
            changes.refuse(f"{self.target} says nothing of quantization")
            return
        values = _worth_observing(model, rules)
        if not values:
            return
        runs = Runs(model, self.data, self.name, megabytes=self.megabytes, threads=self.threads)
        seen = {value: Seen(make_observer(self.observer)) for value in values}
        for _, arrays in runs.turns(values):
            for value, array in arrays:
                seen[value].add(array)
        for value in values:
            _conclude(value, seen[value], rules.activations, changes)
        for node, tail in _absorbing(model, rules):
            note_size(node.outputs[0], size_of(tail.outputs[0]))


def _worth_observing(model: ir.Model, rules: QuantizationRules) -> list[ir.Value]:
    """The float values of the main graph that a node which may run on codes reads or writes."""
    found: dict[ir.Value, None] = {}
    inner = {node.outputs[0] for node, _ in _absorbing(model, rules)}
    for node in model.graph:
        rule = rules.of(node)
        if rule is None and not has_form(node):
            continue
        read = (0,) if rule is None else rule.data_inputs(node)
        values = [*(node.inputs[index] for index in read if index < len(node.inputs)), *node.outputs]
        for value in values:
            if value is None or value.dtype != ir.DataType.FLOAT or not value.name or value in inner:
                continue
            if constant_tensor(value) is None:
                found[value] = None
    return list(found)


def _absorbing(model: ir.Model, rules: QuantizationRules) -> Iterator[tuple[ir.Node, ir.Node]]:
    """Nodes, each with the activation behind it that codes absorb: between the two nothing is quantized."""
    for node in model.graph:
        rule = rules.of(node)
        tail = None if rule is None else tail_of(node, rule, rules)
        if tail is not None:
            yield node, tail


def _conclude(value: ir.Value, seen: Seen, scheme: Scheme, changes: Changes) -> None:
    """Write the range down, or say why there is none."""
    if seen.elements and seen.finite:
        low, high = seen.observer.range(scheme)
        if note(value, low, high, seen.elements / seen.samples):
            changes.add("range of a value")
        return
    if not seen.elements:
        changes.refuse("it had no elements in any sample", value.name)
    else:
        changes.refuse("it held NaN or infinity in the calibration data", value.name)
    if forget(value):
        changes.add("range dropped")
