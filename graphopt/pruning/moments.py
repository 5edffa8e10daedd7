"""Mean products of a layer's inputs, no surer of themselves than few samples make them.

What two inputs have in common is shrunk towards nothing as far as it differs between two halves of the
samples: O. Ledoit and M. Wolf, "A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices"
(2004), with the error of the estimate told from the halves, since the positions of one image are no samples
of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LARGEST = 1e15
"""The largest number of a sample: the squares of many such add up in float32."""
_WAITING = 1 << 21
"""Numbers that are multiplied together: few large products take less time than many small ones."""


class Moments:
    """Mean of x and of x x^T in each group of a layer's inputs.

    Attributes:
        samples: How many rows were seen.
    """

    def __init__(self, groups: int, inputs: int) -> None:
        self.samples = 0
        self._groups, self._inputs = groups, inputs
        self._rows = [0, 0]
        self._sums = np.zeros((2, groups, inputs))
        self._products = np.zeros((2, groups, inputs, inputs), np.float64 if groups == 1 else np.float32)
        self._waiting: tuple[list[Array], list[Array]] = ([], [])
        self._half = 0

    def observe(self, x: Array) -> None:
        """Take in rows of one sample, [rows, groups * inputs]; those that are not finite are left out."""
        x = np.asarray(x).astype(np.float32, copy=False)
        x = x[(np.abs(x) <= LARGEST).all(axis=1)]
        x = x.reshape(-1, self._groups, self._inputs)
        self._half = 1 - self._half
        self._sums[self._half] += x.sum(axis=0, dtype=np.float64)
        self._rows[self._half] += len(x)
        self.samples += len(x)
        self._waiting[self._half].append(x)
        if sum(each.size for each in self._waiting[self._half]) >= _WAITING:
            self._multiply()

    @property
    def mean(self) -> Array:
        """Mean of x, [groups, inputs]."""
        return np.asarray(self._sums.sum(axis=0) / max(self.samples, 1))

    @property
    def common(self) -> Array:
        """Covariance of x, [groups, inputs, inputs], with what the inputs have in common shrunk."""
        self._multiply()
        common = self._products.sum(axis=0, dtype=np.float64) / max(self.samples, 1)
        common -= _outer(self.mean)
        kept = 1 - self._doubt(common)
        alone = np.diagonal(common, axis1=1, axis2=2) * (1 - kept)
        common *= kept
        places = np.arange(self._inputs)
        common[:, places, places] += alone
        return np.asarray(common)

    @property
    def products(self) -> Array:
        """Mean of x x^T likewise."""
        return self.common + _outer(self.mean)

    def _multiply(self) -> None:
        """Take in what waits."""
        for half, waiting in enumerate(self._waiting):
            if waiting:
                x = np.ascontiguousarray(np.concatenate(waiting).transpose(1, 0, 2))
                self._products[half] += x.transpose(0, 2, 1) @ x
                waiting.clear()

    def _doubt(self, common: Array) -> float:
        """The share of the products off the diagonal that is chance: 0 for very many samples, 1 for one."""
        if min(self._rows) == 0:
            return 1.0 if self._inputs > 1 else 0.0
        means = self._sums / np.array(self._rows)[:, None, None]
        halves = self._products / np.array(self._rows, np.float64)[:, None, None, None]
        halves -= means[..., :, None] * means[..., None, :]
        chance = np.square(halves[0] - halves[1]) / 4
        off = ~np.eye(self._inputs, dtype=bool)
        all_of_it = float(np.square(common)[:, off].sum())
        return min(float(chance[:, off].sum()) / all_of_it, 1.0) if all_of_it else 0.0


def _outer(mean: Array) -> Array:
    return np.asarray(mean[:, :, None] * mean[:, None, :])
