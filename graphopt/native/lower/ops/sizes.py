"""Sizes, and what is made of them: Shape, Range and ConstantOfShape.

What is computed of sizes alone is known as soon as those of the program's inputs are: steps take it for the
sizes of what they make. Other integers they cannot take, since memory is planned before anything is computed.
"""

from __future__ import annotations

import numpy as np

from graphopt.ir import attribute_int
from graphopt.native.lower.forms import Coded, Form, Known, Mapped, Stored
from graphopt.native.lower.scope import Scope, Unsupported, identity
from graphopt.native.lower.steps import NAMES, Dim, Dims, Value


def shape(scope: Scope) -> Form:
    """Shape of what lies in memory, whatever is made of it there; all that is known is a constant."""
    dims, form = scope.dims(0), scope.form(0)
    end = attribute_int(scope.node, "end", len(dims))
    axes = list(range(len(dims)))[attribute_int(scope.node, "start", 0) : end]
    sizes = [size for axis in axes if isinstance(size := dims[axis], int)]
    if len(sizes) == len(axes):
        return Known(np.array(sizes, np.int64))
    if isinstance(form, Coded | Mapped):
        form = form.source
    if isinstance(form, Stored):
        value, order = form.value, form.order
        parts: list[int | tuple[Value, int]] = [(value, order.index(axis)) for axis in axes]
    else:  # it is not known yet in what form it is computed: only inputs of its sizes tell them
        parts = [_size(scope, dims[axis]) for axis in axes]
    return Stored(scope.shape_of(parts), identity(1))


def range_(scope: Scope) -> Form:
    """Range of integers, as far as sizes go."""
    forms = [scope.form(index) for index in range(3)]
    ends = [form.array.reshape(()) for form in forms if isinstance(form, Known)]
    if len(ends) == len(forms):
        first, end, step = (each.item() for each in ends)
        return Known(np.arange(first, end, step, dtype=ends[0].dtype))
    values = [scope.sizes(index) for index in range(3)]
    return Stored(scope.step("range", values, {}, values[0].type, _row(scope.output_dims())), identity(1))


def constant_of_shape(scope: Scope) -> Form:
    """ConstantOfShape, of a shape that is known, or computed of sizes."""
    attribute = scope.node.attributes.get("value")
    array = np.zeros(1, np.float32) if attribute is None else attribute.as_tensor().numpy()
    if array.dtype not in NAMES:
        raise Unsupported(f"a constant of type {array.dtype}")
    if isinstance(scope.form(0), Known):
        return Known(np.full(scope.array(0).tolist(), array.reshape(()), array.dtype))
    dims = scope.output_dims()
    value = scope.steps.constant(array.reshape(()))
    stored = Stored(scope.step("expand", [value, scope.sizes(0)], {}, value.type, dims), identity(len(dims)))
    return scope.as_coded(stored) if value.type in ("u8", "s8") else stored


def _row(dims: Dims) -> Dims:
    return dims if len(dims) == 1 else (None,)


def _size(scope: Scope, size: Dim) -> int | tuple[Value, int]:
    """A size as one of an axis of an input."""
    if isinstance(size, int):
        return size
    for value in scope.steps.inputs:
        if size is not None and size in value.dims:
            return value, value.dims.index(size)
    raise Unsupported("the shape of what is not computed before it is known in what form")
