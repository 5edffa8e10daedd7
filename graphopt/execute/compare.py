"""Compare two sets of outputs: values, shapes, types, NaN and Inf patterns.

The definition of "equal" and the tolerances of each type stand here and nowhere else; nothing is run here.

Float criterion, per element: |actual - expected| <= max(atol, rtol * max(|expected|, rms(expected))), where
rms is the root mean square of the finite expected elements of that output. Rounding error of a reordered sum
grows with the size of its terms, not of its result, so an element near zero is measured against the typical
element of its tensor; the rms is a stricter scale than the maximum. NaN must meet NaN, an infinity the same
infinity. Integers, booleans and strings must be equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Tolerance:
    """Relative and absolute tolerance of the float criterion."""

    rtol: float
    atol: float


EXACT = Tolerance(0.0, 0.0)

TOLERANCES: Mapping[np.dtype[Any], Tolerance] = {
    np.dtype(np.float64): Tolerance(1e-7, 1e-10),
    np.dtype(np.float32): Tolerance(1e-4, 1e-7),
    np.dtype(np.float16): Tolerance(1e-2, 1e-4),
    np.dtype(ml_dtypes.bfloat16): Tolerance(5e-2, 1e-3),
    np.dtype(ml_dtypes.float8_e4m3fn): Tolerance(0.25, 2.0**-9),
    np.dtype(ml_dtypes.float8_e4m3fnuz): Tolerance(0.25, 2.0**-10),
    np.dtype(ml_dtypes.float8_e5m2): Tolerance(0.5, 2.0**-16),
    np.dtype(ml_dtypes.float8_e5m2fnuz): Tolerance(0.5, 2.0**-17),
    np.dtype(np.complex64): Tolerance(1e-4, 1e-7),
    np.dtype(np.complex128): Tolerance(1e-7, 1e-10),
}
"""Default tolerance by type; types not listed must be equal."""


@dataclass(frozen=True)
class OutputDifference:
    """How one output of one run differs.

    Attributes:
        name: The output.
        equal: Within tolerance, with the expected shape, type and NaN and Inf pattern.
        exact: The same bits (any NaN equals any NaN).
        max_abs: Largest |actual - expected| over finite elements; NaN if nothing could be compared.
        max_rel: Largest |actual - expected| / max(|expected|, rms(expected)) among differences above atol:
            the measure of the criterion.
        max_rel_elementwise: Largest |actual - expected| / |expected|; inf where only expected is zero.
        max_ulp: Largest distance in units in the last place of the type; None for types without.
        mismatched: Elements outside the tolerance.
        elements: Elements of the expected output.
        same_pattern: Float arrays of one shape and type, with NaN and infinities at the same places.
        reason: Why it is not equal, or "".
        input_set: Index of the input set.
    """

    name: str
    equal: bool
    exact: bool
    max_abs: float = 0.0
    max_rel: float = 0.0
    max_rel_elementwise: float = 0.0
    max_ulp: int | None = None
    mismatched: int = 0
    elements: int = 0
    same_pattern: bool = False
    reason: str = ""
    input_set: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; infinities and NaN become strings."""
        return {
            key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(self).items()
        }


def default_tolerance(dtype: np.dtype[Any]) -> Tolerance:
    """The tolerance for outputs of a type, `EXACT` for integers, booleans and strings."""
    return TOLERANCES.get(dtype, EXACT)


def compare(
    expected: Mapping[str, Any],
    actual: Mapping[str, Any],
    *,
    rtol: float | None = None,
    atol: float | None = None,
    floor: Tolerance = EXACT,
    input_set: int = 0,
) -> list[OutputDifference]:
    """Compare outputs by name.

    Args:
        expected: The oracle's outputs: arrays, lists of arrays (sequences) or None (empty optionals).
        actual: The candidate's outputs.
        rtol: Relative tolerance of floats; by default that of each output's type.
        atol: Absolute tolerance of floats; by default that of each output's type.
        floor: Tolerance no default goes below (for models that compute in less than their outputs show).
        input_set: Index noted in the results.

    Returns:
        One entry per expected output, in order; outputs only `actual` has are not looked at.
    """
    return [
        _output(name, value, actual, rtol=rtol, atol=atol, floor=floor, input_set=input_set)
        for name, value in expected.items()
    ]


