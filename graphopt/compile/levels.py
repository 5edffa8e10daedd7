"""The optimization levels, as pipeline texts, and what a target adds. A level is nothing but such a text."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.pipeline import Group, Item, Pass, Pipeline, default_catalog
from graphopt.targets import Target

NORMALIZE = "lift-constants"

_START = "inline,lift-constants,dce"
_EXACT = (
    "fold,simplify-shapes,simplify-control-flow,fold-sequences,drop-zero-states,eliminate-identities,"
    "simplify-algebra,merge-clips,merge-casts,merge-transposes,merge-reshapes,merge-slices,merge-concats,"
    "views-to-depth,merge-pads,merge-gathers,cse"
)
_ATTENTION = "fuse-softmax,fuse-rotary,fuse-attention,raise-opset,fuse-rotary,fuse-attention"
"""Before transposes move: heads are known by them."""
_LAYOUT = "gemm-to-matmul,sink-transposes,sink-reshapes"
_ALGEBRA = (
    "fast-math,merge-reduces,simplify-where,bounds-to-clip,one-hot-to-gather,gather-to-view,drop-expands,"
    "reshape-by-count"
)
_IDIOMS = "precompute-gather,fuse-softmax,fuse-norm,fuse-activation,raise-opset,fuse-activation{settle=true}"
_FUSION = (
    "reduce-strength,merge-affine,absorb-affine,factor-terms,blocks-into-conv,fuse-conv,fuse-gemm,"
    "fuse-pad,join-convs,join-matmuls,sum-into-gemm"
)
_LAST = "slices-to-split,lift-convs,fuse-norm,merge-reshapes,spell-out{most=3},join-sums"
"""What other passes would no longer recognise."""
_END = "dedup-initializers,cse,dce"

_DEAD, _IN_FOURS = "drop-dead-channels", "drop-dead-channels{align=4}"
"""All that are dead go; where a convolution is slower without some of them, a multiple of 4 is left."""

EXACT = f"{_START},{{{_EXACT},dce}}*,{_END}"
FULL = (
    f"{_START},{{{_EXACT},dce}}*,{_DEAD},"
    f"{{{_EXACT},{_ATTENTION},{_LAYOUT},{_ALGEBRA},{_IDIOMS},{_FUSION},dce}}*,{_LAST},{_END}"
)
"""Exact passes come to rest first: attention is read from tidy graphs, and layout moves what shows it."""

RAISE_OPSET = "raise-opset"
"""The pass that `--opset keep` leaves out: a runtime's own fusions may not know a newer opset's operators."""

FOR_RUNTIMES = ("dedup-initializers", "lift-convs", "spell-out", "join-sums")
"""Passes that a module to be trained does without: one ties parameters that only happen to be equal, the
others write what a runtime's kernels do faster."""

LEVELS = {0: NORMALIZE, 1: EXACT, 2: FULL}


def pipeline_for(
    level: int, passes: str | Pipeline | None, skip: Sequence[str], target: str = "portable"
) -> Pipeline:
    """The pipeline that options ask for.

    Args:
        level: 0 validates and normalizes, 1 adds bit-exact rewrites, 2 those within float tolerance.
        passes: A pipeline or its text, in place of the level's; `-O1` in it stands for that level.
        skip: Names of passes to leave out.
        target: Name or file of a target: level 2 ends with its own passes, and passes that ask for a target
            get it.

    Raises:
        UsageError: The level, the text, a name or the target is unknown.
    """
    levels = _levels_of(Target.load(target))
    if level not in levels:
        raise UsageError(f"there is no level {level!r}", hint=f"levels are {', '.join(map(str, levels))}")
    if isinstance(passes, Pipeline):
        pipeline = passes
    else:
        pipeline = Pipeline.parse(levels[level] if passes is None else _with_levels(passes, levels))
    pipeline = aimed(pipeline, target)
    for name in skip:
        shorter = pipeline.without(name)
        last = last_pipeline(level, (), target)
        if shorter == pipeline and last.without(name) == last:
            raise UsageError(f"cannot skip {name!r}: it is not in the pipeline", hint=nearest(name, pipeline))
        pipeline = shorter
    return pipeline


def nearest(name: str, pipeline: Pipeline) -> str:
    """A hint for who names a pass that is not in the pipeline: the one that was probably meant."""
    known = [getattr(each, "name", type(each).__name__) for each in pipeline.passes()]
    typo = [] if name in default_catalog() else difflib.get_close_matches(name, known, n=1)
    return f"did you mean {typo[0]!r}?" if typo else "`graphopt passes` lists all passes"


def split_lossy(pipeline: Pipeline) -> tuple[Pipeline, Pipeline]:
    """What stands before the first pass that is lossy or takes calibration data, and the rest."""
    items = pipeline.items
    lossy = [
        any(isinstance(each, Pass) and (each.lossy or each.needs_data) for each in Pipeline((item,)).passes())
        for item in items
    ]
    first = lossy.index(True) if True in lossy else len(items)
    return Pipeline(items[:first]), Pipeline(items[first:])


