"""Mutations of constants: their elements, their shape, and where they stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import constant, constant_tensor
from graphopt.testing.generate.choices import Choices
from graphopt.testing.generate.recipe import Unfit
from graphopt.testing.mutation.subject import Array, Subject, kind_of, mutation, pick

LARGEST_BYTES = 4 << 20
"""Of constants whose elements are changed."""
EQUAL = (1.0, 0.0, -1.0, 2.0, 0.5, -0.0, 3.0, -0.25)
STEPS = (1, -1, 2, -2)
"""What is added to an element of integers, which mostly are axes, sizes and indices."""


def _zeros(array: Array, choices: Choices) -> Array:
    return np.zeros_like(array)


def _ones(array: Array, choices: Choices) -> Array:
    return np.ones_like(array)


def _equal(array: Array, choices: Choices) -> Array:
    return np.full_like(array, choices.choose(EQUAL))


def _first_everywhere(array: Array, choices: Choices) -> Array:
    return np.full_like(array, array.reshape(-1)[0])


def _permuted(array: Array, choices: Choices) -> Array:
    return choices.numbers().permutation(array.reshape(-1)).reshape(array.shape)


def _scaled(array: Array, choices: Choices) -> Array:
    power = choices.choose((1, -1, 2, 4, -4, 8, -8, -20, 20))
    return (array.astype(np.float64) * 2.0**power).astype(array.dtype)


def _negated(array: Array, choices: Choices) -> Array:
    return (-array.astype(np.float64)).astype(array.dtype)


def _denormal(array: Array, choices: Choices) -> Array:
    smallest = float(np.finfo(np.float32).tiny) if array.dtype.itemsize >= 4 else 2.0**-14
    return np.full_like(array, smallest / 4)


def _one_special(array: Array, choices: Choices) -> Array:
    special = choices.choose((0.0, np.nan, np.inf, -np.inf, -0.0, 1e-40, 6e4))
    changed = array.copy()
    changed.reshape(-1)[choices.integer(0, array.size - 1)] = special
    return changed


def _all_special(array: Array, choices: Choices) -> Array:
    return np.full_like(array, choices.choose((np.inf, np.nan, -np.inf)))


def _one_zero_row(array: Array, choices: Choices) -> Array:
    if not array.ndim:
        raise Unfit("a scalar has no rows")
    changed = array.copy()
    changed[choices.integer(0, len(array) - 1)] = 0
    return changed


def _one_step(array: Array, choices: Choices) -> Array:
    changed = array.copy()
    flat = changed.reshape(-1)
    place = choices.integer(0, array.size - 1)
    with np.errstate(over="ignore"):
        flat[place] = flat[place] + np.array(choices.choose(STEPS)).astype(array.dtype)
    return changed


def _one_end(array: Array, choices: Choices) -> Array:
    changed = array.copy()
    info = np.iinfo(array.dtype)
    changed.reshape(-1)[choices.integer(0, array.size - 1)] = choices.choose((info.max, info.min, 0, 1))
    return changed


def _flipped(array: Array, choices: Choices) -> Array:
    changed = array.copy()
    flat = changed.reshape(-1)
    place = choices.integer(0, array.size - 1)
    flat[place] = not flat[place]
    return changed


Change = Callable[[Array, Choices], Array]

CHANGES: dict[str, tuple[Change, ...]] = {
    "f": (
        _zeros, _ones, _equal, _first_everywhere, _permuted, _scaled, _negated, _denormal, _one_special,
        _all_special, _one_zero_row,
    ),
    "i": (_one_step, _one_end, _zeros, _ones, _first_everywhere, _permuted),
    "u": (_one_step, _one_end, _zeros, _ones, _first_everywhere, _permuted),
    "b": (_flipped, _zeros, _ones, _permuted),
}  # fmt: skip
"""By kind of element type."""


@mutation(weight=35)
def change_constant(subject: Subject, choices: Choices) -> str:
    """Change the elements of a constant."""
    kinds = choices.weighted(("f", "iub"), (7, 3))
    value = pick(choices, _small(subject, kinds), "constant")
    tensor = constant_tensor(value)
    array = constant(value)
    if tensor is None or array is None or not array.size:
        raise Unfit("it has no elements")
    change = choices.choose(CHANGES[kind_of(tensor.dtype)])
    with np.errstate(all="ignore"):
        changed = change(array, choices)
    _set(value, changed, tensor.dtype)
    return f"{change.__name__.strip('_')} in {value.name}"


@mutation(weight=5)
def change_constants(subject: Subject, choices: Choices) -> str:
    """Change several constants."""
    return "; ".join(change_constant(subject, choices) for _ in range(choices.integer(2, 5)))


@mutation()
def collapse_constant(subject: Subject, choices: Choices) -> str:
    """Make a float constant a single element, or drop a leading dimension of one."""
    value = pick(choices, _small(subject, "f"), "constant")
    tensor, array = constant_tensor(value), constant(value)
    if tensor is None or array is None or not array.size:
        raise Unfit("it has no elements")
    if array.ndim and array.shape[0] == 1 and choices.chance(0.3):
        made = array.reshape(array.shape[1:])
    else:
        made = array.reshape(-1)[:1].reshape(choices.choose(((), (1,), (1,) * array.ndim)))
    _set(value, made, tensor.dtype)
    return f"made {value.name} {list(made.shape)}"


@mutation()
def expand_constant(subject: Subject, choices: Choices) -> str:
    """Write a single float element out, or give a constant leading dimensions of one."""
    value = pick(choices, _small(subject, "f"), "constant")
    tensor, array = constant_tensor(value), constant(value)
    if tensor is None or array is None:
        raise Unfit("it is too large")
    if array.size == 1 and choices.chance(0.5):
        users = [output for user in value.consumers() for output in user.outputs if output.shape is not None]
        user = pick(choices, users, "reader of known shape")
        sizes = [dim if isinstance(dim, int) else 1 for dim in user.shape or ()]
        made = np.full(sizes, array.reshape(-1)[0], array.dtype)
        if made.nbytes > LARGEST_BYTES:
            raise Unfit("it would be too large")
    else:
        made = array.reshape((1,) * choices.integer(1, 2) + array.shape)
    _set(value, made, tensor.dtype)
    return f"made {value.name} {list(made.shape)}"


@mutation()
def make_constant_node(subject: Subject, choices: Choices) -> str:
    """Write initializers as Constant nodes."""
    graph = subject.model.graph
    fit = [value for value in subject.constants() if value.is_initializer()]
    if not fit:
        raise Unfit("no initializers")
    taken = choices.some(fit, 0.5) or fit[:1]
    for value in taken:
        tensor = constant_tensor(value)
        assert tensor is not None
        node = ir.Node("", "Constant", [], [ir.AttrTensor("value", tensor)], num_outputs=1)
        (made,) = node.outputs
        made.type, made.shape = value.type, value.shape
        name = value.name or ""
        graph.initializers.pop(name)
        value.replace_all_uses_with(made)
        value.name = f"{name}_was"
        made.name = name
        first = next(iter(graph))
        graph.insert_before(first, node)
    return f"wrote {len(taken)} initializers as Constant nodes"


@mutation()
def make_input(subject: Subject, choices: Choices) -> str:
    """Make an initializer an input of the model, or one that only is its default."""
    graph = subject.model.graph
    value = pick(choices, [value for value in subject.constants() if value.is_initializer()], "initializer")
    array = constant(value)
    if array is None:
        raise Unfit("it cannot be read")
    if choices.chance(0.3):
        graph.inputs.append(value)
        return f"made {value.name} an input with a default"
    graph.initializers.pop(value.name or "")
    value.const_value = None
    subject.add_input(value, [array] * len(subject.feeds))
    return f"made {value.name} an input"


@mutation()
def share_constant(subject: Subject, choices: Choices) -> str:
    """Let the readers of a constant read another one of the same type and shape."""
    fit = subject.constants()
    value = pick(choices, fit, "constant")
    others = [
        other
        for other in fit
        if other is not value
        and other.is_initializer()
        and (other.dtype, other.shape) == (value.dtype, value.shape)
    ]
    other = pick(choices, others, "constant like it")
    value.replace_all_uses_with(other)
    return f"let {other.name} stand for {value.name}"


def _small(subject: Subject, kinds: str) -> list[ir.Value]:
    found = []
    for value in subject.constants(kinds):
        tensor = constant_tensor(value)
        if tensor is not None and tensor.nbytes <= LARGEST_BYTES and value.uses():
            found.append(value)
    return found


def _set(value: ir.Value, array: Array, dtype: ir.DataType) -> None:
    """Give a constant other elements; the tensor it had may be shared with other models, and stays."""
    contiguous = np.ascontiguousarray(array).reshape(array.shape)
    tensor: Any = ir.Tensor(contiguous, dtype=dtype, name=value.name)
    node = value.producer()
    if node is None:
        value.const_value = tensor
    else:
        node.attributes.clear()
        node.attributes["value"] = ir.AttrTensor("value", tensor)
        value.const_value = None
    value.shape = ir.Shape(array.shape)
