"""PyTorch is an extra: what needs it says so in words when it is missing."""

from __future__ import annotations

import importlib.util

from graphopt.errors import UsageError

_INSTALL = 'pip install "graphopt[torch]"'


def require_torch(what: str) -> None:
    """Make sure that PyTorch and its exporter's library are there for `what`, such as "graphopt.trace".

    Raises:
        UsageError: torch or onnxscript is not installed.
    """
    for package, name in (("torch", "PyTorch"), ("onnxscript", "onnxscript")):
        if importlib.util.find_spec(package) is None:
            raise UsageError(f"{what} needs {name}, which is not installed", hint=_INSTALL)
