"""Arithmetic of sizes: Python numbers in eager code, symbolic ones while torch traces.

A fraction is a float that ONNX computes in float32: its eager functions round as float32 does, so that a
floor or ceiling of it is ONNX's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch


def divide(a: int, b: int) -> int:
    """`a / b` rounded towards zero, as ONNX divides integers; a size is taken to be positive."""
    if isinstance(a, torch.SymInt) or isinstance(b, torch.SymInt):
        negative = isinstance(a, int) and a < 0, isinstance(b, int) and b < 0
        if negative[0] == negative[1]:
            return a // b
        return -(-a // b) if negative[0] else -(a // -b)
    return a // b if (a < 0) == (b < 0) else -(-a // b)


def smaller(a: int, b: int) -> int:
    """The smaller of two sizes."""
    return torch.sym_min(a, b)  # type: ignore[no-any-return]


def larger(a: int, b: int) -> int:
    """The larger of two sizes."""
    return torch.sym_max(a, b)  # type: ignore[no-any-return]


def choose(condition: bool, yes: int, no: int) -> int:
    """`yes` if the condition holds, otherwise `no`; alike branches do not need the condition."""
    if isinstance(condition, torch.SymBool) and yes is no:
        return yes
    return yes if condition else no


def plus(a: float, b: float) -> float:
    """`a + b` as float32."""
    return _single(a + b)


def minus(a: float, b: float) -> float:
    """`a - b` as float32."""
    return _single(a - b)


def times(a: float, b: float) -> float:
    """`a * b` as float32."""
    return _single(a * b)


def ratio(a: float, b: float) -> float:
    """`a / b` as float32, of integers too."""
    return _single(a / b)


def power(a: float, b: float) -> float:
    """`a` to the power of `b` as float32."""
    return _single(a**b)


def root(a: float) -> float:
    """The square root as float32."""
    return _single(torch.sym_sqrt(a) if _is_symbolic(a) else math.sqrt(a))


def floor(a: float) -> int:
    """The largest integer that is not larger."""
    return math.floor(a)


def ceil(a: float) -> int:
    """The smallest integer that is not smaller."""
    return math.ceil(a)


def nearest(a: float) -> int:
    """The nearest integer, the even one of two."""
    return round(a)


def truncate(a: float) -> int:
    """The integer next to `a` towards zero."""
    return math.trunc(a)


def as_ints(tensor: torch.Tensor) -> list[Any]:
    """The elements of a tensor of any rank as a flat list of numbers; traced, they are unbacked symbols."""
    return tensor.reshape(-1).tolist()  # type: ignore[no-any-return]


def _is_symbolic(a: Any) -> bool:
    return isinstance(a, (torch.SymInt, torch.SymFloat))


def _single(a: float) -> float:
    return a if _is_symbolic(a) else float(np.float32(a))
