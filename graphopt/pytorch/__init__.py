"""The PyTorch side: modules in (`trace`), trainable graph modules out (`to_fx`).

torch is an extra and slow to import, so nothing here imports it before one of these is called.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from graphopt.pytorch.require import require_torch

if TYPE_CHECKING:
    from graphopt.pytorch.exporter.to_fx import to_fx
    from graphopt.pytorch.importer.trace import trace

__all__ = ["require_torch", "to_fx", "trace"]

_PLACES = {"to_fx": "graphopt.pytorch.exporter", "trace": "graphopt.pytorch.importer"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_torch(f"graphopt.{name}")
    return getattr(importlib.import_module(_PLACES[name]), name)
