"""Examples by number: a model and something to do to it, both from one seed. What soaks are made of."""

from __future__ import annotations

import dataclasses

import onnx_ir as ir

from graphopt.pipeline import Pipeline
from graphopt.testing.aim import aimed
from graphopt.testing.generate import Seeded, Spec, generate_model
from graphopt.testing.pipelines import random_pipeline


@dataclasses.dataclass(frozen=True)
class Example:
    """One thing to try.

    Attributes:
        seed: What the rest follows from.
        pipeline: What to run.
        model: What to run it on, with inputs (see `generate_model`).
    """

    seed: int
    pipeline: Pipeline
    model: ir.Model


def make_example(seed: int) -> Example:
    """The example of a seed; half of the models are made for the pipeline.

    Raises:
        Unfit: No model follows from it.
    """
    choices = Seeded(seed)
    pipeline = random_pipeline(choices)
    spec = aimed(Spec(), pipeline) if choices.chance(0.5) else Spec()
    return Example(seed, pipeline, generate_model(choices, spec))
