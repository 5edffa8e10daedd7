"""Judges nodes of a rehearsed copy by the rules of a runtime."""

from __future__ import annotations

from graphopt.quant.judge.kinds import FLOAT, GONE, INT8, WEIGHT_ONLY, integer_kind
from graphopt.quant.judge.verdict import Verdict, judge

__all__ = ["FLOAT", "GONE", "INT8", "WEIGHT_ONLY", "Verdict", "integer_kind", "judge"]
