"""Targets: where a model is going to run. A target is a TOML file of this folder, or one of the user's own.

Joins what is known of a place: the forms and operators it allows, its rates, its rules of quantization.
"""

from __future__ import annotations

from graphopt.targets.target import TIE, Target, known_targets

__all__ = ["TIE", "Target", "known_targets"]
