"""A test-case reducer: makes a small model of a large one that still does what the caller asks about."""

from __future__ import annotations

from graphopt.testing.reduce.engine import reduce
from graphopt.testing.reduce.progress import Progress

__all__ = ["Progress", "reduce"]
