"""How far one array is from another that it should equal.

Sums are in float64. Elements that are not finite count as equal where both arrays agree in them, and as
infinitely far apart elsewhere.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from graphopt.errors import UsageError

Array = npt.NDArray[Any]


def sqnr_db(reference: Array, approximate: Array) -> float:
    """Signal to quantization noise in decibels: 10 log10(sum r^2 / sum (r - a)^2).

    Infinite for equal arrays, minus infinity where there is noise alone.

    Raises:
        UsageError: If the shapes differ.
    """
    signal, noise, _, _ = _sums(reference, approximate)
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal and math.isfinite(noise) else -math.inf


def mse(reference: Array, approximate: Array) -> float:
    """Mean squared error; 0 for empty arrays.

    Raises:
        UsageError: If the shapes differ.
    """
    return _sums(reference, approximate)[1] / max(np.size(reference), 1)


def relative_l2(reference: Array, approximate: Array) -> float:
    """|r - a| / |r| in the Euclidean norm; 0 for equal arrays, infinite where only the reference is zero.

    Raises:
        UsageError: If the shapes differ.
    """
    signal, noise, _, _ = _sums(reference, approximate)
    if noise == 0:
        return 0.0
    return math.sqrt(noise / signal) if signal else math.inf


def cosine(reference: Array, approximate: Array) -> float:
    """Cosine of the angle between the arrays as vectors; 1 for equal ones, 0 where only one is zero.

    Raises:
        UsageError: If the shapes differ.
    """
    signal, noise, other, product = _sums(reference, approximate)
    if noise == 0:
        return 1.0
    if not signal or not other or not math.isfinite(noise):
        return 0.0
    return max(-1.0, min(1.0, product / math.sqrt(signal) / math.sqrt(other)))


def _sums(reference: Array, approximate: Array) -> tuple[float, float, float, float]:
    """Sums over elements: r^2, (r - a)^2, a^2 and r * a."""
    if np.shape(reference) != np.shape(approximate):
        raise UsageError(
            f"arrays of shapes {np.shape(reference)} and {np.shape(approximate)} cannot be compared"
        )
    r = np.asarray(reference).astype(np.float64).ravel()
    a = np.asarray(approximate).astype(np.float64).ravel()
    finite = np.isfinite(r) & np.isfinite(a)
    apart = 0.0
    if not finite.all():
        apart = 0.0 if np.array_equal(r[~finite], a[~finite], equal_nan=True) else math.inf
        r, a = r[finite], a[finite]
    difference = r - a
    return float(r @ r), float(difference @ difference) + apart, float(a @ a), float(r @ a)
