"""Non-uniform quantization of weights: a code is an index into a table of values.

Tables are fitted to a histogram of the weights, each channel's divided by its largest magnitude. Decoding is
table[code] * scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.quant.affine import affine_for
from graphopt.quant.groups import spread
from graphopt.quant.scheme import Scheme

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

BINS = 1 << 13
"""Bins over -1 to 1 that tables are fitted to where there are more weights."""
_ITERATIONS = 100
_HINT = "write it as k-means:bits=4,axis=0"


@dataclass(frozen=True)
class CodebookScheme:
    """How to quantize weights by a table.

    Attributes:
        kind: One of `TABLES`: "k-means", "power-of-two", "log" or "tanh".
        bits: Of a code, 2 to 8.
        axis: Each index of this axis has its own scale, and all one table; one scale for the tensor if None.

    Raises:
        UsageError: If there is no such kind or width.
    """

    kind: str
    bits: int = 4
    axis: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in TABLES:
            raise UsageError(f"there is no codebook {self.kind!r}; there are {', '.join(TABLES)}", hint=_HINT)
        if not 2 <= self.bits <= 8:
            raise UsageError(f"codes of a codebook have 2 to 8 bits, found bits={self.bits}", hint=_HINT)

    def __str__(self) -> str:
        return f"{self.kind}:bits={self.bits}" + ("" if self.axis is None else f",axis={self.axis}")

    @classmethod
    def parse(cls, text: str) -> CodebookScheme:
        """Read what `str` writes.

        Raises:
            UsageError: If the text is no scheme.
        """
        kind, _, rest = text.replace(" ", "").partition(":")
        options: dict[str, int] = {}
        for option in rest.split(",") if rest else ():
            key, _, value = option.partition("=")
            if key not in ("bits", "axis") or key in options or not value.lstrip("-").isdecimal():
                raise UsageError(f"codebook {text!r}: cannot read {option!r}", hint=_HINT)
            options[key] = int(value)
        return cls(kind, **options)


@dataclass(frozen=True, eq=False)
class Codebook:
    """A table with the scales of one tensor.

    Attributes:
        scheme: How it was made.
        table: float32, [levels], ascending, with an exact zero; between -1 and 1.
        scale: float32, () or one per index of the scheme's axis.
    """

    scheme: CodebookScheme
    table: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]

    def quantize(self, x: Array) -> npt.NDArray[np.uint8]:
        """The index of the nearest value for each element; NaN takes the zero's."""
        x = np.nan_to_num(np.asarray(x).astype(np.float32, copy=False), nan=0.0)
        middles = (self.table[1:] + self.table[:-1]) / 2
        return np.searchsorted(middles, x / self._spread(x.ndim)).astype(np.uint8)

    def dequantize(self, codes: Array) -> npt.NDArray[np.float32]:
        """The values that `codes` stand for."""
        return np.asarray(self.table[codes] * self._spread(np.ndim(codes)), np.float32)

    def fake(self, x: Array) -> npt.NDArray[np.float32]:
        """`x` rounded to what its codes stand for."""
        return self.dequantize(self.quantize(x))

    def _spread(self, rank: int) -> Array:
        return spread(self.scale, _unit(self.scheme), rank)


def codebook_for(array: Array, scheme: CodebookScheme) -> Codebook:
    """A table and scales fitted to `array`; values that are not finite are passed over.

    Raises:
        UsageError: If the array lacks the scheme's axis.
    """
    unit = affine_for(array, _unit(scheme))
    x = np.asarray(array).astype(np.float32, copy=False)
    shares = x / spread(unit.scale, unit.scheme, x.ndim)
    shares = shares[np.isfinite(shares)]
    table = TABLES[scheme.kind](*_counted(shares.astype(np.float64)), 1 << scheme.bits)
    return Codebook(scheme, np.unique(table.astype(np.float32)), unit.scale)