def require_data(pipeline: Pipeline) -> None:
    """Refuse passes that can do nothing without calibration data, where there are none.

    Raises:
        UsageError: The first of them.
    """
    for each in pipeline.passes():
        if isinstance(each, Pass) and each.needs_data:
            without = f", and {each.without_data} needs none" if each.without_data else ""
            raise UsageError(
                f"{Pipeline((each,))} needs calibration data, and there are none",
                hint=f"give some tens of real inputs: --calibration FOLDER with an .npz of each{without}",
            )


def lower_levels(level: int, skip: Sequence[str], target: str = "portable") -> dict[str, Pipeline]:
    """Pipelines that do less than a level for a target, by name, best first, without the passes to skip."""
    less = {f"-O{lower}": Pipeline.parse(LEVELS[lower]) for lower in range(level - 1, 0, -1)}
    whole = Pipeline.parse(LEVELS[level])
    if whole.without(*skip) != whole.without(*skip, RAISE_OPSET):
        less = {f"-O{level} --opset keep": whole.without(RAISE_OPSET), **less}
    made = {name: aimed(pipeline, target).without(*skip) for name, pipeline in less.items()}
    return {**rivals(level, skip, target), **made}


def rivals(level: int, skip: Sequence[str], target: str) -> dict[str, Pipeline]:
    """Pipelines, by name, that may turn out faster than a level though they do less."""
    whole = aimed(Pipeline.parse(_levels_of(Target.load(target))[level]), target).without(*skip)
    even = {f"-O{level} with channels in fours": in_fours(whole)} if in_fours(whole) != whole else {}
    return {**standard_forms(level, skip, target), **even}


def in_fours(pipeline: Pipeline) -> Pipeline:
    """The pipeline leaving multiples of 4 channels where dead ones go before convolutions."""
    return Pipeline.parse(re.sub(rf"{_DEAD}(?!{{)", _IN_FOURS, str(pipeline)))


def goes_in_fours(pipeline: Pipeline) -> bool:
    """Whether it is one of those."""
    return _IN_FOURS in str(pipeline)


def standard_forms(level: int, skip: Sequence[str], target: str) -> dict[str, Pipeline]:
    """The level without the target's own passes, by name; empty for a target that has none."""
    if _levels_of(Target.load(target))[level] == LEVELS[level]:
        return {}
    pipeline = aimed(Pipeline.parse(LEVELS[level]), target)
    return {f"-O{level} in standard operators": pipeline.without(*skip)}


def last_pipeline(level: int, skip: Sequence[str], target: str) -> Pipeline:
    """What the target has done to a level's outcome at the very end, behind quantizing; empty if nothing.

    It is within tolerance, not exact, and so of level 2 alone.
    """
    text = Target.load(target).last_passes if level >= max(LEVELS) else ""
    return aimed(Pipeline.parse(text), target).without(*skip) if text else Pipeline(())


def told_without_last(level: int, passes: Pipeline | None, target: str) -> str:
    """What to say where a target's last passes might be wanted, and do not run; else "".

    Args:
        level: The level.
        passes: Those given in its place; None if its own run.
        target: Name or file of the target.
    """
    last = last_pipeline(max(LEVELS), (), target)
    if not last.items or (passes is None and level >= max(LEVELS)):
        return ""
    if passes is None:
        return f"{last}, the last passes of the target, run at -O{max(LEVELS)} alone"
    if type(next(last.passes())) in map(type, passes.passes()):
        return ""
    return f"{last}, the last passes of the target, are not among those given, and do not run"


def aimed(pipeline: Pipeline, target: str) -> Pipeline:
    """The pipeline, with a target given to the passes that have a field for it and were given none."""
    return Pipeline(_aimed(pipeline.items, target))


def _levels_of(target: Target) -> dict[int, str]:
    """The levels for a target: its own forms are within tolerance, not exact."""
    own = f",{target.passes}" if target.passes else ""
    return {**LEVELS, 2: LEVELS[2] + own}


def _aimed(items: Sequence[Item], target: str) -> tuple[Item, ...]:
    return tuple(
        Group(_aimed(item.items, target), item.rounds) if isinstance(item, Group) else _aim(item, target)
        for item in items
    )


def _aim(each: ir.passes.PassBase, target: str) -> ir.passes.PassBase:
    if not isinstance(each, Pass):
        return each
    unset = {
        field.name: target
        for field in dataclasses.fields(each)
        if field.name == "target" and getattr(each, field.name) == field.default
    }
    return dataclasses.replace(each, **unset) if unset else each


def _with_levels(text: str, levels: Mapping[int, str]) -> str:
    """The text with `-O0` to `-O2` written out."""
    return re.sub(
        r"(?<![^,{\s])-O([0-9])(?![^,}\s])", lambda found: levels.get(int(found[1]), found[0]), text
    )
