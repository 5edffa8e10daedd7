"""A matrix of weights as a product of two smaller ones, nearest in what a layer gives for the inputs seen.

The outputs W x lie mostly in few directions: the eigenvectors of W E[x x^T] W^T of the largest eigenvalues.
With these as the columns of U, W is near U (U^T W), and the eigenvalues left out are the squared error (X.
Zhang et al., "Accelerating Very Deep Convolutional Networks for Classification and Detection", 2015, section
3.1).
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
        lost: Share of the squared output that is lost with the first n directions alone, by n from 0 on.
    """

    vectors: Array
    lost: Array

    @classmethod
    def of(cls, weight: Array, products: Array | None) -> Directions:
        """Directions of W x.

        Args:
            weight: [groups, outputs, inputs] of groups of inputs that add up.
            products: Mean of x x^T of each group, [groups, inputs, inputs]; None for inputs that are all
                alike.
        """
        wide = np.asarray(weight, np.float64)
        seen = wide if products is None else wide @ products
        energy = (seen @ wide.transpose(0, 2, 1)).sum(axis=0)
        values, vectors = np.linalg.eigh((energy + energy.T) / 2)
        kept = np.concatenate([[0.0], np.cumsum(np.maximum(values[::-1], 0))])
        lost = 1 - kept / kept[-1] if kept[-1] > 0 else np.zeros(len(kept))
        return cls(vectors[:, ::-1], np.maximum(lost, 0))

    def rank(self, error: float) -> int:
        """The fewest directions with which no larger share of the squared output is lost."""
        return max(int(np.argmax(self.lost <= error)), 1)

    def factors(self, matrix: Array, rank: int) -> tuple[Floats, Floats]:
        """[outputs, rank] and [rank, inputs], of which a matrix [outputs, inputs] is near the product."""
        basis = self.vectors[:, :rank]
        return np.asarray(basis, np.float32), np.asarray(basis.T @ matrix, np.float32)
