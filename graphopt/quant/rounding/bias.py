"""What rounding a layer's weights shifts its outputs by on average, to be taken off the bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def bias_correction(weight: Array, rounded: Array, mean: Array, groups: int = 1) -> npt.NDArray[np.float32]:
    """What to add to the bias so that outputs keep their mean: (W - rounded W) E[x], [outputs].

    M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), section
    4.2. It takes off half of the output error (3 dB) that rounding to nearest leaves where inputs are not
    centered; after GPTQ nothing is left to correct.

    Args:
        weight: [outputs, input channels / groups, *kernel]. A matrix has no kernel.
        rounded: Likewise.
        mean: The inputs' expected value, [input channels]. Zeros that pad the input are not counted in.
        groups: Of a convolution.
    """
    shift = np.asarray(weight, np.float64) - np.asarray(rounded, np.float64)
    by_channel = shift.reshape(*shift.shape[:2], -1).sum(axis=2)
    means = np.asarray(mean, np.float64).reshape(groups, -1)
    by_group = by_channel.reshape(groups, -1, by_channel.shape[1])
    return np.asarray(np.einsum("goi,gi->go", by_group, means).reshape(-1), np.float32)
