"""Every operator on every instruction set, between guard pages, against its plain reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from graphopt._native import Operator, kernel_tiers

Array = npt.NDArray[Any]
Agrees = Callable[..., list[Array]]


@pytest.fixture(params=kernel_tiers())
def tier(request: pytest.FixtureRequest) -> str:
    """An instruction set that this processor has."""
    return str(request.param)


@pytest.fixture
def agrees(tier: str) -> Agrees:
    """Check that an operator gives its reference's very bits, and return these."""

    def check(
        kind: str,
        attributes: Mapping[str, Any],
        inputs: Sequence[Array],
        *,
        threads: Sequence[int] = (1, 3),
        gaps: Sequence[int] = (0, 5),
    ) -> list[Array]:
        operator = Operator(kind, dict(attributes), tier=tier)
        expected = operator.reference(list(inputs))
        columns = [array.shape[-1] if array.ndim else 1 for array in (*inputs, *expected)]
        for gap in gaps if operator.pitched else (0,):
            for count in threads:
                for at_start in (False, True):
                    pitches = [column + gap for column in columns]
                    found = operator.bind(list(inputs), count, at_start, pitches).run()
                    for got, want in zip(found, expected, strict=True):
                        assert got.dtype == want.dtype and got.shape == want.shape
                        np.testing.assert_array_equal(got, want, f"{tier}, {count} threads, gaps of {gap}")
        return expected

    return check
