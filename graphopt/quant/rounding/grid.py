"""The values that the elements of a weight matrix can be rounded to, a column at a time.

Rounding methods are written against it; it chooses nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from graphopt.errors import UsageError
from graphopt.quant.affine import Affine

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


class Rounded(NamedTuple):
    """A weight matrix on a grid.

    Attributes:
        weight: float32, [outputs, inputs]: exactly what codes of `affine` stand for.
        affine: The grid.
    """

    weight: Floats
    affine: Affine


def nearest(weight: Array, affine: Affine) -> Rounded:
    """`weight` with each element at the nearest value of the grid."""
    return Rounded(affine.fake(weight), affine)


class Grid:
    """An `Affine` of a matrix [outputs, inputs], by columns.

    Scales are one for the matrix, one per output, or one per output and run of inputs.

    Raises:
        UsageError: If the scheme's scales are shared otherwise.
    """

    def __init__(self, affine: Affine, inputs: int) -> None:
        scheme = affine.scheme
        axis = scheme.normalized_axis(2)
        if axis is not None and axis != (0 if scheme.block is None else 1):
            raise UsageError(
                f"scheme {scheme}: scales of a matrix [outputs, inputs] are shared by all of it, by the "
                "weights of an output (axis=0) or by runs of these (axis=1,block=...)"
            )
        self._run = scheme.block or inputs
        by_run = affine.scale.reshape(-1, 1) if scheme.block is None else affine.scale
        zero = affine.zero_point.astype(np.float32).reshape(by_run.shape)
        self._scale = np.ascontiguousarray(by_run.T)
        self._low = np.ascontiguousarray(scheme.low - zero.T)
        self._high = np.ascontiguousarray(scheme.high - zero.T)

    def round(self, values: Floats, column: int) -> Floats:
        """The nearest values of the grid for a column, [outputs]."""
        run = column // self._run
        steps: Floats = np.rint(values / self._scale[run])
        np.maximum(steps, self._low[run], out=steps)
        np.minimum(steps, self._high[run], out=steps)
        steps *= self._scale[run]
        return steps
