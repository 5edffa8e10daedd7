"""Evaluate a few nodes in float64 with NumPy, far faster than a runtime's session for each.

Covers the operators that exporters spell idioms with, elementwise and reductions. It computes what the
operator means, not what a float32 kernel rounds to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import attribute_float, attribute_int, attribute_ints, op_facts

Array = npt.NDArray[Any]


class CannotEvaluateError(Exception):
    """The operator, or a form of it, is none that idioms are spelled with."""


def evaluate(
    nodes: Sequence[ir.Node], known: Mapping[ir.Value, Array], constant: Callable[[ir.Value], Array]
) -> dict[ir.Value, Array]:
    """Compute the first output of each node.

    Args:
        nodes: In topological order.
        known: Value -> its elements, float64 or bool.
        constant: Gives the elements of any value that neither is known nor comes from `nodes`.

    Returns:
        `known` and the outputs of `nodes`.

    Raises:
        CannotEvaluateError: A node is none that this module knows.
    """
    values = dict(known)
    with np.errstate(all="ignore"):
        for node in nodes:
            inputs = [
                None if value is None else values[value] if value in values else constant(value)
                for value in node.inputs
            ]
            values[node.outputs[0]] = apply(node, inputs)
    return values


def apply(node: ir.Node, inputs: Sequence[Array | None]) -> Array:
    """The first output of one node.

    Raises:
        CannotEvaluateError: The operator, or the way its inputs are given, is unknown.
    """
    operator = OPERATORS.get(node.op_type) if node.domain == "" else None
    if operator is None:
        raise CannotEvaluateError(f"operator {node.op_type}")
    try:
        return np.asarray(operator(node, *inputs))
    except (TypeError, ValueError, IndexError) as error:
        raise CannotEvaluateError(f"{node.op_type}: {error}") from error


_ERF = np.frompyfunc(math.erf, 1, 1)


def erf(x: Array) -> Array:
    """The error function, elementwise."""
    return np.asarray(_ERF(x), dtype=np.float64)


def softplus(x: Array) -> Array:
    """ln(1 + e^x) without overflow."""
    return np.logaddexp(0.0, x)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x)."""
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-x)))


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A node whose attributes do not matter."""
    return lambda node, *inputs: function(*inputs)


def _clip(node: ir.Node, x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    if low is None and "min" in node.attributes:
        low = np.float64(node.attributes["min"].as_float())  # type: ignore[assignment]
    if high is None and "max" in node.attributes:
        high = np.float64(node.attributes["max"].as_float())  # type: ignore[assignment]
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _leaky_relu(node: ir.Node, x: Array) -> Array:
    return np.asarray(np.where(x < 0, attribute_float(node, "alpha", 0.01) * x, x))


def _elu(node: ir.Node, x: Array) -> Array:
    return np.where(x < 0, attribute_float(node, "alpha", 1.0) * np.expm1(x), x)


def _celu(node: ir.Node, x: Array) -> Array:
    alpha = attribute_float(node, "alpha", 1.0)
    return np.where(x < 0, alpha * np.expm1(x / alpha), x)


def _selu(node: ir.Node, x: Array) -> Array:
    alpha = attribute_float(node, "alpha", 1.67326319217681884765625)
    gamma = attribute_float(node, "gamma", 1.05070102214813232421875)
    return gamma * np.where(x < 0, alpha * np.expm1(x), x)


def _hard_sigmoid(node: ir.Node, x: Array) -> Array:
    return np.clip(attribute_float(node, "alpha", 0.2) * x + attribute_float(node, "beta", 0.5), 0.0, 1.0)


def _swish(node: ir.Node, x: Array) -> Array:
    return x * sigmoid(attribute_float(node, "alpha", 1.0) * x)


def _gelu(node: ir.Node, x: Array) -> Array:
    approximate = node.attributes.get("approximate")
    return gelu_tanh(x) if approximate is not None and approximate.as_string() == "tanh" else gelu(x)


def gelu(x: Array) -> Array:
    """x * Phi(x), Phi the normal distribution's cumulative function."""
    return 0.5 * x * (1.0 + erf(x / math.sqrt(2.0)))


def gelu_tanh(x: Array) -> Array:
    """The tanh approximation of Gelu (Hendrycks and Gimpel 2016, section 2)."""
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _cast(node: ir.Node, x: Array) -> Array:
    to = ir.DataType(attribute_int(node, "to", 0))
    if to == ir.DataType.BOOL:
        return np.asarray(x != 0)
    if not to.is_floating_point():
        raise CannotEvaluateError(f"Cast to {to.name}")
    return x.astype(np.float64)


