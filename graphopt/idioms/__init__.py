"""Idioms: what a region of a graph computes, recognised by evaluating it rather than by its spelling.

A region with one entry, whose other inputs are constants, is run on probes in float64 and compared with
reference functions. This package only reads graphs; what takes a region's place is for the passes to say.
"""

from __future__ import annotations

from graphopt.idioms.evaluate import ELEMENTWISE, OPERATORS, CannotEvaluateError, evaluate
from graphopt.idioms.normalizations import may_be_normalization, recognize_normalization
from graphopt.idioms.pointwise import KINKS, POINTWISE, Found, NearMiss, Pointwise, recognize
from graphopt.idioms.regions import Ranks, Region, regions_ending_at, removable
from graphopt.idioms.rows import FoundReduction, NearReduction
from graphopt.idioms.softmaxes import may_be_softmax, recognize_softmax
from graphopt.idioms.tensors import TensorFunction, is_reduction

__all__ = [
    "ELEMENTWISE",
    "KINKS",
    "OPERATORS",
    "POINTWISE",
    "CannotEvaluateError",
    "Found",
    "FoundReduction",
    "NearMiss",
    "NearReduction",
    "Pointwise",
    "Ranks",
    "Region",
    "TensorFunction",
    "evaluate",
    "is_reduction",
    "may_be_normalization",
    "may_be_softmax",
    "recognize",
    "recognize_normalization",
    "recognize_softmax",
    "regions_ending_at",
    "removable",
]
