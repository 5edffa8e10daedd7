"""What became of a hostile file, from best to worst."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """Outcomes of one file. `OK` and `REFUSED` are the two that may be."""

    OK = "optimized"
    REFUSED = "clear error"
    BROKEN = "wrote a broken model"
    STRAY = "wrote outside the output path"
    TRACEBACK = "traceback"
    MEMORY = "too much memory"
    HANG = "hang"
    CRASH = "crash"

    @property
    def fine(self) -> bool:
        """Whether a user could live with it."""
        return self in (Kind.OK, Kind.REFUSED)


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        kind: The outcome.
        detail: The message of an error, the place of an exception, the number of a signal.
        stage: What was being done last: "load", "verify", "-O1" or "-O2".
        seconds: Wall-clock time of the longest stage.
        peak_bytes: Largest resident size of the process.
        left_out: Passes that raised or broke the model, each with its reason; their work was taken back.
    """

    kind: Kind
    detail: str = ""
    stage: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" in {self.stage}" if self.stage else ""
        return f"{self.kind.value}{where} ({self.seconds:.1f} s, {self.peak_bytes >> 20} MB): {self.detail}"
