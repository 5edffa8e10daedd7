"""The memory plan of a model within a budget: what is changed for it, and what blocks it.

The changes themselves are the pass `fit-memory`'s. A changed model is handed back only if its outputs are
those of the given one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from graphopt.cost import estimate
from graphopt.cost.dims import Dims
from graphopt.errors import GraphoptError
from graphopt.execute import Oracle
from graphopt.ir import infer_shapes
from graphopt.memory.graph_plan import USUAL, GraphPlan, Options
from graphopt.native.work import program_work
from graphopt.passes.memory.fit_memory import FitMemory
from graphopt.pipeline import Pipeline
from graphopt.report.memory import Budget, MemoryReport, plan_memory, write_order
from graphopt.report.units import size

SETTLED = "fold,simplify-shapes,fold,dce"
"""Run once sizes are fixed: what is computed with sizes becomes constants."""

MOST_ROUNDS = 3
"""Goals below the budget that are tried where values fit, but not without gaps between them."""

LISTED = 3
"""Values at the peak that are named."""


def plan_within(
    model: ir.Model,
    most_bytes: int,
    *,
    source: str,
    shapes: Mapping[str, Sequence[int]] | None = None,
    options: Options = USUAL,
    notes: Sequence[str] = (),
) -> tuple[ir.Model, MemoryReport]:
    """Plan the memory of a model, changed so that it takes no more than some bytes, if that can be.

    If it does not fit as it is, nodes are run in parts or again (pass `fit-memory`). For that the sizes of
    its inputs must be fixed, in the model or by `shapes`; the changed model takes no others.

    Args:
        model: As `plan_memory` leaves it.
        most_bytes: That the arena may have.
        source, shapes, options, notes: See `plan_memory`.

    Returns:
        The model that is planned: a changed copy, or the model itself; and its plan.

    Raises:
        ModelError, UsageError: See `plan_memory`.
    """
    report = plan_memory(model, source=source, shapes=shapes, options=options, notes=notes)
    macs = estimate(model, shapes=shapes, programs=program_work).macs
    budget = Budget(most_bytes, report.plan.arena, report.plan.arena <= most_bytes, (), (macs, macs))
    if budget.fits:
        return model, dataclasses.replace(report, budget=budget)
    copy = model.clone()
    fixed = _fix(copy, shapes or {})
    free = [value for value in _inputs(copy) if not all(isinstance(dim, int) for dim in _dims(value))]
    if free:
        return model, _blocked(report, budget, _how_to_fix(free, Dims(copy)))
    try:
        Pipeline.parse(SETTLED).run(copy)
        infer_shapes(copy)
        macs = estimate(copy).macs
        copy, found, done, reason = _fit(copy, report, most_bytes, options)
    except GraphoptError as error:
        return model, _blocked(report, budget, f"with its sizes fixed the model has no plan: {error.message}")
    if found.plan.arena >= report.plan.arena:
        return model, _blocked(report, budget, reason)
    try:
        answer = Oracle(model, shapes=shapes).compare(copy, as_written=True)
    except GraphoptError as error:
        return model, _blocked(report, budget, f"a changed model could not be checked: {error.message}")
    if not answer.equal:
        return model, _blocked(report, budget, f"the changed model gave other outputs: {answer.reason}")
    largest = max((each.max_abs for each in answer.worst), default=0.0)
    budget = dataclasses.replace(
        budget,
        fits=found.plan.arena <= most_bytes,
        done=done,
        macs=(macs, estimate(copy).macs),
        same="bit for bit" if answer.exact else f"within rounding, at most {largest:.2g} apart",
    )
    told = (*found.notes, *(f"the sizes of {name} are fixed now" for name in fixed))
    found = dataclasses.replace(found, notes=told)
    if budget.fits:
        return copy, dataclasses.replace(found, budget=budget)
    return copy, _blocked(found, budget, reason)


def _fit(
    model: ir.Model, report: MemoryReport, most_bytes: int, options: Options
) -> tuple[ir.Model, MemoryReport, tuple[str, ...], str]:
    """The best changed model, its plan, what was done, and why nothing more."""
    goal = most_bytes
    best = None
    for _ in range(MOST_ROUNDS):
        copy = model.clone()
        if options.reorder:
            write_order(copy, plan_memory(copy, source=report.source, options=options).plan)
        record = Pipeline((FitMemory(goal),)).run(copy, pass_timeout=math.inf).records[0]
        found = plan_memory(copy, source=report.source, options=options, notes=report.notes)
        done = tuple(what if times == 1 else f"{times} x {what}" for what, times in record.hits.items())
        reason = next(iter(record.refusals), "")
        if best is None or found.plan.arena < best[1].plan.arena:
            best = copy, found, done, reason
        if found.plan.arena <= most_bytes or reason:
            break
        goal = goal * most_bytes // found.plan.arena - options.alignment
    assert best is not None
    return best


def _inputs(model: ir.Model) -> list[ir.Value]:
    return [value for value in model.graph.inputs if not value.is_initializer()]


def _dims(value: ir.Value) -> Sequence[int | ir.SymbolicDim | None]:
    return (None,) if value.shape is None else value.shape.dims


def _fix(model: ir.Model, shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """Give inputs the sizes a user gave; those of which a size was free."""
    fixed = []
    for value in _inputs(model):
        given = shapes.get(value.name or "")
        if given is not None and any(not isinstance(dim, int) for dim in _dims(value)):
            value.shape = ir.Shape(given)
            fixed.append(value.name or "")
    return fixed


def _how_to_fix(free: Sequence[ir.Value], dims: Dims) -> str:
    """That sizes are free, and what would fix them as they were assumed."""
    shapes = [(value.name, dims.shape(value)) for value in free]
    options = [f"--shape {name}={'x'.join(map(str, shape))}" for name, shape in shapes if shape]
    return f"parts have fixed sizes, but sizes of inputs are free; to fix them: {' '.join(options)}"


def _blocked(report: MemoryReport, budget: Budget, reason: str) -> MemoryReport:
    return dataclasses.replace(
        report, budget=dataclasses.replace(budget, blocks=_at_peak(report.plan), reason=reason)
    )


def _at_peak(plan: GraphPlan) -> str:
    """What is alive at the peak, in words."""
    if not plan.nodes:
        return "nothing runs"
    place = plan.peak_place
    node = plan.nodes[place]
    alive = plan.alive_at(place)
    named = [
        f"{'' if box.values else 'the bodies of '}{box.name!r} ({size(box.size)})" for box in alive[:LISTED]
    ]
    more = len(alive) - len(named)
    return f"{node.op_type} {node.name!r} needs {size(plan.needs[place])} at a time: {', '.join(named)}" + (
        f" and {more} more" if more else ""
    )
