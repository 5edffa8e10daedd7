"""Functions of rows of a tensor: normalizations and softmax, and how a region is told to compute one of them.

Which elements a result depends on is found by changing one element; scale, bias and epsilon are solved for
from results on large and on tiny rows; then the reference must agree on all probes, in every probe shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from graphopt.idioms.tensors import TensorFunction, reduced_axes

Array = npt.NDArray[Any]

TOLERANCE = 1e-5
"""Largest difference, relative to the largest element of the probe's result."""
COARSE = {"float16": 2e-3, "bfloat16": 1.6e-2}
"""The same where constants are rounded to a narrow type."""
LIKENESS = 0.05
"""Relative difference on ordinary rows up to which a region is called nearly an idiom."""
NO_EPSILON = 1e-18
"""Less than this added to a variance counts as nothing: rounding explains it."""
ROUNDING = 1e-15
"""What adding a bias in float64 may change, relative to it."""
SMALL = 1e-2
"""Scalars below this may be an epsilon or a floor."""
LADDER = (1e3, 10.0, 1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-6)
"""Sizes of the rows compared."""


@dataclass(frozen=True)
class Normalization:
    """Elements over the root of a mean of their row: `part(x) / sqrt(power(x) + epsilon)`.

    Attributes:
        name: The field's name.
        part: The numerator, of rows along `axes`.
        power: What stands in the root, of rows along `axes`, kept as dimensions of size 1.
        takes_epsilon: Whether the operator has one.
    """

    name: str
    part: Callable[[Array, tuple[int, ...]], Array]
    power: Callable[[Array, tuple[int, ...]], Array]
    takes_epsilon: bool = True

    def __call__(self, x: Array, axes: tuple[int, ...], groups: int, epsilon: float) -> Array:
        """The function, without scale and bias; `groups` divide axis 1."""
        with np.errstate(all="ignore"):
            if groups > 1:
                rows = x.reshape(x.shape[0], groups, -1)
                return self(rows, (2,), 1, epsilon).reshape(x.shape)
            return self.part(x, axes) / np.sqrt(self.power(x, axes) + epsilon)


