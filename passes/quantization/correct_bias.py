"""Round weights to the nearest codes, and take what that shifts outputs by on average off the bias.

Bias correction (M. Nagel et al., 2019, section 4.2), for who has no time for `round-weights`, behind which
nothing is left to correct. Weights stay float, on the grid that is noted with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Changes, Names, Operator, Reject, attribute_float, attribute_int, constant
from graphopt.passes.quantization._bits import narrowed
from graphopt.passes.quantization._decode import drop
from graphopt.passes.quantization._products import Floats, Product, products
from graphopt.passes.quantization._rounded import move, noted, replace_for_codes
from graphopt.passes.quantization._runs import Runs
from graphopt.pipeline import Pass
from graphopt.quant import Scheme, affine_for
from graphopt.quant.rounding import ChannelStatistics, bias_correction
from graphopt.targets import Target

BIASED = ("Conv", "Gemm")
"""Operators whose bias takes no time on codes, be it there before or not."""


@dataclass(frozen=True)
class CorrectBias(Pass):
    """Round weights to the nearest codes, and correct biases for it.

    Attributes:
        data: A folder or file of sets of inputs; by default what the caller hands over with the model.
        target: What the model will run on: it says which codes weights may have.
        reduce_range: Use 7 bits of weights, as `quantize-static` then should; done without being asked where
            `quantize-static` does so.
        megabytes: Values that take more together are looked at in turns.
        threads: Threads inside an operator; 0 for as many as there are processors.
    """

    name: ClassVar[str] = "correct-bias"
    lossy: ClassVar[bool] = True
    data: str = ""
    target: str = "portable"
    reduce_range: bool = False
    megabytes: int = 256
    threads: int = 0

    @property
    def needs_data(self) -> bool:
        """Whether no data of its own are named."""
        return not self.data

    def roots(self) -> frozenset[Operator]:
        """Operators with a bias of their own."""
        return frozenset(("", op_type) for op_type in BIASED)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        layers = list(self._layers(model, changes))
        if not layers:
            return
        runs = Runs(model, self.data, self.name, megabytes=self.megabytes, threads=self.threads)
        seen = {
            layer.data: ChannelStatistics(1 if layer.node.op_type == "Conv" else -1) for layer, _ in layers
        }
        for _, values in runs.turns(list(seen)):
            for value, array in values:
                seen[value].observe(array)
        names = Names(model)
        for layer, scheme in layers:
            mean = seen[layer.data].mean
            if mean.shape != (layer.channels,):
                changes.refuse("it had no inputs in any sample", layer.name)
                continue
            array = constant(layer.weight)
            assert array is not None
            affine = affine_for(array, scheme)
            rounded = affine.fake(array)
            shift = bias_correction(
                _outputs_first(layer, array), _outputs_first(layer, rounded), mean, layer.groups
            )
            before = layer.node.inputs[2] if len(layer.node.inputs) > 2 else None
            replace_for_codes(model, names, layer.node, 2, _bias(layer) + shift)
            if before is not None and not before.uses() and not before.is_graph_output():
                drop(before)
            move(layer.weight, rounded, affine)
            changes.add(layer.node.op_type)

    def _layers(self, model: ir.Model, changes: Changes) -> Iterator[tuple[Product, Scheme]]:
        """Layers whose bias can be corrected, each with the scheme of its weights."""
        rules = Target.load(self.target).quantization
        for layer in products(model, changes):
            if noted(layer.weight) is not None:
                continue
            try:
                if layer.node.op_type not in BIASED:
                    raise Reject("it has no bias of its own")
                if rules is None or (rule := rules.of(layer.node)) is None or rule.weight != 1:
                    raise Reject(f"{self.target} takes no codes for its weights")
                _check(layer)
            except Reject as reason:
                changes.refuse(str(reason), layer.name)
                continue
            scheme = narrowed(rules.weights, rules, asked=self.reduce_range)
            yield layer, replace(scheme, axis=layer.axis)


def _check(layer: Product) -> None:
    node = layer.node
    if node.op_type == "Gemm" and attribute_int(node, "transA", 0):
        raise Reject("its input is transposed")
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return
    if node.op_type == "Gemm" and attribute_float(node, "beta", 1.0) != 1.0:
        raise Reject("its bias is scaled")
    bias = constant(node.inputs[2])
    outputs = layer.shape[layer.axis]
    if bias is None or bias.size not in (1, outputs) or (bias.size > 1 and bias.shape[-1] != outputs):
        raise Reject("its bias is not one constant a channel")


def _bias(layer: Product) -> Floats:
    """One number for each output."""
    inputs = layer.node.inputs
    bias = constant(inputs[2]) if len(inputs) > 2 else None
    outputs = layer.shape[layer.axis]
    found = np.zeros(1) if bias is None else bias.reshape(-1)
    return np.asarray(np.broadcast_to(found, (outputs,)), np.float32)


def _outputs_first(layer: Product, array: Floats) -> Floats:
    """[outputs, input channels of a group, *kernel]."""
    return array if layer.axis == 0 else array.T
