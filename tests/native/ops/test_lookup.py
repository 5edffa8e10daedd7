"""lookup: each code by a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 200_000])
def test_every_code_by_the_table(agrees: Agrees, count: int) -> None:
    rng = np.random.default_rng(count)
    table = rng.integers(0, 256, 256, np.uint8)
    codes = rng.integers(0, 256, count, np.uint8)
    (found,) = agrees("lookup", {"table": table, "type": "u8"}, [codes])
    np.testing.assert_array_equal(found, table[codes])


def test_signed_codes_are_looked_up_by_their_bytes(agrees: Agrees) -> None:
    table = np.arange(256, dtype=np.uint8)
    codes = np.arange(-128, 128, dtype=np.int8)
    (found,) = agrees("lookup", {"table": table, "type": "s8"}, [codes])
    np.testing.assert_array_equal(found, codes)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"type": "u8"}, "'table' is missing"),
        ({"table": np.zeros(255, np.uint8), "type": "u8"}, "255 bytes, not 256"),
        ({"table": np.zeros(256, np.int8), "type": "u8"}, "of s8, not u8"),
        ({"table": np.zeros(256, np.uint8), "type": "f32"}, "codes of one byte"),
        ({"table": np.zeros(256, np.uint8), "type": "u8", "more": 1}, "no attribute is named 'more'"),
    ],
)
def test_what_is_no_table_is_refused(attributes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator("lookup", attributes)


def test_numbers_are_no_codes() -> None:
    operator = Operator("lookup", {"table": np.zeros(256, np.uint8), "type": "u8"})
    with pytest.raises(ValueError, match="codes of one byte"):
        operator.bind([np.zeros(4, np.float32)])
