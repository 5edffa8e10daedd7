"""Pipelines at random: one pass, several in any order, groups to a fixed point, or a level for a target."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import onnx_ir as ir

from graphopt.compile.levels import LEVELS, pipeline_for
from graphopt.errors import UsageError
from graphopt.pipeline import Group, Pass, Pipeline, default_catalog
from graphopt.pipeline.spec import Catalog
from graphopt.targets import known_targets
from graphopt.testing.generate import Choices

MOST_PASSES = 6
_INTEGERS = (0, 1, 2, 16)


def random_pipeline(choices: Choices, catalog: Catalog | None = None) -> Pipeline:
    """A pipeline of installed passes, some of them with other options than their own.

    Args:
        choices: Decides.
        catalog: Pass name -> class; by default all that are installed, not lossy, and in no need of data.
    """
    kind = choices.weighted(("pass", "passes", "group", "level"), (6, 4, 2, 4))
    if kind == "level":
        level = choices.choose([level for level in sorted(LEVELS, reverse=True) if level])
        return pipeline_for(level, None, (), choices.choose(sorted(known_targets(), reverse=True)))
    classes = _faithful_passes() if catalog is None else list(catalog.values())
    if kind == "pass":
        return Pipeline([_pass(choices, classes)])
    passes = [_pass(choices, classes) for _ in range(choices.integer(2, MOST_PASSES))]
    if kind == "passes":
        return Pipeline(passes)
    repeated = tuple(each for each in passes if not getattr(each, "comes_last", False))
    return Pipeline([Group(repeated)] if repeated else passes[:1])


def _faithful_passes() -> list[type[ir.passes.PassBase]]:
    return [
        each
        for each in default_catalog().values()
        if not getattr(each, "lossy", False) and not _reads_data(each)
    ]


def _reads_data(each: type[ir.passes.PassBase]) -> bool:
    return dataclasses.is_dataclass(each) and any(field.name == "data" for field in dataclasses.fields(each))


def _pass(choices: Choices, classes: Sequence[type[ir.passes.PassBase]]) -> ir.passes.PassBase:
    taken = choices.choose(classes)
    if not issubclass(taken, Pass) or not choices.chance(0.2):
        return taken()
    options: dict[str, object] = {}
    for field in dataclasses.fields(taken):
        if isinstance(field.default, bool):
            options[field.name] = choices.chance(0.5)
        elif isinstance(field.default, int):
            options[field.name] = choices.choose(_INTEGERS)
        elif field.name == "target":
            options[field.name] = choices.choose(known_targets())
    try:
        return taken(**options)
    except UsageError:  # not every number is an option of every pass
        return taken()
