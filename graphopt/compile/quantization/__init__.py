"""Quantize within `graphopt.optimize`: schemes by name, attempts, scores, and what is taken back."""

from __future__ import annotations

from graphopt.compile.quantization.accuracy import TaskMetric
from graphopt.compile.quantization.quantize import quantize
from graphopt.compile.quantization.request import Conditions, Request, calibration_samples, try_metric
from graphopt.compile.quantization.schemes import (
    AUTO,
    SCHEMES,
    BFloat16,
    DynamicInt8,
    Float16,
    Int8,
    OwnPasses,
    QuantizationScheme,
    WeightInt4,
    WeightInt8,
)

__all__ = [
    "AUTO",
    "SCHEMES",
    "BFloat16",
    "Conditions",
    "DynamicInt8",
    "Float16",
    "Int8",
    "OwnPasses",
    "QuantizationScheme",
    "Request",
    "TaskMetric",
    "WeightInt4",
    "WeightInt8",
    "calibration_samples",
    "quantize",
    "try_metric",
]