def compare_signatures(
    expected: Mapping[str, Any], actual: Mapping[str, Any], *, input_set: int = 0
) -> list[OutputDifference]:
    """Compare only shapes and types: all that can be asked of random outputs. `exact` is never claimed."""
    differences = []
    for name, value in expected.items():
        reason = "missing" if name not in actual else _signature_reason(value, actual[name])
        differences.append(
            OutputDifference(
                name, equal=not reason, exact=False, max_abs=math.nan, max_rel=math.nan,
                max_rel_elementwise=math.nan, reason=reason, input_set=input_set,
            )
        )  # fmt: skip
    return differences


def _output(
    name: str,
    expected: Any,
    actual: Mapping[str, Any],
    *,
    rtol: float | None,
    atol: float | None,
    floor: Tolerance,
    input_set: int,
) -> OutputDifference:
    def unlike(reason: str) -> OutputDifference:
        return OutputDifference(
            name, False, False, math.nan, math.nan, math.nan, None,
            mismatched=_count(expected), elements=_count(expected), reason=reason, input_set=input_set,
        )  # fmt: skip

    if name not in actual:
        return unlike("missing")
    if reason := _signature_reason(expected, actual[name]):
        return unlike(reason)
    parts = [
        _array(np.asarray(e), np.asarray(a), rtol=rtol, atol=atol, floor=floor)
        for e, a in zip(_items(expected), _items(actual[name]), strict=True)
    ]
    ulps = [part.max_ulp for part in parts if part.max_ulp is not None]
    reasons = [
        part.reason if not isinstance(expected, list) else f"element {index}: {part.reason}"
        for index, part in enumerate(parts)
        if part.reason
    ]
    return OutputDifference(
        name,
        equal=all(part.equal for part in parts),
        exact=all(part.exact for part in parts),
        max_abs=_largest(part.max_abs for part in parts),
        max_rel=_largest(part.max_rel for part in parts),
        max_rel_elementwise=_largest(part.max_rel_elementwise for part in parts),
        max_ulp=max(ulps) if ulps else None,
        mismatched=sum(part.mismatched for part in parts),
        elements=sum(part.elements for part in parts),
        same_pattern=all(part.equal or part.same_pattern for part in parts),
        reason=reasons[0] if reasons else "",
        input_set=input_set,
    )


def _largest(values: Any) -> float:
    found = list(values)
    if not found:
        return 0.0
    return math.nan if any(math.isnan(value) for value in found) else max(found)


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _count(value: Any) -> int:
    return sum(int(np.asarray(item).size) for item in _items(value))


def _signature_reason(expected: Any, actual: Any) -> str:
    if (expected is None) != (actual is None):
        return "expected nothing, got a value" if expected is None else "expected a value, got nothing"
    if isinstance(expected, list) != isinstance(actual, list):
        kinds = ("a sequence", "a tensor") if isinstance(expected, list) else ("a tensor", "a sequence")
        return f"expected {kinds[0]}, got {kinds[1]}"
    if isinstance(expected, list) and len(expected) != len(actual):
        return f"expected a sequence of {len(expected)}, got {len(actual)}"
    for e, a in zip(map(np.asarray, _items(expected)), map(np.asarray, _items(actual)), strict=True):
        if _type_name(e.dtype) != _type_name(a.dtype):
            return f"expected type {_type_name(e.dtype)}, got {_type_name(a.dtype)}"
        if e.shape != a.shape:
            return f"expected shape {list(e.shape)}, got {list(a.shape)}"
    return ""


def _type_name(dtype: np.dtype[Any]) -> str:
    return "string" if dtype.kind in "OUST" else dtype.name


def _array(
    expected: Array, actual: Array, *, rtol: float | None, atol: float | None, floor: Tolerance
) -> OutputDifference:
    default = default_tolerance(expected.dtype)
    if expected.dtype.kind in "OUSTb" or default == EXACT:
        return _discrete(expected, actual)
    relative = max(default.rtol, floor.rtol) if rtol is None else rtol
    absolute = max(default.atol, floor.atol) if atol is None else atol
    return _inexact(expected, actual, Tolerance(relative, absolute))


def _discrete(expected: Array, actual: Array) -> OutputDifference:
    wrong = np.asarray(expected != actual)
    count = int(np.count_nonzero(wrong))
    max_abs = max_rel = max_rel_elementwise = float(bool(count))
    if count and expected.dtype.kind in "iu":
        e, a = expected[wrong].astype(np.float64), actual[wrong].astype(np.float64)
        distance = np.abs(a - e)
        scale = _rms(expected.astype(np.float64))
        max_abs = float(distance.max())
        max_rel = float(_ratio(distance, np.maximum(np.abs(e), scale)).max())
        max_rel_elementwise = float(_ratio(distance, np.abs(e)).max())
    return OutputDifference(
        "",
        equal=not count,
        exact=not count,
        max_abs=max_abs,
        max_rel=max_rel,
        max_rel_elementwise=max_rel_elementwise,
        mismatched=count,
        elements=expected.size,
        reason=f"{count} of {expected.size} elements differ" if count else "",
    )


