"""GPTQ: round a weight column by column, and let the columns still to come make up for the error.

E. Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers" (2022),
Algorithm 1, which follows Optimal Brain Quantization.
"""

from __future__ import annotations

import numpy as np

from graphopt.quant.affine import Affine
from graphopt.quant.rounding.gram import DAMPING, Array, Gram
from graphopt.quant.rounding.grid import Grid, Rounded

_FEW = 64
"""Rows of a triangular matrix that is inverted at once."""


def gptq(
    weight: Array,
    affine: Affine,
    gram: Gram,
    *,
    damping: float = DAMPING,
    by_activity: bool = True,
    block: int = 128,
) -> Rounded:
    """Round `weight` to the grid of `affine` so that weight @ x stays near for the inputs x seen.

    Args:
        weight: [outputs, inputs].
        affine: One scale, one per output (axis 0), or one per run of inputs (axis 1, block).
        gram: Of the inputs.
        damping: Added to the diagonal of x x^T, as a share of its mean.
        by_activity: Round columns of large inputs first ("act-order"), while the others can still make up.
        block: Columns after which the remaining ones are updated; for speed alone.

    Raises:
        UsageError: If the scheme's scales are shared otherwise.
    """
    grid = Grid(affine, weight.shape[1])
    products = gram.damped(damping)
    order = np.argsort(-np.diag(products), kind="stable") if by_activity else np.arange(len(products))
    factor = inverse_factor(products[np.ix_(order, order)]).astype(np.float32)
    # Columns are worked on as rows, which lie together in memory.
    left = np.array(np.asarray(weight, np.float32).T[order])
    rounded = np.empty_like(left)
    for first in range(0, len(order), block):
        last = min(first + block, len(order))
        errors = np.empty((last - first, left.shape[1]), np.float32)
        for at in range(first, last):
            rounded[at] = grid.round(left[at], order[at])
            error = errors[at - first] = (left[at] - rounded[at]) / factor[at, at]
            left[at:last] -= np.outer(factor[at, at:last], error)
        left[last:] -= factor[first:last, last:].T @ errors
    result = np.empty(weight.shape, np.float32)
    result[:, order] = rounded.T
    return Rounded(result, affine)


def inverse_factor(matrix: Array) -> Array:
    """The upper triangular U with U^T U = matrix^-1, for a positive definite matrix.

    Cholesky's factor of the matrix with its rows and columns reversed, itself reversed, is an upper R with
    R R^T = matrix; U = R^-1.
    """
    return _inverse(np.linalg.cholesky(matrix[::-1, ::-1])[::-1, ::-1])


def _inverse(upper: Array) -> Array:
    """Of an upper triangular matrix, by halves: a tenth of the time of one that may be full."""
    if len(upper) <= _FEW:
        return np.triu(np.linalg.inv(upper))
    half = len(upper) // 2
    inverse = np.zeros_like(upper)
    first, last = _inverse(upper[:half, :half]), _inverse(upper[half:, half:])
    inverse[:half, :half], inverse[half:, half:] = first, last
    inverse[:half, half:] = -first @ (upper[:half, half:] @ last)
    return inverse
