"""The public functions that take models in any form: check, compress, cost, sensitivity, bench."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import graphopt.execute as execute
from graphopt.compile.driver import optimize
from graphopt.compile.given import IN_MEMORY, Given, is_module, open_given, read_inputs
from graphopt.compile.pruning import ScanRequest, scan
from graphopt.compile.pruning.sensitivity import RATES
from graphopt.compile.quantization import calibration_samples
from graphopt.cost import ModelCost, estimate
from graphopt.errors import UsageError
from graphopt.ir import infer_shapes
from graphopt.native.work import program_work

if TYPE_CHECKING:
    from graphopt.compile.given import Source
    from graphopt.compile.quantization import QuantizationScheme, TaskMetric
    from graphopt.compile.result import Result
    from graphopt.execute import BenchResult, CheckResult
    from graphopt.report.sensitivity import Sensitivity


def check(
    original: Source,
    other: Source,
    *,
    example_inputs: Any = None,
    dynamic_shapes: Any = None,
    inputs: Any = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    exact: bool = False,
) -> CheckResult:
    """Compare two models on inputs that fit the first; see `graphopt.execute.check`.

    Args:
        original, other: Models in any form that `optimize` takes.
        example_inputs, dynamic_shapes: What to trace modules among them with, as `graphopt.trace` takes it.
        inputs, shapes: Data, or shapes for which data are made; by default a module's example inputs, or
            inputs made to fit the first model.
        rtol, atol, exact: Tolerances; by default those of each type.
    """
    asked = read_inputs(inputs, shapes)
    first, second = _open([original, other], example_inputs, dynamic_shapes)
    data = first.data(asked, shapes).check
    return execute.check(
        first.model, second.model, inputs=data, shapes=shapes, rtol=rtol, atol=atol, exact=exact
    )


def compress(
    model: Source,
    example_inputs: Any = None,
    *,
    pruning_rate: float | str | Mapping[str, Any] | None = None,
    quantization: str | QuantizationScheme | None = None,
    calibration: Any = None,
    **options: Any,
) -> Result:
    """Optimize, prune and quantize a model in one call; see `graphopt.optimize`.

    Args:
        model: In any form that `optimize` takes; not changed.
        example_inputs: What to trace a module with, as `graphopt.trace` takes it.
        pruning_rate: Share of multiply-accumulates to take out, or what `optimize` takes as `prune`.
        quantization: A scheme; None keeps floats.
        calibration: Sets of inputs as the model will see them.
        options: Of `optimize`, as `max_drop` or `output`.

    Raises:
        UsageError: Neither a rate nor a scheme is given, or an option is bad.
    """
    if pruning_rate is None and quantization is None:
        raise UsageError(
            "neither pruning_rate nor quantization is given", hint="graphopt.optimize keeps a model's numbers"
        )
    return optimize(
        model, example_inputs, prune=pruning_rate, quantize=quantization, calibration=calibration, **options
    )


def cost(
    model: Source,
    example_inputs: Any = None,
    *,
    dynamic_shapes: Any = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> ModelCost:
    """Estimate what a model costs, node by node; see `graphopt.cost.estimate`.

    Args:
        model: In any form that `optimize` takes; not changed.
        example_inputs, dynamic_shapes: What to trace a module with, as `graphopt.trace` takes it.
        shapes: Input name -> shape, for dynamic inputs.
    """
    given = open_given(model, example_inputs, dynamic_shapes)
    infer_shapes(given.model)
    return estimate(given.model, shapes=shapes or given.example_shapes, programs=program_work)


def sensitivity(
    model: Source,
    example_inputs: Any = None,
    *,
    calibration: Any = None,
    metric: str | TaskMetric | None = None,
    rates: Sequence[float] = RATES,
    importance: str = "curvature",
    dynamic_shapes: Any = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    threads: int = 1,
    progress: Callable[[str], None] = lambda stage: None,
) -> Sensitivity:
    """Measure what the outputs of a model lose as one group of channels after the other loses units.

    The model is that which `optimize(prune=...)` prunes, and units go in the order in which it takes them;
    what stays is fitted to make up for them as far as mean products of channels tell.

    Args:
        model: In any form that `optimize` takes; not changed.
        example_inputs, dynamic_shapes: What to trace a module with, as `graphopt.trace` takes it.
        calibration: Sets of inputs as the model will see them, as `optimize` takes them. One in four is held
            out, and errors are told on these.
        metric: A metric to tell beside the error of outputs, as `optimize` takes it.
        rates: Shares of a group's units that are taken, each between 0 and 1.
        importance: What orders the units of a group: one of `graphopt.pruning.importance.MEASURES`.
        shapes: Input name -> shape, for "synthetic" data.
        threads: Threads of the runtime.
        progress: Called with what is going on.

    Raises:
        UsageError: An option is bad, data are missing or do not fit, or there is nothing to prune.
    """
    request = ScanRequest.asked(calibration, metric, rates, importance)
    read_inputs(None, shapes)
    given = open_given(model, example_inputs, dynamic_shapes)
    samples = calibration_samples(calibration, given.model, shapes)
    assert samples is not None
    return scan(given.model, samples, request, source=given.source, threads=threads, tell=progress)


def bench(
    *models: Source,
    example_inputs: Any = None,
    dynamic_shapes: Any = None,
    inputs: Any = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    threads: int = 1,
    seconds: float = 2.0,
) -> BenchResult:
    """Measure latencies side by side, interleaved and paired; see `graphopt.execute.bench`.

    All run in onnxruntime, PyTorch modules too.

    Args:
        models: Models in any form that `optimize` takes.
        example_inputs, dynamic_shapes: What to trace modules among them with, as `graphopt.trace` takes it.
        inputs, shapes: Data, or shapes for which data are made; by default a module's example inputs, or
            inputs made to fit the first model.
        threads: Threads of the runtime.
        seconds: Time to measure.

    Raises:
        UsageError: A model does not take the inputs of the first, or `inputs` or `shapes` do not fit.
    """
    asked = read_inputs(inputs, shapes)
    given = _open(models, example_inputs, dynamic_shapes)
    data = given[0].data(asked, shapes).measure if given else None
    loaded = [each.model for each in given]
    for position, other in enumerate(loaded[1:], 2):
        if differences := execute.input_differences(loaded[0], other):
            raise UsageError(
                f"{_label(given[position - 1], position)} does not take the inputs of "
                f"{_label(given[0], 1)}: {'; '.join(differences)}",
                hint="only models with the same inputs can be measured side by side",
            )
    return execute.bench(loaded, inputs=data, shapes=shapes, threads=threads, seconds=seconds)


def _open(models: Sequence[Source], example_inputs: Any, dynamic_shapes: Any) -> list[Given]:
    """Open each model; the example inputs are for the modules among them."""
    modules = [is_module(model) for model in models]
    if not any(modules) and models:
        return [open_given(models[0], example_inputs, dynamic_shapes), *map(open_given, models[1:])]
    return [
        open_given(model, example_inputs, dynamic_shapes) if module else open_given(model)
        for model, module in zip(models, modules, strict=True)
    ]


def _label(given: Given, position: int) -> str:
    return f"model {position}" if given.source == IN_MEMORY else given.source
