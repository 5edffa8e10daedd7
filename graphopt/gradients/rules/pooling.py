"""Pools: means over windows, and what is largest in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from graphopt.gradients.tape import NoGradient, Tape
from graphopt.gradients.windows import Windows
from graphopt.ir import attribute_int

Grads = Sequence[ir.Value | None]


def _average(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    """Each element of a window has the same share; those of padding count only if they are said to."""
    x, gradient = node.inputs[0], gradients[0]
    assert x is not None and gradient is not None
    if x.dtype is None:
        raise NoGradient(f"the type of {x.name!r} is not known")
    if attribute_int(node, "ceil_mode", 0):
        raise NoGradient("windows of AveragePool stand out behind the data")
    windows = Windows.of(node, None, x)
    ones = tape.const(np.ones((1, 1, *windows.kernel), x.dtype.numpy()))
    space = tape.space(x)
    behind = tape.op("Concat", tape.ints(-1, 1), tape.space(node.outputs[0]), axis=0)
    rows = tape.op("Reshape", gradient, behind)
    if attribute_int(node, "count_include_pad", 0):
        share = tape.op("Div", rows, tape.number(float(np.prod(windows.kernel)), x))
    else:
        one = ir.Tensor(np.ones(1, x.dtype.numpy()))
        image = tape.op("ConstantOfShape", tape.op("Concat", tape.ints(1, 1), space, axis=0), value=one)
        pads = [*windows.before, *windows.behind]
        counts = tape.op("Conv", image, ones, strides=windows.strides, dilations=windows.dilations, pads=pads)
        share = tape.op("Div", rows, counts)
    return tape.reshaped(windows.spread(tape, share, ones, space, 1), x)


def _max(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    """To the element that is taken, which the node can name."""
    x, gradient = node.inputs[0], gradients[0]
    if gradient is None or x is None or attribute_int(node, "storage_order", 0):
        raise NoGradient("MaxPool names places column by column")
    if len(node.outputs) < 2:
        node.resize_outputs(2)
    places = node.outputs[1]
    if not places.name:
        places.name = tape.name(f"{node.outputs[0].name}/places")
        places.dtype = ir.DataType.INT64
    return tape.scattered(gradient, places, x)


RULES = {"AveragePool": _average, "MaxPool": _max}
