"""How far a reduction has come, as it is told to whoever watches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Progress:
    """One moment of a reduction.

    Attributes:
        doing: Name of the reduction at work.
        nodes: Nodes of the smallest model so far (Constant not counted, bodies and functions counted).
        bytes: Size of its weights and other constants.
        tries: Candidates that the predicate was asked about.
        cached: Candidates answered from the cache.
    """

    doing: str
    nodes: int
    bytes: int
    tries: int
    cached: int


Watch = Callable[[Progress], None]
