"""Quantization as arithmetic: schemes, scales, ranges and errors of plain arrays.

Nothing here changes a graph.
"""

from __future__ import annotations

from graphopt.quant.affine import Affine, QuantizedBias, affine_for, affine_for_range, bias_affine
from graphopt.quant.scheme import Scheme

__all__ = ["Affine", "QuantizedBias", "Scheme", "affine_for", "affine_for_range", "bias_affine"]
