"""Arrays for the inputs of a model, once sizes are chosen: what kind of number goes where.

Deterministic in the seed, the input's name and the index of the set. Runs nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.execute.operands import operand_value
from graphopt.execute.signals import is_picture, make_floats, make_pictures
from graphopt.execute.sizes import Space
from graphopt.execute.usage import Usage

Array = np.ndarray[Any, Any]

_WORDS = ("graph", "a b", "", "Ünïcode", "0.5", "node")
_RANK_SIZES = (2, 3, 16, 16, 4)


def choice_key(name: str) -> str:
    """Name of the variable that chooses the value of a scalar input or the presence of an optional."""
    return f"{name}="


def input_shape(space: Space, name: str, bindings: Mapping[str, int]) -> tuple[int, ...]:
    """Shape of an input under the given sizes."""
    dims = space.dims[name]
    if dims is None:
        return _RANK_SIZES[: bindings[name]]
    return tuple(bindings[dim] if isinstance(dim, str) else dim for dim in dims)


def make_value(
    value: ir.Value,
    usage: Usage,
    space: Space,
    bindings: Mapping[str, int],
    *,
    model: ir.Model,
    seed: int,
    index: int,
) -> Any:
    """One input: an array, a list of arrays for a sequence, None for an absent optional."""
    name = value.name or ""
    shape = input_shape(space, name, bindings)
    type_ = value.type
    chosen = bindings.get(choice_key(name))
    if isinstance(type_, ir.OptionalType):
        if chosen == 0:
            return None
        type_ = type_.elem_type
    rng = np.random.default_rng([seed, index, zlib.crc32(name.encode())])
    dtype = type_.dtype if type_ is not None else ir.DataType.FLOAT
    if isinstance(type_, ir.SequenceType):
        return [_array(dtype, shape, usage, rng, index) for _ in range(3)]
    if chosen is not None and not isinstance(value.type, ir.OptionalType):
        return np.full(shape, chosen, dtype.numpy())
    operand = _operand(usage, model, space, bindings, shape)
    if operand is not None:
        return operand.astype(dtype.numpy())
    return _array(dtype, shape, usage, rng, index)


def _operand(
    usage: Usage, model: ir.Model, space: Space, bindings: Mapping[str, int], shape: tuple[int, ...]
) -> Array | None:
    def shape_of(value: ir.Value | None) -> tuple[int, ...] | None:
        if value is None:
            return None
        if value.name in space.dims and value.is_graph_input():
            return input_shape(space, value.name or "", bindings)
        if value.const_value is not None:
            return tuple(value.const_value.shape.numpy())
        if value.shape is None or not all(isinstance(size, int) for size in value.shape):
            return None
        return tuple(value.shape.numpy())

    count = int(np.prod(shape, dtype=np.int64))
    for node, position in usage.operands:
        found = operand_value(node, position, count, shape_of)
        if found is not None:
            return found.reshape(shape)
    return None


def _array(
    dtype: ir.DataType, shape: tuple[int, ...], usage: Usage, rng: np.random.Generator, index: int
) -> Array:
    if dtype == ir.DataType.STRING:
        return np.array(rng.choice(_WORDS, size=shape), dtype=object).reshape(shape)
    numpy_dtype = dtype.numpy()
    if usage.limit is not None:
        return np.asarray(rng.integers(0, usage.limit, size=shape)).astype(numpy_dtype)
    if usage.mask:
        kept = _prefix_mask(shape, rng)
        return (1.0 - kept if usage.hides else kept).astype(numpy_dtype)
    if dtype == ir.DataType.BOOL:
        return np.asarray(rng.random(shape) < 0.5)
    if usage.constants and not dtype.is_floating_point():
        return _near_constants(usage.constants, shape, rng, numpy_dtype)
    if dtype.is_integer():
        return _integers(dtype, shape, usage, rng, numpy_dtype)
    numbers = make_floats(shape, rng, index)
    if usage.positive or usage.nonzero:
        numbers = np.abs(numbers) + 0.1
    if numpy_dtype.kind == "c":
        numbers = numbers + 1j * rng.standard_normal(shape)
    return np.asarray(numbers).astype(numpy_dtype)


def _prefix_mask(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Ones, then zeros, along the last axis; the first row keeps all, every row at least one."""
    if not shape or not shape[-1]:
        return np.ones(shape)
    lengths = np.asarray(rng.integers(1, shape[-1] + 1, size=shape[:-1]))
    if lengths.ndim:
        lengths.ravel()[:1] = shape[-1]
    return np.asarray(np.arange(shape[-1]) < lengths[..., None], dtype=np.float64)


def _near_constants(
    constants: list[float], shape: tuple[int, ...], rng: np.random.Generator, numpy_dtype: np.dtype[Any]
) -> Array:
    """Numbers the graph compares with, among others of the same range."""
    low, high = int(min(constants)), int(max(constants))
    others = np.asarray(rng.integers(min(0, low), high + 2, size=shape))
    picked = np.asarray(rng.choice(np.asarray(constants), size=shape))
    info = np.iinfo(numpy_dtype)
    return np.clip(np.where(rng.random(shape) < 0.5, picked, others), info.min, info.max).astype(numpy_dtype)


def _integers(
    dtype: ir.DataType,
    shape: tuple[int, ...],
    usage: Usage,
    rng: np.random.Generator,
    numpy_dtype: np.dtype[Any],
) -> Array:
    if usage.nonzero:
        return np.asarray(rng.integers(1, 7, size=shape)).astype(numpy_dtype)
    if dtype == ir.DataType.UINT8 and is_picture(shape):
        return make_pictures(shape, rng, 0, 255).astype(numpy_dtype)
    low, high = {
        ir.DataType.UINT8: (0, 256), ir.DataType.INT8: (-128, 128),
        ir.DataType.UINT4: (0, 16), ir.DataType.INT4: (-8, 8),
        ir.DataType.UINT2: (0, 4), ir.DataType.INT2: (-2, 2),
    }.get(dtype, (0, 10))  # fmt: skip
    if not shape and high == 10:
        return np.ones(shape, numpy_dtype)
    return np.asarray(rng.integers(low, high, size=shape)).astype(numpy_dtype)
