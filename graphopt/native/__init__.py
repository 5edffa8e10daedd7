"""The compiled side as the rest of graphopt sees it: what `graphopt._native` computes, on tensors and arrays.

Loads the extension and says what to do where it is missing. Never changes a graph.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

try:
    import graphopt._native  # noqa: F401
except ImportError as error:
    raise ImportError(
        "graphopt's compiled extension, graphopt._native, is missing or was built for another Python: "
        f"{error}\nhint: install graphopt again; from the root of its source tree: python -m pip install ."
    ) from error

from graphopt.native.instruction_set import instruction_set
from graphopt.native.program import Program, ProgramBuilder

if TYPE_CHECKING:
    from graphopt.execute.library import library
    from graphopt.native.hash import hash_bytes, hash_tensor
    from graphopt.native.lower import LoweringError, compile, reasons
    from graphopt.native.session import Session

__all__ = [
    "LoweringError",
    "Program",
    "ProgramBuilder",
    "Session",
    "compile",
    "hash_bytes",
    "hash_tensor",
    "instruction_set",
    "library",
    "reasons",
]

# Name -> module; loaded when first used: what runs a program needs no models.
_LATER = {
    "LoweringError": "graphopt.native.lower",
    "Session": "graphopt.native.session",
    "compile": "graphopt.native.lower",
    "hash_bytes": "graphopt.native.hash",
    "hash_tensor": "graphopt.native.hash",
    "library": "graphopt.execute.library",
    "reasons": "graphopt.native.lower",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value
