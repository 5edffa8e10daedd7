"""How many states searches may look at, and until when."""

from __future__ import annotations

import time

STATES_BETWEEN_LOOKS_AT_THE_CLOCK = 64


class Budget:
    """States that may still be looked at; taking one from a part takes it from the whole.

    Args:
        states: How many.
        deadline: `time.monotonic()` after which none is left; None for no such time.
        whole: What this is a part of.
    """

    def __init__(self, states: int, deadline: float | None = None, whole: Budget | None = None) -> None:
        self.states = max(states, 0)
        self._deadline = deadline
        self._whole = whole

    def take(self) -> bool:
        """Whether one more may be looked at."""
        if self.states % STATES_BETWEEN_LOOKS_AT_THE_CLOCK == 0 and self.is_late():
            self.states = 0
        if self.states == 0 or (self._whole is not None and not self._whole.take()):
            return False
        self.states -= 1
        return True

    def part(self, share: float, most: int | None = None) -> Budget:
        """A share of what is left, and at most so many."""
        states = int(self.states * share)
        return Budget(states if most is None else min(states, most), self._deadline, self)

    def is_late(self) -> bool:
        """Whether time is up."""
        return self._deadline is not None and time.monotonic() > self._deadline

    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self.states == 0 or self.is_late()
