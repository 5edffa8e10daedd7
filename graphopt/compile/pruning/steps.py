"""Measure the steps from the original to the emitted model side by side."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import onnx_ir as ir

from graphopt.compile.given import shapes_run_at
from graphopt.compile.planning import memory_as_it_stands
from graphopt.compile.quantization.accuracy import Evaluation
from graphopt.compile.quantization.request import Conditions
from graphopt.cost import ModelCost
from graphopt.errors import ExecutionError
from graphopt.execute import bench
from graphopt.io import to_proto
from graphopt.report import Step

SECONDS = 2.0


@dataclasses.dataclass(frozen=True)
class Stage:
    """A model to be told of.

    Attributes:
        name: Of the step.
        model: The model.
        cost: Its cost estimate.
        arena: Bytes that its activations take by its memory plan; None where it stands as it was made.
    """

    name: str
    model: ir.Model
    cost: ModelCost
    arena: int | None = None


def account(stages: Sequence[Stage], conditions: Conditions, evaluation: Evaluation | None) -> list[Step]:
    """What each step takes, and how accurate it is.

    Args:
        stages: The original first.
        conditions: How to measure.
        evaluation: Scores models against the original; None without data.
    """
    seconds: list[float | None] = [None] * len(stages)
    if conditions.measure:
        try:
            measured = bench(
                [stage.model for stage in stages], inputs=conditions.inputs, shapes=conditions.shapes,
                threads=conditions.threads, seconds=SECONDS,
            )  # fmt: skip
            first = measured.median(0)
            seconds = [first, *(first * measured.ratio(index).median for index in range(1, len(stages)))]
        except ExecutionError:
            pass  # who could not measure before said so
    shapes = shapes_run_at(conditions.shapes, conditions.inputs)
    found = []
    for stage, time in zip(stages, seconds, strict=True):
        accuracy, metric = None, ""
        if evaluation is not None:
            scores = evaluation.score(stage.model)
            metric = scores.metric
            accuracy = None if math.isnan(scores.value) else scores.value
        found.append(
            Step(
                name=stage.name,
                file_bytes=to_proto(stage.model).ByteSize(),
                params=stage.cost.params,
                macs=stage.cost.macs,
                seconds=time,
                memory_bytes=memory_as_it_stands(stage.model, shapes) if stage.arena is None else stage.arena,
                accuracy=accuracy,
                metric=metric,
            )
        )
    return found


def as_written(told: Sequence[Step], before: int | None, after: int | None) -> list[Step]:
    """The steps with the bytes of the file given and of the one written, where there are such."""
    files = {0: before, len(told) - 1: after}
    return [
        step if (size := files.get(index)) is None else dataclasses.replace(step, file_bytes=size)
        for index, step in enumerate(told)
    ]
