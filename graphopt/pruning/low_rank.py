"""A matrix of weights as a product of two smaller ones, nearest in what a layer gives for the inputs seen.

The outputs W x vary mostly in few directions: the eigenvectors of W cov(x) W^T of the largest eigenvalues.
With these as the columns of U, W is near U (U^T W), the eigenvalues left out are the squared error, and a
bias of (W - U U^T W) E[x] makes up for the mean (X. Zhang et al., "Accelerating Very Deep Convolutional
Networks for Classification and Detection", 2015, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Directions:
    """Directions of a layer's output, the one of most energy first.

    Attributes:
        vectors: The directions, as columns.
        lost: Share of the output's variance that is lost with the first n directions alone, by n from 0 on.
    """

    vectors: Array
    lost: Array

    @classmethod
    def of(cls, weight: Array, common: Array | None, mean: Array | None = None) -> Directions:
        """Directions of W x.

        Args:
            weight: [groups, outputs, inputs] of groups of inputs that add up.
            common: Covariance of x in each group, [groups, inputs, inputs]; None for inputs that are all
                alike.
            mean: Of x in each group, [groups, inputs], where no bias makes up for it.
        """
        wide = np.asarray(weight, np.float64)
        groups, outputs, inputs = wide.shape
        if outputs > groups * inputs:  # there are no more directions than inputs
            basis, rest = np.linalg.qr(wide.transpose(1, 0, 2).reshape(outputs, -1))
            inner = cls.of(rest.reshape(-1, groups, inputs).transpose(1, 0, 2), common, mean)
            return cls(basis @ inner.vectors, inner.lost)
        seen = wide if common is None else wide @ common
        energy = (seen @ wide.transpose(0, 2, 1)).sum(axis=0)
        variance = float(np.trace(energy))
        if mean is not None:
            average = average_of(wide, mean)
            energy += np.outer(average, average)
        values, vectors = np.linalg.eigh((energy + energy.T) / 2)
        left = np.append(np.cumsum(np.maximum(values, 0))[::-1], 0.0)
        return cls(vectors[:, ::-1], left / variance if variance > 0 else np.zeros(len(left)))

    def rank(self, error: float) -> int:
        """The fewest directions with which no larger share of the variance is lost."""
        return max(int(np.argmax(self.lost <= error)), 1)

    def factors(self, matrix: Array, rank: int) -> tuple[Floats, Floats]:
        """[outputs, rank] and [rank, inputs], of which a matrix [outputs, inputs] is near the product."""
        basis = self.vectors[:, :rank]
        return np.asarray(basis, np.float32), np.asarray(basis.T @ matrix, np.float32)


def average_of(weight: Array, mean: Array) -> Array:
    """Mean of W x, [outputs], for groups of inputs that add up."""
    return np.asarray(np.einsum("goi,gi->o", weight, mean))
