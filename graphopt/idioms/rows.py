"""Functions of rows of a tensor: what a region with reductions is told to be, and which rows it reads.

Which elements a result depends on is found by changing one element. It knows no single idiom.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from graphopt.idioms.tensors import TensorFunction, reduced_axes

Array = npt.NDArray[Any]

TOLERANCES = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 1e-5, "float64": 5e-8}
"""Largest difference, relative to the largest element of the probe's result, by the type of the entry.

Constants are rounded to narrow types; the attributes of operators on float64 are float32.
"""


@dataclass(frozen=True)
class FoundReduction:
    """What a region computes: `scale * idiom(x) + bias`.

    Attributes:
        idiom: Name of the function.
        axes: Axes of a row, from the front; where `groups` are more than 1 they include axis 1.
        groups: Number of groups that axis 1 is divided into.
        parameters: "epsilon" of a normalization; "temperature", the factor of x, of a softmax.
        scale: Of the rank of x, or of rank 0; 1 where it is constant along an axis.
        bias: Likewise.
        error: Largest difference on the probes, relative as `TOLERANCES` are.
    """

    idiom: str
    axes: tuple[int, ...]
    groups: int
    parameters: Mapping[str, float]
    scale: Array
    bias: Array
    error: float


@dataclass(frozen=True)
class NearReduction:
    """The idiom that a region nearly computes.

    Attributes:
        idiom: Name of the function.
        difference: What differs, as text.
        bare: It would need no scale.
        guarded: It is the idiom, but that no row is divided by less than a tiny number.
    """

    idiom: str
    difference: str
    bare: bool = False
    guarded: bool = False

    def __str__(self) -> str:
        return f"nearly {self.idiom}: {self.difference}"


Outcome = FoundReduction | NearReduction | None


@dataclass
class Observed:
    """Results of a region on the probes of its first shape, each computed once."""

    function: TensorFunction
    axes: tuple[int, ...] = ()
    groups: int = 1
    _results: dict[tuple[int, int, float, float], tuple[Array, Array]] = field(default_factory=dict)

    def at(self, shape: int, draw: int, size: float, offset: float = 0.0) -> tuple[Array, Array]:
        """A probe, `size` times a normal distribution around `offset` times that, and its result."""
        key = (shape, draw, size, offset)
        if key not in self._results:
            x = (_normal(self.function.shapes[shape], draw) + offset) * size
            self._results[key] = (x, self.function(x))
        return self._results[key]


@functools.lru_cache(maxsize=64)
def _normal(shape: tuple[int, ...], seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def observe(function: TensorFunction) -> Observed | None:
    """Find which elements a result depends on; None where that is no row, or the result has another shape.

    Raises:
        CannotEvaluateError: The region cannot be evaluated.
    """
    seen = Observed(function)
    for index, shape in enumerate(function.shapes):
        x, result = seen.at(index, 1, 1.0)
        if result.shape != shape or result.dtype != np.float64:
            return None
    x, result = seen.at(0, 1, 1.0)
    shape = x.shape
    if not shape:
        return None
    place = tuple(size // 2 for size in shape)
    changed = x.copy()
    changed[place] += 3.0
    with np.errstate(all="ignore"):
        differs = np.abs(function(changed) - result) > 1e-9 * np.abs(result).max()
    reached = np.nonzero(differs | np.isnan(result))
    axes = tuple(axis for axis, indices in enumerate(reached) if np.any(indices != place[axis]))
    if not axes:
        return None
    seen.axes, seen.groups = axes, 1
    if (
        1 in axes
        and len(shape) > 2
        and axes == tuple(axis for axis in range(1, len(shape)) if shape[axis] > 1)
    ):
        low, high = int(reached[1].min()), int(reached[1].max())
        blocks = [size for size in range(1, shape[1] + 1) if shape[1] % size == 0]
        block = next(size for size in blocks if low // size == high // size)
        seen.groups = shape[1] // block
    return seen


def mixed_axes(function: TensorFunction, idiom: str) -> NearReduction | None:
    """Say so where reductions of one region run over different axes."""
    seen: dict[tuple[int, ...], None] = {}
    for node in function.region.nodes:
        axes = reduced_axes(node)
        if axes:
            seen[axes] = None
    if len(seen) < 2 or len({len(axes) for axes in seen}) > 1:
        return None
    names = " and ".join(", ".join(map(str, axes)) for axes in sorted(seen))
    return NearReduction(idiom, f"the reductions run over different axes ({names})")
