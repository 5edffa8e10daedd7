"""Dimensions: which are certainly equal, and symbolic ones that remember their arithmetic.

Inference computes the same few expressions for layer after layer, and sympy takes a millisecond to compute
and print one. Nothing here knows what a dimension stands for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import onnx_ir as ir

Dim = int | ir.SymbolicDim
"""A size, or the name of one."""

FALSE_SHAPE_KEY = "graphopt.false_shape"
"""Set in `Value.meta` where an execution has shown an inferred shape to be false."""

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


def same_dim(left: object, right: object) -> bool:
    """Whether two dimensions are certainly equal: the same number or the same named expression."""
    if isinstance(left, int) or isinstance(right, int):
        return isinstance(left, int) and isinstance(right, int) and left == right
    if not isinstance(left, ir.SymbolicDim) or not isinstance(right, ir.SymbolicDim):
        return False
    return left.value is not None and left.value == right.value


def same_shape(left: ir.Shape | None, right: ir.Shape | None) -> bool:
    """Whether two shapes are known and certainly equal."""
    if left is None or right is None or len(left) != len(right):
        return False
    return all(same_dim(a, b) for a, b in zip(left.dims, right.dims, strict=True))
