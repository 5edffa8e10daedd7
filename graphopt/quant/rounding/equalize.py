"""Factors that move magnitude between two layers, or from a layer's input to its weight, before rounding.

Dividing one side and multiplying the other leaves the float result as it is. This only says by how much.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

MOST = 1e4
"""A factor is at most this and at least its inverse, lest float32 values overflow or vanish."""


def magnitudes(weight: Array, axis: int) -> Floats:
    """Largest absolute value of each index of `axis`, [indices]; 0 where there is none."""
    others = tuple(place for place in range(weight.ndim) if place != axis % weight.ndim)
    return np.asarray(np.max(np.abs(np.asarray(weight, np.float32)), axis=others, initial=0))


def cross_layer_scales(produced: Array, consumed: Array) -> Floats:
    """By what to divide each output of one layer, bias too, and multiply that input of the next.

    Both then span the same range: s = sqrt(r1 / r2); M. Nagel et al., "Data-Free Quantization Through Weight
    Equalization and Bias Correction" (2019), equation 11. Between the layers there may be only what scaling
    passes through, as Relu. Channels that either layer leaves at zero keep their scale.

    Args:
        produced: Magnitudes of the first layer's weights by output, [channels].
        consumed: Magnitudes of the second layer's weights by input, [channels].
    """
    return _bounded(np.asarray(produced, np.float64), np.asarray(consumed, np.float64), 0.5)


def smooth_scales(activation: Array, weight: Array, alpha: float = 0.5) -> Floats:
    """By what to divide each input channel of a layer, and multiply the weights it meets.

    s = max|x|^alpha / max|w|^(1 - alpha); G. Xiao et al., "SmoothQuant: Accurate and Efficient Post-Training
    Quantization for Large Language Models" (2022), equation 4. Channels without values or weights stay.

    Args:
        activation: Magnitudes of the input, [channels].
        weight: Magnitudes of the weights by input channel, [channels].
        alpha: How much of the difficulty goes to the weight, 0 to 1.
    """
    return _bounded(np.asarray(activation, np.float64), np.asarray(weight, np.float64), alpha)


def _bounded(divided: Array, multiplied: Array, share: float) -> Floats:
    """divided^share / multiplied^(1 - share), 1 where either is zero."""
    there = (divided > 0) & (multiplied > 0)
    scales = np.ones(divided.shape)
    np.divide(divided**share, np.where(there, multiplied, 1) ** (1 - share), out=scales, where=there)
    return np.clip(scales, 1 / MOST, MOST).astype(np.float32)
