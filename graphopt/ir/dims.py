"""Symbolic dimensions that remember their arithmetic.

Inference computes the same few expressions for layer after layer, and sympy takes a millisecond to compute
and print one. Nothing here knows what a dimension stands for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import onnx_ir as ir

MOST_RESULTS = 1 << 16
"""Results kept; a large model has some hundreds."""


class MemoizedDim(ir.SymbolicDim):
    """A symbolic dimension, equal to any other of the same text, that computes each result once.

    Ask `isinstance(dim, int)` to tell sizes from names: `isinstance(dim, ir.SymbolicDim)` checks a runtime
    protocol for everything but the class itself, which shows where every dimension is asked.
    """

    __slots__ = ()

    def __init__(self, dim: str | ir.SymbolicDim) -> None:
        """Take over a dimension, or the text of one."""
        if isinstance(dim, str):
            super().__init__(dim)
            return
        super().__init__(dim.value)
        self._expr_cache = dim._expr_cache  # spares parsing the text that was just printed


def _memoized(name: str) -> Callable[..., Any]:
    method = getattr(ir.SymbolicDim, name)

    # Dimensions hash and compare by their text; `typed` keeps 2 and 2.0 apart.
    @functools.lru_cache(maxsize=MOST_RESULTS, typed=True)
    def compute(*operands: Any) -> Any:
        result = method(*operands)
        return MemoizedDim(result) if isinstance(result, ir.SymbolicDim) else result

    return functools.wraps(method)(lambda *operands: compute(*operands))


for _name in (
    "add", "radd", "sub", "rsub", "mul", "rmul", "floordiv", "truediv", "rtruediv", "mod",
    "neg", "ceil", "floor", "trunc",
):  # fmt: skip
    setattr(MemoizedDim, f"__{_name}__", _memoized(f"__{_name}__"))


def memoized(dim: ir.SymbolicDim) -> MemoizedDim:
    """The dimension itself if it remembers, else its like that does."""
    return dim if isinstance(dim, MemoizedDim) else MemoizedDim(dim)
