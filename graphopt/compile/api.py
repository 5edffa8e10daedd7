"""The public functions that take models in any form: check, cost, bench."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

import graphopt.execute as execute
from graphopt.compile.given import read_inputs
from graphopt.cost import ModelCost, estimate
from graphopt.errors import UsageError
from graphopt.io import load
from graphopt.ir import infer_shapes

if TYPE_CHECKING:
    import onnx

    from graphopt.execute import BenchResult, CheckResult


def check(
    original: str | os.PathLike[str] | onnx.ModelProto | ir.Model,
    other: str | os.PathLike[str] | onnx.ModelProto | ir.Model,
    *,
    inputs: Any = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    exact: bool = False,
) -> CheckResult:
    """Compare two models on inputs that fit the first; see `graphopt.execute.check`."""
    data = read_inputs(inputs, shapes)
    return execute.check(
        load(original), load(other), inputs=data, shapes=shapes, rtol=rtol, atol=atol, exact=exact
    )


def cost(
    model: str | os.PathLike[str] | onnx.ModelProto | ir.Model,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> ModelCost:
    """Estimate what a model costs, node by node; see `graphopt.cost.estimate`.

    Args:
        model: Not changed.
        shapes: Input name -> shape, for dynamic inputs.
    """
    loaded = load(model)
    infer_shapes(loaded)
    return estimate(loaded, shapes=shapes)


def bench(
    *models: str | os.PathLike[str] | onnx.ModelProto | ir.Model,
    inputs: Any = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    threads: int = 1,
    seconds: float = 2.0,
) -> BenchResult:
    """Measure latencies side by side, interleaved and paired; see `graphopt.execute.bench`.

    Raises:
        UsageError: A model does not take the inputs of the first, or `inputs` or `shapes` do not fit.
    """
    data = read_inputs(inputs, shapes)
    loaded = [load(model) for model in models]
    for position, other in enumerate(loaded[1:], 2):
        if differences := execute.input_differences(loaded[0], other):
            raise UsageError(
                f"{_label(models[position - 1], position)} does not take the inputs of "
                f"{_label(models[0], 1)}: {'; '.join(differences)}",
                hint="only models with the same inputs can be measured side by side",
            )
    return execute.bench(loaded, inputs=data, shapes=shapes, threads=threads, seconds=seconds)


def _label(model: str | os.PathLike[str] | onnx.ModelProto | ir.Model, position: int) -> str:
    return os.fspath(model) if isinstance(model, (str, os.PathLike)) else f"model {position}"
