"""How each pointwise idiom can be written, best first: the operator, or the shortest spelling.

Which one is used depends on the opset, and on what the target says of the operator's speed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.idioms import Found
from graphopt.ir import Tape
from graphopt.ir.opsets import NEWEST_OPSET


@dataclass(frozen=True)
class Form:
    """One way to write an idiom.

    Attributes:
        name: As a target's times know it: its operators, in order.
        since: Oldest opset that has its operators.
        nodes: Number of nodes, without one for a scale.
        build: Makes the nodes.
        applies: Whether the parameters allow it.
        until: Newest opset at which onnxruntime runs it.
        in_double: Oldest opset at which onnxruntime runs it in float64, constants included; None if at none.
    """

    name: str
    since: int
    nodes: int
    build: Callable[[Tape, ir.Value, Found], ir.Value]
    applies: Callable[[Found], bool] = lambda found: True
    until: int | None = None
    in_double: int | None = None

    def oldest_opset(self, dtype: ir.DataType) -> int | None:
        """The oldest opset that has the form for elements of a type; None if there is none.

        onnxruntime runs every form in float16, where need be in float32 between casts, and none in bfloat16:
        there what the standard allows must do.
        """
        if dtype == ir.DataType.DOUBLE:
            return self.in_double
        oldest: int | None = self.since
        if dtype != ir.DataType.FLOAT:
            for operator in self.name.partition(" (")[0].split(" "):
                taken = _taken_since(operator, dtype)
                oldest = None if oldest is None or taken is None else max(oldest, taken)
        return oldest


@functools.cache
def _taken_since(operator: str, dtype: ir.DataType) -> int | None:
    """The first version of an operator of the standard whose input may be of a type."""
    import onnx.defs

    wanted = f"tensor({dtype.name.lower()})"
    for version in range(1, NEWEST_OPSET + 1):
        known = onnx.defs.has(operator, domain="", max_inclusive_version=version)
        if known and wanted in onnx.defs.get_schema(operator, version, "").inputs[0].types:
            return version
    return None


def constant(tape: Tape, x: ir.Value, number: float) -> ir.Value:
    """A scalar of the type of `x`."""
    assert x.dtype is not None
    return tape.const(np.array(number, dtype=x.dtype.numpy()))


def scaled(tape: Tape, x: ir.Value, factor: float) -> ir.Value:
    """`x` times a number, or `x` itself for 1."""
    return x if factor == 1.0 else tape.op("Mul", [x, constant(tape, x, factor)])


def _operator(
    name: str, since: int = 1, *, until: int | None = None, in_double: int | None = None, **fixed: str
) -> Form:
    """One node, whose attributes are the idiom's parameters."""

    def build(tape: Tape, x: ir.Value, found: Found) -> ir.Value:
        given = {key: value for key, value in found.parameters.items() if key != "scale"}
        return tape.op(name, [x], {**given, **fixed})

    called = f"{name} ({fixed['approximate']})" if fixed else name
    return Form(called, since, 1, build, until=until, in_double=in_double)


def _clip(tape: Tape, x: ir.Value, found: Found) -> ir.Value:
    low, high = found.parameters["low"], found.parameters["high"]
    if tape.opset < 11:
        bounds = {"min": low, "max": high}
        return tape.op("Clip", [x], {name: bound for name, bound in bounds.items() if math.isfinite(bound)})
    values = [constant(tape, x, bound) if math.isfinite(bound) else None for bound in (low, high)]
    return tape.op("Clip", [x, *(values if values[1] is not None else values[:1])])


def _gate(tape: Tape, x: ir.Value, found: Found) -> ir.Value:
    return tape.op("Mul", [x, tape.op("HardSigmoid", [x], {"alpha": 1 / 6, "beta": 0.5})])


def _swish(tape: Tape, x: ir.Value, found: Found) -> ir.Value:
    return tape.op("Mul", [x, _sigmoid(tape, x, found)])


def _sigmoid(tape: Tape, x: ir.Value, found: Found) -> ir.Value:
    return tape.op("Sigmoid", [scaled(tape, x, found.parameters["alpha"])])


def _mish(tape: Tape, x: ir.Value, found: Found) -> ir.Value:
    return tape.op("Mul", [x, tape.op("Tanh", [tape.op("Softplus", [x])])])


def _softplus(tape: Tape, x: ir.Value, found: Found) -> ir.Value:
    beta = found.parameters["beta"]
    return scaled(tape, tape.op("Softplus", [scaled(tape, x, beta)]), 1.0 / beta)


def _plain(found: Found) -> bool:
    return all(found.parameters.get(name, 1.0) == 1.0 for name in ("alpha", "beta"))


def _bent(found: Found) -> bool:
    return not _plain(found)


FORMS: dict[str, tuple[Form, ...]] = {
    "Abs": (_operator("Abs", in_double=1),),
    "Celu": (_operator("Celu", 12),),
    "Clip": (Form("Clip", 6, 1, _clip, in_double=12),),
    "Elu": (_operator("Elu"),),
    "Erf": (_operator("Erf", 9),),
    "Gelu": (_operator("Gelu", 20),),
    "Gelu (tanh)": (_operator("Gelu", 20, approximate="tanh"),),
    "HardSigmoid": (_operator("HardSigmoid"),),
    "HardSwish": (_operator("HardSwish", 14), Form("HardSigmoid Mul", 6, 2, _gate)),
    "LeakyRelu": (_operator("LeakyRelu"),),
    "Mish": (_operator("Mish", 18), Form("Softplus Tanh Mul", 7, 3, _mish)),
    "Relu": (_operator("Relu", in_double=1),),
    "Selu": (_operator("Selu"),),
    "Sigmoid": (
        Form("Sigmoid", 6, 1, _sigmoid, _plain, in_double=6),
        Form("Mul Sigmoid", 7, 2, _sigmoid, _bent, in_double=7),
    ),
    "Softplus": (Form("Softplus", 1, 1, _softplus, _plain), Form("Mul Softplus Mul", 7, 3, _softplus, _bent)),
    "Softsign": (_operator("Softsign"),),
    "Swish": (
        _operator("Swish", 24, until=24),
        Form("Sigmoid Mul", 7, 2, _swish, _plain, in_double=7),
        Form("Mul Sigmoid Mul", 7, 3, _swish, _bent, in_double=7),
    ),
    "Tanh": (_operator("Tanh", in_double=1),),
}
"""Idiom -> its forms, best first; what onnxruntime runs was found out by trying (version 1.31)."""
