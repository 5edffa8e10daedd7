"""Lossy passes are held to what so few bits explain: their own error passes, a wrong axis does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.ir import Changes
from graphopt.pipeline import Pass
from graphopt.testing import PassFailure, check_pass

Array = np.ndarray[Any, Any]

WEIGHTS = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
CONSTANT = f"<float[8, 8] w = {{{', '.join(map(str, WEIGHTS.reshape(-1)))}}}>"
TEXT = f"""g (float[N, 8] x) => (float[N, 8] y, int64[N] best) {CONSTANT} {{
    y = MatMul(x, w)  best = ArgMax<axis = 1, keepdims = 0>(y)
}}"""
WITH_NAN = f"g (float[N, 8] x) => (float[N, 8] y) {CONSTANT} {{ z = MatMul(x, w)  y = Sqrt(z) }}"


@dataclasses.dataclass(frozen=True)
class Stores(Pass):
    """Replaces the weights once."""

    name: ClassVar[str] = "stores"
    lossy: ClassVar[bool] = True
    how: Callable[[Array], Array]

    def apply(self, model: ir.Model, changes: Changes) -> None:
        weights = model.graph.initializers["w"]
        assert weights.const_value is not None
        stored = self.how(WEIGHTS).astype(np.float32)
        if not np.array_equal(weights.const_value.numpy(), stored):
            weights.const_value = ir.tensor(stored, name="w")
            changes.add("stored")


def eight_bits(weights: Array) -> Array:
    step = np.abs(weights).max(0) / 127
    return np.asarray(np.round(weights / step) * step)


def wrong_axis(weights: Array) -> Array:
    step = np.abs(weights).max(0) / 127
    return np.asarray(np.round(weights / step) * step[:, None])


def test_eight_bits_pass() -> None:
    assert "numbers" in check_pass(Stores(eight_bits), TEXT).checked


@pytest.mark.parametrize("how", [wrong_axis, np.negative, np.transpose, np.zeros_like, lambda w: w + 0.1])
def test_anything_coarser_does_not(how: Callable[[Array], Array]) -> None:
    with pytest.raises(PassFailure) as caught:
        check_pass(Stores(how), TEXT)
    assert caught.value.property == "numbers"


def test_where_the_original_computes_nan_only_types_and_shapes_count() -> None:
    check_pass(Stores(eight_bits), WITH_NAN)


def test_passes_that_are_not_lossy_have_no_such_allowance() -> None:
    @dataclasses.dataclass(frozen=True)
    class Claims(Stores):
        lossy: ClassVar[bool] = False

    assert (Stores(eight_bits).largest_error, Claims(eight_bits).largest_error) == (2.0**-7, 0.0)
    with pytest.raises(PassFailure):
        check_pass(Claims(eight_bits), TEXT)
