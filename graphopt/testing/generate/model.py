"""Generate a model: choose what it is made from, grow it, and choose what of it is seen from outside."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from onnx import helper

from graphopt.errors import ExecutionError
from graphopt.execute.session import Session
from graphopt.ir.opsets import oldest_ir_version
from graphopt.testing.generate import arrays, recipes
from graphopt.testing.generate.builder import Builder, declaration, tensor
from graphopt.testing.generate.choices import Choices, Seeded
from graphopt.testing.generate.known import Content, Known
from graphopt.testing.generate.recipe import RECIPES, Recipe, Unfit
from graphopt.testing.generate.schemas import by_schema, standard_operators
from graphopt.testing.generate.spec import Spec

INPUTS = "graphopt.inputs"
"""Key of `Model.meta`: sets of inputs on which a generated model runs."""
SPECIALS = "graphopt.specials"
"""Key of `Model.meta`: whether a generated model may compute NaN, infinities and values that jump."""

TRIES = 4
"""For each node wanted; many operands fit by chance only."""
_SCHEMA_WEIGHT = 25
_OPSETS_OFTEN = (18, 13, 17, 20, 22, 11)

assert recipes


def generate_model(choices: Choices | int, spec: Spec | None = None, **bounds: Any) -> ir.Model:
    """A valid model with inputs on which it runs.

    Args:
        choices: A source of decisions, or a seed: the same seed gives the same model.
        spec: Bounds.
        **bounds: Fields of `Spec`, instead of one.

    Returns:
        The model; `meta["graphopt.inputs"]` is a list of one or more sets of inputs, arrays by name.
    """
    choices = Seeded(choices) if isinstance(choices, int) else choices
    spec = spec or Spec(**bounds)
    b = _start(choices, spec)
    _grow(b)
    return _finish(b)


def grow(b: Builder, wanted: int) -> None:
    """Add up to that many nodes."""
    available, weights = _available(b)
    goal = b.made + wanted
    for _ in range(TRIES * wanted):
        if b.made >= goal:
            return
        taken = b.choices.weighted(available, weights)
        try:
            if isinstance(taken, Recipe):
                fit = [each for each in taken.op_types if b.spec.allows(each)]
                taken.make(b, b.choices.choose(fit))
            else:
                by_schema(b, b.choices.choose(taken))
        except (Unfit, ExecutionError):
            continue


def _start(choices: Choices, spec: Spec) -> Builder:
    low, high = spec.opsets
    often = [opset for opset in _OPSETS_OFTEN if low <= opset <= high]
    opset = choices.choose(often) if often and choices.chance(0.6) else choices.integer(low, high)
    specials = choices.chance(0.5) if spec.specials is None else spec.specials
    b = Builder(choices, spec, opset=opset, ir_version=max(8, oldest_ir_version(opset)), specials=specials)
    for _ in range(choices.integer(1, 3)):
        b.input(arrays.random_array(choices.numbers(), b.dtype(), b.shape()))
    return b


def _grow(b: Builder) -> None:
    grow(b, b.choices.integer(1, b.spec.max_nodes))


def _available(b: Builder) -> tuple[list[Recipe | tuple[str, ...]], list[int]]:
    """What may be taken and how often: recipes, and the operators that are made from their schemas."""
    found: list[Recipe | tuple[str, ...]] = []
    weights = []
    for each in RECIPES:
        if any(b.spec.allows(op_type) for op_type in each.op_types):
            found.append(each)
            weights.append(each.weight)
    others = tuple(op_type for op_type in standard_operators(b.opset) if b.spec.allows(op_type))
    if others:
        found.append(others)
        weights.append(_SCHEMA_WEIGHT if found[:-1] else 1)
    if not found:
        raise Unfit(f"none of the operators asked for exists at opset {b.opset}")
    return found, weights


def _finish(b: Builder) -> ir.Model:
    ends = _ends(b)
    dims = {known.name: _dims(b, known) for known in b.inputs}
    graph = helper.make_graph(
        b.nodes,
        "generated",
        [declaration(known, dims[known.name]) for known in b.inputs],
        [declaration(known, [None] * known.rank if known.is_tensor else None) for known in ends],
        [tensor(known) for known in b.initializers],
    )
    proto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", b.opset)], ir_version=b.ir_version
    )
    model = ir.from_proto(proto)
    model.meta[INPUTS] = _feeds(b, model, dims)
    model.meta[SPECIALS] = b.specials
    return model


def _ends(b: Builder) -> list[Known]:
    """Values that nothing reads and now and then an inner one; some of what is unused stays so."""
    inner = b.values[len(b.inputs) :] or b.values
    inner = [known for known in b.values if known not in b.inputs] or b.values
    read = {name for node in b.nodes for name in node.input}
    ends = [known for known in inner if known.name not in read or b.choices.chance(0.1)] or inner[-1:]
    if len(ends) > 1 and b.choices.chance(0.3):
        ends = ends[1:]
    return ends


def _dims(b: Builder, known: Known) -> list[int | str | None] | None:
    """Declared dimensions: sizes, and where allowed symbols and unknown ones."""
    if not known.is_tensor:
        return None
    if not b.spec.dynamic or not b.choices.chance(0.4):
        return list(known.shape)
    return [
        b.choices.weighted((size, f"{known.name}_{axis}", None), (6, 3, 1))
        for axis, size in enumerate(known.shape)
    ]


def _feeds(
    b: Builder, model: ir.Model, dims: dict[str, list[int | str | None] | None]
) -> list[dict[str, Content]]:
    """The inputs at hand, and others, also of other sizes, as far as the model runs on them."""
    feeds = [{known.name: known.content for known in b.inputs}]
    session = Session(model)
    for resized in (False, True):
        feed = {known.name: _fresh(b, known, dims[known.name], resized) for known in b.inputs}
        try:
            session.run(feed)
        except ExecutionError:
            continue
        feeds.append(feed)
    return feeds


def _fresh(b: Builder, known: Known, dims: list[int | str | None] | None, resized: bool) -> Content:
    if not known.is_tensor or dims is None:
        return known.content
    if known.dtype.is_integer() and not resized:
        return known.content  # it may be a shape or an index
    shape = list(known.shape)
    if resized:
        shape = [
            size if isinstance(dim, int) else b.choices.choose((2, 1, 3, 5))
            for dim, size in zip(dims, shape, strict=True)
        ]
        if known.dtype.is_integer() and shape == list(known.shape):
            return known.content
    return arrays.random_array(b.choices.numbers(), known.dtype, shape)


__all__ = ["INPUTS", "SPECIALS", "generate_model", "grow"]
