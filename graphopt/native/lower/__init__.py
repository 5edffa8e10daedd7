"""Quantized graphs become programs: QDQ and QOperator form, whichever tool wrote them.

`compile` makes a program of a whole model or says which nodes are none; `reasons` says it of each node;
`compile_part` makes one of a region. Changes no model.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import onnx_ir as ir

from graphopt._native import ProgramBuilder
from graphopt.errors import LoadError, ModelError
from graphopt.ir import has_shapes, infer_shapes, violations
from graphopt.native.instruction_set import instruction_set
from graphopt.native.lower.fuse import fuse
from graphopt.native.lower.lowering import Lowered, lower
from graphopt.native.lower.steps import Steps, Value
from graphopt.native.program import Program
from graphopt.native.source import Source, open_source
from graphopt.quant.wording import label

__all__ = ["LoweringError", "compile", "compile_part", "lowered", "reasons"]

_NAMED = 5


class LoweringError(ModelError):
    """A model holds nodes that no program can run."""


def compile(model: Source) -> Program:
    """The program that computes what a quantized model does.

    Args:
        model: With QuantizeLinear and DequantizeLinear around what runs on codes, or with quantized
            operators: a file, its bytes, a `ModelProto` or an `onnx_ir.Model`. It is left as it is.

    Raises:
        LoadError: The model cannot be read, is invalid or computes nothing.
        LoweringError: Some nodes cannot be lowered; the message names them and says why.
        UsageError: `GRAPHOPT_ISA` names no instruction set.
    """
    instruction_set()
    opened = open_source(model)
    if not opened.graph.outputs:
        raise LoadError("the model has no outputs")
    result = lowered(opened, floats_too=True)
    if result.reasons:
        texts = [f"{label(node)}: {reason}" for node, reason in result.reasons.items()]
        more = f"; and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
        raise LoweringError(
            f"no program can run this model: {'; '.join(texts[:_NAMED])}{more}",
            hint="graphopt.native.Session runs what a program can, and the rest in onnxruntime",
        )
    return _program(result.steps)


def lowered(model: ir.Model, *, floats_too: bool = False) -> Lowered:
    """The steps of a whole model, fused, and its nodes that cannot be lowered: as `lower` has it."""
    if not has_shapes(model):
        model = _copied(model)
        infer_shapes(model)
    nodes = list(model.graph)
    result = lower(model, nodes, _real_inputs(model), model.graph.outputs, floats_too=floats_too)
    fuse(result.steps)
    return result


def _copied(model: ir.Model) -> ir.Model:
    try:
        return model.clone()
    except RuntimeError as error:
        found = next(violations(model), "its graph is not well formed")
        raise LoadError(f"the model is invalid: {found}") from error


def reasons(model: ir.Model) -> dict[ir.Node, str]:
    """Why no program can run a node, for each node of the main graph that none can. Shapes must be known."""
    return lower(model, list(model.graph), _real_inputs(model), model.graph.outputs).reasons


def compile_part(
    model: ir.Model, nodes: Sequence[ir.Node], inputs: Sequence[ir.Value], outputs: Collection[ir.Value]
) -> Program:
    """The program of some nodes of the main graph of a model whose shapes are known.

    Args:
        model: It is left as it is.
        nodes: In topological order, none of which has a reason in `reasons`.
        inputs: What they read of the rest; they become the program's inputs, in this order.
        outputs: What the rest reads of them; they become the program's outputs, in this order.

    Raises:
        LoweringError: A node cannot be lowered.
    """
    instruction_set()
    result = lower(model, nodes, inputs, outputs)
    for node, reason in result.reasons.items():
        raise LoweringError(f"{label(node)}: {reason}")
    fuse(result.steps)
    return _program(result.steps)


def _program(steps: Steps) -> Program:
    try:
        return build(steps)
    except ValueError as error:
        raise LoweringError(f"no program can run this model: {error}") from error


def build(steps: Steps) -> Program:
    """The program of steps. Raises ValueError if the engine does not take one of them."""
    builder = ProgramBuilder()
    ids: dict[Value, int] = {}
    unknown = 0
    for value in steps.inputs:
        dims: list[int | str] = []
        for size in value.dims:
            unknown += size is None
            dims.append(f"size {unknown}" if size is None else size)
        ids[value] = builder.input(value.name, value.type, dims)

    def number(value: Value) -> int:
        if value not in ids:
            assert value.array is not None
            ids[value] = builder.constant(value.array)
        return ids[value]

    for step in steps.steps:
        places = [number(value) for value in step.inputs]
        ids[step.output] = builder.step(step.kind, places, step.attributes, 1, step.name)[0]
    for name, value in steps.outputs.items():
        builder.output(number(value), name)
    return Program(builder.build())


def _real_inputs(model: ir.Model) -> list[ir.Value]:
    return [value for value in model.graph.inputs if not value.is_initializer()]
