"""What is known of a value of the graph while it is lowered: the forms that a value can have.

A chain of elementwise operators on one tensor of codes is a function of its 256 codes: `Mapped` carries that
function along, and only who needs the values decides in what form they are computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from graphopt.native.lower.steps import Array, Dims, Value

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """How codes stand for numbers: (code - zero) * scale.

    Attributes:
        type: "u8" or "s8".
        scale: Positive.
        zero: A code.
    """

    type: str
    scale: float
    zero: int

    @property
    def low(self) -> int:
        """The least code."""
        return 0 if self.type == "u8" else -128

    @property
    def high(self) -> int:
        """The largest code."""
        return 255 if self.type == "u8" else 127

    def quantize(self, x: Array) -> Array:
        """Codes of numbers, as int32: nearest even, clamped."""
        with np.errstate(all="ignore"):
            return self.clamp(np.asarray(x, np.float32) / np.float32(self.scale))

    def clamp(self, scaled: Array) -> Array:
        """Codes of multiples of the scale, as int32: nearest even, clamped; no number is the least."""
        scaled = np.nan_to_num(np.rint(scaled), nan=-512.0, posinf=512.0, neginf=-512.0)
        codes: Array = np.clip(scaled, self.low - self.zero, self.high - self.zero) + self.zero
        return codes.astype(np.int32)

    def clamp_codes(self, shifted: Array) -> Array:
        """Codes of multiples of the scale to which the zero point was added before they are rounded."""
        return Grid(self.type, self.scale, 0).clamp(shifted)

    def dequantize(self, codes: Array) -> Floats:
        """Numbers that codes stand for."""
        return ((codes.astype(np.int32) - self.zero).astype(np.float32) * np.float32(self.scale)).astype(
            np.float32
        )

    def all_codes(self) -> Array:
        """Each code by the byte that stores it, as int32."""
        codes = np.arange(256, dtype=np.uint8)
        return (codes if self.type == "u8" else codes.view(np.int8)).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Known:
    """A constant.

    Attributes:
        array: Its elements.
        codes: Integers it was made of, with scale, zero point and the axis along which these differ.
    """

    array: Array
    codes: Codes | None = None


@dataclass(frozen=True, eq=False)
class Codes:
    """Constant codes: (array - zero) * scale; scale and zero have one element, or one along `axis`."""

    array: Array
    scale: Floats
    zero: Array
    axis: int = 0


@dataclass(frozen=True, eq=False)
class Stored:
    """Elements in memory, in an order of axes of its own.

    Attributes:
        value: Where they are.
        order: Axis i in memory is axis order[i] of the graph's value.
    """

    value: Value
    order: tuple[int, ...]

    @property
    def dims(self) -> Dims:
        """Sizes as the graph has them."""
        sizes = dict(zip(self.order, self.value.dims, strict=True))
        return tuple(sizes[axis] for axis in range(len(self.order)))


@dataclass(frozen=True, eq=False)
class Coded:
    """Codes that are a function of other codes, element by element.

    Attributes:
        source: These codes, u8 or s8.
        table: The result for each of their bytes, as int32.
        type: Of the result, "u8" or "s8".
    """

    source: Stored
    table: Array
    type: str

    @property
    def dims(self) -> Dims:
        """Sizes as the graph has them."""
        return self.source.dims


@dataclass(frozen=True, eq=False)
class Mapped:
    """Numbers that are a function of codes, element by element.

    Attributes:
        source: The codes, u8 or s8.
        table: The result for each of their bytes, float32.
        floats: Computes the result in memory, of these codes wherever they have been moved to.
        coded: Codes that stand for just these numbers, if there are any ...
        grid: ... and how.
        rounded: Codes of a grid for each byte, as the operator on codes rounds them; by default `table` is.
    """

    source: Stored
    table: Array
    floats: Callable[[Stored], Stored] = field(repr=False)
    coded: Coded | None = None
    grid: Grid | None = None
    rounded: Callable[[Grid], Array] | None = field(default=None, repr=False)

    @property
    def dims(self) -> Dims:
        """Sizes as the graph has them."""
        return self.source.dims


@dataclass(frozen=True, eq=False)
class Pending:
    """What an operator computes, before it is known how it is wanted: as codes of some grid, or in float.

    Attributes:
        dims: Sizes as the graph has them.
        to_codes: Makes codes of a grid, those between two (both included).
        to_floats: Makes floats.
        low: The result is clamped at this.
        high: And at this.
        biased: With constant numbers added as part of the operator; None for numbers that it cannot add.
    """

    dims: Dims
    to_codes: Callable[[Grid, int, int], Stored]
    to_floats: Callable[[], Stored]
    low: float = -np.inf
    high: float = np.inf
    biased: Callable[[Array], Pending | None] | None = None


Form = Known | Stored | Coded | Mapped | Pending
"""Known, Stored as float or integers, Coded as codes; the others are float."""
