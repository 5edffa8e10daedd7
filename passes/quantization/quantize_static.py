"""Quantize activations and weights where a runtime computes on integer codes, from observed ranges.

The main graph is rewritten with QuantizeLinear and DequantizeLinear around the nodes that gain by it. Which
nodes a target can run on codes and what they take there is data of the target; ranges come from `calibrate`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.execute import runs_node
from graphopt.ir import Changes, opset
from graphopt.ir.opsets import OpsetError, raise_opset
from graphopt.passes.quantization._bits import narrowed
from graphopt.passes.quantization._choice import choose, settle
from graphopt.passes.quantization._emit import emit
from graphopt.passes.quantization._parameters import parameters
from graphopt.passes.quantization._ranges import forget, size_of
from graphopt.passes.quantization._rounded import move_back
from graphopt.passes.quantization._units import Limits, Unit, find_units
from graphopt.pipeline import Pass
from graphopt.targets import Target

PER_CHANNEL_OPSET = 13
"""From here on a DequantizeLinear has a scale for each channel."""
QUANTIZED = ("QuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")


@dataclass(frozen=True)
class QuantizeStatic(Pass):
    """Run nodes on int8 codes where ranges are known and the target gains by it.

    Attributes:
        target: What the model will run on.
        keep: Names of nodes to leave in float.
        ops: Operators that may be quantized; all if empty.
        reduce_range: Use 7 bits of weights, for processors whose 8-bit products saturate; done without being
            asked where this machine's is such a one and the target says that it matters.
        quantize_outputs: Let codes end in graph outputs, too.
        everywhere: Quantize also what gains nothing by it.
    """

    name: ClassVar[str] = "quantize-static"
    lossy: ClassVar[bool] = True
    target: str = "portable"
    keep: tuple[str, ...] = ()
    ops: tuple[str, ...] = ()
    reduce_range: bool = False
    quantize_outputs: bool = False
    everywhere: bool = False

    def apply(self, model: ir.Model, changes: Changes) -> None:
        target = Target.load(self.target)
        if target.quantization is None or target.codes is None:
            changes.refuse(f"{self.target} says nothing of quantization")
            return
        if any(node.op_type in QUANTIZED for node in model.graph):
            changes.refuse("the model is quantized already")
            return
        if not _reach_opset(model, changes):
            return
        limits = Limits(target.quantization, target.codes, self.keep, self.ops, self.quantize_outputs)
        units = find_units(model, limits, changes)
        chosen = list(units.values())
        if not self.everywhere:
            chosen = choose(model.graph, units, target.codes, size_of)
        chosen = settle(chosen, outputs=self.quantize_outputs)
        for unit in _left_out(units.values(), chosen):
            changes.refuse("codes gain it less than converting to and from them takes", unit.node.name)
        scheme = narrowed(target.quantization.weights, target.quantization, asked=self.reduce_range)
        if chosen:
            emit(model, chosen, parameters(chosen, target.quantization.activations), scheme)
        for unit in chosen:
            changes.add(unit.node.op_type)
        _forget(model)


def _reach_opset(model: ir.Model, changes: Changes) -> bool:
    """Raise the model to where codes can have a scale for each channel."""
    if opset(model) >= PER_CHANNEL_OPSET:
        return True
    try:
        raise_opset(model, PER_CHANNEL_OPSET, runs_node)
    except OpsetError as error:
        for reason, name in error.refusals:
            changes.refuse(f"opset {PER_CHANNEL_OPSET} is out of reach: {reason}", name)
        return False
    changes.add(f"raised to opset {PER_CHANNEL_OPSET}")
    return True


def _left_out(units: Iterable[Unit], chosen: Collection[Unit]) -> Iterator[Unit]:
    taken = {unit.node for unit in chosen}
    return (unit for unit in units if unit.node not in taken)


def _forget(model: ir.Model) -> None:
    """Drop the ranges, which say nothing of values that are codes now, and what was rounded for nothing."""
    for value in (*model.graph.inputs, *(output for node in model.graph for output in node.outputs)):
        forget(value)
    for weight in model.graph.initializers.values():
        move_back(weight)
