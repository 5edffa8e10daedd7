"""Arrays with many zeros in fewer bytes: what is not zero, and where it stands.

Zero is the number of which all bits are: -0.0 is kept as it is. Both forms are such that a few operators of
ONNX decode them, so that any runtime can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

FARTHEST = 255
"""The widest gap that a byte holds."""
BITS = 8


@dataclass(frozen=True)
class Masked:
    """A bit for each element, lowest bit first, and the elements that are not zero, behind one zero."""

    mask: Bytes
    values: Array

    @classmethod
    def of(cls, array: Array) -> Masked:
        """Of an array, flat."""
        flat = array.reshape(-1)
        there = is_not_zero(flat)
        values = np.concatenate([np.zeros(1, flat.dtype), flat[there]])
        return cls(np.packbits(there, bitorder="little"), values)

    @property
    def nbytes(self) -> int:
        """Of both parts."""
        return self.mask.nbytes + self.values.nbytes


@dataclass(frozen=True)
class Spaced:
    """Elements that are not zero, and how far each lies behind the one before; the first, behind the start.

    A gap that is too wide for a byte has zeros on its way that are told of.
    """

    gaps: Bytes
    values: Array

    @classmethod
    def of(cls, array: Array) -> Spaced:
        """Of an array, flat."""
        flat = array.reshape(-1)
        places = np.flatnonzero(is_not_zero(flat))
        wide = np.diff(places, prepend=0)
        between = np.maximum(wide - 1, 0) // FARTHEST
        ends = np.cumsum(between + 1) - 1
        count = int(ends[-1]) + 1 if len(ends) else 0
        gaps, values = np.full(count, FARTHEST, np.uint8), np.zeros(count, flat.dtype)
        gaps[ends] = wide - FARTHEST * between
        values[ends] = flat[places]
        return cls(gaps, values)

    @property
    def nbytes(self) -> int:
        """Of both parts."""
        return self.gaps.nbytes + self.values.nbytes


def is_not_zero(array: Array) -> npt.NDArray[np.bool_]:
    """Where some bit is set."""
    bits = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
    return np.asarray(bits != 0)
