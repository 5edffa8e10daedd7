"""Property-based testing of passes and models: generate models, check passes on them, reduce what fails.

For tests only, ours and those of third parties; nothing of the compiler imports it. Importing it loads none
of what it is made of: each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphopt.testing.check import PassFailure, PassRun, Reference, check_pass, save_failure
    from graphopt.testing.check.many import NothingTestedWarning, check_pass_on_models
    from graphopt.testing.check.reduced import reduce_failure
    from graphopt.testing.generate import generate_model
    from graphopt.testing.inputs import model_inputs
    from graphopt.testing.levels import LevelRun, optimize_levels
    from graphopt.testing.mutation import mutate
    from graphopt.testing.passes import run_pass
    from graphopt.testing.strategies import models
    from graphopt.testing.text import format_model, parse_model

_HOMES = {
    "LevelRun": "levels",
    "NothingTestedWarning": "check.many",
    "PassFailure": "check",
    "PassRun": "check",
    "Reference": "check",
    "check_pass": "check",
    "check_pass_on_models": "check.many",
    "format_model": "text",
    "generate_model": "generate",
    "model_inputs": "inputs",
    "models": "strategies",
    "mutate": "mutation",
    "optimize_levels": "levels",
    "parse_model": "text",
    "reduce_failure": "check.reduced",
    "run_pass": "passes",
    "save_failure": "check",
}

__all__ = [
    "LevelRun",
    "NothingTestedWarning",
    "PassFailure",
    "PassRun",
    "Reference",
    "check_pass",
    "check_pass_on_models",
    "format_model",
    "generate_model",
    "model_inputs",
    "models",
    "mutate",
    "optimize_levels",
    "parse_model",
    "reduce_failure",
    "run_pass",
    "save_failure",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
