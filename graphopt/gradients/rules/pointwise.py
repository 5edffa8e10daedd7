"""Operators that work place by place, and broadcast."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import onnx_ir as ir

from graphopt.gradients.tape import NoGradient, Tape
from graphopt.ir import attribute_float, attribute_string

Grads = Sequence[ir.Value | None]
Slope = Callable[[Tape, ir.Node, ir.Value, ir.Value], ir.Value]
"""Of a tape, a node, its input and its output: the derivative at each place."""


def _x(node: ir.Node, index: int = 0) -> ir.Value:
    value = node.inputs[index]
    assert value is not None
    return value


def _first(gradients: Grads) -> ir.Value:
    assert gradients[0] is not None
    return gradients[0]


def _where(tape: Tape, condition: ir.Value, x: ir.Value, yes: float, no: float) -> ir.Value:
    return tape.op("Where", condition, tape.number(yes, x), tape.number(no, x))


def _chained(slope: Slope) -> Callable[[Tape, ir.Node, int, Grads], ir.Value | None]:
    """The rule of a function of one value."""

    def rule(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
        if index:
            raise NoGradient(f"the derivative of {node.op_type} by input {index} is not known")
        return tape.op("Mul", _first(gradients), slope(tape, node, _x(node), node.outputs[0]))

    return rule


def _relu(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    return _where(tape, tape.op("Greater", x, tape.number(0, x)), x, 1, 0)


def _leaky_relu(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    alpha = attribute_float(node, "alpha", 0.01)
    return _where(tape, tape.op("Greater", x, tape.number(0, x)), x, 1, alpha)


def _thresholded_relu(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    return _where(tape, tape.op("Greater", x, tape.number(attribute_float(node, "alpha", 1.0), x)), x, 1, 0)


def _clip(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    """1 where nothing is cut: at the bounds themselves too."""
    return _where(tape, tape.op("Equal", x, y), x, 1, 0)


def _sigmoid_of(tape: Tape, x: ir.Value, y: ir.Value) -> ir.Value:
    return tape.op("Mul", y, tape.op("Sub", tape.number(1, x), y))


def _sigmoid(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    return _sigmoid_of(tape, x, y)


def _tanh(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    return tape.op("Sub", tape.number(1, x), tape.op("Mul", y, y))


def _hard_sigmoid(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    inside = tape.op("And", tape.op("Greater", y, tape.number(0, x)), tape.op("Less", y, tape.number(1, x)))
    return _where(tape, inside, x, attribute_float(node, "alpha", 0.2), 0)


def _hard_swish(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    """x/3 + 1/2 between -3 and 3, which the clipped line between 0 and 1 is not at its ends."""
    middle = tape.op("Add", tape.op("Div", x, tape.number(3, x)), tape.number(0.5, x))
    above = _where(tape, tape.op("GreaterOrEqual", x, tape.number(3, x)), x, 1, 0)
    inside = tape.op("Less", tape.op("Abs", x), tape.number(3, x))
    return tape.op("Where", inside, middle, above)


def _elu(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    below = tape.op("Add", y, tape.number(attribute_float(node, "alpha", 1.0), x))
    return tape.op("Where", tape.op("Greater", x, tape.number(0, x)), tape.number(1, x), below)


def _celu(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    alpha = attribute_float(node, "alpha", 1.0)
    below = tape.op("Add", tape.op("Div", y, tape.number(alpha, x)), tape.number(1, x))
    return tape.op("Where", tape.op("Greater", x, tape.number(0, x)), tape.number(1, x), below)


def _selu(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    alpha = attribute_float(node, "alpha", 1.6732632423543772)
    gamma = attribute_float(node, "gamma", 1.0507009873554805)
    below = tape.op("Add", y, tape.number(alpha * gamma, x))
    return tape.op("Where", tape.op("Greater", x, tape.number(0, x)), tape.number(gamma, x), below)


def _softplus(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    return tape.op("Sigmoid", x)


def _softsign(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    size = tape.op("Add", tape.number(1, x), tape.op("Abs", x))
    return tape.op("Reciprocal", tape.op("Mul", size, size))


def _swish(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    alpha = tape.number(attribute_float(node, "alpha", 1.0), x)
    gate = tape.op("Sigmoid", tape.op("Mul", alpha, x))
    bent = tape.op("Mul", tape.op("Mul", alpha, x), _sigmoid_of(tape, x, gate))
    return tape.op("Add", gate, bent)


def _mish(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    t = tape.op("Tanh", tape.op("Softplus", x))
    bent = tape.op("Mul", tape.op("Sub", tape.number(1, x), tape.op("Mul", t, t)), tape.op("Sigmoid", x))
    return tape.op("Add", t, tape.op("Mul", x, bent))


def _gelu(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    half, one = tape.number(0.5, x), tape.number(1, x)
    square = tape.op("Mul", x, x)
    if attribute_string(node, "approximate", "none") == "tanh":
        root, cubic = math.sqrt(2 / math.pi), 0.044715
        inner = tape.op("Add", tape.op("Mul", square, tape.number(root * cubic, x)), tape.number(root, x))
        t = tape.op("Tanh", tape.op("Mul", x, inner))
        steep = tape.op("Add", tape.op("Mul", square, tape.number(3 * root * cubic, x)), tape.number(root, x))
        bent = tape.op("Mul", tape.op("Sub", one, tape.op("Mul", t, t)), tape.op("Mul", x, steep))
        return tape.op("Mul", half, tape.op("Add", tape.op("Add", one, t), bent))
    error = tape.op("Erf", tape.op("Mul", x, tape.number(math.sqrt(0.5), x)))
    density = tape.op("Exp", tape.op("Mul", square, tape.number(-0.5, x)))
    bent = tape.op("Mul", tape.op("Mul", x, density), tape.number(1 / math.sqrt(2 * math.pi), x))
    return tape.op("Add", tape.op("Mul", half, tape.op("Add", one, error)), bent)


def _erf(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    density = tape.op("Exp", tape.op("Neg", tape.op("Mul", x, x)))
    return tape.op("Mul", density, tape.number(2 / math.sqrt(math.pi), x))


def _sqrt(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    return tape.op("Div", tape.number(0.5, x), y)


def _reciprocal(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    return tape.op("Neg", tape.op("Mul", y, y))


def _negative_sine(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    return tape.op("Neg", tape.op("Sin", x))


def _same(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    return _first(gradients) if index == 0 else None


def _nothing(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    """Steps: where they have a derivative it is 0."""
    return None


def _cast(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x = _x(node)
    if x.dtype is None:
        raise NoGradient(f"the type of {x.name!r} is not known")
    if not x.dtype.is_floating_point() or (
        node.outputs[0].dtype is not None and not node.outputs[0].dtype.is_floating_point()
    ):
        return None
    return tape.op("Cast", _first(gradients), to=int(x.dtype))


def _dropout(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        raise NoGradient("Dropout may be in training mode")
    return gradients[0] if index == 0 else None


def _add(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    return tape.summed_to(_first(gradients), _x(node, index), node.outputs[0])


def _sub(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    gradient = tape.summed_to(_first(gradients), _x(node, index), node.outputs[0])
    return tape.op("Neg", gradient) if index else gradient


def _mul(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    product = tape.op("Mul", _first(gradients), _x(node, 1 - index))
    return tape.summed_to(product, _x(node, index), node.outputs[0])


def _div(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    below, y = _x(node, 1), node.outputs[0]
    quotient = tape.op("Div", _first(gradients), below)
    if index:
        quotient = tape.op("Neg", tape.op("Mul", quotient, y))
    return tape.summed_to(quotient, _x(node, index), y)


def _pow(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, exponent, y = _x(node), _x(node, 1), node.outputs[0]
    if index:
        raise NoGradient("the exponent of Pow is computed")
    if x.dtype is None:
        raise NoGradient(f"the type of {x.name!r} is not known")
    power = tape.op("Cast", exponent, to=int(x.dtype))
    slope = tape.op("Mul", power, tape.op("Pow", x, tape.op("Sub", power, tape.number(1, x))))
    return tape.summed_to(tape.op("Mul", _first(gradients), slope), x, y)


def _prelu(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, slope = _x(node), _x(node, 1)
    above = tape.op("Greater", x, tape.number(0, x))
    if index == 0:
        return tape.op("Mul", _first(gradients), tape.op("Where", above, tape.number(1, x), slope))
    below = tape.op("Where", above, tape.number(0, x), x)
    return tape.summed_to(tape.op("Mul", _first(gradients), below), slope, node.outputs[0])


def _extreme(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    """To the input that is taken; where several are alike, to each of them in equal shares."""
    x, y = _x(node, index), node.outputs[0]
    zero, one = tape.number(0, x), tape.number(1, x)
    taken = [
        tape.op("Where", tape.op("Equal", value, y), one, zero) for value in node.inputs if value is not None
    ]
    share = tape.op("Div", tape.op("Mul", _first(gradients), taken[index]), tape.add(*taken))
    return tape.summed_to(share, x, y)


def _mean(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x = _x(node, index)
    share = tape.op("Div", _first(gradients), tape.number(len(node.inputs), x))
    return tape.summed_to(share, x, node.outputs[0])


def _where_rule(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    if index == 0:
        return None
    x, gradient = _x(node, index), _first(gradients)
    zero = tape.number(0, x)
    parts = (gradient, zero) if index == 1 else (zero, gradient)
    return tape.summed_to(tape.op("Where", _x(node), *parts), x, node.outputs[0])


def _simple(op_type: str) -> Slope:
    """The derivative is another function of the input."""

    def slope(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
        return tape.op(op_type, x)

    return slope


def _output(tape: Tape, node: ir.Node, x: ir.Value, y: ir.Value) -> ir.Value:
    return y


def _negative(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    return tape.op("Neg", _first(gradients))


SLOPES: dict[str, Slope] = {
    "Relu": _relu,
    "LeakyRelu": _leaky_relu,
    "ThresholdedRelu": _thresholded_relu,
    "Clip": _clip,
    "Sigmoid": _sigmoid,
    "Tanh": _tanh,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Elu": _elu,
    "Celu": _celu,
    "Selu": _selu,
    "Softplus": _softplus,
    "Softsign": _softsign,
    "Swish": _swish,
    "Mish": _mish,
    "Gelu": _gelu,
    "Erf": _erf,
    "Exp": _output,
    "Log": _simple("Reciprocal"),
    "Sqrt": _sqrt,
    "Reciprocal": _reciprocal,
    "Abs": _simple("Sign"),
    "Sin": _simple("Cos"),
    "Cos": _negative_sine,
}
"""Derivatives of functions of one value."""

RULES = {
    **{name: _chained(slope) for name, slope in SLOPES.items()},
    **dict.fromkeys(("Sign", "Floor", "Ceil", "Round"), _nothing),
    "Identity": _same,
    "Neg": _negative,
    "Cast": _cast,
    "CastLike": _cast,
    "Dropout": _dropout,
    **dict.fromkeys(("Add", "Sum"), _add),
    "Sub": _sub,
    "Mul": _mul,
    "Div": _div,
    "Pow": _pow,
    "PRelu": _prelu,
    **dict.fromkeys(("Max", "Min"), _extreme),
    "Mean": _mean,
    "Where": _where_rule,
}