def _axes(node: ir.Node, given: Array | None, rank: int, default: list[int] | None) -> tuple[int, ...]:
    """The axes of a reduction, from its attribute or its second input."""
    axes = attribute_ints(node, "axes") if given is None else [int(axis) for axis in np.ravel(given)]
    if not axes:
        if attribute_int(node, "noop_with_empty_axes", 0):
            return ()
        return tuple(range(rank)) if default is None else tuple(default)
    return tuple(axis % rank for axis in axes)


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(node: ir.Node, x: Array, axes: Array | None = None) -> Array:
        keep = bool(attribute_int(node, "keepdims", 1))
        return np.asarray(function(x, axis=_axes(node, axes, x.ndim, None), keepdims=keep))

    return reduce


def softmax(x: Array, axis: int) -> Array:
    """e^x over its sum along an axis."""
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def _softmax(node: ir.Node, x: Array) -> Array:
    """Softmax in the form of the opset: before 13 over all axes from the named one on."""
    graph = node.graph
    if graph is None or graph.opset_imports.get("", 13) >= 13:
        return softmax(x, attribute_int(node, "axis", -1))
    axis = attribute_int(node, "axis", 1) % x.ndim
    rows = softmax(x.reshape(*x.shape[:axis], -1), axis)
    return rows.reshape(x.shape)


def _is_infinite(node: ir.Node, x: Array) -> Array:
    positive = np.isposinf(x) & bool(attribute_int(node, "detect_positive", 1))
    negative = np.isneginf(x) & bool(attribute_int(node, "detect_negative", 1))
    return np.asarray(positive | negative)


def _shape(node: ir.Node, x: Array) -> Array:
    end = attribute_int(node, "end", x.ndim)
    return np.array(x.shape[attribute_int(node, "start", 0) : end], dtype=np.int64)


