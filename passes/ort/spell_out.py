"""Write operators in simpler ones where those are faster, as a target's measured times say.

    Mish(x)  ->  x * n / (n + 2), where n = e^x * (e^x + 2)
    SkipLayerNormalization(x, skip, scale, bias)  ->  LayerNormalization(Sum(x, skip), scale, bias)

Runs last: it makes more nodes of few, and other passes would put them together again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Changes,
    Operator,
    Reject,
    Rule,
    Tape,
    attribute_float,
    attribute_int,
    op,
    rank,
    rest,
    rewrite,
    rule,
    static_shape,
    var,
)
from graphopt.passes.ort._contrib import CONTRIB, is_float32
from graphopt.pipeline import Pass
from graphopt.targets import Target

MISH_CEILING = 20.0
"""From here on Mish is the identity in float32, while e^2x of much larger numbers overflows."""
BROADCASTING_OPSET = 8
CHANNEL_SCALES_OPSET = 21
"""Before, GroupNormalization had a scale and a bias for each group."""
COUNTED_PADS_OPSET = 7
"""Before, an AveragePool did not count the pads."""
LAYER_NORM_OPSET, RMS_NORM_OPSET = 17, 23
SKIP_EPSILON = 1e-12
"""What onnxruntime's operators take where a model says nothing."""


@rule(op("Swish", var("x"), name="node"))
def swish(tape: Tape, x: ir.Value, node: ir.Node) -> ir.Value:
    """Swish(x)  ->  x * Sigmoid(alpha * x)."""
    alpha = attribute_float(node, "alpha", 1.0)
    _require_float32(x)
    gate = x if alpha == 1.0 else tape.op("Mul", [x, _number(tape, alpha)])
    return tape.op("Mul", [x, tape.op("Sigmoid", [gate])])


@rule(op("Elu", var("x"), name="node"))
def elu(tape: Tape, x: ir.Value, node: ir.Node) -> ir.Value:
    """Elu(x)  ->  Relu(x) + alpha * (Exp(Min(x, 0)) - 1)."""
    alpha = attribute_float(node, "alpha", 1.0)
    _require_float32(x)
    _require_broadcasting(tape)
    low = tape.op("Exp", [tape.op("Min", [x, _number(tape, 0.0)])])
    below = tape.op("Sub", [low, _number(tape, 1.0)])
    if alpha != 1.0:
        below = tape.op("Mul", [below, _number(tape, alpha)])
    return tape.op("Add", [tape.op("Relu", [x]), below])


@rule(op("Mish", var("x")), op("Mul", var("x"), op("Tanh", op("Softplus", var("x")))))
def mish(tape: Tape, x: ir.Value) -> ir.Value:
    """Mish(x)  ->  x * n / (n + 2), n = e^x * (e^x + 2): tanh(log(1 + e^x)) without either function."""
    _require_float32(x)
    _require_broadcasting(tape)
    two = _number(tape, 2.0)
    power = tape.op("Exp", [tape.op("Min", [x, _number(tape, MISH_CEILING)])])
    numerator = tape.op("Mul", [power, tape.op("Add", [power, two])])
    return tape.op("Mul", [x, tape.op("Div", [numerator, tape.op("Add", [numerator, two])])])


@rule(op("GroupNormalization", var("x"), var("scale"), var("bias"), name="node"))
def group_normalization(tape: Tape, x: ir.Value, scale: ir.Value, bias: ir.Value, node: ir.Node) -> ir.Value:
    """GroupNormalization(x)  ->  InstanceNormalization of the groups as channels, scaled by channel."""
    _require_float32(x)
    shape, groups = static_shape(x), attribute_int(node, "num_groups", 0)
    if shape is None or tape.opset < CHANNEL_SCALES_OPSET:
        raise Reject("the shape of what is normalized is not known, or scales are by group")
    norm = {name: each for name, each in node.attributes.items() if name == "epsilon"}
    grouped = tape.op("Reshape", [x, tape.ints([shape[0], groups, -1])])
    ones, zeros = (tape.const(make(groups, np.float32)) for make in (np.ones, np.zeros))
    normed = tape.op(
        "Reshape", [tape.op("InstanceNormalization", [grouped, ones, zeros], norm), tape.ints(shape)]
    )
    column = tape.ints([shape[1], *([1] * (len(shape) - 2))])
    factors, shifts = (tape.op("Reshape", [value, column]) for value in (scale, bias))
    return tape.op("Add", [tape.op("Mul", [normed, factors]), shifts])


