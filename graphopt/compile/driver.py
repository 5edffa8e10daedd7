"""The driver behind `graphopt.optimize`: level -> pipeline -> check -> measure -> report.

Nothing is emitted that was not compared with what came in (unless the caller says so), and nothing that
measures slower. The driver knows no pass by name.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import onnx_ir as ir

from graphopt.compile.candidates import Made, Stages, Workshop
from graphopt.compile.choice import Choice, fastest
from graphopt.compile.emit import stamp, summarize
from graphopt.compile.given import (
    example_in,
    is_module,
    is_traced,
    open_given,
    read_inputs,
    shapes_run_at,
)
from graphopt.compile.levels import (
    FOR_RUNTIMES,
    goes_in_fours,
    in_fours,
    last_pipeline,
    lower_levels,
    pipeline_for,
    require_data,
    rivals,
    split_lossy,
    standard_forms,
    told_without_last,
)
from graphopt.compile.opset import convert_opset, notes_of_raising, passes_against
from graphopt.compile.planning import with_plan
from graphopt.compile.programs import with_programs
from graphopt.compile.pruning import (
    FREEZE,
    TYING,
    PruneRequest,
    Stage,
    account,
    as_written,
    require_judge,
)
from graphopt.compile.pruning import prune as prune_to
from graphopt.compile.quantization import Conditions, OwnPasses, Request, calibration_samples, try_metric
from graphopt.compile.quantization import quantize as quantized
from graphopt.compile.remarks import remarks
from graphopt.compile.result import Result
from graphopt.errors import GraphoptError, UsageError
from graphopt.execute import check_budget, fit_inputs
from graphopt.io import Interface, data_files, data_files_of, ensure_writable, save, stored_bytes
from graphopt.ir import paused_collector
from graphopt.native import instruction_set
from graphopt.pipeline import Observer, Pipeline
from graphopt.pytorch import require_torch
from graphopt.pytorch.signature import SIGNATURE_KEY
from graphopt.report import Report, Step
from graphopt.report.memory import PLAN_KEY
from graphopt.report.steps import PLANNED
from graphopt.targets import Target

if TYPE_CHECKING:
    from graphopt.compile.given import Source
    from graphopt.compile.quantization import QuantizationScheme, TaskMetric


def optimize(
    model: Source,
    example_inputs: Any = None,
    *,
    dynamic_shapes: Any = None,
    emit: Literal["onnx", "fx"] = "onnx",
    level: int = 2,
    passes: str | Pipeline | None = None,
    skip: Sequence[str] = (),
    target: str = "portable",
    shapes: Mapping[str, Sequence[int]] | None = None,
    inputs: Any = None,
    opset: int | str = "auto",
    prune: float | str | Mapping[str, Any] | None = None,
    quantize: str | QuantizationScheme | None = None,
    calibration: Any = None,
    metric: str | TaskMetric | None = None,
    max_drop: float | None = None,
    time_budget: float | None = None,
    plan_memory: bool = False,
    check: bool = True,
    check_timeout: float | None = None,
    memory_limit: int | None = None,
    measure: bool = True,
    threads: int = 1,
    pass_timeout: float | None = None,
    output: str | os.PathLike[str] | None = None,
    observer: Observer | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Result:
    """Optimize a model, check it against the original, and keep it only if it measures no slower.

    Args:
        model: A file, a `ModelProto`, an `onnx_ir.Model`, a PyTorch module or exported program, or text like
            "script.py:make_model" that names a function which returns a module and its example inputs. It is
            not changed.
        example_inputs: What to trace a module with, as `graphopt.trace` takes it. It is also checked and
            measured with them, and checked at other sizes where those may vary. By default the first sample
            of a list of calibration data, or of a DataLoader.
        dynamic_shapes: Which dimensions of a module's inputs may vary, likewise.
        emit: "onnx", or "fx" for a trainable `torch.fx.GraphModule`; see `graphopt.to_fx`. It is compared and
            measured in PyTorch. Weights are constants to the passes all the same: those that contribute
            nothing as they are now, like a bias of zeros, are gone from it.
        level: 0 validates and normalizes, 1 allows bit-exact rewrites, 2 those within float tolerance.
        passes: A pipeline or its text, in place of the level's.
        skip: Names of passes to leave out.
        target: Name or file of a target description.
        shapes: Input name -> shape at which the model is checked, costed and measured.
        inputs: Data to check and measure with: a file, a folder, or arrays by input name.
        opset: "auto" raises the version of the standard operator set where a fusion needs a newer one, "keep"
            never does; a number is converted to first, and then kept.
        prune: Share of multiply-accumulates to take out, or a goal, as "macs=0.3", "params=0.3" or
            "latency=0.3", with options of the pass `prune-channels` behind it, as in
            "macs=0.3,importance=l2"; or the same as a mapping. Whole channels, heads and hidden elements go.
        quantize: A scheme, "int8", "dynamic-int8", "weight-int8", "weight-int4", "fp16", "bf16" or "auto", or
            one with options of its own, as `Int8(observer="mse")`. What it slows or breaks stays in float.
        calibration: Sets of inputs as the model will see them, from which ranges of activations are taken,
            and to which the weights of a pruned model are fitted: a folder, a file, an iterable of arrays by
            input name, or "synthetic" for inputs made to fit.
        metric: What accuracy is told in: a name of `graphopt.quant.metrics`, or a function that is given one
            that runs the model on arrays by input name, and returns a number of which more is better.
        max_drop: How much of the metric pruning and quantizing may cost; by default only a broken model is
            refused. A lower rate is pruned where that one costs more.
        time_budget: Seconds to search for nodes to leave in float; the best found by then is returned.
        plan_memory: Put the nodes into the order that takes least memory, and the plan into the metadata; see
            `graphopt plan`.
        check: Compare with the original run without a runtime's own optimizations.
        check_timeout: Seconds of processor time that all runs of the check may take together; by default 5,
            and one more for each megabyte of weights.
        memory_limit: Bytes that a run of the check may allocate beside the weights; by default 384 MiB, and
            four times the weights, and the size of what is computed from constants alone.
        measure: Compare latencies, and emit the fastest candidate.
        threads: Threads of the runtime while measuring.
        pass_timeout: Seconds after which a pass that still runs is stopped, left out and named; None for a
            generous limit that grows with the model, infinity for none.
        output: File to write, or None.
        observer: Called after each pass with its record and the model.
        progress: Called with the name of each stage.

    Returns:
        The emitted model and the report.

    Raises:
        LimitError: The check took longer than `check_timeout`, or more memory than `memory_limit`.
        GraphoptError: The input, an option or the output file is bad. Passes that fail are no error: they are
            left out and named in the report.
    """
    chosen_target = Target.load(target)
    instruction_set()  # a wrong one is told before any work, not by a pass that is left out for it
    _check_form(emit, chosen_target, output)
    if pass_timeout is not None and not pass_timeout > 0:
        raise UsageError(f"pass_timeout is {pass_timeout!r}, expected more than 0 seconds")
    last = last_pipeline(level, skip, target) if passes is None and emit == "onnx" else Pipeline(())
    own = None if passes is None else pipeline_for(level, passes, (), target)
    unfinished = told_without_last(level, own, target) if emit == "onnx" else ""
    unwanted = (*passes_against(opset), *(FOR_RUNTIMES if emit == "fx" and passes is None else ()))
    pipeline, lossy = split_lossy(pipeline_for(level, passes, skip, target).without(*unwanted))
    pruning = PruneRequest.asked(prune, metric, max_drop)
    scheme = _scheme(quantize, lossy)
    if calibration is None:
        require_data(Pipeline((*pipeline.items, *lossy.items, *(pruning.passes().items if pruning else ()))))
    require_judge(calibration, metric, max_drop, check=check)
    request = None
    if scheme is not None or pruning is None:
        request = Request.asked(scheme, calibration, metric, max_drop, time_budget)
    elif time_budget is not None:
        raise UsageError("time_budget is given, but the model is not to be quantized", hint="leave it out")
    if pruning is not None and emit == "fx":
        raise UsageError(
            'emit="fx" gives the whole module', hint="prune what graphopt.optimize emits as ONNX"
        )
    if request is not None and emit == "fx":
        raise UsageError(
            'emit="fx" gives a float module', hint="quantize what graphopt.optimize emits as ONNX"
        )
    if plan_memory and emit == "fx":
        raise UsageError("a module has no memory plan", hint="plan what graphopt.optimize emits as ONNX")
    asked = read_inputs(inputs, shapes)
    if output is not None:
        ensure_writable(output)
    stages = Stages(progress)
    with paused_collector():
        with stages("trace" if is_traced(model) else "load"):
            if example_inputs is None and is_module(model):
                example_inputs = example_in(calibration, model)
            given = open_given(model, example_inputs, dynamic_shapes)
            original, notes = given.model, given.notes
            if unfinished:
                notes.append(unfinished)
            if output is not None and os.path.realpath(output) in map(os.path.realpath, data_files(original)):
                raise UsageError(
                    f"{os.fspath(output)!r} holds weights of {given.source}, which would be lost",
                    hint="name another file",
                )
            interface = Interface.of(original)
            before = summarize(original)
            if given.file is not None:
                before.file_bytes = stored_bytes([given.file, *data_files(original)])
            start = convert_opset(original, opset, notes)
            if pruning is not None and any(value.is_initializer() for value in start.graph.inputs):
                notes.append("initializers that are graph inputs too are constants now: their channels go")
                pipeline = Pipeline((*Pipeline.parse(FREEZE).items, *pipeline.items))
            if request is not None and passes is None and not measure:
                pipeline = in_fours(pipeline)  # kernels of codes take far longer for other counts
            data = given.data(asked, shapes)
            samples = calibration_samples(calibration, original, shapes)
            asking = request or pruning
            if asking is not None:
                try_metric(asking.metric, original, threads)
            if pruning is not None:
                pruning.check(start)
            if samples is not None and data.measure is None and shapes is None:
                data = dataclasses.replace(data, measure=[samples.first])
        costed = shapes_run_at(shapes, data.measure and fit_inputs(original, data.measure))
        limits = functools.partial(check_budget, seconds=check_timeout, peak_bytes=memory_limit)
        workshop = Workshop(
            original, start, interface,
            inputs=data.check, insisted=data.insisted, shapes=data.shapes, costed=costed,
            budget=limits if check else None, stages=stages,
            observer=observer, pass_timeout=pass_timeout,
        )  # fmt: skip
        made = workshop.make(f"-O{level}" if passes is None else "pipeline", pipeline)
        left = (*skip, *unwanted)
        compared = passes is None and (measure or emit == "fx")
        fallbacks = lower_levels(level, left, target) if compared else {}
        choice = Choice(made)
        emitted: Any = None
        if emit == "fx":
            from graphopt.compile.fx_form import emit_module

            module = emit_module(
                workshop, made, fallbacks, given=given, inputs=data.measure, measure=measure,
                threads=threads, stages=stages,
            )  # fmt: skip
            choice = Choice(module.made, module.bench, notes=module.notes)
            emitted = module.module
            module.made.check = module.check
        elif measure:
            choice = fastest(
                workshop, made, fallbacks,
                rivals=rivals(level, left, target) if passes is None else {},
                inputs=data.measure, shapes=shapes, threads=threads, stages=stages,
            )  # fmt: skip
        conditions = Conditions(target, data.measure, shapes, threads, measure, last)
        standard = standard_forms(level, left, target) if passes is None else {}
        if passes is None and goes_in_fours(choice.made.pipeline):
            made, pipeline = choice.made, choice.made.pipeline
            standard = {name: in_fours(each) for name, each in standard.items()}
        told: list[Step] = []
        unmet = ""
        if request is not None or pruning is not None:
            base = next((workshop.make(name, each) for name, each in standard.items()), made)
        on_the_way = [Stage("original", original, workshop.cost), _stage("optimized", choice.made)]
        evaluation = None
        if pruning is not None:
            plain = next(iter(standard.values()), pipeline).without(*TYING)
            base = workshop.make("not tied", plain)
            pruned = prune_to(workshop, base, choice, pruning, conditions, samples, stages)
            choice, unmet, evaluation = pruned.choice, pruned.unmet, pruned.evaluation
            if pruned.made is not None:
                base = pruned.made
                on_the_way.append(_stage("pruned", base))
            if request is not None:
                request = request.with_less_drop(pruned.drop)
        in_float = choice
        if request is not None:
            choice = _followed(
                choice, quantized(workshop, base, choice.made, request, conditions, samples, stages)
            )
        choice = with_programs(workshop, choice, in_float, conditions, samples, stages)
        made = choice.made
        if choice.quantization is not None:
            on_the_way.append(_stage("quantized", made))
        plan: dict[str, str] = {}
        if plan_memory:
            try:
                with stages("plan memory"):
                    made.model, arena = with_plan(made.model, costed)
                plan = {PLAN_KEY: made.model.metadata_props[PLAN_KEY]}
                on_the_way.append(Stage(PLANNED, made.model, made.cost, arena))
            except GraphoptError as error:
                unmet = f"memory is not planned: {error.message}"
                notes.append(unmet)
        if pruning is not None or plan_memory:
            with stages("account"):
                told = account(on_the_way, conditions, evaluation)
        version = importlib.metadata.version("graphopt")
        totals = {
            **made.cost.metadata(),
            **plan,
            "graphopt.pipeline": str(made.pipeline),
            "graphopt.version": version,
        }
        stamp(made.model, totals)
        after = summarize(made.model)
        if given.signature is not None:
            made.model.meta[SIGNATURE_KEY] = given.signature
        files: list[str] = []
        with stages("save"):
            if output is not None:
                files, abandoned = _write(made.model, output)
                notes += abandoned
                after.file_bytes = stored_bytes(files)
    if samples is not None:
        notes += samples.notes
    corrected = [*made.corrections, *notes_of_raising(made.records), *remarks(made.records)]
    report = Report(
        version=version,
        source=given.source,
        target=chosen_target.name,
        pipeline=str(made.pipeline),
        before=before,
        after=after,
        notes=[*notes, *workshop.notes, *workshop.notes_of(made), *corrected, *choice.notes],
        cost_before=workshop.cost,
        cost_after=made.cost,
        records=made.records,
        left_out=made.left_out,
        check=made.check,
        bench=choice.bench,
        candidates=choice.candidates,
        quantization=choice.quantization,
        steps=as_written(told, before.file_bytes, after.file_bytes),
        seconds=stages.seconds,
        files=files,
        unmet=unmet,
    )
    return Result(made.model if emitted is None else emitted, report)


def _scheme(quantize: str | QuantizationScheme | None, lossy: Pipeline) -> str | QuantizationScheme | None:
    """How to quantize, whether that is asked for by a scheme or by passes."""
    if not lossy.items:
        return quantize
    if quantize is not None:
        raise UsageError(
            f"quantize is given, and so are passes that lose accuracy on their own: {lossy}",
            hint="leave one out, or quantize by passes too: calibrate{data=PATH},quantize-static behind them",
        )
    return OwnPasses(lossy)


def _stage(name: str, made: Made) -> Stage:
    return Stage(name, made.model, made.cost)


def _followed(float_choice: Choice, choice: Choice) -> Choice:
    """The second choice, with what there is to say of the first and still is true.

    Which one of float is emitted is not, where none is, nor why nothing was measured, where it was by now.
    """
    is_float = choice.quantization is None
    if (
        is_float and not (float_choice.bench is None and choice.bench is not None)
    ) or float_choice.made.lossy:
        choice.notes[:0] = float_choice.notes
    if choice.bench is None:
        choice.bench, choice.candidates = float_choice.bench, float_choice.candidates
    return choice


def _check_form(emit: str, target: Target, output: object) -> None:
    """Raise a UsageError where a PyTorch module was asked for and something that it cannot have."""
    if emit not in ("onnx", "fx"):
        raise UsageError(f"emit is {emit!r}, expected 'onnx' or 'fx'")
    if emit == "onnx":
        return
    require_torch('emit="fx"')
    if target.passes:
        raise UsageError(
            f"operators of the target {target.name!r} have no form in PyTorch", hint="leave the target out"
        )
    if output is not None:
        raise UsageError("output= writes ONNX, not a module", hint="torch.save(result.model, path) writes it")


def _write(model: ir.Model, output: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
    """Save the model; return its files, and a note for each data file that `output` had and needs no more."""
    used = data_files_of(output)
    files = save(model, output)
    unused = sorted(used - {file.name for file in files})
    name = os.path.basename(os.path.realpath(output))
    return [str(file) for file in files], [f"{each} is no longer used by {name}" for each in unused]
