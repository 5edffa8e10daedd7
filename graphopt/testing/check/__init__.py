"""Check what must hold of every pass on every model: `check_pass`, and each property in a file of its own."""

from __future__ import annotations

from graphopt.testing.check.check import PROPERTIES, check_pass
from graphopt.testing.check.failure import PassFailure
from graphopt.testing.check.reference import Reference
from graphopt.testing.check.run import PassRun
from graphopt.testing.check.saved import SavedFailure, save_failure
from graphopt.testing.check.subject import Subject

__all__ = [
    "PROPERTIES",
    "PassFailure",
    "PassRun",
    "Reference",
    "SavedFailure",
    "Subject",
    "check_pass",
    "save_failure",
]