def _flatten(node: ir.Node, x: Array) -> Array:
    axis = attribute_int(node, "axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return np.reshape(x, (math.prod(x.shape[:axis]), -1))


def _transpose(node: ir.Node, x: Array) -> Array:
    return np.transpose(x, attribute_ints(node, "perm"))


def _reshape(node: ir.Node, x: Array, shape: Array) -> Array:
    wanted = [int(dim) for dim in np.ravel(shape)]
    if not attribute_int(node, "allowzero", 0):
        wanted = [x.shape[index] if dim == 0 else dim for index, dim in enumerate(wanted)]
    return x.reshape(wanted)


def _squeeze(node: ir.Node, x: Array, axes: Array | None = None) -> Array:
    return np.squeeze(x, _axes(node, axes, x.ndim, [i for i, dim in enumerate(x.shape) if dim == 1]))


def _unsqueeze(node: ir.Node, x: Array, axes: Array | None = None) -> Array:
    given = attribute_ints(node, "axes") if axes is None else [int(axis) for axis in np.ravel(axes)]
    return np.expand_dims(x, tuple(given or ()))


def _layer_normalization(node: ir.Node, x: Array, scale: Array, bias: Array | None = None) -> Array:
    axes = tuple(range(attribute_int(node, "axis", -1) % x.ndim, x.ndim))
    centred = x - x.mean(axis=axes, keepdims=True)
    variance = np.mean(centred * centred, axis=axes, keepdims=True)
    normal = centred / np.sqrt(variance + attribute_float(node, "epsilon", 1e-5)) * scale
    return np.asarray(normal if bias is None else normal + bias)


def _rms_normalization(node: ir.Node, x: Array, scale: Array) -> Array:
    axes = tuple(range(attribute_int(node, "axis", -1) % x.ndim, x.ndim))
    mean = np.mean(x * x, axis=axes, keepdims=True)
    return np.asarray(x / np.sqrt(mean + attribute_float(node, "epsilon", 1e-5)) * scale)


def _instance_normalization(node: ir.Node, x: Array, scale: Array, bias: Array) -> Array:
    axes = tuple(range(2, x.ndim))
    wide = (-1, *(1 for _ in axes))
    centred = x - x.mean(axis=axes, keepdims=True)
    variance = np.mean(centred * centred, axis=axes, keepdims=True)
    normal = centred / np.sqrt(variance + attribute_float(node, "epsilon", 1e-5))
    return np.asarray(normal * scale.reshape(wide) + bias.reshape(wide))


def _lp_normalization(node: ir.Node, x: Array) -> Array:
    axis = attribute_int(node, "axis", -1)
    if attribute_int(node, "p", 2) == 1:
        return np.asarray(x / np.abs(x).sum(axis=axis, keepdims=True))
    return np.asarray(x / np.sqrt((x * x).sum(axis=axis, keepdims=True)))


def _variadic(function: Callable[[Array, Array], Array]) -> Callable[..., Any]:
    def fold(node: ir.Node, first: Array, *others: Array) -> Array:
        for each in others:
            first = function(first, each)
        return first

    return fold


OPERATORS: dict[str, Callable[..., Any]] = {
    "Abs": _plain(np.abs),
    "Add": _plain(np.add),
    "And": _plain(np.logical_and),
    "Cast": _cast,
    "Celu": _celu,
    "Clip": _clip,
    "Div": _plain(np.divide),
    "Elu": _elu,
    "Equal": _plain(np.equal),
    "Erf": _plain(erf),
    "Exp": _plain(np.exp),
    "Expand": _plain(lambda x, shape: np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(shape)))),
    "Flatten": _flatten,
    "Gather": lambda node, x, indices: np.take(x, indices, axis=attribute_int(node, "axis", 0)),
    "Gelu": _gelu,
    "GlobalAveragePool": _plain(lambda x: x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)),
    "Greater": _plain(np.greater),
    "GreaterOrEqual": _plain(np.greater_equal),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _plain(lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0)),
    "Identity": _plain(lambda x: x),
    "InstanceNormalization": _instance_normalization,
    "IsInf": _is_infinite,
    "IsNaN": _plain(np.isnan),
    "LayerNormalization": _layer_normalization,
    "LeakyRelu": _leaky_relu,
    "Less": _plain(np.less),
    "LessOrEqual": _plain(np.less_equal),
    "Log": _plain(np.log),
    "LogSoftmax": lambda node, x: np.log(_softmax(node, x)),
    "LpNormalization": _lp_normalization,
    "Max": _variadic(np.maximum),
    "Min": _variadic(np.minimum),
    "Mish": _plain(lambda x: x * np.tanh(softplus(x))),
    "Mul": _plain(np.multiply),
    "Neg": _plain(np.negative),
    "Not": _plain(np.logical_not),
    "Or": _plain(np.logical_or),
    "PRelu": _plain(lambda x, slope: np.where(x < 0, slope * x, x)),
    "Pow": _plain(np.power),
    "RMSNormalization": _rms_normalization,
    "Reciprocal": _plain(np.reciprocal),
    "ReduceL1": _reduction(lambda x, **kept: np.abs(x).sum(**kept)),
    "ReduceL2": _reduction(lambda x, **kept: np.sqrt((x * x).sum(**kept))),
    "ReduceLogSum": _reduction(lambda x, **kept: np.log(x.sum(**kept))),
    "ReduceLogSumExp": _reduction(lambda x, **kept: np.log(np.exp(x).sum(**kept))),
    "ReduceMax": _reduction(np.max),
    "ReduceMean": _reduction(np.mean),
    "ReduceMin": _reduction(np.min),
    "ReduceProd": _reduction(np.prod),
    "ReduceSum": _reduction(np.sum),
    "ReduceSumSquare": _reduction(lambda x, **kept: (x * x).sum(**kept)),
    "Relu": _plain(lambda x: np.maximum(x, 0.0)),
    "Reshape": _reshape,
    "Selu": _selu,
    "Shape": _shape,
    "Sigmoid": _plain(sigmoid),
    "Sign": _plain(np.sign),
    "Size": _plain(lambda x: np.asarray(x.size)),
    "Softmax": _softmax,
    "Softplus": _plain(softplus),
    "Softsign": _plain(lambda x: x / (1.0 + np.abs(x))),
    "Sqrt": _plain(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _plain(np.subtract),
    "Sum": _variadic(np.add),
    "Swish": _swish,
    "Tanh": _plain(np.tanh),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _plain(np.where),
    "Xor": _plain(np.logical_xor),
}
"""Operator of the standard domain -> its function of a node and its inputs."""

ELEMENTWISE = frozenset(name for name in OPERATORS if op_facts("", name).elementwise)
"""Those whose results depend on the elements at one place alone."""
