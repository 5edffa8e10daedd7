"""What compiled regions do, in the cost model's terms: told by their programs, for inputs of given shapes.

Runs nothing.
"""

from __future__ import annotations

import math

from graphopt.cost.call import Call, Kind, ProgramWork, UnknownShapeError, Work
from graphopt.errors import DataError
from graphopt.ir import saved_program
from graphopt.native.program import Program, StepDemand

_RECURRENT = frozenset({"gru", "lstm"})
IN_FLOAT = _RECURRENT | {"gemm_f32", "matmul_f32", "conv_f32", "conv_transpose_f32", "matmul_nbits"}
"""Kinds of steps that multiply floats."""
PRODUCTS = IN_FLOAT | {"gemm", "matmul", "conv", "conv_transpose"}
"""Kinds of steps that most of a network's time goes to."""
_TRANSCENDENTAL = frozenset({"softmax", "unary"})
_FLOATS = frozenset({"binary", "compare", "layer_norm", "lrn", "reduce", "reduce_mean", "where"})
_FLOPS = {
    "add": 5,
    "dequantize": 2,
    "layer_norm": 8,
    "lrn": 10,
    "mul": 5,
    "quantize": 5,
    "softmax": 5,
    "unary": 8,
}
"""For each element of the output, where it is not one."""


def program_work(call: Call) -> ProgramWork:
    """What a node that stands for a compiled region does.

    Raises:
        UnknownShapeError: A shape of its inputs is not known, or not what the program takes.
        LoadError: It holds no program.
        UsageError: `GRAPHOPT_ISA` names no instruction set.
    """
    name = call.node.name or "a node"
    program = Program.from_bytes(saved_program(call.node), f"the program of {name}")
    shapes = [call.shape(index) for index in range(len(call.inputs))]
    try:
        demands = program.demands(shapes)
        arena = program.arena(shapes)
    except DataError as error:
        raise UnknownShapeError(error.message) from error
    held = sum(each.constant_bytes for each in demands)
    return ProgramWork(
        tuple(step_work(each) for each in demands if each.runs),
        sum(math.prod(each.weights) for each in demands if each.weights),
        held,
        arena,
    )


def step_work(demand: StepDemand) -> Work:
    """What one step does."""
    read = demand.bytes_read + demand.constant_bytes
    elements = math.prod(demand.outputs[0])
    if demand.kind not in PRODUCTS:
        flops = elements * _FLOPS.get(demand.kind, 1)
        kind = Kind.MOVE
        if demand.kind in _TRANSCENDENTAL:
            kind = Kind.TRANSCENDENTAL
        elif demand.kind in _FLOATS:
            kind = Kind.ELEMENTWISE
        return Work(kind, flops, 0, read, demand.bytes_written)
    macs = _macs(demand)
    kind = Kind.GEMM if demand.kind in IN_FLOAT else Kind.INT8
    return Work(kind, 2 * macs, macs, read, demand.bytes_written)


def _macs(demand: StepDemand) -> int:
    """Multiply-accumulates: so many for each element of the output; of a conv_transpose, of the input."""
    if demand.kind in ("conv", "conv_f32"):
        return math.prod(demand.outputs[0]) * math.prod(demand.weights[1:])
    if demand.kind in ("conv_transpose", "conv_transpose_f32"):
        groups = demand.inputs[0][-1] // max(demand.weights[-1], 1)
        return math.prod(demand.inputs[0]) * math.prod(demand.weights[:-1]) // max(groups, 1)
    if demand.kind in _RECURRENT:
        directions, gates, depth = demand.weights
        size = demand.outputs[0][-1]
        return math.prod(demand.inputs[0][:2]) * directions * gates * (depth + size)
    return math.prod(demand.outputs[0]) * demand.inputs[0][-1]
