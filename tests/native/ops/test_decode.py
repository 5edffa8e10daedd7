"""decode: each code as a number, by a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]
TABLE = np.random.default_rng(0).standard_normal(256).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200_000])
def test_every_code_by_the_table(agrees: Agrees, count: int) -> None:
    codes = np.random.default_rng(count).integers(0, 256, count, np.uint8)
    (found,) = agrees("decode", {"table": TABLE}, [codes])
    np.testing.assert_array_equal(found, TABLE[codes])


def test_signed_codes_are_looked_up_by_their_bytes(agrees: Agrees) -> None:
    codes = np.arange(-128, 128, dtype=np.int8)
    (found,) = agrees("decode", {"table": TABLE}, [codes])
    np.testing.assert_array_equal(found, TABLE[codes.view(np.uint8)])


def test_numbers_that_are_none_keep_their_bits(agrees: Agrees) -> None:
    table = np.where(np.arange(256) % 3 == 0, np.nan, np.where(np.arange(256) % 3 == 1, np.inf, -0.0))
    codes = np.arange(256, dtype=np.uint8)
    (found,) = agrees("decode", {"table": table.astype(np.float32)}, [codes])
    np.testing.assert_array_equal(found.view(np.uint32), table.astype(np.float32).view(np.uint32))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "'table' is missing"),
        ({"table": TABLE[:255]}, "255 elements, not 256"),
        ({"table": np.zeros(256, np.uint8)}, "of u8, not f32"),
        ({"table": TABLE, "more": 1}, "no attribute is named 'more'"),
    ],
)
def test_what_is_no_table_is_refused(attributes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator("decode", attributes)


def test_numbers_are_no_codes() -> None:
    with pytest.raises(ValueError, match="codes of one byte"):
        Operator("decode", {"table": TABLE}).bind([np.zeros(4, np.float32)])
