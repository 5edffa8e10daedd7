"""Fuse a Conv and the activation behind it into FusedConv.

onnxruntime does the same when it loads a model: this takes no other time, and leaves fewer nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Changes, Reject, Rule, Tape, attribute_float, op, rest, rule, scalar
from graphopt.passes.ort._contrib import CONTRIB, is_float32, rewrite_into_contrib
from graphopt.pipeline import RewritePass

LARGEST = float(np.finfo(np.float32).max)
CLIP_INPUTS_OPSET = 11


def _bounds(tape: Tape, node: ir.Node) -> list[float]:
    """The bounds of a Clip, absent ones as the largest numbers.

    Raises:
        Reject: A bound is not known.
    """
    if tape.opset < CLIP_INPUTS_OPSET:
        return [attribute_float(node, "min", -LARGEST), attribute_float(node, "max", LARGEST)]
    bounds = [-LARGEST, LARGEST]
    for index, value in enumerate(node.inputs[1:3]):
        if value is None:
            continue
        number = scalar(value)
        if number is None or np.isnan(number):
            raise Reject("a bound of the Clip is not known")
        bounds[index] = float(np.clip(number, -LARGEST, LARGEST))
    return bounds


PARAMETERS: dict[str, Callable[[Tape, ir.Node], list[float]]] = {
    "HardSwish": lambda tape, node: [],
    "Relu": lambda tape, node: [],
    "Sigmoid": lambda tape, node: [],
    "Tanh": lambda tape, node: [],
    "LeakyRelu": lambda tape, node: [attribute_float(node, "alpha", 0.01)],
    "HardSigmoid": lambda tape, node: [
        attribute_float(node, "alpha", 0.2),
        attribute_float(node, "beta", 0.5),
    ],
    "Clip": _bounds,
}
"""Activations that FusedConv has, and its parameters for each."""


@rule(op(tuple(PARAMETERS), op("Conv", rest("inputs"), name="conv"), rest("_"), name="activation"))
def conv_activation(
    tape: Tape, conv: ir.Node, inputs: tuple[ir.Value | None, ...], activation: ir.Node
) -> ir.Value:
    """activation(Conv(x, w, b))  ->  FusedConv(x, w, b)."""
    if not is_float32(inputs[0]):
        raise Reject("onnxruntime has FusedConv for float32 alone")
    parameters = PARAMETERS[activation.op_type](tape, activation)
    attributes = {**conv.attributes, "activation": activation.op_type}
    if parameters:
        attributes["activation_params"] = ir.AttrFloat32s("activation_params", parameters)
    return tape.op("FusedConv", inputs, attributes, domain=CONTRIB)


@dataclass(frozen=True)
class FuseConvActivation(RewritePass):
    """Fuse a Conv and the activation behind it into FusedConv."""

    name: ClassVar[str] = "fuse-conv-activation"
    rules: ClassVar[tuple[Rule, ...]] = (conv_activation,)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        rewrite_into_contrib(model, self.rules, changes)
