"""Functions of one number and of two, by the names that programs have for them: on what 256 codes stand for.

Computed in float32 as runtimes do; a table is rounded to codes, so the last bit hardly ever matters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import attribute_float, attribute_string
from graphopt.native.lower.forms import Floats
from graphopt.native.lower.steps import Array

_erf = np.frompyfunc(math.erf, 1, 1)


def erf(x: Array) -> Floats:
    """The error function."""
    return np.asarray(_erf(x.astype(np.float64)), np.float32)


def sigmoid(x: Array) -> Floats:
    """1 / (1 + exp(-x))."""
    return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(np.float32)


FUNCTIONS: Mapping[str, Callable[[Array, Mapping[str, float]], Array]] = {
    "relu": lambda x, _: np.maximum(x, 0),
    "sigmoid": lambda x, _: sigmoid(x),
    "tanh": lambda x, _: np.tanh(x),
    "erf": lambda x, _: erf(x),
    "exp": lambda x, _: np.exp(x),
    "log": lambda x, _: np.log(x),
    "sqrt": lambda x, _: np.sqrt(x),
    "neg": lambda x, _: -x,
    "abs": lambda x, _: np.abs(x),
    "reciprocal": lambda x, _: 1 / x,
    "softplus": lambda x, _: np.logaddexp(0, x),
    "hard_swish": lambda x, _: x * np.clip(x * np.float32(1 / 6) + np.float32(0.5), 0, 1),
    "hard_sigmoid": lambda x, a: np.clip(x * np.float32(a["alpha"]) + np.float32(a["beta"]), 0, 1),
    "gelu": lambda x, _: 0.5 * x * (1 + erf(x / np.float32(math.sqrt(2)))),
    "gelu_tanh": lambda x, _: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x, _: x * sigmoid(x),
    "leaky_relu": lambda x, a: np.where(x >= 0, x, x * np.float32(a["alpha"])),
    "elu": lambda x, a: np.where(x >= 0, x, np.float32(a["alpha"]) * np.expm1(np.minimum(x, 0))),
    "clip": lambda x, a: np.minimum(np.maximum(x, np.float32(a["low"])), np.float32(a["high"])),
    "floor": lambda x, _: np.floor(x),
    "ceil": lambda x, _: np.ceil(x),
    "round": lambda x, _: np.rint(x),
    "sin": lambda x, _: np.sin(x),
    "cos": lambda x, _: np.cos(x),
    "mish": lambda x, _: x * np.tanh(np.logaddexp(0, x)),
    "softsign": lambda x, _: x / (1 + np.abs(x)),
    "replace_nan": lambda x, a: np.where(np.isnan(x), np.float32(a["value"]), x),
}
"""What programs call `unary`, on arrays of float32."""

BINARY: Mapping[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "min": np.minimum,
    "max": np.maximum,
    "pow": np.power,
}
"""What programs call `binary`."""

_PLAIN = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Erf": "erf",
    "Exp": "exp",
    "Log": "log",
    "Sqrt": "sqrt",
    "Neg": "neg",
    "Abs": "abs",
    "Reciprocal": "reciprocal",
    "Softplus": "softplus",
    "HardSwish": "hard_swish",
    "Floor": "floor",
    "Ceil": "ceil",
    "Round": "round",
    "Sin": "sin",
    "Cos": "cos",
    "Mish": "mish",
    "Softsign": "softsign",
}
UNARY = frozenset(_PLAIN) | {"LeakyRelu", "Elu", "HardSigmoid", "Gelu", "Swish"}
"""ONNX's operators of one input that `function_of` knows."""


def function_of(node: ir.Node) -> tuple[str, dict[str, float]] | None:
    """The function that a node of `UNARY` computes, and its parameters; None where it has no name."""
    if node.op_type in _PLAIN:
        return _PLAIN[node.op_type], {}
    if node.op_type == "LeakyRelu":
        return "leaky_relu", {"alpha": attribute_float(node, "alpha", 0.01)}
    if node.op_type == "Elu":
        return "elu", {"alpha": attribute_float(node, "alpha", 1.0)}
    if node.op_type == "HardSigmoid":
        return "hard_sigmoid", {
            "alpha": attribute_float(node, "alpha", 0.2),
            "beta": attribute_float(node, "beta", 0.5),
        }
    if node.op_type == "Gelu":
        return ("gelu_tanh" if attribute_string(node, "approximate", "none") == "tanh" else "gelu"), {}
    if node.op_type == "Swish":
        return ("silu", {}) if attribute_float(node, "alpha", 1.0) == 1 else None
    return None


def apply(name: str, parameters: Mapping[str, float], x: Array) -> Floats:
    """A function of `FUNCTIONS` on an array."""
    with np.errstate(all="ignore"):
        return np.asarray(FUNCTIONS[name](x, parameters), np.float32)


def combine(name: str, a: Array, b: Array) -> Floats:
    """A function of `BINARY` on two arrays."""
    with np.errstate(all="ignore"):
        return np.asarray(BINARY[name](a, b), np.float32)


def fused(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> Floats:
    """a * b + c of float32 numbers, rounded once."""
    product, summand = np.asarray(a, np.float64) * np.asarray(b, np.float64), np.asarray(c, np.float64)
    total = np.asarray(product + summand)
    # What the sum loses is kept as an odd last bit, so that rounding it again does not go wrong.
    back = total - product
    lost = (product - (total - back)) + (summand - back)
    inexact = (lost != 0) & (total.view(np.int64) % 2 == 0)
    return np.where(inexact, np.nextafter(total, np.copysign(np.inf, lost)), total).astype(np.float32)


def attributes_of(name: str, parameters: Mapping[str, float]) -> dict[str, Any]:
    """What the operator `unary` takes."""
    return {"op": name, **parameters}
