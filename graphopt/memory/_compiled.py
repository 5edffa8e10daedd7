"""The compiled half of memory planning; says what to do where the extension is missing or too old."""

from __future__ import annotations

try:
    from graphopt._native import (
        Buffers,
        Improver,
        OrderFound,
        OrderMove,
        OrderProblem,
        OrderWindow,
        beam_order,
        order_greedily,
        place_greedily,
        place_outward,
        search_order,
        trace_order,
    )
except ImportError as error:
    raise ImportError(
        "graphopt's compiled extension, graphopt._native, is missing or too old: "
        f"{error}\nhint: install graphopt again; from the root of its source tree: python -m pip install ."
    ) from error

__all__ = [
    "Buffers",
    "Improver",
    "OrderFound",
    "OrderMove",
    "OrderProblem",
    "OrderWindow",
    "beam_order",
    "order_greedily",
    "place_greedily",
    "place_outward",
    "search_order",
    "trace_order",
]
