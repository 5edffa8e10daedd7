"""Why a module could not be captured: the user's source line and the nearest remedy."""

from __future__ import annotations

from typing import Any

from graphopt.errors import TraceError


def explained(error: BaseException, module: Any) -> TraceError:
    """A TraceError that says what stopped the capture of a module."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return TraceError(f"{type(module).__name__} cannot be traced: {text}")
