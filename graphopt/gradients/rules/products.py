"""Sums of products: the gradient of one factor is a product of the output's with the other."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphopt.gradients.tape import NoGradient, Tape
from graphopt.gradients.windows import Windows
from graphopt.ir import attribute_float, attribute_int, attribute_string, rank

Grads = Sequence[ir.Value | None]


def _parts(node: ir.Node, gradients: Grads) -> tuple[ir.Value, ir.Value, ir.Value]:
    """The two factors, and the gradient of the output."""
    a, b, gradient = node.inputs[0], node.inputs[1], gradients[0]
    assert a is not None and b is not None and gradient is not None
    return a, b, gradient


def _matmul(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    a, b, gradient = _parts(node, gradients)
    ranks = rank(a), rank(b)
    if ranks[0] is None or ranks[1] is None:
        raise NoGradient("how many axes the factors have is not known")
    if min(ranks[0], ranks[1]) < 2:
        return _with_vector(tape, a, b, gradient, index)
    factors = (gradient, _turned(tape, b, ranks[1])) if index == 0 else (_turned(tape, a, ranks[0]), gradient)
    product = tape.op("MatMul", *factors)
    if ranks == (2, 2):
        return product
    return tape.summed_to(product, (a, b)[index], product)


def _with_vector(tape: Tape, a: ir.Value, b: ir.Value, gradient: ir.Value, index: int) -> ir.Value:
    """A vector is a matrix of one row, or of one column."""
    vectors = rank(a) == 1, rank(b) == 1
    left = tape.op("Unsqueeze", a, tape.ints(0)) if vectors[0] else a
    right = tape.op("Unsqueeze", b, tape.ints(1)) if vectors[1] else b
    if vectors[1]:
        gradient = tape.op("Unsqueeze", gradient, tape.ints(-1))
    if vectors[0]:
        gradient = tape.op("Unsqueeze", gradient, tape.ints(-2))
    if index == 0:
        product = tape.op("MatMul", gradient, _turned(tape, right, max(rank(b) or 0, 2)))
    else:
        product = tape.op("MatMul", _turned(tape, left, max(rank(a) or 0, 2)), gradient)
    x, matrix = ((a, left), (b, right))[index]
    return tape.reshaped(tape.summed_to(product, matrix, product), x)


def _turned(tape: Tape, value: ir.Value, axes: int) -> ir.Value:
    order = [*range(axes - 2), axes - 1, axes - 2]
    return tape.op("Transpose", value, perm=order)


def _gemm(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    a, b, gradient = _parts(node, gradients)
    if index == 2:
        beta = attribute_float(node, "beta", 1.0)
        scaled = gradient if beta == 1 else tape.op("Mul", gradient, tape.number(beta, a))
        addend = node.inputs[2]
        assert addend is not None
        return tape.summed_to(scaled, addend, node.outputs[0])
    turned = attribute_int(node, "transA", 0), attribute_int(node, "transB", 0)
    alpha = attribute_float(node, "alpha", 1.0)
    if index == 0:
        if turned[0]:
            return tape.op("Gemm", b, gradient, alpha=alpha, transA=turned[1], transB=1)
        return tape.op("Gemm", gradient, b, alpha=alpha, transB=1 - turned[1])
    if turned[1]:
        return tape.op("Gemm", gradient, a, alpha=alpha, transA=1, transB=turned[0])
    return tape.op("Gemm", a, gradient, alpha=alpha, transA=1 - turned[0])


def _einsum(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    """The output's letters take the place of the factor's own."""
    equation = attribute_string(node, "equation", "").replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    own = terms[index]
    others = [*terms[:index], right, *terms[index + 1 :]]
    seen = set("".join(others))
    if not arrow or "." in equation or len(set(own)) < len(own) or not set(own) <= seen:
        raise NoGradient(f"Einsum {equation!r} has repeated letters, or such that stand in one factor alone")
    factors = [*node.inputs[:index], gradients[0], *node.inputs[index + 1 :]]
    return tape.op("Einsum", *factors, equation=f"{','.join(others)}->{own}")


def _conv(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, weight, gradient = _parts(node, gradients)
    if index != 0:
        return _beside_data(tape, index, x, gradient)
    return Windows.of(node, weight, x).spread(
        tape, gradient, weight, tape.space(x), attribute_int(node, "group", 1)
    )


def _conv_transpose(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    """A convolution of the output's gradient by the same weights."""
    x, weight, gradient = _parts(node, gradients)
    if index != 0:
        return _beside_data(tape, index, x, gradient)
    if attribute_string(node, "auto_pad", "NOTSET") != "NOTSET" or "output_shape" in node.attributes:
        raise NoGradient("what ConvTranspose cuts off follows from an output shape")
    kept = ("strides", "pads", "dilations", "group", "kernel_shape")
    attributes = {name: node.attributes[name] for name in kept if name in node.attributes}
    return tape.op("Conv", gradient, weight, **attributes)


def _beside_data(tape: Tape, index: int, x: ir.Value, gradient: ir.Value) -> ir.Value:
    """Of the bias of a convolution; that of its weights is not written."""
    if index != 2:
        raise NoGradient("the weights of the convolution are computed")
    axes = rank(x)
    if axes is None:
        raise NoGradient("how many axes the data have is not known")
    return tape.total(gradient, [axis for axis in range(axes) if axis != 1], keep=False)


RULES = {
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
}
