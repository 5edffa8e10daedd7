"""Helpers to test passes: ONNX text in, a pass run under every check that a pass must hold to, facts out.

For tests only, ours and those of third parties; nothing of the compiler imports it.
"""

from __future__ import annotations

from graphopt.testing.levels import LevelRun, optimize_levels
from graphopt.testing.passes import PassRun, model_inputs, parse_model, run_pass

__all__ = ["LevelRun", "PassRun", "model_inputs", "optimize_levels", "parse_model", "run_pass"]
