"""The optimization levels, as pipeline texts. A level is nothing but such a text."""

from __future__ import annotations

from collections.abc import Sequence

from graphopt.errors import UsageError
from graphopt.pipeline import Pipeline

NORMALIZE = "lift-constants"

EXACT = (
    "inline,lift-constants,dce,"
    "{fold,simplify-shapes,simplify-control-flow,eliminate-identities,"
    "merge-casts,merge-transposes,merge-reshapes,merge-slices,merge-concats,merge-pads,cse,dce}*,"
    "dedup-initializers,dce"
)

FULL = (
    "inline,lift-constants,dce,"
    "{fold,simplify-shapes,simplify-control-flow,eliminate-identities,"
    "merge-casts,merge-transposes,merge-reshapes,merge-slices,merge-concats,merge-pads,cse,"
    "merge-affine,fuse-conv,fuse-gemm,dce}*,"
    "dedup-initializers,dce"
)

LEVELS = {0: NORMALIZE, 1: EXACT, 2: FULL}


def pipeline_for(level: int, passes: str | Pipeline | None, skip: Sequence[str]) -> Pipeline:
    """The pipeline that options ask for.

    Args:
        level: 0 validates and normalizes, 1 adds bit-exact rewrites, 2 those within float tolerance.
        passes: A pipeline or its text, in place of the level's.
        skip: Names of passes to leave out.

    Raises:
        UsageError: The level, the text or a name is unknown.
    """
    if level not in LEVELS:
        raise UsageError(f"there is no level {level!r}", hint=f"levels are {', '.join(map(str, LEVELS))}")
    if isinstance(passes, Pipeline):
        pipeline = passes
    else:
        pipeline = Pipeline.parse(LEVELS[level] if passes is None else passes)
    for name in skip:
        shorter = pipeline.without(name)
        if shorter == pipeline:
            raise UsageError(
                f"cannot skip {name!r}: it is not in the pipeline", hint=f"the pipeline is {pipeline}"
            )
        pipeline = shorter
    return pipeline
