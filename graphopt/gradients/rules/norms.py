"""Normalizations: by statistics that are constants, or that the values themselves have."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphopt.gradients.tape import NoGradient, Tape
from graphopt.ir import attribute_float, attribute_int, attribute_ints, rank

Grads = Sequence[ir.Value | None]


def _parts(node: ir.Node, index: int, gradients: Grads) -> tuple[ir.Value, ir.Value, int]:
    """The data, the output's gradient, and how many axes they have."""
    x, gradient = node.inputs[0], gradients[0]
    if index or gradient is None or any(each is not None for each in gradients[1:]):
        raise NoGradient(f"the parameters of {node.op_type} are computed, or its statistics are read")
    assert x is not None
    axes = rank(x)
    if axes is None:
        raise NoGradient("how many axes the data have is not known")
    return x, gradient, axes


def _per_channel(tape: Tape, vector: ir.Value | None, axes: int) -> ir.Value:
    """A vector along the second axis."""
    assert vector is not None
    return tape.op("Unsqueeze", vector, tape.ints(*range(1, axes - 1))) if axes > 2 else vector


def _epsilon(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    return tape.number(attribute_float(node, "epsilon", 1e-5), x)


def _normalized(
    tape: Tape, x: ir.Value, gradient: ir.Value, along: Sequence[int], epsilon: ir.Value, *, centered: bool
) -> ir.Value:
    """The gradient of x from that of x over its root mean square along axes, or of its deviation from the
    mean over the standard deviation."""
    middle = tape.op("Sub", x, tape.mean(x, along)) if centered else x
    square = tape.mean(tape.op("Mul", middle, middle), along)
    size = tape.op("Sqrt", tape.op("Add", square, epsilon))
    made = tape.op("Div", middle, size)
    common = tape.op("Mul", made, tape.mean(tape.op("Mul", gradient, made), along))
    if centered:
        common = tape.op("Add", common, tape.mean(gradient, along))
    return tape.op("Div", tape.op("Sub", gradient, common), size)


def _batch(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    if attribute_int(node, "training_mode", 0):
        raise NoGradient("BatchNormalization is in training mode")
    _, gradient, axes = _parts(node, index, gradients)
    epsilon = attribute_float(node, "epsilon", 1e-5)
    variance = node.inputs[4]
    assert variance is not None
    size = tape.op("Sqrt", tape.op("Add", variance, tape.number(epsilon, variance)))
    return tape.op("Mul", gradient, _per_channel(tape, tape.op("Div", node.inputs[1], size), axes))


def _instance(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, gradient, axes = _parts(node, index, gradients)
    scaled = tape.op("Mul", gradient, _per_channel(tape, node.inputs[1], axes))
    return _normalized(tape, x, scaled, range(2, axes), _epsilon(tape, node, x), centered=True)


def _group(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, gradient, axes = _parts(node, index, gradients)
    scale = node.inputs[1]
    groups = attribute_int(node, "num_groups", 1)
    shape = tape.ints(0, groups, -1)
    if tape.opset < 21:  # one scale for each group
        rows = tape.op("Reshape", gradient, shape)
        scaled = tape.op("Mul", rows, tape.op("Unsqueeze", scale, tape.ints(1)))
    else:
        scaled = tape.op("Reshape", tape.op("Mul", gradient, _per_channel(tape, scale, axes)), shape)
    rows = tape.op("Reshape", x, shape)
    return tape.reshaped(_normalized(tape, rows, scaled, [2], _epsilon(tape, node, x), centered=True), x)


def _layer(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    return _over_last_axes(tape, node, index, gradients, centered=True)


def _root_mean_square(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    return _over_last_axes(tape, node, index, gradients, centered=False)


def _over_last_axes(
    tape: Tape, node: ir.Node, index: int, gradients: Grads, *, centered: bool
) -> ir.Value | None:
    x, gradient, axes = _parts(node, index, gradients)
    axis = attribute_int(node, "axis", -1)
    along = range(axis % axes, axes)
    scaled = tape.op("Mul", gradient, node.inputs[1])
    return _normalized(tape, x, scaled, along, _epsilon(tape, node, x), centered=centered)


def _lp(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, gradient, _ = _parts(node, index, gradients)
    if attribute_int(node, "p", 2) != 2:
        raise NoGradient("LpNormalization is by another norm than the second")
    along = [attribute_int(node, "axis", -1)]
    size = tape.op("ReduceL2", x, tape.ints(*along), keepdims=1)
    y = node.outputs[0]
    common = tape.op("Mul", y, tape.total(tape.op("Mul", gradient, y), along))
    return tape.op("Div", tape.op("Sub", gradient, common), size)


def _mean_variance(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, gradient, _ = _parts(node, index, gradients)
    along = attribute_ints(node, "axes") or [0, 2, 3]
    return _normalized(tape, x, gradient, along, tape.number(1e-9, x), centered=True)


def _local_response(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    """y = x s^-b with s = k + a/n times the sum of squares of n channels around.

    So x has g s^-b - 2 a b / n times x times the sum of g y / s over the channels around.
    """
    x, gradient, _ = _parts(node, index, gradients)
    size = attribute_int(node, "size", 1)
    alpha, beta = attribute_float(node, "alpha", 1e-4), attribute_float(node, "beta", 0.75)
    bias = attribute_float(node, "bias", 1.0)

    def around(value: ir.Value, before: int) -> ir.Value:
        """Mean over channels, of which so many lie before, and zeros beyond the ends."""
        rows = tape.op("Reshape", value, tape.op("Concat", _first_two(tape, x), tape.ints(-1), axis=0))
        image = tape.op("Unsqueeze", rows, tape.ints(1))
        pads = [before, 0, size - 1 - before, 0]
        pooled = tape.op("AveragePool", image, kernel_shape=[size, 1], pads=pads, count_include_pad=1)
        return tape.reshaped(tape.op("Squeeze", pooled, tape.ints(1)), x)

    squares = around(tape.op("Mul", x, x), (size - 1) // 2)
    below = tape.op("Add", tape.number(bias, x), tape.op("Mul", squares, tape.number(alpha, x)))
    power = tape.op("Pow", below, tape.number(-beta, x))
    shares = tape.op("Div", tape.op("Mul", gradient, node.outputs[0]), below)
    bent = tape.op("Mul", x, around(shares, size - 1 - (size - 1) // 2))
    return tape.op(
        "Sub", tape.op("Mul", gradient, power), tape.op("Mul", bent, tape.number(2 * alpha * beta, x))
    )


def _first_two(tape: Tape, x: ir.Value) -> ir.Value:
    return tape.op("Slice", tape.shape(x), tape.ints(0), tape.ints(2))


RULES = {
    "BatchNormalization": _batch,
    "InstanceNormalization": _instance,
    "GroupNormalization": _group,
    "LayerNormalization": _layer,
    "RMSNormalization": _root_mean_square,
    "LpNormalization": _lp,
    "MeanVarianceNormalization": _mean_variance,
    "LRN": _local_response,
}
