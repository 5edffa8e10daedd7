"""The optimization levels, as pipeline texts. A level is nothing but such a text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from graphopt.errors import UsageError
from graphopt.pipeline import Pipeline, default_catalog

NORMALIZE = "lift-constants"

_START = "inline,lift-constants,dce"
_EXACT = (
    "fold,simplify-shapes,simplify-control-flow,fold-sequences,drop-zero-states,eliminate-identities,"
    "simplify-algebra,merge-clips,merge-casts,merge-transposes,merge-reshapes,merge-slices,merge-concats,"
    "merge-pads,merge-gathers,cse"
)
_WITHIN_TOLERANCE = (
    "fast-math,merge-reduces,fuse-hard-sigmoid,merge-affine,absorb-affine,fuse-conv,fuse-gemm,fuse-pad,"
    "join-convs"
)
_END = "dedup-initializers,dce"

EXACT = f"{_START},{{{_EXACT},dce}}*,{_END}"
FULL = f"{_START},{{{_EXACT},{_WITHIN_TOLERANCE},dce}}*,{_END}"

LEVELS = {0: NORMALIZE, 1: EXACT, 2: FULL}


def pipeline_for(level: int, passes: str | Pipeline | None, skip: Sequence[str]) -> Pipeline:
    """The pipeline that options ask for.

    Args:
        level: 0 validates and normalizes, 1 adds bit-exact rewrites, 2 those within float tolerance.
        passes: A pipeline or its text, in place of the level's; `-O1` in it stands for that level.
        skip: Names of passes to leave out.

    Raises:
        UsageError: The level, the text or a name is unknown.
    """
    if level not in LEVELS:
        raise UsageError(f"there is no level {level!r}", hint=f"levels are {', '.join(map(str, LEVELS))}")
    if isinstance(passes, Pipeline):
        pipeline = passes
    else:
        pipeline = Pipeline.parse(LEVELS[level] if passes is None else _with_levels(passes))
    for name in skip:
        shorter = pipeline.without(name)
        if shorter == pipeline:
            raise UsageError(f"cannot skip {name!r}: it is not in the pipeline", hint=nearest(name, pipeline))
        pipeline = shorter
    return pipeline


def nearest(name: str, pipeline: Pipeline) -> str:
    """A hint for who names a pass that is not in the pipeline: the one that was probably meant."""
    known = [getattr(each, "name", type(each).__name__) for each in pipeline.passes()]
    typo = [] if name in default_catalog() else difflib.get_close_matches(name, known, n=1)
    return f"did you mean {typo[0]!r}?" if typo else "`graphopt passes` lists all passes"


def lower_levels(level: int, skip: Sequence[str]) -> dict[str, Pipeline]:
    """The levels below `level` that rewrite anything, best first, without the passes to skip."""
    return {f"-O{lower}": Pipeline.parse(LEVELS[lower]).without(*skip) for lower in range(level - 1, 0, -1)}


def _with_levels(text: str) -> str:
    """The text with `-O0` to `-O2` written out."""
    return re.sub(
        r"(?<![^,{\s])-O([0-9])(?![^,}\s])", lambda found: LEVELS.get(int(found[1]), found[0]), text
    )