def k_means(values: Floats, counts: Floats, levels: int) -> Floats:
    """The levels with the least squared error, by Lloyd's iteration; the one nearest zero stays at zero.

    S. Lloyd, "Least squares quantization in PCM", IEEE Trans. Information Theory 28 (1982). It begins with
    levels as dense as the cube root of the density, which is optimal for many levels (Panter and Dite, 1951).
    """
    dense = np.concatenate([[0], np.cumsum(np.cbrt(counts))])
    edges = np.concatenate([values[:1], values]) if len(values) else np.zeros(1)
    places = (np.arange(levels) + 0.5) / levels * dense[-1]
    table = _with_zero(np.interp(places, dense, edges))
    total = np.concatenate([[0], np.cumsum(counts)])
    moment = np.concatenate([[0], np.cumsum(counts * values)])
    for _ in range(_ITERATIONS):
        cuts = np.searchsorted(values, (table[1:] + table[:-1]) / 2)
        cuts = np.concatenate([[0], cuts, [len(values)]])
        share, sums = np.diff(total[cuts]), np.diff(moment[cuts])
        moved = _with_zero(np.where(share > 0, sums / np.maximum(share, 1), table))
        if np.array_equal(moved, table):
            break
        table = moved
    return table


def power_of_two(values: Floats, counts: Floats, levels: int) -> Floats:
    """0 and +-2^-k, k = 0, 1, ...: products become shifts, but for the scale. It looks at no value."""
    return _signed(np.exp2(-np.arange(levels // 2 - 1.0)))


def log(values: Floats, counts: Floats, levels: int) -> Floats:
    """0 and +-top * ratio^k, k = 0, 1, ...; top and ratio with the least squared error of those tried.

    Logarithmic quantization as in D. Miyashita et al., "Convolutional Neural Networks using Logarithmic Data
    Representation" (2016), with the base fitted.
    """
    steps = np.arange(levels // 2 - 1)
    tried = (
        _signed(top * ratio**steps)
        for top in np.linspace(0.3, 1, 15)
        for ratio in 0.5 ** (1 / np.array([1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 8, 12, 16, 24, 32]))
    )
    return _best(tried, values, counts)


def tanh(values: Floats, counts: Floats, levels: int) -> Floats:
    """Levels that tanh spaces evenly: top * atanh(tanh(a) * u) / a, u even in -1 to 1; a and top fitted.

    Companding as in telephony (W. R. Bennett, "Spectra of Quantized Signals", 1948), fine near zero.
    """
    even = np.arange(1 - levels // 2, levels // 2) / (levels // 2 - 1)
    tried = (
        top * np.arctanh(np.tanh(strength) * even) / strength
        for top in np.linspace(0.3, 1, 15)
        for strength in (0.1, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4)
    )
    return _best(tried, values, counts)


TABLES: dict[str, Callable[[Floats, Floats, int], Floats]] = {
    "k-means": k_means,
    "power-of-two": power_of_two,
    "log": log,
    "tanh": tanh,
}
"""What fits a table of so many levels to values and how often they occur."""


def _unit(scheme: CodebookScheme) -> Scheme:
    """A scheme of codes -1, 0 and 1, whose scale is the largest magnitude."""
    return Scheme(ir.DataType.INT2, symmetric=True, axis=scheme.axis)


def _counted(shares: Floats) -> tuple[Floats, Floats]:
    """Values between -1 and 1, ascending, and how often each occurs: in bins if there are many."""
    if len(shares) <= BINS:
        return np.sort(shares), np.ones(len(shares))
    counts, edges = np.histogram(shares, BINS, (-1.0, 1.0))
    return (edges[1:] + edges[:-1]) / 2, counts.astype(np.float64)


def _signed(magnitudes: Floats) -> Floats:
    return np.concatenate([-magnitudes, [0], magnitudes[::-1]])


def _with_zero(table: Floats) -> Floats:
    """`table` with its level nearest zero at zero."""
    table = table.copy()
    table[np.argmin(np.abs(table))] = 0
    return table


def _best(tables: Iterable[Floats], values: Floats, counts: Floats) -> Floats:
    """The table with the least squared error."""

    def error(table: Floats) -> float:
        nearest = table[np.searchsorted((table[1:] + table[:-1]) / 2, values)]
        return float(counts @ (values - nearest) ** 2)

    return min(tables, key=error)
