"""How many states searches may look at, and until when."""

from __future__ import annotations

import time

FOREVER = 1e9
"""Seconds where there is no time limit."""


class Budget:
    """States that may still be looked at.

    Args:
        states: How many.
        seconds: From now on; None for no such limit.
    """

    def __init__(self, states: int, seconds: float | None = None) -> None:
        self.states = max(states, 0)
        self._deadline = time.monotonic() + (FOREVER if seconds is None else seconds)

    @property
    def seconds(self) -> float:
        """Time left."""
        return max(self._deadline - time.monotonic(), 0.0)

    def spend(self, states: int) -> None:
        """Note that states were looked at."""
        self.states = max(self.states - states, 0)

    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self.states == 0 or self.seconds == 0.0
