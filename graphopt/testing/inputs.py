"""Inputs for small models: those that a generated model carries, else random ones that fit the types.

It never reads the graph: indices and shapes fit by chance alone; `graphopt.execute.make_inputs` fits by need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

INPUTS_KEY = "graphopt.inputs"
"""Where the `meta` of a generated model keeps the sets of inputs that it was grown with, each arrays by name.

A list of arrays stands for a sequence, None for an optional that is empty; an input that has a default may be
missing.
"""

SPECIAL_FLOATS = (0.0, -0.0, np.nan, np.inf, -np.inf, 6.5, -6.5)
DIM_SIZES = ((3, 4, 5, 2), (2, 5, 1, 3))
"""Sizes given to symbolic dimensions, in order of appearance, one row an input set."""

Array = np.ndarray[Any, Any]
Inputs = Mapping[str, Any]
"""One set: an array by input name; a list of arrays for a sequence, None for an empty optional."""


def model_inputs(model: ir.Model, *, special: bool = True) -> list[dict[str, Any]]:
    """The sets of inputs that the model carries, else two or three random ones that fit the declared types.

    Symbolic dimensions of one name agree.

    Args:
        model: Its inputs are tensors of known rank; those with a default are left out.
        special: Add a set with NaN, infinities and both zeros among its floats.
    """
    if INPUTS_KEY in model.meta:
        return list(model.meta[INPUTS_KEY])
    sets = [_inputs(model, np.random.default_rng(row), sizes) for row, sizes in enumerate(DIM_SIZES)]
    if special:
        sets.append({name: with_specials(array) for name, array in sets[0].items()})
    return sets


def _inputs(model: ir.Model, random: np.random.Generator, sizes: Sequence[int]) -> dict[str, Array]:
    bound: dict[str | None, int] = {}
    made = {}
    for value in model.graph.inputs:
        if value.is_initializer():
            continue
        assert value.shape is not None and value.dtype is not None, f"give inputs for {value.name!r}"
        shape = []
        for dim in value.shape.dims:
            name = dim.value if isinstance(dim, ir.SymbolicDim) else None
            size = dim if isinstance(dim, int) else bound.setdefault(name, sizes[len(bound) % len(sizes)])
            shape.append(size)
        made[value.name or ""] = _random(random, value.dtype, shape)
    return made


def _random(random: np.random.Generator, dtype: ir.DataType, shape: Sequence[int]) -> Array:
    if dtype == ir.DataType.STRING:
        return random.integers(0, 3, shape).astype(str).astype(object)
    if dtype == ir.DataType.BOOL:
        return random.integers(0, 2, shape).astype(np.bool_)
    if dtype.is_integer():
        return random.integers(0 if not dtype.is_signed() else -4, 5, shape).astype(dtype.numpy())
    return (random.standard_normal(shape) * 3).astype(dtype.numpy())


def with_specials(array: Any) -> Any:
    """A copy of a float array with NaN, infinities and both zeros among its elements; all else as it is."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        return array
    made = array.copy()
    flat = made.reshape(-1)
    for index in range(0, flat.size, 2):
        flat[index] = SPECIAL_FLOATS[(index // 2) % len(SPECIAL_FLOATS)]
    return made