def _inexact(expected: Array, actual: Array, tolerance: Tolerance) -> OutputDifference:
    bits_equal = bool(np.array_equal(_bits(expected), _bits(actual)))
    wide: Any = np.complex128 if expected.dtype.kind == "c" else np.float64
    e, a = expected.astype(wide), actual.astype(wide)
    if bits_equal and bool(np.isfinite(e).all()):
        ulp = None if e.dtype.kind == "c" else 0
        return OutputDifference("", True, True, max_ulp=ulp, elements=expected.size)
    nan_differs = np.isnan(e) != np.isnan(a)
    both_nan = np.isnan(e) & np.isnan(a)
    infinite = ~both_nan & ~nan_differs & (np.isinf(e) | np.isinf(a))
    inf_differs = infinite & (e != a)
    finite = ~(np.isnan(e) | np.isnan(a) | np.isinf(e) | np.isinf(a))
    with np.errstate(over="ignore"):
        distance = np.abs(a[finite] - e[finite])
    magnitude = np.abs(e[finite])
    counted = np.where(distance > tolerance.atol, distance, 0.0)
    relative = _ratio(counted, np.maximum(magnitude, _rms(magnitude)))
    outside = int(np.count_nonzero(relative > tolerance.rtol))
    nans, infs = int(np.count_nonzero(nan_differs)), int(np.count_nonzero(inf_differs))
    reason = ""
    if nans:
        reason = f"NaN at {nans} of {e.size} elements in one and not the other"
    elif infs:
        reason = f"infinite at {infs} of {e.size} elements in one and not the other"
    elif outside:
        reason = f"{outside} of {e.size} elements outside rtol {tolerance.rtol:g}, atol {tolerance.atol:g}"
    return OutputDifference(
        "",
        equal=not (nans or infs or outside),
        exact=_is_exact(expected, actual, both_nan),
        max_abs=float(distance.max(initial=0.0)),
        max_rel=float(relative.max(initial=0.0)),
        max_rel_elementwise=float(_ratio(distance, magnitude).max(initial=0.0)),
        max_ulp=_max_ulp(expected[finite], actual[finite]),
        mismatched=nans + infs + outside,
        elements=expected.size,
        same_pattern=not (nans or infs),
        reason=reason,
    )


def _is_exact(expected: Array, actual: Array, both_nan: Array) -> bool:
    keep = ~both_nan
    return bool(np.array_equal(_bits(expected[keep]), _bits(actual[keep])))


def _rms(values: Array) -> float:
    if not values.size:
        return 0.0
    largest = float(np.abs(values).max())
    # Scaled by the maximum first: squares of large doubles overflow, of small ones vanish.
    return largest * float(np.sqrt(np.mean(np.square(values / largest)))) if largest else 0.0


def _ratio(numerator: Array, denominator: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = numerator / denominator
    return np.where(numerator == 0, 0.0, ratio)


def _bits(array: Array) -> Array:
    """The elements as unsigned integers; a complex number as two."""
    width = array.dtype.itemsize // (2 if array.dtype.kind == "c" else 1)
    return np.atleast_1d(np.ascontiguousarray(array)).view(f"u{width}")


def _max_ulp(expected: Array, actual: Array) -> int | None:
    """Distance in representable values between finite floats; +0 and -0 are the same value."""
    if expected.dtype.kind == "c":
        return None
    if not expected.size:
        return 0
    bits = 8 * expected.dtype.itemsize

    def ordered(array: Array) -> Array:
        pattern = _bits(array).astype(np.uint64)
        sign = np.uint64(1 << (bits - 1))
        magnitude = (pattern & (sign - np.uint64(1))).astype(np.int64)
        return np.where(pattern & sign, -magnitude, magnitude)

    one, other = ordered(expected), ordered(actual)
    # Doubles of opposite sign are further apart than int64 holds; unsigned differences wrap into place.
    low, high = np.minimum(one, other), np.maximum(one, other)
    gap = high.astype(np.uint64) - low.astype(np.uint64)
    return int(gap.max())