def _centred(x: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray(x - x.mean(axis=axes, keepdims=True))


NORMALIZATIONS = (
    Normalization(
        "LayerNormalization",
        _centred,
        lambda x, axes: np.mean(_centred(x, axes) ** 2, axis=axes, keepdims=True),
    ),
    Normalization(
        "RMSNormalization", lambda x, axes: x, lambda x, axes: np.mean(x * x, axis=axes, keepdims=True)
    ),
    Normalization(
        "LpNormalization", lambda x, axes: x, lambda x, axes: np.sum(x * x, axis=axes, keepdims=True), False
    ),
    Normalization(
        "LpNormalization (p=1)",
        lambda x, axes: x,
        lambda x, axes: np.sum(np.abs(x), axis=axes, keepdims=True) ** 2,
        False,
    ),
)
"""Each normalization; where two fit, the first stands, unless a later one needs neither scale nor epsilon."""

ROOTS = frozenset({"Sqrt", "Pow", "ReduceL2", "ReduceL1", "Abs"}) | {
    "InstanceNormalization",
    "LayerNormalization",
    "RMSNormalization",
    "LpNormalization",
}
"""A normalization is spelled with one of these."""
POWERS = frozenset({"Exp", "Pow", "ReduceLogSumExp", "Softmax", "LogSoftmax"})
"""A softmax is spelled with one of these."""


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
        error: Largest difference on the probes, relative as `TOLERANCE` is.
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
    """

    idiom: str
    difference: str
    bare: bool = False

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
            normal = np.random.default_rng(draw).standard_normal(self.function.shapes[shape])
            x = (normal + offset) * size
            self._results[key] = (x, self.function(x))
        return self._results[key]


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
    place = tuple(size // 2 for size in shape)
    changed = x.copy()
    changed[place] += 3.0
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


def recognize_normalization(function: TensorFunction, dtype: str = "float32") -> Outcome:
    """The normalization that a region is, or nearly is, or None.

    Args:
        function: The region.
        dtype: Of the entry; narrow types allow what rounding their constants changes.

    Raises:
        CannotEvaluateError: The region cannot be evaluated.
    """
    seen = observe(function)
    if seen is None:
        return None
    found: list[FoundReduction] = []
    near: NearReduction | None = None
    for idiom in NORMALIZATIONS:
        outcome = _fit(idiom, seen, max(TOLERANCE, COARSE.get(dtype, 0.0)))
        if isinstance(outcome, FoundReduction):
            found.append(outcome)
        elif outcome is not None and (near is None or outcome.bare > near.bare):
            near = outcome
    bare = [each for each in found if each.scale.ndim == 0 and each.scale == 1.0 and not each.parameters]
    if found:
        return (bare or found)[0]
    centred = any(node.op_type == "Sub" for node in function.region.nodes)
    return near or _mixed_axes(function, NORMALIZATIONS[0 if centred else 1].name)


def _fit(idiom: Normalization, seen: Observed, tolerance: float) -> Outcome:
    """Solve for scale, bias and epsilon, and compare."""
    axes, groups = seen.axes, seen.groups
    if groups > 1 and idiom.name != "LayerNormalization":
        return None
    solved = _affine(idiom, seen)
    if solved is None:
        return None
    scale, bias = (_narrowed(array, seen.function.free) for array in solved)
    if scale is None or bias is None:
        return None
    epsilon = _epsilon(idiom, seen, scale, bias)
    tail = _compare(idiom, seen, scale, bias, epsilon)
    worst = max(tail, key=lambda each: each[1])
    if worst[1] <= tolerance and (idiom.takes_epsilon or epsilon == 0.0):
        parameters = {"epsilon": epsilon} if idiom.takes_epsilon else {}
        return FoundReduction(idiom.name, axes, groups, parameters, scale, bias, worst[1])
    ordinary = max(error for size, error in tail if size >= 1.0)
    if ordinary > LIKENESS:
        return None
    bare = np.abs(scale - 1.0).max() < 1e-3
    return NearReduction(idiom.name, _difference(idiom, seen, scale, bias, epsilon, tolerance), bool(bare))


def _affine(idiom: Normalization, seen: Observed) -> tuple[Array, Array] | None:
    """Scale and bias, from large rows: a normalization is an odd function and then ignores epsilon."""
    products, squares, means = (np.zeros(seen.function.shapes[0]) for _ in range(3))
    for draw in (2, 3, 4):
        x, result = seen.at(0, draw, 1e3)
        _, mirrored = seen.at(0, draw, -1e3)
        core = idiom(x, seen.axes, seen.groups, 0.0)
        odd = (result - mirrored) / 2.0
        products, squares = products + odd * core, squares + core * core
        means = means + (result + mirrored) / 6.0
    with np.errstate(all="ignore"):
        scale = products / squares
    if not (np.isfinite(scale).all() and np.isfinite(means).all()) or not np.any(scale):
        return None
    bias = means
    bias[np.abs(bias) < 1e-9 * np.abs(scale).max()] = 0.0
    return scale, bias


def _narrowed(array: Array, free: Sequence[int]) -> Array | None:
    """The array without the axes it is constant along; None if it varies along a free one."""
    size = np.abs(array).max()
    for axis in range(array.ndim):
        mean = array.mean(axis=axis, keepdims=True)
        # What varies from row to row is noise, or a near miss that the probes will tell.
        if np.abs(array - mean).max() <= (1e-4 if axis in free else 1e-10) * size:
            array = mean
        elif axis in free:
            return None
    if np.abs(array - 1.0).max() <= 1e-9:
        return np.ones(())
    return array.reshape(()) if array.size == 1 else array


def _epsilon(idiom: Normalization, seen: Observed, scale: Array, bias: Array) -> float:
    """What is added to the power, from rows so small that it outweighs them; NaN if that is inconsistent."""
    x, result = seen.at(0, 5, LADDER[-1])
    if seen.groups > 1:
        rows = x.reshape(x.shape[0], seen.groups, -1)
        power = np.broadcast_to(idiom.power(rows, (2,)), rows.shape).reshape(x.shape)
    else:
        power = np.broadcast_to(idiom.power(x, seen.axes), x.shape)
    with np.errstate(all="ignore"):
        ratio = scale * idiom(x, seen.axes, seen.groups, 0.0) / (result - bias)
        each = power * (ratio * ratio - 1.0)
    each = each[np.isfinite(each)]
    epsilon = float(np.median(each)) if each.size else math.nan
    if abs(epsilon) < NO_EPSILON:
        return 0.0
    for scalar in seen.function.scalars():
        if abs(scalar - epsilon) <= 1e-6 * epsilon:
            return scalar
    return float(np.float32(epsilon))


def _compare(
    idiom: Callable[[Array, tuple[int, ...], int, float], Array],
    seen: Observed,
    scale: Array,
    bias: Array,
    epsilon: float,
) -> list[tuple[float, float]]:
    """Differences from a reference: (size of the rows, largest difference relative to the largest result)."""
    differences = []
    floors = [1e-3 * each for each in seen.function.scalars() if 0.0 < each < SMALL]
    for index in range(len(seen.function.shapes)):
        for size in (*LADDER, *floors):
            for offset in (0.0, 2.0) if size == 1.0 else (0.0,):
                x, result = seen.at(index, 6, size, offset)
                core = scale * idiom(x, seen.axes, seen.groups, epsilon)
                largest = np.abs(core).max()
                error = np.abs(result - (core + bias)).max() / largest if largest else math.inf
                if largest:
                    error = max(0.0, error - ROUNDING * float(np.abs(bias).max()) / largest)
                differences.append((size, float(error) if np.isfinite(error) else math.inf))
    return differences


def _difference(
    idiom: Normalization, seen: Observed, scale: Array, bias: Array, epsilon: float, tolerance: float
) -> str:
    """What differs from an idiom that agrees on ordinary rows."""
    if mixed := _mixed_axes(seen.function, idiom.name):
        return mixed.difference
    root = next((each for each in seen.function.scalars() if 0.0 < each < SMALL), 0.0)

    def outside(x: Array, axes: tuple[int, ...], groups: int, epsilon: float) -> Array:
        plain = idiom(x, axes, groups, 0.0)
        part = idiom.part(x, axes) if groups == 1 else plain
        with np.errstate(all="ignore"):
            return np.where(plain == 0.0, 0.0, part / (part / plain + epsilon))

    def floored(x: Array, axes: tuple[int, ...], groups: int, epsilon: float) -> Array:
        plain = idiom(x, axes, groups, 0.0)
        part = idiom.part(x, axes) if groups == 1 else plain
        with np.errstate(all="ignore"):
            return np.where(plain == 0.0, 0.0, part / np.maximum(part / plain, epsilon))

    for guess, text in ((outside, "epsilon is added outside of the root"), (floored, "the norm has a floor")):
        for scalar in seen.function.scalars():
            if (
                0.0 < scalar < SMALL
                and max(e for _, e in _compare(guess, seen, scale, bias, scalar)) <= tolerance
            ):
                return f"{text} ({scalar:.3g})"
    if not idiom.takes_epsilon and root:
        return f"it has an epsilon ({root:.3g}), and the operator has none"
    size, _ = max(_compare(idiom, seen, scale, bias, epsilon), key=lambda each: each[1])
    x, result = seen.at(0, 6, size)
    expected = scale * idiom(x, seen.axes, seen.groups, epsilon) + bias
    worst = np.unravel_index(int(np.nanargmax(np.abs(result - expected))), x.shape)
    return (
        f"at {x[worst]:.3g} in a row of size {size:.3g} it gives {result[worst]:.6g} where {idiom.name} "
        f"gives {expected[worst]:.6g}"
    )


def _mixed_axes(function: TensorFunction, idiom: str) -> NearReduction | None:
    """Say so where reductions of one region run over different axes."""
    seen: dict[tuple[int, ...], None] = {}
    for node in function.region.nodes:
        axes = reduced_axes(node)
        if axes:
            seen[axes] = None
    if len(seen) < 2 or len({len(axes) for axes in seen}) > 1:
        return None
    names = " and ".join(", ".join(map(str, axes)) for axes in seen)
    return NearReduction(idiom, f"the reductions run over different axes ({names})")


def recognize_softmax(function: TensorFunction, dtype: str = "float32") -> Outcome:
    """Softmax or LogSoftmax of a multiple of x, if a region is that, or nearly that, or None.

    Args:
        function: The region.
        dtype: Of the entry.

    Raises:
        CannotEvaluateError: The region cannot be evaluated.
    """
    seen = observe(function)
    if seen is None or seen.groups > 1:
        return None
    tolerance = max(TOLERANCE, COARSE.get(dtype, 0.0))
    if len(seen.axes) != 1:
        return _mixed_axes(function, "Softmax")
    axis = seen.axes[0]
    near: NearReduction | None = None
    for log in (False, True):
        outcome = _fit_softmax(seen, axis, tolerance, log=log)
        if isinstance(outcome, FoundReduction):
            return outcome
        near = near or outcome
    return near


def _fit_softmax(seen: Observed, axis: int, tolerance: float, *, log: bool) -> Outcome:
    name = "LogSoftmax" if log else "Softmax"
    x, result = seen.at(0, 1, 1.0)
    if x.shape[axis] < 2:
        return None
    with np.errstate(all="ignore"):
        logits = result if log else np.log(result)
        rise = np.diff(logits, axis=axis) / np.diff(x, axis=axis)
    if not np.isfinite(rise).all():
        return None
    temperature = float(np.median(rise))
    near = abs(temperature - 1.0) <= 1e-7
    temperature = 1.0 if near else float(np.float32(temperature))
    if temperature == 0.0:
        return None
    worst, ordinary, told = 0.0, 0.0, ""
    for index in range(len(seen.function.shapes)):
        for size, offset in ((1.0, 0.0), (5.0, 0.0), (1e-3, 0.0), (1.0, 20.0), (1.0, -20.0), (80.0, 0.0)):
            x, result = seen.at(index, 7, size, offset)
            expected = _softmax(temperature * x, axis, log=log)
            comparable = np.isfinite(result) & np.isfinite(expected)
            if size < 50.0 and not comparable.all():
                return None
            scale = np.maximum(np.abs(expected), 1e-3 if size < 50.0 else 1e-2)
            errors = np.where(comparable, np.abs(result - expected) / scale, 0.0)
            worst = max(worst, float(errors.max()))
            if size == 1.0:
                ordinary = max(ordinary, float(errors.max()))
            if errors.max() > tolerance and not told:
                place = np.unravel_index(int(np.argmax(errors)), x.shape)
                told = f"it gives {result[place]:.6g} where {name} gives {expected[place]:.6g}"
    if worst <= tolerance and not told:
        masked = _on_masked_rows(seen, axis, temperature, log=log)
        if masked:
            return NearReduction(name, masked)
        none = np.zeros(())
        parameters = {"temperature": temperature}
        return FoundReduction(name, (axis,), 1, parameters, np.ones(()), none, worst)
    if ordinary > LIKENESS * 4:
        return None
    mixed = _mixed_axes(seen.function, name)
    return NearReduction(name, mixed.difference if mixed else told)


def _on_masked_rows(seen: Observed, axis: int, temperature: float, *, log: bool) -> str:
    """What differs where elements are -inf: some of a row, and all of it."""
    x, _ = seen.at(0, 1, 1.0)
    some = x.copy()
    some[tuple(slice(None, None, 2) if each == axis else slice(None) for each in range(x.ndim))] = -math.inf
    some *= np.sign(temperature)
    result, expected = seen.function(some), _softmax(temperature * some, axis, log=log)
    if np.isnan(result).any() or not np.allclose(result, expected, rtol=1e-2, atol=1e-3):
        place = np.unravel_index(int(np.argmax(result != expected)), x.shape)
        return f"where others of a row are -inf it gives {result[place]:.6g}, not {expected[place]:.6g}"
    result = seen.function(np.full_like(x, -math.inf * np.sign(temperature)))
    if np.isnan(result).all():
        return ""
    return f"it gives {result.reshape(-1)[0]:.6g} for a row of -inf"


def _softmax(x: Array, axis: int, *, log: bool) -> Array:
    with np.errstate(all="ignore"):
        shifted = x - x.max(axis=axis, keepdims=True)
        total = np.exp(shifted).sum(axis=axis, keepdims=True)
        return np.asarray(shifted - np.log(total) if log else np.exp(shifted) / total)