@rule(op("LRN", var("x"), name="node"))
def local_response_normalization(tape: Tape, x: ir.Value, node: ir.Node) -> ir.Value:
    """LRN(x)  ->  x / (bias + alpha * mean of the squares around it)^beta, by a pool and by roots."""
    _require_float32(x)
    dims = [*x.shape.dims] if x.shape is not None else []
    fixed = [dim for dim in dims[1:] if isinstance(dim, int)]
    if len(dims) < 3 or len(fixed) < len(dims) - 1:
        raise Reject("the channels or the sizes of what is normalized are not known")
    size, quarters = attribute_int(node, "size", 1), 4 * attribute_float(node, "beta", 0.75)
    if quarters not in (1, 2, 3, 4):
        raise Reject("its power is none of 0.25, 0.5, 0.75 and 1, which square roots give")
    tape.require_opset(COUNTED_PADS_OPSET)
    channels, *spatial = fixed
    squares = tape.op("Reshape", [tape.op("Mul", [x, x]), tape.ints([0, 1, channels, math.prod(spatial)])])
    window = {"kernel_shape": [size, 1], "pads": [(size - 1) // 2, 0, size // 2, 0], "count_include_pad": 1}
    pooled = tape.op("AveragePool", [squares], window)
    means = tape.op("Reshape", [pooled, tape.ints([0, channels, *spatial])])
    scaled = tape.op("Mul", [means, _number(tape, attribute_float(node, "alpha", 1e-4))])
    base = tape.op("Add", [scaled, _number(tape, attribute_float(node, "bias", 1.0))])
    return tape.op("Div", [x, _power(tape, base, int(quarters))])


def _power(tape: Tape, x: ir.Value, quarters: int) -> ir.Value:
    """x^(quarters / 4)."""
    if quarters == 4:
        return x
    root = tape.op("Sqrt", [x])
    if quarters == 2:
        return root
    fourth = tape.op("Sqrt", [root])
    return fourth if quarters == 1 else tape.op("Mul", [root, fourth])


@rule(op("SkipLayerNormalization", rest("inputs"), name="node", domain=CONTRIB))
def skip_layer_normalization(
    tape: Tape, inputs: tuple[ir.Value | None, ...], node: ir.Node
) -> list[ir.Value]:
    """SkipLayerNormalization(x, skip, scale, shift, bias)  ->  LayerNormalization(Sum(x, bias, skip))."""
    x, skip, scale, shift, bias = [*inputs, None, None][:5]
    tape.require_opset(LAYER_NORM_OPSET)
    total = _skip_sum(tape, node, x, skip, bias)
    operands = [total, scale] if shift is None else [total, scale, shift]
    return _results(node, tape.op("LayerNormalization", operands, _attributes(node)), total)


@rule(op("SkipSimplifiedLayerNormalization", rest("inputs"), name="node", domain=CONTRIB))
def skip_rms_normalization(tape: Tape, inputs: tuple[ir.Value | None, ...], node: ir.Node) -> list[ir.Value]:
    """SkipSimplifiedLayerNormalization(x, skip, scale, bias)  ->  RMSNormalization(Sum(x, bias, skip))."""
    x, skip, scale, bias = [*inputs, None][:4]
    tape.require_opset(RMS_NORM_OPSET)
    total = _skip_sum(tape, node, x, skip, bias)
    return _results(node, tape.op("RMSNormalization", [total, scale], _attributes(node)), total)


def _skip_sum(
    tape: Tape, node: ir.Node, x: ir.Value | None, skip: ir.Value | None, bias: ir.Value | None
) -> ir.Value:
    if not is_float32(x) or not is_float32(skip):
        raise Reject("the operator is not known to be in float32")
    if rank(x) is None or rank(x) != rank(skip):
        raise Reject("what is added may have fewer dimensions than what it is added to")
    return tape.op("Sum", [x, skip] if bias is None else [x, bias, skip])


def _attributes(node: ir.Node) -> Mapping[str, Any]:
    return {"axis": -1, "epsilon": attribute_float(node, "epsilon", SKIP_EPSILON)}


def _results(node: ir.Node, normed: ir.Value, total: ir.Value) -> list[ir.Value]:
    """What takes the place of the result, mean, deviation and sum; the middle two must not be in use."""
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:3]):
        raise Reject("its mean or deviation is used as well")
    return [normed, *node.outputs[1:3], total][: len(node.outputs)]


def _number(tape: Tape, number: float) -> ir.Value:
    return tape.const(np.array(number, np.float32))


def _require_float32(x: ir.Value) -> None:
    if not is_float32(x):
        raise Reject("the operator is not known to be in float32, for which times were measured")


def _require_broadcasting(tape: Tape) -> None:
    if tape.opset < BROADCASTING_OPSET:
        raise Reject(f"Min broadcasts since opset {BROADCASTING_OPSET}, and the model is at {tape.opset}")


RULES: Mapping[str, tuple[Rule, int]] = {
    "Elu": (elu, 6),
    "GroupNormalization": (group_normalization, 7),
    "LRN": (local_response_normalization, 10),
    "Mish": (mish, 7),
    "Swish": (swish, 3),
    "com.microsoft.SkipLayerNormalization": (skip_layer_normalization, 2),
    "com.microsoft.SkipSimplifiedLayerNormalization": (skip_rms_normalization, 2),
}
"""For each form, as targets know it, the rule and the nodes that its spelling has at most."""


@dataclass(frozen=True)
class SpellOut(Pass):
    """Write operators in simpler ones where those are faster.

    Attributes:
        target: Says which operators take longer than their spelling.
        most: Spellings of more nodes are not used: another runtime may have a fast operator.
    """

    name: ClassVar[str] = "spell-out"
    comes_last: ClassVar[bool] = True
    target: str = "portable"
    most: int = 10

    def roots(self) -> frozenset[Operator]:
        """The roots of the patterns of all rules."""
        patterns = [pattern for each, _ in RULES.values() for pattern in each.patterns]
        return frozenset(root for pattern in patterns for root in pattern.operators)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        target = Target.load(self.target)
        rules = [
            each for form, (each, nodes) in RULES.items() if nodes <= self.most and not target.pays(form)
        ]
        rewrite(model, rules, changes)
