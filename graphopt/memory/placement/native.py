"""Buffers in the form of the compiled side, and what it does with them."""

from __future__ import annotations

from collections.abc import Sequence

from graphopt.memory._compiled import Buffers, Improver, place_greedily, place_outward
from graphopt.memory.buffers import Buffer, Id

__all__ = ["Buffers", "Improver", "compiled", "place_greedily", "place_outward"]


def compiled(buffers: Sequence[Buffer[Id]]) -> Buffers:
    """The buffers as parallel lists; none may have size 0."""
    return Buffers.make(
        [buffer.lower for buffer in buffers],
        [buffer.upper for buffer in buffers],
        [buffer.size for buffer in buffers],
        [buffer.alignment for buffer in buffers],
        [-1 if buffer.offset is None else buffer.offset for buffer in buffers],
    )
