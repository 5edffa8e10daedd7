"""What equalization and bias correction have to know of a layer's inputs, gathered array by array."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class ChannelStatistics:
    """Mean, mean square and range of each channel; memory follows from their number alone.

    Attributes:
        axis: Of the channels: 1 for a convolution's input, -1 for a matrix product's.
        elements: Seen of each channel.
    """

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self.elements = 0
        self._sum: Array = np.zeros(())
        self._squares: Array = np.zeros(())
        self._low: Array = np.zeros(())
        self._high: Array = np.zeros(())

    def observe(self, array: Array) -> None:
        """Take an array of any floating type into account. What is not finite counts as zero."""
        x = np.asarray(array).astype(np.float32, copy=False)
        if not np.isfinite(x).all():
            x = np.where(np.isfinite(x), x, np.float32(0))
        others = tuple(place for place in range(x.ndim) if place != self.axis % x.ndim)
        self._sum = self._sum + x.sum(axis=others, dtype=np.float64)
        self._squares = self._squares + np.square(x).sum(axis=others, dtype=np.float64)
        self._low = np.minimum(self._low, np.min(x, axis=others, initial=0))
        self._high = np.maximum(self._high, np.max(x, axis=others, initial=0))
        self.elements += x.size // max(x.shape[self.axis], 1)

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """[channels]; a single zero before anything was seen."""
        return np.asarray(self._sum / max(self.elements, 1))

    @property
    def magnitude(self) -> npt.NDArray[np.float32]:
        """Largest absolute value, [channels]; a single zero before anything was seen."""
        return np.asarray(np.maximum(-self._low, self._high), np.float32)

    @property
    def power(self) -> npt.NDArray[np.float64]:
        """Mean square, [channels]; a single zero before anything was seen."""
        return np.asarray(self._squares / max(self.elements, 1))

    @property
    def low(self) -> npt.NDArray[np.float32]:
        """The least value, or 0 if that is less, [channels]."""
        return np.asarray(self._low, np.float32)

    @property
    def high(self) -> npt.NDArray[np.float32]:
        """The greatest value, or 0 if that is greater, [channels]."""
        return np.asarray(self._high, np.float32)
