"""Rounding that looks at more than one weight at a time, and what is done before and after it.

On matrices of weights and samples of inputs; never on graphs.
"""

from __future__ import annotations

from graphopt.quant.rounding.bias import bias_correction
from graphopt.quant.rounding.channels import ChannelStatistics
from graphopt.quant.rounding.descent import coordinate_descent
from graphopt.quant.rounding.equalize import cross_layer_scales, magnitudes, smooth_scales
from graphopt.quant.rounding.gptq import gptq
from graphopt.quant.rounding.gram import Gram
from graphopt.quant.rounding.grid import Rounded, nearest
from graphopt.quant.rounding.grouped import GroupedGram, round_groups
from graphopt.quant.rounding.hqq import HalfQuadratic, hqq
from graphopt.quant.rounding.patches import patches

__all__ = [
    "ChannelStatistics",
    "Gram",
    "GroupedGram",
    "HalfQuadratic",
    "Rounded",
    "bias_correction",
    "coordinate_descent",
    "cross_layer_scales",
    "gptq",
    "hqq",
    "magnitudes",
    "nearest",
    "patches",
    "round_groups",
    "smooth_scales",
]
