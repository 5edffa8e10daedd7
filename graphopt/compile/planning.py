"""Plan the memory of a model that is emitted: how much its activations take, and in which order of nodes.

A program takes its arena beside what is alive around it, and one program runs at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from graphopt.cost.dims import Dims
from graphopt.errors import GraphoptError
from graphopt.ir import is_program, saved_program
from graphopt.memory.graph_plan import Options
from graphopt.native import Program
from graphopt.report.memory import PLAN_KEY, plan_memory, write_plan
from graphopt.report.units import size

Shapes = Mapping[str, Sequence[int]]


def memory_as_it_stands(model: ir.Model, shapes: Shapes | None) -> int | None:
    """Bytes of an arena for the activations, nodes in the order in which they stand; None if nobody can tell.

    Args:
        model: Not changed.
        shapes: Input name -> shape; free dimensions are assumed otherwise.
    """
    copy = model.clone()
    try:
        plan = plan_memory(copy, source="", shapes=shapes, options=Options(reorder=False)).plan
        return plan.arena + _of_programs(copy, shapes)
    except GraphoptError:
        return None


def with_plan(model: ir.Model, shapes: Shapes | None) -> tuple[ir.Model, int]:
    """A copy with its nodes in the order that takes least memory and the plan in its metadata, and the arena.

    Args:
        model: Not changed.
        shapes: Input name -> shape to plan for; free dimensions are assumed otherwise.

    Returns:
        The model, and the bytes that its activations take by the plan.

    Raises:
        ModelError: Memory cannot be planned for a value.
        UsageError: A shape does not fit the model.
    """
    planned, drawn = model.clone(), model.clone()
    places = {node: place for place, node in enumerate(drawn.graph)}
    report = plan_memory(drawn, source="", shapes=shapes)
    write_plan(drawn, report)
    if not model.functions:  # these are inlined in the plan, and stay in what is emitted
        nodes = list(planned.graph)
        planned.graph.extend([nodes[places[node]] for node in drawn.graph])
    planned.metadata_props[PLAN_KEY] = drawn.metadata_props[PLAN_KEY]
    return planned, report.plan.arena + _of_programs(drawn, shapes)


def told_of_programs(model: ir.Model, shapes: Shapes | None) -> str:
    """That programs take memory which no plan of a model's own values has; "" without programs."""
    if not any(map(is_program, model.graph)):
        return ""
    try:
        taken = f": {size(_of_programs(model, shapes))} at a time"
    except GraphoptError:
        taken = ""
    return f"its programs take an arena of their own besides{taken}"


def _of_programs(model: ir.Model, shapes: Shapes | None) -> int:
    """Bytes that the program with the largest arena takes; 0 without programs."""
    dims = Dims(model, shapes=shapes)
    arenas = [0]
    for node in model.graph:
        if is_program(node):
            known = [dims.shape(value) for value in node.inputs if value is not None]
            program = Program.from_bytes(saved_program(node))
            arenas.append(program.arena([shape for shape in known if shape is not None]))
    return max(arenas)
