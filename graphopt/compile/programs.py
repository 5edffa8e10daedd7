"""Bring a chosen candidate into the target's last form: quantized regions as programs, where that is faster.

Regions that make it slower, or that compute something else, stay as they are; so does a model that has none.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from graphopt.compile.agreement import disagreement
from graphopt.compile.candidates import Stages, Workshop
from graphopt.compile.choice import LARGE_BYTES, Choice, listed
from graphopt.compile.quantization import Conditions
from graphopt.errors import ExecutionError
from graphopt.execute import BenchResult, InputSet, Session, bench, make_inputs
from graphopt.ir import Names, holds_programs, infer_shapes, insert_program
from graphopt.native.compiled import KEPT, Compiled, alone, compile_regions
from graphopt.native.gains import doubt
from graphopt.pipeline import FailedPassError, Pass, Pipeline, Record

REGION_SECONDS = 0.6
"""Time to measure a region for, and its program."""
ALL_SECONDS = 20.0
"""Time to measure all regions for."""
MODEL_SECONDS = 1.6
"""Time to measure the model for, with its programs and without."""
REASONS_SHOWN = 3
FURTHER_SAMPLES = 4
"""Of the calibration data, programs are tried on so many beside the check's inputs."""


def with_programs(
    workshop: Workshop,
    choice: Choice,
    in_float: Choice,
    conditions: Conditions,
    samples: Iterable[Mapping[str, Any]] | None,
    stages: Stages,
) -> Choice:
    """The choice with programs in it, if it is right and no slower; else the choice, and why.

    Args:
        workshop: Makes candidates.
        choice: What is emitted otherwise.
        in_float: What would be emitted without quantizing; maybe the choice itself.
        conditions: Where the model will run, and how it is measured.
        samples: Data to compare on; the check's own where there are none.
        stages: Where time is accounted for.
    """
    if not conditions.last.items or holds_programs(choice.made.model):
        return choice
    if conditions.measure and choice.made.cost.parameter_bytes > LARGE_BYTES:
        note = "no programs are emitted, since the weights exceed 1 GiB: --no-measure emits them untried"
        return dataclasses.replace(choice, notes=[*choice.notes, note])
    with stages("compile"):
        model = choice.made.model.clone()
        infer_shapes(model)
        regions = compile_regions(model).compiled
    if not regions and choice is not in_float and choice.made is in_float.made:
        return choice  # what was quantized was not chosen, as its notes say
    doubts = {each.region.name: doubt(each.region) for each in regions if not conditions.measure}
    keep = {name: reason for name, reason in doubts.items() if reason}
    inputs = _inputs(workshop, model, conditions)
    if inputs is not None:
        with stages("measure regions" if conditions.measure else "check regions"):
            keep |= _refuted(model, regions, inputs, conditions)
    try:
        made = _made(workshop, choice, conditions, keep, samples, stages)
        if conditions.measure:
            made = _if_no_slower(workshop, choice, made, conditions, stages)
        return made
    except _NoProgramsError as error:
        choice = dataclasses.replace(choice, notes=[*choice.notes, *error.notes])
    if not regions or choice.made is in_float.made or not conditions.measure:
        return choice
    return _if_no_slower_in_codes(choice, in_float, conditions, stages)


class _NoProgramsError(Exception):
    """The model is emitted without programs.

    Args:
        notes: Why.
    """

    def __init__(self, *notes: str) -> None:
        super().__init__(*notes)
        self.notes = notes


def _made(
    workshop: Workshop,
    choice: Choice,
    conditions: Conditions,
    keep: Mapping[str, str],
    samples: Iterable[Mapping[str, Any]] | None,
    stages: Stages,
) -> Choice:
    """The choice with programs, compared with what it is without."""
    base = choice.made
    name = f"{base.name} with programs"
    try:
        made = workshop.extend(base, name, _keeping(conditions.last, keep), equal=False, meta={})
    except (ExecutionError, FailedPassError) as error:
        raise _NoProgramsError(f"no programs are emitted: {error}") from error
    records = made.records[len(base.records) :]
    notes = _told(records, keep)
    if not any(record.changes for record in records):
        raise _NoProgramsError(*notes)
    if workshop.samples is not None:
        with stages("check"):
            compared_on = [*workshop.samples, *itertools.islice(samples or (), FURTHER_SAMPLES)]
            reason = _disagreement(base.model, made.model, compared_on, conditions.threads)
        if reason:
            raise _NoProgramsError(f"no programs are emitted: {reason}")
        if base.check is not None:
            note = "its programs agree with onnxruntime but for codes that rounding moves by a step"
            made.check = dataclasses.replace(base.check, exact=False, notes=[*base.check.notes, note])
    return dataclasses.replace(choice, made=made, notes=[*choice.notes, *notes])


