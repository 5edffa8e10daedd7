"""Coordinate descent on a layer's output error: round each column again, given all others.

K. Behdin et al., "QuantEase: Optimization-based Quantization for Language Models" (2023), Algorithm 1: cyclic
minimization of tr((W - Q) H (W - Q)^T), H = x x^T, which has a closed form for a column. It starts from any
rounding and never raises the error on what it was shown.

It stands where AdaRound would (M. Nagel et al., 2020), which minimizes the same sum over rounding up or down
by gradients. Measured at 4 bits per output on layers of a sentence encoder, judged by other inputs, in dB of
output error below rounding to nearest: GPTQ 6.4 to 7.5, this after GPTQ 6.6 to 7.6, AdaRound (3000 steps, the
best of three penalties) 6.6 to 7.4 in a thousand times the time.
"""

from __future__ import annotations

import numpy as np

from graphopt.quant.rounding.gram import DAMPING, Array, Gram
from graphopt.quant.rounding.grid import Grid, Rounded


def coordinate_descent(
    weight: Array, start: Rounded, gram: Gram, *, damping: float = DAMPING, passes: int = 4, block: int = 128
) -> Rounded:
    """Improve on the rounding `start` of `weight`, on the same grid.

    Args:
        weight: [outputs, inputs].
        start: Its rounding so far.
        gram: Of the inputs.
        damping: Added to the diagonal of x x^T, as a share of its mean.
        passes: How often each column is rounded, at most.
        block: Columns after which the slopes of the others are reckoned again; for speed alone.

    Raises:
        UsageError: If the scheme's scales are shared otherwise than `gptq` allows.
    """
    grid = Grid(start.affine, weight.shape[1])
    products = gram.damped(damping).astype(np.float32)
    # Columns are worked on as rows, which lie together in memory.
    rounded = np.array(start.weight.T)
    off = rounded - np.asarray(weight, np.float32).T
    for _ in range(passes):
        changes = 0
        for first in range(0, len(off), block):
            near = products[first : first + block, first : first + block]
            slope = products[first : first + block] @ off
            for at in range(len(near)):
                column = first + at
                moved = grid.round(rounded[column] - slope[at] / near[at, at], column) - rounded[column]
                if np.any(moved):
                    changes += 1
                    rounded[column] += moved
                    off[column] += moved
                    slope[at:] += np.outer(near[at, at:], moved)
        if not changes:
            break
    return Rounded(start.affine.fake(rounded.T), start.affine)
