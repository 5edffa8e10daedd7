"""Hostile files: families of malformed and adversarial models, a structure-aware fuzzer, and a runner.

Each file is tried in a process of its own under limits of time and memory. The compiler imports none of it.
"""

from __future__ import annotations

from graphopt.testing.hostile.case import ANY_END, FILE_NAME, Case
from graphopt.testing.hostile.families import FAMILIES
from graphopt.testing.hostile.fuzz import Fuzzer, Mutant
from graphopt.testing.hostile.outcome import Kind, Outcome
from graphopt.testing.hostile.runner import Limits, Runner

__all__ = [
    "ANY_END",
    "FAMILIES",
    "FILE_NAME",
    "Case",
    "Fuzzer",
    "Kind",
    "Limits",
    "Mutant",
    "Outcome",
    "Runner",
]
