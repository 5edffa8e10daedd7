"""Normalizations: elements over the root of a mean of their row, and how a region is told to compute one.

Scale, bias and epsilon are solved for from results on large and on tiny rows; then the reference must agree
on rows of all sizes, in every probe shape.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graphopt.idioms.regions import Region
from graphopt.idioms.rows import (
    TOLERANCES,
    FoundReduction,
    NearReduction,
    Observed,
    Outcome,
    mixed_axes,
    observe,
)
from graphopt.idioms.tensors import TensorFunction
from graphopt.ir import constant_tensor

Array = npt.NDArray[Any]

LIKENESS = 0.05
"""Relative difference on ordinary rows up to which a region is called nearly a normalization."""
NO_EPSILON = 1e-18
"""Less than this added to a variance counts as nothing: rounding explains it."""
ROUNDING = 1e-15
"""What adding a bias in float64 may change, relative to it."""
SMALL = 1e-2
"""Scalars below this may be an epsilon or a floor."""
HUGE, TINY = 1e3, 1e-6
"""Sizes of rows beside which no epsilon counts, and which count for nothing beside one."""
UNSEEN = 1e-12
"""Epsilon over a mean square up to which it does not show in a result."""
ROUNDS = 3
"""How often scale and epsilon are solved for, each from what is known of the other."""
MODERATE = 10.0
"""Size of rows that no epsilon counts beside, yet two powers of ten below `HUGE`."""
POWERS = (0.4, 2.5)
"""Of the size of a row: what a divisor grows with where a root is missing, or is another one."""
SIZES = (1.0, HUGE, MODERATE, 0.1, 1e-2, 1e-3, 1e-4, TINY)
"""Sizes of the rows compared, ordinary ones first."""
FEW_SIZES = (1.0, 1e-3)
"""Those compared in further probe shapes."""
DRAWS = (2, 3)
"""Seeds of the rows that scale and bias are solved from."""
COMPARED = 6
"""Seed of the rows that are compared."""
FEWEST_ELEMENTS = 64
"""Fewer tell little: two elements over the root of their variance are 1 and -1, whatever else is done."""


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

_ROOTS = frozenset(
    {
        "Abs",
        "InstanceNormalization",
        "LayerNormalization",
        "LpNormalization",
        "RMSNormalization",
        "ReduceL1",
        "ReduceL2",
        "Sqrt",
    }
)


def may_be_normalization(region: Region) -> bool:
    """Whether a region holds an operator that one is spelled with: cheap, and never wrongly no."""
    for node in region.nodes:
        if node.op_type in _ROOTS:
            return True
        if node.op_type == "Pow" and constant_tensor(node.inputs[1]) is not None:
            return True
    return False


def recognize_normalization(
    function: TensorFunction, dtype: str = "float32", like: FoundReduction | None = None
) -> Outcome:
    """The normalization that a region is, or nearly is, or None.

    Args:
        function: The region.
        dtype: Of the entry; narrow types allow what rounding their constants changes.
        like: What a region of the same nodes with other scale and bias was found to be: a few probes then
            are enough.

    Raises:
        CannotEvaluateError: The region cannot be evaluated.
    """
    tolerance = TOLERANCES[dtype]
    if like is not None:
        return _again(function, like, tolerance)
    seen = observe(function)
    if seen is None:
        return None
    found: FoundReduction | None = None
    near: NearReduction | None = None
    for idiom in NORMALIZATIONS:
        outcome = _fit(idiom, seen, tolerance)
        if isinstance(outcome, FoundReduction):
            if found is None or (outcome.scale.ndim == 0 and outcome.scale == 1.0):
                found = outcome
            if outcome.parameters.get("epsilon", 0.0) != 0.0:
                break
        elif outcome is not None and (near is None or outcome.bare > near.bare):
            near = outcome
    centred = any(node.op_type == "Sub" for node in function.region.nodes)
    return (
        found
        or near
        or mixed_axes(function, NORMALIZATIONS[0 if centred else 1].name)
        or _other_divisor(seen)
    )


def _again(function: TensorFunction, like: FoundReduction, tolerance: float) -> Outcome:
    """The same normalization with its own scale and bias, or None."""
    idiom = next(each for each in NORMALIZATIONS if each.name == like.idiom)
    seen = Observed(function, like.axes, like.groups)
    epsilon = like.parameters.get("epsilon", 0.0)
    solved = _affine(idiom, seen, epsilon)
    if solved is None:
        return None
    scale, bias = solved
    worst = max(error for _, error in _compare(idiom, seen, scale, bias, epsilon, FEW_SIZES))
    if worst > tolerance:
        return None
    return FoundReduction(idiom.name, like.axes, like.groups, like.parameters, scale, bias, worst)


def _fit(idiom: Normalization, seen: Observed, tolerance: float) -> Outcome:
    """Solve for scale, bias and epsilon, and compare."""
    if seen.groups > 1 and idiom.name != "LayerNormalization":
        return None
    epsilon = 0.0
    for _ in range(ROUNDS):
        solved = _affine(idiom, seen, epsilon)
        if solved is None:
            return None
        scale, bias = solved
        before, epsilon = epsilon, _epsilon(idiom, seen, scale, bias)
        if not abs(epsilon - before) > UNSEEN * HUGE**2:
            break
    (_, ordinary), *_ = _compare(idiom, seen, scale, bias, epsilon, (1.0,))
    if ordinary > LIKENESS:
        return None
    differences = _compare(idiom, seen, scale, bias, epsilon, _sizes(seen))
    worst = max(error for _, error in differences)
    if worst <= tolerance and (idiom.takes_epsilon or epsilon == 0.0):
        parameters = {"epsilon": epsilon} if idiom.takes_epsilon else {}
        return FoundReduction(idiom.name, seen.axes, seen.groups, parameters, scale, bias, worst)
    if max(error for size, error in differences if size >= 1.0) > LIKENESS:
        return None
    bare = np.abs(scale - 1.0).max() < 1e-3
    difference, floor = _difference(idiom, seen, scale, bias, epsilon, tolerance)
    guarded = bool(bare) and not idiom.takes_epsilon and floor <= TINY
    return NearReduction(idiom.name, difference, bool(bare), guarded)


def _other_divisor(seen: Observed) -> NearReduction | None:
    """Say so where rows are divided by something of their own, but not by the root of a mean square."""
    if seen.groups > 1:
        return None
    for idiom in NORMALIZATIONS[:2]:
        with np.errstate(all="ignore"):
            # Scale over divisor, for two draws of rows of one size, and for smaller ones.
            one, two, small = (
                _odd_part(seen, draw, size) / idiom.part(seen.at(0, draw, size)[0], seen.axes)
                for draw, size in ((DRAWS[0], HUGE), (DRAWS[1], HUGE), (DRAWS[0], MODERATE))
            )
            divisors = two / one
            power = float(np.median(np.log(np.abs(small / one)) / math.log(HUGE / MODERATE)))
            mean = divisors.mean(axis=seen.axes, keepdims=True)
            one_a_row = np.all(np.abs(divisors - mean) <= 1e-6 * np.abs(mean))
        if not one_a_row or not np.ptp(mean) > 1e-6 or not POWERS[0] <= power <= POWERS[1]:
            continue
        what = "the variance" if idiom.part is _centred else "the mean square"
        if abs(power - 1.0) > 1e-6:
            difference = f"what divides a row grows with the power {power:.4g} of its size, not 1"
        else:
            difference = f"what divides a row is not the root of {what}"
        return NearReduction(idiom.name, difference)
    return None


def _odd_part(seen: Observed, draw: int, size: float) -> Array:
    """The result without what a bias adds to it."""
    return np.asarray((seen.at(0, draw, size)[1] - seen.at(0, draw, -size)[1]) / 2.0)


def _affine(idiom: Normalization, seen: Observed, epsilon: float = 0.0) -> tuple[Array, Array] | None:
    """Scale and bias, from large rows: a normalization is an odd function and then hardly minds epsilon.

    None where there are none, or where they vary along an axis whose size is not known.
    """
    products, squares, bias = (np.zeros(seen.function.shapes[0]) for _ in range(3))
    for draw in DRAWS:
        x, result = seen.at(0, draw, HUGE)
        _, mirrored = seen.at(0, draw, -HUGE)
        core = idiom(x, seen.axes, seen.groups, epsilon)
        products += (result - mirrored) / 2.0 * core
        squares += core * core
        bias += (result + mirrored) / 2.0 / len(DRAWS)
    with np.errstate(all="ignore"):
        scale = products / squares
    largest = float(np.abs(scale).max())
    if not (math.isfinite(largest) and np.isfinite(bias).all()) or largest == 0.0:
        return None
    bias[np.abs(bias) < 1e-9 * largest] = 0.0
    free = seen.function.free
    narrow_scale, narrow_bias = (_narrowed(array, largest, free) for array in (scale, bias))
    return None if narrow_scale is None or narrow_bias is None else (narrow_scale, narrow_bias)


def _narrowed(array: Array, largest: float, free: Sequence[int]) -> Array | None:
    """The array without the axes it is constant along; None if it varies along a free one.

    Rounded constants in a region make its scale vary from row to row by what they are rounded.
    """
    for axis in range(array.ndim):
        mean = array.mean(axis=axis, keepdims=True)
        allowed = 1e-4 * largest if axis in free else 1e-6 * np.abs(mean) + 1e-9 * largest
        if np.all(np.abs(array - mean) <= allowed):
            array = mean
        elif axis in free:
            return None
    if np.abs(array - 1.0).max() <= 1e-9:
        return np.ones(())
    return array.reshape(()) if array.size == 1 else array


def _epsilon(idiom: Normalization, seen: Observed, scale: Array, bias: Array) -> float:
    """What is added to the power, from rows so small that it outweighs them; NaN if that is inconsistent."""
    x, result = seen.at(0, 5, TINY)
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
    sizes: Sequence[float] = SIZES,
) -> list[tuple[float, float]]:
    """Differences from a reference: (size of the rows, largest difference relative to the largest result)."""
    differences = []
    drift = ROUNDING * float(np.abs(bias).max())
    for index in range(len(seen.function.shapes)):
        for size in FEW_SIZES if index and len(sizes) > 1 else sizes:
            errors = []
            for draw, sign in _draws(seen, index):
                x, result = seen.at(index, draw, sign * size, 2.0 if size == 1.0 else 0.0)
                core = scale * idiom(x, seen.axes, seen.groups, epsilon)
                largest = np.abs(core).max()
                beside = max(0.0, np.abs(result - (core + bias)).max() - drift)
                error = beside / largest if largest else math.inf
                errors.append(float(error) if np.isfinite(error) else math.inf)
            differences.append((size, max(errors)))
    return differences


def _draws(seen: Observed, index: int) -> list[tuple[int, float]]:
    """Seeds and signs of the rows to compare: several where the probe shape has few elements."""
    elements = max(math.prod(seen.function.shapes[index]), 1)
    if elements >= FEWEST_ELEMENTS:
        return [(COMPARED, 1.0)]
    return list(
        itertools.product(range(COMPARED, COMPARED + FEWEST_ELEMENTS // (2 * elements) + 1), (1.0, -1.0))
    )


def _sizes(seen: Observed) -> list[float]:
    """Sizes of rows to compare: some fall below what may be a floor, some lie around what may be a bound."""
    scalars = sorted({abs(each) for each in seen.function.scalars() if 0.0 < abs(each) < math.inf})
    return [*SIZES, *(1e-3 * each if each < SMALL else each for each in scalars)]


def _difference(
    idiom: Normalization, seen: Observed, scale: Array, bias: Array, epsilon: float, tolerance: float
) -> tuple[str, float]:
    """What differs from an idiom that agrees on ordinary rows; its floor if that is all, else infinity."""
    if mixed := mixed_axes(seen.function, idiom.name):
        return mixed.difference, math.inf
    sizes = _sizes(seen)
    if seen.groups == 1:
        x, result = seen.at(0, 6, min(sizes))
        with np.errstate(all="ignore"):
            divisor = idiom.part(x, seen.axes) * scale / (result - bias)
            beyond = divisor - np.sqrt(idiom.power(x, seen.axes))
        fits = []
        for solved, join, text in (
            (beyond, np.add, "epsilon is added outside of the root"),
            (divisor, np.maximum, "the norm has a floor"),
        ):
            amount = float(np.nanmedian(solved))
            guess = functools.partial(_over, idiom, join, amount)
            worst = max(error for _, error in _compare(guess, seen, scale, bias, 0.0, sizes))
            fits.append((worst, f"{text} ({amount:.3g})", amount if join is np.maximum else math.inf))
        worst, told, floor = min(fits)
        if worst <= 10.0 * tolerance:
            return told, floor
    if not idiom.takes_epsilon and epsilon:
        return f"it has an epsilon ({epsilon:.3g}), and the operator has none", math.inf
    size, _ = max(_compare(idiom, seen, scale, bias, epsilon, sizes), key=lambda each: each[1])
    x, result = seen.at(0, 6, size, 2.0 if size == 1.0 else 0.0)
    expected = scale * idiom(x, seen.axes, seen.groups, epsilon) + bias
    differs = np.nan_to_num(np.abs(result - expected), nan=math.inf)
    place = np.unravel_index(int(np.argmax(differs)), x.shape)
    told = (
        f"at {x[place]:.3g} in a row of size {size:.3g} it gives {result[place]:.6g} where {idiom.name} "
        f"gives {expected[place]:.6g}"
    )
    return told, math.inf


def _over(
    idiom: Normalization,
    join: Callable[[Array, float], Array],
    amount: float,
    x: Array,
    axes: tuple[int, ...],
    groups: int,
    epsilon: float,
) -> Array:
    """The numerator over the root joined with an amount: `part / (root + amount)`, say."""
    return np.asarray(idiom.part(x, axes) / join(np.sqrt(idiom.power(x, axes)), amount))
