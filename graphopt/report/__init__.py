"""What an optimization did, as data, tables and HTML."""

from __future__ import annotations

from graphopt.report.data import Candidate, LeftOut, Report, Summary
from graphopt.report.quantization import Quantization, QuantizedLayer
from graphopt.report.steps import Step

__all__ = ["Candidate", "LeftOut", "Quantization", "QuantizedLayer", "Report", "Step", "Summary"]
