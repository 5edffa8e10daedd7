"""Mutations of what a model shows: its outputs, which sizes are open, and what it claims of inner values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.testing.generate.choices import Choices
from graphopt.testing.generate.recipe import Unfit
from graphopt.testing.mutation.subject import Subject, mutation, pick

CLAIMED_SIZES = (1, 2, 3, 7)


@mutation(weight=15)
def make_output(subject: Subject, choices: Choices) -> str:
    """Make inner values outputs of the model."""
    fit = [
        value
        for node in subject.nodes(main=True)
        for value in node.outputs
        if value.name and not value.is_graph_output() and isinstance(value.type, ir.TensorType)
    ]
    if not fit:
        raise Unfit("no inner value")
    taken = list(dict.fromkeys(choices.choose(fit) for _ in range(choices.integer(1, 3))))
    subject.model.graph.outputs.extend(taken)
    return f"made {', '.join(value.name or '' for value in taken)} outputs"


@mutation()
def drop_output(subject: Subject, choices: Choices) -> str:
    """Leave out an output of the model."""
    outputs = subject.model.graph.outputs
    if len(outputs) < 2:
        raise Unfit("only one output")
    dropped = outputs.pop(choices.integer(0, len(outputs) - 1))
    return f"left out the output {dropped.name}"


@mutation(weight=5)
def reorder_outputs(subject: Subject, choices: Choices) -> str:
    """Put the outputs in another order."""
    outputs = subject.model.graph.outputs
    if len(outputs) < 2:
        raise Unfit("only one output")
    outputs[:] = [outputs[place] for place in choices.permutation(len(outputs))]
    return "reordered outputs"


@mutation()
def fix_sizes(subject: Subject, choices: Choices) -> str:
    """Give the open sizes of an input, or of all, the size that it has in the first set of inputs."""
    inputs = [value for value in subject.model.graph.inputs if _is_open(value)]
    first = pick(choices, inputs, "open size")
    if any(node.op_type == "If" for node in subject.nodes()):
        raise Unfit("a branch that is not taken need not fit, and then no runtime loads it")
    taken = inputs if choices.chance(0.5) else [first]
    feed = subject.feeds[0]
    for value in taken:
        array = feed.get(value.name or "")
        if isinstance(array, np.ndarray):
            value.shape = ir.Shape(array.shape)
    names = [value.name or "" for value in taken]
    subject.feeds = [
        other
        for other in subject.feeds
        if all(_shape_of(other, name) == _shape_of(feed, name) for name in names)
    ]
    return f"fixed the sizes of {', '.join(names)}"


@mutation()
def open_sizes(subject: Subject, choices: Choices) -> str:
    """Open fixed sizes of inputs; equal ones may get one name, or none."""
    fit = [
        (value, place)
        for value in subject.model.graph.inputs
        if value.shape is not None and not value.is_initializer()
        for place, dim in enumerate(value.shape.dims)
        if isinstance(dim, int)
    ]
    if not fit:
        raise Unfit("no fixed size")
    taken = choices.some(fit, 0.5) or fit[:1]
    style = choices.choose(("each", "alike", "unnamed"))
    dims_named = {str(dim) for value in subject.model.graph.inputs for dim in value.shape or ()}
    for value, place in taken:
        assert value.shape is not None
        dims = list(value.shape.dims)
        size = dims[place]
        name = {"each": f"d{len(dims_named)}", "alike": f"size{size}", "unnamed": None}[style]
        dims_named.add(str(name))
        dims[place] = ir.SymbolicDim(name)
        value.shape = ir.Shape(dims)
    return f"opened {len(taken)} sizes, {style}"


@mutation()
def claim_falsely(subject: Subject, choices: Choices) -> str:
    """Claim a wrong shape for an inner value."""
    fit = [
        value
        for node in subject.nodes(main=True)
        for value in node.outputs
        if value.name and value.shape is not None and not value.is_graph_output()
    ]
    value = pick(choices, fit, "inner value of known shape")
    assert value.shape is not None
    dims = list(value.shape.dims)
    if not dims:
        dims = [1]
    elif choices.chance(0.2):
        dims.pop()
    else:
        dims[choices.integer(0, len(dims) - 1)] = choices.choose(CLAIMED_SIZES)
    subject.claims[value.name or ""] = ir.TypeAndShape(value.type, ir.Shape(dims))
    return f"claimed {dims} for {value.name}"


def _shape_of(feed: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
    array = feed.get(name)
    return array.shape if isinstance(array, np.ndarray) else None


def _is_open(value: ir.Value) -> bool:
    if value.shape is None or value.is_initializer():
        return False
    return not all(isinstance(dim, int) for dim in value.shape.dims)
