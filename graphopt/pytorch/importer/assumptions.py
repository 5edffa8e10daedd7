"""What torch assumed about sizes while it captured and translated: the graph is right where that is true.

torch.export checks such assumptions when its own program is called; a graph has no place for them, so they
are told. Bounds of a single size are told where dimensions are named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import sympy  # type: ignore[import-untyped]
import torch

_LIBRARIES = tuple(
    os.path.dirname(os.path.abspath(path)) + os.sep
    for path in (torch.__file__, os.path.dirname(os.path.dirname(__file__)))
)
_FLOAT = re.compile(r"\d+\.\d+")
_AS_FLOAT = re.compile(r"torch\.sym_float\((\w+)\)")


def shape_environment(program: torch.export.ExportedProgram) -> Any:
    """The object that collects a program's assumptions, or None where all of its sizes are fixed."""
    for node in program.graph.nodes:
        value = node.meta.get("val")
        for one in value if isinstance(value, (tuple, list)) else [value]:
            mode = getattr(one, "fake_mode", None)
            if mode is not None and mode.shape_env is not None:
                return mode.shape_env
    return None


def count_assumptions(program: torch.export.ExportedProgram) -> int:
    """How many assumptions about sizes were made so far."""
    return len(getattr(shape_environment(program), "guards", ()))


def assumption_notes(
    program: torch.export.ExportedProgram, names: Mapping[str, str], captured: int | None = None
) -> list[str]:
    """A sentence for each assumption that decides what the graph computes.

    Args:
        program: The captured program.
        names: Name of each dimension by torch's symbol.
        captured: How many assumptions the capture made; those after it are the translation's.
    """
    environment = shape_environment(program)
    guards = list(getattr(environment, "guards", ()))
    count = len(guards) if captured is None else captured
    notes: dict[str, None] = {}
    for index, guard in enumerate(guards):
        condition: Any = guard.expr
        frame: Any = getattr(getattr(guard, "sloc", None), "framework_loc", None)
        if not all(str(symbol) in names for symbol in condition.free_symbols):
            continue
        path = str(getattr(frame, "filename", ""))
        own = path and not os.path.abspath(path).startswith(_LIBRARIES)
        if own and not _is_told_as_bound(condition, program):
            where = f" ({os.path.basename(path)}:{frame.lineno})"
        elif index >= count and isinstance(condition, sympy.Eq) and condition.rhs.is_Integer:
            where = ""
        else:
            continue
        named = condition.xreplace({symbol: _named(symbol, names) for symbol in condition.free_symbols})
        if named not in (True, sympy.true):
            notes[
                f"forward takes the way for {_written(named)}{where}: for other sizes the graph may differ"
            ] = None
    return list(notes)


def _is_told_as_bound(condition: Any, program: torch.export.ExportedProgram) -> bool:
    """Whether a condition bounds a single size, and that is told as its range."""
    symbols = condition.free_symbols
    if len(symbols) != 1 or isinstance(condition, (sympy.Eq, sympy.Ne)):
        return False
    (symbol,) = symbols
    if not any(side == symbol for side in condition.args):
        return False
    interval = program.range_constraints.get(symbol)
    return interval is not None and (
        (interval.lower.is_Integer and interval.lower > 2)
        or (interval.upper.is_Integer and interval.upper < 2**31 - 1)
    )


def _named(symbol: Any, names: Mapping[str, str]) -> Any:
    """A symbol under the name of its dimension; equal dimensions become one symbol."""
    return sympy.Symbol(names[str(symbol)], integer=True, nonnegative=True)


def _written(condition: Any) -> str:
    """A condition as Python writes it."""
    try:
        from torch.utils._sympy.printers import PythonPrinter

        text = str(PythonPrinter().doprint(condition))
    except (ImportError, NotImplementedError, TypeError):
        text = str(condition)
    text = _FLOAT.sub(lambda match: repr(float(match[0])), text)
    return _AS_FLOAT.sub(r"\1", text).replace("math.trunc(", "int(")
