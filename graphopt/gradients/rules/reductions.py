"""Sums, means and extremes along axes, and Softmax."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphopt.gradients.tape import NoGradient, Tape
from graphopt.ir import attribute_int, attribute_ints, ints, rank

Grads = Sequence[ir.Value | None]


def _parts(node: ir.Node, gradients: Grads) -> tuple[ir.Value, ir.Value]:
    x, gradient = node.inputs[0], gradients[0]
    assert x is not None and gradient is not None
    return x, gradient


def _kept(tape: Tape, node: ir.Node, x: ir.Value, *values: ir.Value) -> tuple[ir.Value, ...]:
    """Values of a reduction's output with the axes that it left out, of size 1."""
    if node.op_type.startswith("Global") or attribute_int(node, "keepdims", 1):
        return values
    axes = _axes(node, x)
    if axes is None:
        return tuple(tape.op("Reshape", each, _ones(tape, x)) for each in values)
    return tuple(tape.op("Unsqueeze", each, tape.ints(*axes)) for each in values)


def _ones(tape: Tape, x: ir.Value) -> ir.Value:
    axes = rank(x)
    if axes is None:
        raise NoGradient("how many axes the data have is not known")
    return tape.ints(*[1] * axes)


def _axes(node: ir.Node, x: ir.Value) -> list[int] | None:
    """The axes that are reduced; None for all of them."""
    if node.op_type.startswith("Global"):
        axes = rank(x)
        if axes is None:
            raise NoGradient("how many axes the data have is not known")
        return list(range(2, axes))
    given = node.inputs[1] if len(node.inputs) > 1 else None
    found = attribute_ints(node, "axes") if given is None else ints(given)
    if given is not None and found is None:
        raise NoGradient(f"the axes of {node.op_type} are computed")
    if not found:
        if attribute_int(node, "noop_with_empty_axes", 0):
            return []
        return None
    return list(found)


def _reduced(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """How many elements go into one of the output, as a scalar of the data's type."""
    if x.dtype is None:
        raise NoGradient(f"the type of {x.name!r} is not known")
    parts = [tape.op("Cast", tape.count(each), to=int(x.dtype)) for each in (x, node.outputs[0])]
    return tape.op("Div", *parts)


def _spread(tape: Tape, gradient: ir.Value, x: ir.Value) -> ir.Value:
    return tape.op("Expand", gradient, tape.shape(x))


def _sum(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, gradient = _parts(node, gradients)
    (kept,) = _kept(tape, node, x, gradient)
    return _spread(tape, kept, x)


def _mean(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, gradient = _parts(node, gradients)
    (kept,) = _kept(tape, node, x, gradient)
    return _spread(tape, tape.op("Div", kept, _reduced(tape, node, x)), x)


def _extreme(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    """To the element that is taken; where several are alike, to each of them in equal shares."""
    x, gradient = _parts(node, gradients)
    kept, y = _kept(tape, node, x, gradient, node.outputs[0])
    taken = tape.op("Where", tape.op("Equal", x, y), tape.number(1, x), tape.number(0, x))
    axes = _axes(node, x)
    if axes is None:
        axes = list(range(rank(x) or 0))
    share = tape.op("Div", taken, tape.total(taken, axes)) if axes else taken
    return tape.op("Mul", kept, share)


def _l1(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, gradient = _parts(node, gradients)
    (kept,) = _kept(tape, node, x, gradient)
    return tape.op("Mul", kept, tape.op("Sign", x))


def _l2(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, gradient = _parts(node, gradients)
    kept, y = _kept(tape, node, x, gradient, node.outputs[0])
    tiny = tape.number(1e-30 if x.dtype != ir.DataType.FLOAT16 else 1e-7, x)
    return tape.op("Mul", x, tape.op("Div", kept, tape.op("Max", y, tiny)))


def _sum_of_squares(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, gradient = _parts(node, gradients)
    (kept,) = _kept(tape, node, x, gradient)
    return tape.op("Mul", tape.op("Mul", kept, x), tape.number(2, x))


def _log_sum(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, gradient = _parts(node, gradients)
    kept, y = _kept(tape, node, x, gradient, node.outputs[0])
    return _spread(tape, tape.op("Div", kept, tape.op("Exp", y)), x)


def _log_sum_exp(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, gradient = _parts(node, gradients)
    kept, y = _kept(tape, node, x, gradient, node.outputs[0])
    return tape.op("Mul", kept, tape.op("Exp", tape.op("Sub", x, y)))


def _softmax(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    _, gradient = _parts(node, gradients)
    y, axis = node.outputs[0], [attribute_int(node, "axis", -1)]
    mean = tape.total(tape.op("Mul", gradient, y), axis)
    return tape.op("Mul", y, tape.op("Sub", gradient, mean))


def _log_softmax(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    _, gradient = _parts(node, gradients)
    y, axis = node.outputs[0], [attribute_int(node, "axis", -1)]
    return tape.op("Sub", gradient, tape.op("Mul", tape.op("Exp", y), tape.total(gradient, axis)))


RULES = {
    "ReduceSum": _sum,
    **dict.fromkeys(("ReduceMean", "GlobalAveragePool"), _mean),
    **dict.fromkeys(("ReduceMax", "ReduceMin", "GlobalMaxPool"), _extreme),
    "ReduceL1": _l1,
    "ReduceL2": _l2,
    "ReduceSumSquare": _sum_of_squares,
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": _log_sum_exp,
    "Softmax": _softmax,
    "LogSoftmax": _log_softmax,
}
