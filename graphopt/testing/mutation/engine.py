"""Mutate a model: take mutations by chance, and keep each that leaves a model which runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.compile.emit import forget_claims
from graphopt.errors import ExecutionError, GraphoptError
from graphopt.execute.inputs import make_inputs
from graphopt.execute.session import Session
from graphopt.ir import infer_shapes, nodes, static_shape, violations
from graphopt.testing.generate.choices import Choices, Seeded
from graphopt.testing.generate.recipe import Unfit
from graphopt.testing.inputs import INPUTS_KEY
from graphopt.testing.mutation.subject import MUTATIONS, Subject

DONE = "graphopt.mutations"
"""Key of `Model.meta`: what was done to a mutated model, one text a mutation."""
CLAIMS = "graphopt.claims"
"""Key of `Model.meta`: names of inner values whose claimed shapes may be false."""

MOST_ELEMENTS = 1 << 24
"""Of any value; a mutated size may ask for more memory than there is."""
TRIES = 6
"""For each mutation wanted; many leave nothing that runs."""


def mutate(
    model: ir.Model,
    choices: Choices | int,
    *,
    count: int = 1,
    inputs: Sequence[Mapping[str, Any]] | None = None,
    kinds: Sequence[str] | None = None,
) -> ir.Model:
    """A model changed in a few places, which onnxruntime still runs.

    Args:
        model: A model that onnxruntime runs; not changed, but its constants are shared.
        choices: A source of decisions, or a seed: the same seed gives the same model.
        count: Number of mutations; fewer where too many attempts leave nothing that runs.
        inputs: Sets of inputs to run it on, by name; those that it carries, or made to fit, by default.
        kinds: Names of `MUTATIONS` to take; all by default.

    Returns:
        The model. `meta["graphopt.inputs"]` are inputs on which it runs, `meta["graphopt.mutations"]` says
        what was done, `meta["graphopt.claims"]` names inner values of which it may lie.

    Raises:
        ExecutionError: onnxruntime does not run the model as it is.
        KeyError: There is no mutation of that name.
    """
    choices = Seeded(choices) if isinstance(choices, int) else choices
    names = list(MUTATIONS if kinds is None else kinds)
    weights = [MUTATIONS[name][1] for name in names]
    given = model.meta.get(INPUTS_KEY) if inputs is None else inputs
    feeds = [each.values for each in make_inputs(model)] if given is None else given
    subject = Subject(model.clone(), [dict(feed) for feed in feeds])
    infer_shapes(subject.model)
    done: list[str] = []
    for _ in range(TRIES * count):
        if len(done) >= count:
            break
        name = choices.weighted(names, weights)
        candidate = subject.clone()
        try:
            told = MUTATIONS[name][0](candidate, choices)
        except (Unfit, ExecutionError):
            continue
        if _runs(candidate):
            subject = candidate
            done.append(f"{name}: {told}")
    return _finished(subject, done)


def _runs(subject: Subject) -> bool:
    """Whether the model is well formed and runs on one set of inputs at least; it keeps only those."""
    model = subject.model
    if any(True for _ in violations(model)):
        return False
    forget_claims(model)
    for output in model.graph.outputs:
        output.shape = None  # another may be right now
    try:
        infer_shapes(model)
        for output in model.graph.outputs:
            if output.shape is None and isinstance(output.type, ir.TensorType):
                return False  # no file says so of an output
        if any(_is_large(value) for node in nodes(model) for value in node.outputs):
            return False
        session = Session(model, fallback=False)
    except GraphoptError:
        return False
    subject.feeds = [feed for feed in subject.feeds if _runs_on(session, feed, model)]
    return bool(subject.feeds)


def _is_large(value: ir.Value) -> bool:
    shape = static_shape(value)
    return shape is not None and math.prod(shape) > MOST_ELEMENTS


def _runs_on(session: Session, feed: Mapping[str, Any], model: ir.Model) -> bool:
    """Whether it runs, and its outputs are of the shapes that it declares."""
    try:
        outputs = session.run({name: feed[name] for name in session.input_names})
    except (ExecutionError, KeyError):
        return False
    return all(_fits(value, outputs[value.name or ""]) for value in model.graph.outputs)


def _fits(value: ir.Value, array: Any) -> bool:
    if value.shape is None or not isinstance(array, np.ndarray):
        return True
    pairs = zip(value.shape.dims, array.shape, strict=False)
    return len(value.shape) == array.ndim and all(dim == size for dim, size in pairs if isinstance(dim, int))


def _finished(subject: Subject, done: list[str]) -> ir.Model:
    model = subject.model
    forget_claims(model)
    claims, claimed = subject.claims, []
    for node in model.graph:
        for value in node.outputs:
            if value.name in claims and not value.is_graph_output():
                value.type, value.shape = claims[value.name].type, claims[value.name].shape
                claimed.append(value.name)
    model.meta.clear()  # of what inference keeps there
    model.meta[INPUTS_KEY] = [
        {value.name or "": feed[value.name or ""] for value in model.graph.inputs if value.name in feed}
        for feed in subject.feeds
    ]
    model.meta[DONE] = done
    model.meta[CLAIMS] = claimed
    return model
