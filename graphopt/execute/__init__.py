"""Run a graph on arrays, make inputs that fit it, compare outputs, check and measure models.

This layer reads models and never changes them. onnxruntime is imported when the first session is made.
"""

from __future__ import annotations

from graphopt.execute.bench import BenchResult, Ratio, bench
from graphopt.execute.check import CheckResult, Oracle, check, input_differences, interface_differences
from graphopt.execute.compare import OutputDifference, Tolerance, compare, default_tolerance
from graphopt.execute.inputs import InputSet, make_inputs
from graphopt.execute.library import library
from graphopt.execute.limits import Budget, check_budget, left_behind
from graphopt.execute.samples import DATA_KEY, PROGRESS_KEY, Samples, samples_for
from graphopt.execute.session import ModelLike, NodeFailure, Session
from graphopt.execute.support import runs_node, runs_on_types, runs_opset
from graphopt.execute.userdata import fit_inputs, load_inputs

__all__ = [
    "DATA_KEY",
    "PROGRESS_KEY",
    "BenchResult",
    "Budget",
    "CheckResult",
    "InputSet",
    "ModelLike",
    "NodeFailure",
    "Oracle",
    "OutputDifference",
    "Ratio",
    "Samples",
    "Session",
    "Tolerance",
    "bench",
    "check",
    "check_budget",
    "compare",
    "default_tolerance",
    "fit_inputs",
    "input_differences",
    "interface_differences",
    "left_behind",
    "library",
    "load_inputs",
    "make_inputs",
    "runs_node",
    "runs_on_types",
    "runs_opset",
    "samples_for",
]
