"""Find the pass that breaks a model: the first pass run after which a check fails.

The check is the caller's; nothing here runs models or knows passes by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import onnx_ir as ir

from graphopt.ir import infer_shapes
from graphopt.pipeline.pipeline import Pipeline, Record


@dataclasses.dataclass
class Guilty:
    """The pass run after which the check first fails.

    Attributes:
        step: Its place among the pass runs, from 0.
        record: Its record.
    """

    step: int
    record: Record


def bisect(
    model: ir.Model,
    pipeline: Pipeline,
    is_good: Callable[[ir.Model], bool],
    *,
    infer: Callable[[ir.Model], object] = infer_shapes,
    pass_timeout: float | None = None,
) -> Guilty | None:
    """Binary search for the first pass run that makes `is_good` false.

    Args:
        model: The model before the pipeline; it is cloned, never changed.
        pipeline: Must be deterministic.
        is_good: Whether a model passes; should hold before any pass.
        infer, pass_timeout: See `Pipeline.run`.

    Returns:
        The guilty run, or None if the whole pipeline leaves a good model.

    Raises:
        PassError: A pass raised, took too long or broke the graph; see `Pipeline.run`.
    """
    whole = pipeline.run(model.clone(), infer=infer, pass_timeout=pass_timeout)
    if is_good(whole.model):
        return None
    good, bad = 0, len(whole.records)
    while bad - good > 1:
        middle = (good + bad) // 2
        part = pipeline.run(model.clone(), infer=infer, limit=middle, pass_timeout=pass_timeout)
        if is_good(part.model):
            good = middle
        else:
            bad = middle
    return Guilty(bad - 1, whole.records[bad - 1])
