"""The memory plan of a model at given shapes: binds sizes, plans, and says what was assumed.

A value whose size does not follow from the inputs gets the one it has in a run on inputs made to fit; nothing
is run otherwise.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from graphopt.cost.dims import Dims, refuse_unknown
from graphopt.errors import GraphoptError, ModelError
from graphopt.execute import make_inputs
from graphopt.execute.bodies import Observed, observe
from graphopt.ir import infer_shapes
from graphopt.memory.graph_plan import USUAL, Box, GraphPlan, Options, plan_graph
from graphopt.memory.liveness import live_ranges
from graphopt.pipeline import Pipeline

PLAN_KEY = "graphopt.memory.plan"
"""Under it the metadata of an emitted model hold its plan, as JSON."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """What was done to keep to so many bytes.

    Attributes:
        bytes: That the arena may have.
        before: Bytes of the arena of the given model.
        fits: It has no more.
        done: Changes to the model, in words.
        macs: Multiply-accumulates before and after.
        blocks: What stands at the peak, in words, where it does not fit; "" where it does.
        reason: Why nothing more was done, where it does not fit; "" where it does.
        same: How outputs of the changed model compare with those of the given one; "" where nothing changed.
    """

    bytes: int
    before: int
    fits: bool
    done: tuple[str, ...]
    macs: tuple[int, int]
    blocks: str = ""
    reason: str = ""
    same: str = ""

    @property
    def extra(self) -> float:
        """Multiply-accumulates that it costs, as a share of those before."""
        return self.macs[1] / self.macs[0] - 1 if self.macs[0] else 0.0


@dataclasses.dataclass(frozen=True)
class MemoryReport:
    """A model's memory plan.

    Attributes:
        source: The model's file.
        plan: The plan of its main graph.
        assumed: Sizes taken for free dimensions of inputs, by name.
        notes: What else a user should know.
        budget: How it was kept to, if there was one.
    """

    source: str
    plan: GraphPlan
    assumed: Mapping[str, int]
    notes: tuple[str, ...] = ()
    budget: Budget | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: sizes and offsets in bytes, places in the order counted from 0."""
        plan = self.plan
        place = plan.peak_place
        return {
            "source": self.source,
            "arena": plan.arena,
            "lower_bound": plan.lower_bound,
            "optimal": plan.optimal,
            "gap": plan.arena / plan.lower_bound - 1 if plan.lower_bound else 0.0,
            "given_order_bytes": plan.given_peak,
            "any_order_lower_bound": plan.any_order,
            "best_order": plan.is_best_order,
            "constants": plan.constant_bytes,
            "alignment": plan.options.alignment,
            "seconds": plan.seconds,
            "assumed": dict(self.assumed),
            "notes": list(self.notes),
            "budget": None if self.budget is None else dataclasses.asdict(self.budget),
            "peak": {
                "place": place,
                "node": plan.called(place) if plan.nodes else None,
                "alive": [_box(plan, box) for box in plan.alive_at(place)],
            },
            "order": [plan.called(place) for place in range(len(plan.nodes))],
            "offsets": dict(plan.offsets),
            "sizes": dict(
                zip(map(plan.steps.name, range(len(plan.steps.sizes))), plan.steps.sizes, strict=True)
            ),
            "live": {
                plan.steps.name(value): list(live)
                for value, live in enumerate(live_ranges(plan.steps, plan.order, plan.options.pins))
            },
        }


def plan_memory(
    model: ir.Model,
    *,
    source: str,
    shapes: Mapping[str, Sequence[int]] | None = None,
    options: Options = USUAL,
    notes: Sequence[str] = (),
) -> MemoryReport:
    """Plan the memory of a model.

    Args:
        model: Its functions are inlined and its shapes inferred; nothing else of it is changed.
        source: What to call it.
        shapes: Input name -> shape; free dimensions are assumed otherwise (see `graphopt.cost.dims.Dims`).
        options: How to plan.
        notes: What was found while it was loaded.

    Raises:
        ModelError: Memory cannot be planned for a value; the message names it.
        UsageError: A shape does not fit the model.
    """
    refuse_unknown(model, shapes or {})
    if model.functions:
        Pipeline.parse("inline").run(model)
    infer_shapes(model)
    dims = Dims(model, shapes=shapes)
    told = list(notes)
    try:
        plan = plan_graph(model.graph, dims.known_shape, options)
    except ModelError as error:
        observed = _observed(model, dims, shapes or {})
        if observed is None:
            raise
        assumed = _really(model, dims.assumed, observed.shapes)
        dims = Dims(model, shapes=observed.shapes)
        dims.assumed.update(assumed)
        options = dataclasses.replace(options, idle=frozenset(observed.idle))
        try:
            plan = plan_graph(model.graph, dims.known_shape, options)
        except ModelError:
            raise error from None
        told.append(
            "sizes that do not follow from the inputs are those of one run on inputs made to fit; "
            "others may need more"
        )
        told.extend(_not_run(observed.idle.values()))
    return MemoryReport(source, plan, dict(dims.assumed), tuple(told))


def write_plan(model: ir.Model, report: MemoryReport) -> None:
    """Put a model's nodes into the order of its plan, and the plan into its metadata."""
    write_order(model, report.plan)
    plan = report.to_dict()
    kept = ("arena", "lower_bound", "optimal", "alignment", "assumed", "offsets")
    model.metadata_props[PLAN_KEY] = json.dumps({key: plan[key] for key in kept}, separators=(",", ":"))


def write_order(model: ir.Model, plan: GraphPlan) -> None:
    """Put a model's nodes into the order of its plan, those that run once and for all first."""
    ordered = plan.nodes
    planned = set(ordered)
    model.graph.extend([*(node for node in model.graph if node not in planned), *ordered])


def _observed(model: ir.Model, dims: Dims, shapes: Mapping[str, Sequence[int]]) -> Observed | None:
    """Real shapes of all values in one run; None where the model cannot be run.

    At the sizes planned for, or, if the model does not run at what was assumed of these, at others.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    given = {value.name or "": dims.shape(value) for value in inputs}
    assumed = {name: shape for name, shape in given.items() if shape is not None}
    for tried in (assumed, shapes) if len(assumed) == len(given) else (shapes,):
        try:
            return observe(model, make_inputs(model, shapes=tried)[0].values)
        except GraphoptError:
            continue
    return None


def _really(
    model: ir.Model, assumed: Mapping[str, int], shapes: Mapping[str, Sequence[int]]
) -> dict[str, int]:
    """The sizes that were assumed, as they were in a run."""
    found = dict(assumed)
    for value in model.graph.inputs:
        seen = shapes.get(value.name or "")
        if seen is None or value.shape is None or len(seen) != len(value.shape):
            continue
        for axis, dim in enumerate(value.shape.dims):
            named = None if isinstance(dim, int) else dim.value
            name = f"{value.name}[{axis}]" if named is None else named
            if name in found:
                found[name] = seen[axis]
    return found


def _not_run(nodes: Iterable[ir.Node]) -> Iterator[str]:
    """Whose memory is not planned."""
    names = dict.fromkeys(node.name or node.op_type for node in nodes)
    if names:
        yield f"branches that cannot run on these inputs are not planned, of {', '.join(names)}"


def _box(plan: GraphPlan, box: Box) -> dict[str, Any]:
    return {**dataclasses.asdict(box), "values": [plan.steps.name(value) for value in box.values]}
