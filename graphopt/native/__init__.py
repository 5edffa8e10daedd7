"""The compiled side as the rest of graphopt sees it: what `graphopt._native` computes, on tensors and arrays.

Loads the extension and says what to do where it is missing. Never changes a graph.
"""

from __future__ import annotations

try:
    import graphopt._native  # noqa: F401
except ImportError as error:
    raise ImportError(
        "graphopt's compiled extension, graphopt._native, is missing or was built for another Python: "
        f"{error}\nhint: install graphopt again; from the root of its source tree: python -m pip install ."
    ) from error

from graphopt.native.hash import hash_bytes, hash_tensor
from graphopt.native.lower import LoweringError, compile, reasons
from graphopt.native.program import Program, ProgramBuilder

__all__ = ["LoweringError", "Program", "ProgramBuilder", "compile", "hash_bytes", "hash_tensor", "reasons"]
