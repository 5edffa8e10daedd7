"""The PyTorch side: modules in (`trace`), trainable graph modules out (`to_fx`).

torch is an extra and slow to import, so nothing here imports it before one of these is asked for. Without it
both names are there all the same, and say what to install when they are called.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any

from graphopt.pytorch.require import is_missing, require_torch

if TYPE_CHECKING:
    from graphopt.pytorch.exporter.to_fx import to_fx
    from graphopt.pytorch.importer.trace import trace

__all__ = ["require_torch", "to_fx", "trace"]

_PLACES = {"to_fx": "graphopt.pytorch.exporter", "trace": "graphopt.pytorch.importer"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if is_missing():
        return functools.partial(_say_what_to_install, name)
    return getattr(importlib.import_module(_PLACES[name]), name)


def _say_what_to_install(name: str, *_: Any, **__: Any) -> None:
    require_torch(f"graphopt.{name}")
