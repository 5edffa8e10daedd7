"""Quantization as arithmetic: schemes, scales, ranges and errors of plain arrays.

Nothing here changes a graph.
"""

from __future__ import annotations

from graphopt.quant.affine import Affine, QuantizedBias, affine_for, affine_for_range, bias_affine
from graphopt.quant.codebook import Codebook, CodebookScheme, codebook_for
from graphopt.quant.measures import cosine, mse, relative_l2, sqnr_db
from graphopt.quant.observers import OBSERVERS, Observer, make_observer
from graphopt.quant.scheme import Scheme

__all__ = [
    "OBSERVERS",
    "Affine",
    "Codebook",
    "CodebookScheme",
    "Observer",
    "QuantizedBias",
    "Scheme",
    "affine_for",
    "affine_for_range",
    "bias_affine",
    "codebook_for",
    "cosine",
    "make_observer",
    "mse",
    "relative_l2",
    "sqnr_db",
]
