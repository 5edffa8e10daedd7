"""Generate a model: choose what it is made from and grow it node by node."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.ir.opsets import oldest_ir_version
from graphopt.testing.generate import arrays, recipes
from graphopt.testing.generate.around import plant
from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.choices import Choices, Seeded
from graphopt.testing.generate.finish import finish
from graphopt.testing.generate.known import Content
from graphopt.testing.generate.lifetimes import first_opset
from graphopt.testing.generate.naming import ODD, Naming
from graphopt.testing.generate.recipe import RECIPES, Recipe, Unfit
from graphopt.testing.generate.schemas import by_schema, standard_operators
from graphopt.testing.generate.spec import Spec

TRIES = 3
"""For each node wanted; many operands fit by chance only."""
BEGINNINGS = 20
"""How many models are begun before a seed counts as one that gives none."""

_SCHEMA_WEIGHT = 25
_OFTEN = 5
"""How many times as often what a model is to have more of is taken."""
_NAMED = 20
"""The same of recipes that have a word of the name in common."""
_AROUND = 0.4
"""How often a pattern is built in place of a node."""
_CLOSED = 0.8
"""How often what several nodes made at once compute in between is left to them alone, as fusions need it."""
_FEW = 18
"""Operators of newer opsets are in few models unless they are to be there more often."""
_OPSETS_OFTEN = (18, 13, 17, 20, 22, 11)
_NEWEST_IR_VERSION = 13
"""That onnxruntime reads."""

assert recipes


def generate_model(choices: Choices | int, spec: Spec | None = None, **bounds: Any) -> ir.Model:
    """A valid model with inputs on which it runs.

    Args:
        choices: A source of decisions, or a seed: the same seed gives the same model.
        spec: Bounds.
        **bounds: Fields of `Spec`, instead of one.

    Returns:
        The model; see `INPUTS_KEY` and `SPECIALS` for what its `meta` holds.

    Raises:
        Unfit: Nothing can be made within the bounds.
        UsageError: The bounds make no sense.
    """
    choices = Seeded(choices) if isinstance(choices, int) else choices
    spec = spec or Spec.of(bounds)
    for last in reversed(range(BEGINNINGS)):
        try:
            return begin_model(choices, spec, reference=None if last else True)
        except Unfit:
            if not last:
                raise
    raise AssertionError("the last try returns or raises")


def begin_model(choices: Choices, spec: Spec, *, reference: bool | None = None) -> ir.Model:
    """`generate_model`, which is allowed to fail.

    Args:
        choices: A source of decisions.
        spec: Bounds.
        reference: Let in what only the ONNX reference evaluator runs; None for few models.

    Raises:
        Unfit: Nothing came of these choices.
    """
    b = _start(choices, spec, reference)
    grow(b, spec.max_nodes)
    if not b.made:
        raise Unfit("none of the nodes tried fits")
    return finish(b)


def grow(b: Builder, most: int) -> None:
    """Add from 1 to `most` nodes, and a few more where one brings others; fewer where too little fits."""
    available, weights = _available(dataclasses.replace(b.spec, around=()), b.opset)
    enough = b.made + most

    def step() -> bool:
        nodes, values = len(b.nodes), len(b.values)
        try:
            if b.spec.around and b.choices.chance(_AROUND):
                plant(b, b.choices.choose([each for rule in b.spec.around for each in rule.patterns]))
            elif isinstance(taken := b.choices.weighted(available, weights), Recipe):
                fit = [each for each in taken.op_types if taken.copies or b.spec.allows(each)]
                taken.make(b, b.choices.choose(fit))
            else:
                by_schema(b, b.choices.choose(taken))
        except (Unfit, ExecutionError):
            return False
        if len(b.nodes) > nodes + 1 and b.choices.chance(_CLOSED):
            read = {name for node in b.nodes[nodes:] for name in node.input}
            b.values[values:] = [known for known in b.values[values:] if known.name not in read]
        return True

    # How many is said beforehand: Hypothesis knows to lower that while it takes any one of them out.
    for _ in range(b.choices.integer(1, most)):
        b.choices.attempt(step, TRIES)
        if b.made >= enough:
            break


def _factor(spec: Spec, recipe: Recipe) -> int:
    """How many times its weight a recipe has."""
    if not recipe.words.isdisjoint(spec.named):
        return _NAMED
    return 1 if set(spec.often).isdisjoint(recipe.op_types) else _OFTEN


def _opset(choices: Choices, spec: Spec) -> int:
    """Any, but one that many models have more often, and one that has the operators that are to be there."""
    low, high = spec.opsets
    newest = [each for each in map(first_opset, spec.often) if _FEW < each <= high]
    if newest and choices.chance(0.4):
        return choices.integer(max(low, choices.choose(sorted(newest))), high)
    often = [opset for opset in _OPSETS_OFTEN if low <= opset <= high]
    return choices.integer(low, high) if not often or choices.chance(0.4) else choices.choose(often)


def _start(choices: Choices, spec: Spec, reference: bool | None) -> Builder:
    opset = _opset(choices, spec)
    specials = choices.chance(0.5) if spec.specials is None else spec.specials
    b = Builder(
        choices,
        spec,
        opset=opset,
        ir_version=_ir_version(choices, opset),
        specials=specials,
        reference=choices.chance(0.02) if reference is None else reference,
        overridable=choices.chance(0.08),
        naming=Naming(choices, ODD) if choices.chance(0.1) else None,
    )
    for _ in range(choices.weighted((1, 2, 3), (4, 4, 2))):
        b.input(arrays.random_array(choices.numbers(), b.dtype(), b.shape()))
    if not spec.ops and choices.chance(0.05):
        _start_container(b)
    return b


def _ir_version(choices: Choices, opset: int) -> int:
    oldest = oldest_ir_version(opset)
    if choices.chance(0.3):
        return choices.integer(oldest, _NEWEST_IR_VERSION)
    return max(8, oldest)


def _start_container(b: Builder) -> None:
    """A graph input that is a sequence or an optional of tensors."""
    dtype = b.dtype("fi")
    tensors = [
        arrays.random_array(b.choices.numbers(), dtype, b.shape()) for _ in range(b.choices.integer(1, 3))
    ]
    if b.opset >= 15 and b.choices.chance(0.4):
        content: Content = None if b.choices.chance(0.4) else tensors[0]
        b.input(content, optional_of=dtype)
    elif b.opset >= 11:
        b.input(tensors)


@functools.lru_cache(256)
def _available(spec: Spec, opset: int) -> tuple[list[Recipe | tuple[str, ...]], list[int]]:
    """What may be taken and how often: recipes, and the operators that are made from their schemas.

    What is taken often comes first: it is the simple answer.
    """
    found: list[Recipe | tuple[str, ...]] = []
    weights = []
    for each in sorted(RECIPES, key=lambda recipe: -recipe.weight):
        if each.copies or any(spec.allows(op_type) for op_type in each.op_types):
            found.append(each)
            weights.append(each.weight * _factor(spec, each))
    others = tuple(op_type for op_type in standard_operators(opset) if spec.allows(op_type))
    if others:
        found.append(others)
        weights.append(_SCHEMA_WEIGHT if found[:-1] else 1)
    if all(isinstance(each, Recipe) and each.copies for each in found):
        raise Unfit(f"none of the operators asked for exists at opset {opset}")
    return found, weights


__all__ = ["begin_model", "generate_model", "grow"]
