"""A placement and its certificate: where each buffer lies, and what is proved about the arena."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Generic

from graphopt.memory.buffers import Id


@dataclasses.dataclass(frozen=True)
class Plan(Generic[Id]):
    """Where each buffer lies in one arena.

    Attributes:
        offsets: Bytes from the start of the arena, by buffer.
        arena: Bytes; the highest end of a buffer.
        lower_bound: Bytes that no arena can do without; proved.
        seconds: Time it took to plan.
        greedy: Bytes of the best arena that greedy placement found; never below `arena`.
    """

    offsets: Mapping[Id, int]
    arena: int
    lower_bound: int
    seconds: float
    greedy: int

    @property
    def optimal(self) -> bool:
        """Whether it is proved that no arena is smaller."""
        return self.arena == self.lower_bound

    @property
    def gap(self) -> float:
        """How far the arena is above the bound, as a fraction of the bound; 0 where it is optimal."""
        return 0.0 if self.optimal else self.arena / max(self.lower_bound, 1) - 1

    def fits(self, capacity: int) -> bool | None:
        """Whether the buffers fit below a capacity, in bytes; None where neither is proved."""
        if self.arena <= capacity:
            return True
        return False if self.lower_bound > capacity else None

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, as `--json` prints it."""
        return {
            "offsets": dict(self.offsets),
            "arena": self.arena,
            "lower_bound": self.lower_bound,
            "optimal": self.optimal,
            "gap": self.gap,
            "seconds": self.seconds,
        }
