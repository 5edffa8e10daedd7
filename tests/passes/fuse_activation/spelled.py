"""Activations as nodes spell them, and models that compute a spelling of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper

from graphopt.testing import PassRun, parse_model, run_pass

OPSET = 24
TYPES = {"float": np.float32, "float16": np.float16, "double": np.float64}


class Node(NamedTuple):
    """A node of a spelling: numbers among its operands stand for constants."""

    result: str
    op_type: str
    attributes: str
    operands: list[str]


# Numbers are constants; `x` is the entry, `y` the result.
SPELLINGS: dict[str, list[str]] = {
    "Relu": [
        "y = Max(x, 0)",
        "y = Clip(x, 0)",
        "p = Greater(x, 0) y = Where(p, x, 0)",
        "p = Less(x, 0) y = Where(p, 0, x)",
        "a = Abs(x) s = Add(x, a) y = Mul(s, 0.5)",
        "n = Neg(x) m = Min(n, 0) y = Neg(m)",
        "m = Min(x, 0) y = Sub(x, m)",
        "p = Greater(x, 0) c = Cast <to = 1> (p) y = Mul(x, c)",
        "y = LeakyRelu <alpha = 0.0> (x)",
        "y = PRelu(x, 0)",
    ],
    "Clip": [
        "r = Relu(x) y = Min(r, 6)",
        "m = Max(x, 0) y = Min(m, 6)",
        "m = Min(x, 6) y = Max(m, 0)",
        "m = Min(x, 6) y = Relu(m)",
        "r = Clip(x, -3, 8) y = Clip(r, 0, 6)",
        "r = Relu(x) t = Sub(x, 6) s = Relu(t) y = Sub(r, s)",
        "h = HardSigmoid <alpha = 0.16666667, beta = 0.0> (x) y = Mul(h, 6)",
        "p = Greater(x, 6) a = Where(p, 6, x) q = Less(a, 0) y = Where(q, 0, a)",
        "m = Max(x, -1) y = Min(m, 1)",
        "d = Div(x, 6) c = Clip(d, 0, 1) y = Mul(c, 6)",
        "y = Max(x, 2)",
    ],
    "HardSwish": [
        "s = Add(x, 3) c = Clip(s, 0, 6) m = Mul(x, c) y = Div(m, 6)",
        "s = Add(x, 3) c = Clip(s, 0, 6) d = Div(c, 6) y = Mul(x, d)",
        "s = Add(x, 3) r = Relu(s) c = Min(r, 6) m = Mul(x, c) y = Mul(m, 0.16666667)",
        "h = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x) y = Mul(x, h)",
        "d = Div(x, 6) s = Add(d, 0.5) c = Clip(s, 0, 1) y = Mul(x, c)",
        "s = Add(x, 3) m = Max(s, 0) c = Min(m, 6) d = Div(x, 6) y = Mul(d, c)",
        "p = Less(x, 3) q = Greater(x, -3) s = Add(x, 3) m = Mul(x, s) d = Div(m, 6) a = Where(q, d, 0)"
        " y = Where(p, a, x)",
        "t = Mul(x, 0.5) c = Clip(t, -1.5, 1.5) z = Add(c, 1.5) m = Mul(x, z) y = Div(m, 3)",
    ],
    "HardSigmoid": [
        "s = Add(x, 3) c = Clip(s, 0, 6) y = Div(c, 6)",
        "s = Add(x, 3) r = Relu(s) c = Min(r, 6) y = Mul(c, 0.16666667)",
        "m = Mul(x, 0.2) s = Add(m, 0.5) y = Clip(s, 0, 1)",
        "m = Mul(x, 0.2) s = Add(m, 0.5) r = Relu(s) y = Min(r, 1)",
        "d = Div(x, 5) s = Add(d, 0.5) a = Max(s, 0) y = Min(a, 1)",
        "s = Add(x, 1) c = Clip(s, 0, 4) y = Div(c, 4)",
        "c = Clip(x, -3, 3) s = Add(c, 3) y = Div(s, 6)",
        "m = Mul(x, 0.2) s = Add(m, 0.5) p = Less(s, 0) a = Where(p, 0, s) q = Greater(a, 1)"
        " y = Where(q, 1, a)",
    ],
    "LeakyRelu": [
        "m = Mul(x, 0.1) y = Max(x, m)",
        "m = Mul(x, 0.1) p = Greater(x, 0) y = Where(p, x, m)",
        "m = Mul(x, 0.1) p = Less(x, 0) y = Where(p, m, x)",
        "r = Relu(x) n = Min(x, 0) m = Mul(n, 0.1) y = Add(r, m)",
        "r = Relu(x) n = Neg(x) s = Relu(n) m = Mul(s, 0.1) y = Sub(r, m)",
        "a = Abs(x) b = Mul(x, 0.55) c = Mul(a, 0.45) y = Add(b, c)",
        "p = GreaterOrEqual(x, 0) q = Not(p) m = Mul(x, 0.3) y = Where(q, m, x)",
        "y = PRelu(x, 0.1)",
    ],
    "Abs": [
        "n = Neg(x) y = Max(x, n)",
        "m = Mul(x, x) y = Sqrt(m)",
        "m = Pow(x, 2) y = Sqrt(m)",
        "m = Mul(x, x) y = Pow(m, 0.5)",
        "s = Sign(x) y = Mul(x, s)",
        "r = Relu(x) n = Neg(x) t = Relu(n) y = Add(r, t)",
        "n = Sub(0, x) p = Less(x, 0) y = Where(p, n, x)",
        "r = Relu(x) d = Mul(r, 2) y = Sub(d, x)",
    ],
    "Gelu": [
        "d = Div(x, 1.41421356) e = Erf(d) a = Add(e, 1) m = Mul(x, a) y = Mul(m, 0.5)",
        "h = Mul(x, 0.5) d = Div(x, 1.41421356) e = Erf(d) a = Add(1, e) y = Mul(h, a)",
        "d = Mul(x, 0.70710678) e = Erf(d) a = Add(e, 1) h = Mul(a, 0.5) y = Mul(x, h)",
        "d = Div(x, 1.41421356) e = Erf(d) h = Mul(e, 0.5) a = Add(h, 0.5) y = Mul(x, a)",
        "q = Sqrt(2.0) d = Div(x, q) e = Erf(d) a = Add(e, 1) m = Mul(x, a) y = Div(m, 2)",
        "d = Mul(x, 0.70710678) e = Erf(d) m = Mul(x, e) s = Add(x, m) y = Mul(s, 0.5)",
        "d = Mul(x, -0.70710678) e = Erf(d) a = Sub(1, e) m = Mul(x, a) y = Mul(0.5, m)",
        "p = Pow(2.0, 0.5) d = Div(x, p) e = Erf(d) a = Add(e, 1) m = Mul(x, a) y = Mul(m, 0.5)",
    ],
    "Gelu (tanh)": [
        "c = Pow(x, 3) k = Mul(c, 0.044715) s = Add(x, k) t = Mul(s, 0.7978845608) h = Tanh(t) a = Add(h, 1)"
        " b = Mul(x, 0.5) y = Mul(b, a)",
        "q = Mul(x, x) c = Mul(q, x) k = Mul(c, 0.044715) s = Add(x, k) t = Mul(s, 0.7978845608) h = Tanh(t)"
        " a = Add(h, 1) m = Mul(x, a) y = Mul(m, 0.5)",
        "q = Pow(x, 2) k = Mul(q, 0.044715) o = Add(k, 1) s = Mul(x, o) t = Mul(s, 0.7978845608) h = Tanh(t)"
        " a = Add(1, h) g = Mul(a, 0.5) y = Mul(x, g)",
        "q = Mul(x, x) k = Mul(q, 0.035677408) o = Add(k, 0.7978845608) t = Mul(x, o) h = Tanh(t)"
        " a = Add(h, 1) m = Mul(a, x) y = Div(m, 2)",
        "q = Mul(x, x) k = Mul(q, 0.071354816) o = Add(k, 1.5957691216) t = Mul(x, o) g = Sigmoid(t)"
        " y = Mul(x, g)",
        "q = Mul(x, x) k = Mul(q, 0.071354816) o = Add(k, 1.5957691216) t = Mul(x, o) n = Neg(t) e = Exp(n)"
        " a = Add(e, 1) y = Div(x, a)",
        "b = Mul(x, 0.5) q = Mul(x, x) k = Mul(q, 0.044715) o = Add(k, 1) s = Mul(x, o)"
        " t = Div(s, 1.2533141373) h = Tanh(t) m = Mul(b, h) y = Add(b, m)",
        "c = Pow(x, 3) k = Mul(c, 0.044715) s = Add(k, x) t = Mul(0.7978845608, s) h = Tanh(t)"
        " g = Mul(h, 0.5) a = Add(g, 0.5) y = Mul(a, x)",
    ],
    "Sigmoid": [
        "n = Neg(x) e = Exp(n) a = Add(e, 1) y = Div(1, a)",
        "n = Neg(x) e = Exp(n) a = Add(e, 1) y = Reciprocal(a)",
        "n = Mul(x, -1) e = Exp(n) a = Add(1, e) y = Pow(a, -1)",
        "n = Sub(0, x) e = Exp(n) a = Add(e, 1) y = Div(1, a)",
        "e = Exp(x) a = Add(e, 1) y = Div(e, a)",
        "h = Mul(x, 0.5) t = Tanh(h) a = Add(t, 1) y = Mul(a, 0.5)",
        "h = Div(x, 2) t = Tanh(h) b = Mul(t, 0.5) y = Add(b, 0.5)",
        "n = Neg(x) s = Sigmoid(n) y = Sub(1, s)",
        "n = Mul(x, -1.7) e = Exp(n) a = Add(e, 1) y = Div(1, a)",
    ],
    "Tanh": [
        "a = Exp(x) n = Neg(x) b = Exp(n) s = Sub(a, b) t = Add(a, b) y = Div(s, t)",
        "d = Mul(x, 2) e = Exp(d) s = Sub(e, 1) t = Add(e, 1) y = Div(s, t)",
        "d = Mul(x, -2) e = Exp(d) s = Sub(1, e) t = Add(1, e) y = Div(s, t)",
        "d = Mul(x, 2) s = Sigmoid(d) m = Mul(s, 2) y = Sub(m, 1)",
        "d = Mul(x, 2) s = Sigmoid(d) m = Add(s, s) y = Add(m, -1)",
        "d = Add(x, x) s = Sigmoid(d) h = Sub(s, 0.5) y = Mul(h, 2)",
        "d = Mul(x, -2) e = Exp(d) t = Add(e, 1) q = Div(2, t) y = Sub(q, 1)",
        "d = Mul(x, 2) e = Exp(d) t = Add(e, 1) q = Div(2, t) y = Sub(1, q)",
    ],
    "Swish": [
        "s = Sigmoid(x) y = Mul(x, s)",
        "n = Neg(x) e = Exp(n) a = Add(e, 1) y = Div(x, a)",
        "n = Neg(x) e = Exp(n) a = Add(e, 1) r = Reciprocal(a) y = Mul(x, r)",
        "n = Mul(x, -1) e = Exp(n) a = Add(1, e) d = Div(1, a) y = Mul(d, x)",
        "h = Mul(x, 0.5) t = Tanh(h) a = Add(t, 1) y = Mul(h, a)",
        "h = Mul(x, 0.5) t = Tanh(h) m = Mul(h, t) y = Add(h, m)",
        "e = Exp(x) m = Mul(x, e) a = Add(e, 1) y = Div(m, a)",
        "n = Neg(x) e = Exp(n) a = Add(e, 1) p = Pow(a, -1) y = Mul(x, p)",
        "n = Neg(x) s = Sigmoid(n) m = Mul(x, s) y = Sub(x, m)",
        # QuickGelu
        "m = Mul(x, 1.702) s = Sigmoid(m) y = Mul(x, s)",
        "n = Mul(x, -1.702) e = Exp(n) a = Add(e, 1) y = Div(x, a)",
        "m = Mul(x, 1.702) n = Neg(m) e = Exp(n) a = Add(e, 1) r = Reciprocal(a) y = Mul(x, r)",
        "m = Div(x, 0.58754407) n = Neg(m) e = Exp(n) a = Add(e, 1) y = Div(x, a)",
        "m = Mul(x, 0.851) t = Tanh(m) a = Add(t, 1) b = Mul(x, a) y = Mul(b, 0.5)",
        "m = Mul(x, 1.702) e = Exp(m) b = Mul(x, e) a = Add(e, 1) y = Div(b, a)",
        "n = Neg(x) m = Mul(n, 1.702) e = Exp(m) a = Add(e, 1) y = Div(x, a)",
        "n = Mul(x, -1.702) s = Sigmoid(n) m = Mul(x, s) y = Sub(x, m)",
    ],
    "Mish": [
        "p = Softplus(x) t = Tanh(p) y = Mul(x, t)",
        "e = Exp(x) a = Add(e, 1) l = Log(a) t = Tanh(l) y = Mul(x, t)",
        "e = Exp(x) a = Add(e, 1) q = Mul(a, a) n = Sub(q, 1) d = Add(q, 1) r = Div(n, d) y = Mul(x, r)",
        "e = Exp(x) a = Add(e, 2) n = Mul(e, a) d = Add(n, 2) r = Div(n, d) y = Mul(x, r)",
        "e = Exp(x) a = Add(1, e) q = Pow(a, 2) d = Add(q, 1) r = Div(2, d) o = Sub(1, r) y = Mul(o, x)",
        "e = Exp(x) a = Add(e, 2) n = Mul(e, a) m = Mul(x, n) d = Add(n, 2) y = Div(m, d)",
        "p = Softplus(x) d = Mul(p, 2) s = Sigmoid(d) m = Mul(s, 2) t = Sub(m, 1) y = Mul(x, t)",
        "n = Neg(x) s = Sigmoid(n) l = Log(s) m = Neg(l) t = Tanh(m) y = Mul(x, t)",
    ],
    "Softplus": [
        "e = Exp(x) a = Add(e, 1) y = Log(a)",
        "n = Neg(x) s = Sigmoid(n) l = Log(s) y = Neg(l)",
        "n = Neg(x) s = Sigmoid(n) l = Log(s) y = Mul(l, -1)",
        "a = Abs(x) n = Neg(a) e = Exp(n) p = Add(e, 1) l = Log(p) r = Relu(x) y = Add(r, l)",
        "m = Max(x, 0) a = Abs(x) n = Neg(a) e = Exp(n) p = Add(1, e) l = Log(p) y = Add(l, m)",
        "n = Neg(x) p = Softplus(n) y = Add(x, p)",
        "n = Neg(x) e = Exp(n) a = Add(e, 1) l = Log(a) y = Add(x, l)",
        "e = Exp(x) a = Add(e, 1) l = Log(a) p = Greater(x, 20) y = Where(p, x, l)",
        "b = Mul(x, 2) e = Exp(b) a = Add(e, 1) l = Log(a) y = Div(l, 2)",
        "b = Mul(x, 2) p = Softplus(b) q = Div(p, 2) g = Greater(b, 20) y = Where(g, x, q)",
    ],
    "Softsign": [
        "a = Abs(x) d = Add(a, 1) y = Div(x, d)",
        "a = Abs(x) d = Add(1, a) r = Reciprocal(d) y = Mul(x, r)",
        "a = Abs(x) d = Add(a, 1) p = Pow(d, -1) y = Mul(p, x)",
        "a = Abs(x) d = Add(a, 1) i = Div(1, d) y = Mul(x, i)",
        "n = Neg(x) a = Max(x, n) d = Add(a, 1) y = Div(x, d)",
        "q = Mul(x, x) a = Sqrt(q) d = Add(a, 1) y = Div(x, d)",
        "s = Sign(x) a = Mul(x, s) d = Add(a, 1) y = Div(x, d)",
        "n = Neg(x) p = Less(x, 0) a = Where(p, n, x) d = Add(a, 1) y = Div(x, d)",
    ],
    "Elu": [
        "e = Exp(x) s = Sub(e, 1) m = Mul(s, 0.7) p = Greater(x, 0) y = Where(p, x, m)",
        "e = Exp(x) s = Sub(e, 1) m = Mul(s, 0.7) p = Less(x, 0) y = Where(p, m, x)",
        "r = Relu(x) n = Min(x, 0) e = Exp(n) s = Sub(e, 1) m = Mul(s, 0.7) y = Add(r, m)",
        "n = Neg(x) q = Relu(n) o = Neg(q) e = Exp(o) s = Add(e, -1) m = Mul(0.7, s) r = Relu(x)"
        " y = Add(m, r)",
        "e = Exp(x) s = Sub(1, e) q = Relu(s) m = Mul(q, 0.7) r = Relu(x) y = Sub(r, m)",
        "a = Max(x, 0) b = Min(x, 0) e = Exp(b) s = Sub(e, 1) m = Mul(s, 1.3) y = Add(a, m)",
        "c = Clip(x, , 0) e = Exp(c) s = Sub(e, 1) m = Mul(s, 0.7) r = Clip(x, 0) y = Add(r, m)",
        "e = Exp(x) s = Mul(e, 0.7) m = Sub(s, 0.7) p = GreaterOrEqual(x, 0) y = Where(p, x, m)",
    ],
    "Selu": [
        "e = Exp(x) s = Sub(e, 1) m = Mul(s, 1.6732632) p = Greater(x, 0) w = Where(p, x, m)"
        " y = Mul(w, 1.0507010)",
        "u = Elu <alpha = 1.6732632> (x) y = Mul(u, 1.0507010)",
        "r = Relu(x) a = Mul(r, 1.0507010) n = Min(x, 0) e = Exp(n) s = Sub(e, 1) m = Mul(s, 1.7580993)"
        " y = Add(a, m)",
        "e = Exp(x) m = Mul(e, 1.7580993) s = Sub(m, 1.7580993) a = Mul(x, 1.0507010) p = Less(x, 0)"
        " y = Where(p, s, a)",
        "r = Relu(x) n = Min(x, 0) e = Exp(n) s = Sub(e, 1) m = Mul(s, 1.6732632) w = Add(r, m)"
        " y = Mul(1.0507010, w)",
        "e = Exp(x) s = Sub(1, e) q = Relu(s) m = Mul(q, 1.7580993) r = Relu(x) t = Mul(r, 1.0507010)"
        " y = Sub(t, m)",
        "a = Max(x, 0) b = Min(x, 0) e = Exp(b) m = Mul(e, 1.6732632) s = Sub(m, 1.6732632) w = Add(a, s)"
        " y = Mul(w, 1.0507010)",
        "u = Elu <alpha = 1.6732632> (x) y = Div(u, 0.9517455)",
    ],
    "Celu": [
        "d = Div(x, 2) e = Exp(d) s = Sub(e, 1) m = Mul(s, 2) n = Min(m, 0) r = Relu(x) y = Add(r, n)",
        "d = Div(x, 2) u = Elu(d) y = Mul(u, 2)",
        "n = Min(x, 0) d = Mul(n, 0.5) e = Exp(d) s = Sub(e, 1) m = Mul(s, 2) r = Max(x, 0) y = Add(m, r)",
        "d = Div(x, 2) e = Exp(d) s = Sub(e, 1) m = Mul(s, 2) p = Greater(x, 0) y = Where(p, x, m)",
        "d = Mul(x, 0.5) e = Exp(d) s = Sub(1, e) q = Relu(s) m = Mul(q, 2) r = Relu(x) y = Sub(r, m)",
        "d = Div(x, 2) e = Exp(d) m = Mul(e, 2) s = Sub(m, 2) p = Less(x, 0) y = Where(p, s, x)",
        "c = Clip(x, , 0) d = Div(c, 2) e = Exp(d) s = Sub(e, 1) m = Mul(s, 2) r = Clip(x, 0) y = Add(r, m)",
        "d = Div(x, 1.5) e = Exp(d) s = Sub(e, 1) m = Mul(s, 1.5) p = Less(x, 0) y = Where(p, m, x)",
    ],
}

Spelling = list[Node]


def read(body: str) -> Spelling:
    """The nodes of a spelling."""
    found = re.findall(r"(\w+) = (\w+)\s*(<[^>]*>)?\s*\(([^)]*)\)", body)
    return [
        Node(name, op, given, [each.strip() for each in rest.split(",")]) for name, op, given, rest in found
    ]


def is_number(operand: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", operand) is not None


def as_written(nodes: Spelling) -> Spelling:
    return nodes


def swapped(nodes: Spelling) -> Spelling:
    """Operands of commutative operators the other way round."""
    commutative = ("Add", "Mul", "Max", "Min")
    return [
        node._replace(operands=node.operands[::-1]) if node.op_type in commutative else node for node in nodes
    ]


def divided(nodes: Spelling) -> Spelling:
    """Mul by a constant as Div by its reciprocal, and the other way round."""
    other = {"Mul": "Div", "Div": "Mul"}
    return [_inverted(node, other, lambda number: 1.0 / number) for node in nodes]


def subtracted(nodes: Spelling) -> Spelling:
    """Add of a constant as Sub of its negative, and the other way round."""
    other = {"Add": "Sub", "Sub": "Add"}
    return [_inverted(node, other, lambda number: -number) for node in nodes]


def _inverted(node: Node, other: dict[str, str], inverse: Callable[[float], float]) -> Node:
    last = node.operands[-1]
    if node.op_type not in other or not is_number(last) or float(last) == 0.0:
        return node
    operands = [*node.operands[:-1], f"{inverse(float(last)):.10f}"]
    return node._replace(op_type=other[node.op_type], operands=operands)


def write(
    spellings: Iterable[Spelling], *, opset: int = OPSET, dims: str = "", scale: float = 1.0
) -> ir.Model:
    """A model that computes each spelling of one input, as `y_0`, `y_1`, ..., constants of these dims."""
    lines: list[str] = []
    outputs: list[str] = []
    constants: list[str] = []

    def constant(number: str, dims: str) -> str:
        name = f"k{len(constants)}"
        size = int(np.prod([int(dim) for dim in dims.strip("[]").split(",") if dim]))
        constants.append(f"float{dims} {name} = {{{', '.join([repr(float(number))] * size)}}}")
        return name

    for place, nodes in enumerate(spellings):
        for node in nodes:
            own = "" if node.op_type in ("Clip", "PRelu") else dims
            operands = [
                constant(each, own) if is_number(each) else each if each in ("x", "") else f"{each}_{place}"
                for each in node.operands
            ]
            lines.append(f"{node.result}_{place} = {node.op_type} {node.attributes} ({', '.join(operands)})")
        outputs.append(f"y_{place}")
        if scale != 1.0:
            lines.append(f"scaled_{place} = Mul(y_{place}, {constant(str(scale), '')})")
            outputs[-1] = f"scaled_{place}"
    results = ", ".join(f"float[4,3] {name}" for name in outputs)
    text = f"g (float[4,3] x) => ({results}) <{', '.join(constants)}> {{ {' '.join(lines)} }}"
    return parse_model(text, opset=opset)


def in_type(model: ir.Model, name: str) -> ir.Model:
    """The model with its floats in another type."""
    proto = ir.to_proto(model)
    number = getattr(onnx.TensorProto, name.upper())
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = number
    for tensor in proto.graph.initializer:
        tensor.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(tensor).astype(TYPES[name]), tensor.name)
        )
    for node in proto.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == onnx.TensorProto.FLOAT:
                attribute.i = number
    return ir.from_proto(proto)


def found(run: PassRun) -> dict[str, str]:
    """Output -> the idiom that it was last found to be."""
    return {each.node: each.idiom for record in run.records for each in record.findings}


def run_all(idiom: str, model: ir.Model, what: str) -> PassRun:
    """Run the pass and assert that each output is the idiom."""
    run = run_pass(model, what, rtol=1e-2 if model.graph.inputs[0].dtype == ir.DataType.FLOAT16 else 1e-5)
    bodies = [SPELLINGS[idiom][place] for place in range(len(model.graph.outputs))]
    missed = [body for place, body in enumerate(bodies) if found(run).get(f"y_{place}") != idiom]
    assert not missed
    return run
