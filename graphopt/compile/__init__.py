"""From a model and options to a checked, measured, emitted model: the driver behind `graphopt.optimize`."""

from __future__ import annotations

from graphopt.compile.driver import optimize
from graphopt.compile.levels import LEVELS, pipeline_for
from graphopt.compile.result import Result

__all__ = ["LEVELS", "Result", "optimize", "pipeline_for"]
