"""PyTorch is an extra: what needs it says so in words when it is missing."""

from __future__ import annotations

import importlib.util

from graphopt.errors import UsageError

_INSTALL = 'pip install "graphopt[torch]"'
_PACKAGES = {"torch": "PyTorch", "onnxscript": "onnxscript"}
"""By the name they are imported under; torch's exporter needs the other."""


def is_missing() -> str:
    """The name of what is not installed of PyTorch and its exporter's library; empty if both are there."""
    return next((name for package, name in _PACKAGES.items() if not importlib.util.find_spec(package)), "")


def require_torch(what: str) -> None:
    """Make sure that PyTorch and its exporter's library are there for `what`, such as "graphopt.trace".

    Raises:
        UsageError: torch or onnxscript is not installed.
    """
    if name := is_missing():
        raise UsageError(f"{what} needs {name}, which is not installed", hint=_INSTALL)