def _if_no_slower(
    workshop: Workshop, choice: Choice, made: Choice, conditions: Conditions, stages: Stages
) -> Choice:
    """The choice with programs, unless it is slower than without, with one thread or with two.

    A loss that is not sure counts too: what stock runtimes run needs no library, so it is preferred.
    """
    without = dataclasses.replace(choice.made, name=f"{choice.made.name} without programs")
    tried = [without, made.made]
    models = [workshop.original, *(each.model for each in tried)]
    try:
        with stages("measure"):
            measured = _bench(models, conditions, conditions.threads)
            ratio = measured.ratio(2, 1).median
            if ratio > 1 or measured.slower(2, 1):
                reason = f"the model takes {ratio:.2f} times as long with them"
                raise _NoProgramsError(f"no programs are emitted: {reason}")
            other = 2 if conditions.threads == 1 else 1
            if other <= (os.cpu_count() or 1) and _bench(models[1:], conditions, other).slower(1):
                raise _NoProgramsError(f"no programs are emitted: they are slower with {other} threads")
    except ExecutionError as error:
        raise _NoProgramsError(f"no programs are emitted: {error.message}") from error
    return dataclasses.replace(made, bench=measured, candidates=listed(workshop, tried, measured, made.made))


def _if_no_slower_in_codes(
    choice: Choice, in_float: Choice, conditions: Conditions, stages: Stages
) -> Choice:
    """A quantized choice, or the one in float: it was measured with the programs that it is not to have."""
    with stages("measure"):
        models = [in_float.made.model, choice.made.model]
        slower = _bench(models, conditions, conditions.threads).slower(1)
    if not slower:
        return choice
    note = "without programs the quantized model is slower than the float model, which is emitted"
    return dataclasses.replace(in_float, notes=[*choice.notes, note])


def _inputs(workshop: Workshop, model: ir.Model, conditions: Conditions) -> Mapping[str, Any] | None:
    """What regions are tried on: inputs to measure with, or to check with; None where nothing may run."""
    if conditions.inputs:
        return conditions.inputs[0].values
    samples = workshop.samples
    if samples:
        return samples[0]
    if not conditions.measure:
        return None
    try:
        return make_inputs(model, shapes=conditions.shapes)[0].values
    except ExecutionError:
        return None


def _refuted(
    model: ir.Model, regions: Sequence[Compiled], inputs: Mapping[str, Any], conditions: Conditions
) -> dict[str, str]:
    """Names of the regions that do not gain by a program, and why; measured alone, on what they read.

    A single one is not tried: the model as a whole tells as much.
    """
    if len(regions) < 2:
        return {}
    read = {value.name: None for each in regions for value in each.region.inputs if value.name}
    given = {name: inputs[name] for name in read if name in inputs}
    try:
        session = Session(model, extra_outputs=[name for name in read if name not in given])
        found = {**session.run(inputs), **given}
    except ExecutionError:
        return {}
    seconds = min(REGION_SECONDS, ALL_SECONDS / len(regions))
    refuted: dict[str, str] = {}
    for each in regions:
        region = alone(model, each.region)
        feed = {value.name or "": found[value.name or ""] for value in region.graph.inputs}
        try:
            program = _as_program(region, each.program)
            if not conditions.measure:
                Session(program).run(feed)
            elif bench(
                [region, program], inputs=[InputSet(feed)], threads=conditions.threads, seconds=seconds
            ).slower(1):
                refuted[each.region.name] = "measured slower as a program"
        except ExecutionError as error:
            refuted[each.region.name] = error.message
    return refuted


def _as_program(region: ir.Model, program: bytes) -> ir.Model:
    """A model of one region as a model of one node."""
    model = region.clone()
    graph = model.graph
    insert_program(list(graph), graph.inputs, graph.outputs, program, names=Names(model))
    return model


def _keeping(last: Pipeline, keep: Mapping[str, str]) -> Pipeline:
    """The passes, with names of nodes to leave alone given to those that have a field for them."""
    names = tuple(sorted(keep))
    return Pipeline(
        [
            dataclasses.replace(each, keep=names)  # type: ignore[call-arg]
            if isinstance(each, Pass) and any(field.name == "keep" for field in dataclasses.fields(each))
            else each
            for each in last.items
        ]
    )


def _told(records: Sequence[Record], keep: Mapping[str, str]) -> list[str]:
    """What to say of the passes' outcome."""
    notes = [f"the region of {name!r} is no program: {reason}" for name, reason in keep.items()]
    refusals = Counter({reason: n for record in records for reason, n in record.refusals.items()})
    del refusals[KEPT]  # told one by one
    shown = ", ".join(f"{count}x {reason}" for reason, count in refusals.most_common(REASONS_SHOWN))
    if not any(record.changes for record in records):
        notes.append(
            f"nothing is run by programs: {shown or 'no node is quantized; --quantize int8 does that'}"
        )
    elif shown:
        notes.append(f"left to onnxruntime: {shown}")
    return notes


def _disagreement(base: ir.Model, made: ir.Model, samples: Sequence[Mapping[str, Any]], threads: int) -> str:
    try:
        return disagreement(base, made, samples, threads)
    except ExecutionError as error:
        return error.message


def _bench(models: Sequence[ir.Model], conditions: Conditions, threads: int) -> BenchResult:
    return bench(
        models, inputs=conditions.inputs, shapes=conditions.shapes, threads=threads, seconds=MODEL_SECONDS
    )
