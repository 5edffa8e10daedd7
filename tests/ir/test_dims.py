"""Symbolic dimensions that remember: the same texts as plain ones, computed once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import pytest

from graphopt.ir.dims import MemoizedDim, memoized

ARITHMETIC: tuple[Callable[[Any], Any], ...] = (
    lambda n: (n + 2 - 3) // 2 + 1,
    lambda n: 4 * n - 1,
    lambda n: 7 - n,
    lambda n: n % 4,
    lambda n: -n,
    lambda n: 2 / n,
    lambda n: math.ceil(n / 2) + math.floor(n / 3) + math.trunc(n),
    lambda n: n * ir.SymbolicDim("m") + ir.SymbolicDim("m") * n,
    lambda n: n - n,
)


@pytest.mark.parametrize("compute", ARITHMETIC)
def test_same_result_as_a_plain_dimension(compute: Callable[[Any], Any]) -> None:
    assert compute(MemoizedDim("n")).value == compute(ir.SymbolicDim("n")).value


def test_a_result_is_computed_once() -> None:
    assert MemoizedDim("n") // 2 + 1 is MemoizedDim("n") // 2 + 1


def test_results_remember_too() -> None:
    assert isinstance(MemoizedDim("n") * ir.SymbolicDim("m"), MemoizedDim)


def test_equal_to_a_plain_dimension_of_the_same_text() -> None:
    plain = ir.SymbolicDim("n")
    assert memoized(plain) == plain and hash(memoized(plain)) == hash(plain)
    assert ir.Shape([memoized(plain), 3]) == ir.Shape([plain, 3])


def test_what_remembers_is_taken_as_it_is() -> None:
    dim = MemoizedDim("n")
    assert memoized(dim) is dim


def test_floats_are_refused_as_by_plain_dimensions() -> None:
    assert (MemoizedDim("n") * 2).value == "2*n"
    with pytest.raises(TypeError):
        MemoizedDim("n") * 2.0  # type: ignore[operator]
