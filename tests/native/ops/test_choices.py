"""compare and where: relations of numbers, and what is chosen by them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]
DTYPES = [np.float32, np.uint8, np.int8, np.int32, np.int64, np.bool_]
RELATIONS = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}
SHAPES = [
    ((), (), ()),
    ((1,), (3, 17), (3, 17)),
    ((2, 1, 33), (2, 3, 33), (33,)),
    ((3, 1), (1,), (3, 40)),
    ((2, 3, 1), (4, 1, 1, 5), (3, 5)),
    ((1, 1, 9, 9), (2, 3, 9, 9), ()),
    ((0, 3), (3,), ()),
    ((5, 5000), (5, 5000), ()),
    ((5000, 3), (1, 3), (5000, 1)),
]


def values(shape: tuple[int, ...], dtype: Any) -> Any:
    return np.random.default_rng(sum(shape)).integers(-3, 4, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", RELATIONS)
def test_relations(agrees: Agrees, op: str, dtype: Any) -> None:
    for shape, _, other in SHAPES:
        a, b = values(shape, dtype), values((*other, 1), dtype)[..., 0]
        if dtype == np.float32 and a.size:
            a.flat[a.size // 2] = np.nan
        (found,) = agrees("compare", {"op": op}, [a, b])
        np.testing.assert_array_equal(found, RELATIONS[op](a, b))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", SHAPES)
def test_where(agrees: Agrees, shapes: tuple[tuple[int, ...], ...], dtype: Any) -> None:
    condition = values(shapes[0], np.int32) > 0
    a, b = values(shapes[1], dtype), values((*shapes[2], 2), dtype)[..., 1].copy()
    for left, right in ((a, b), (b, a)):
        (found,) = agrees("where", {}, [condition, left, right])
        np.testing.assert_array_equal(found, np.where(condition, left, right))


@pytest.mark.parametrize(
    ("kind", "attributes", "dtypes", "message"),
    [
        ("compare", {"op": "near"}, (np.uint8, np.uint8), "no relation"),
        ("compare", {"op": "less"}, (np.uint8, np.int8), "numbers of one type"),
        ("where", {}, (np.uint8, np.float32, np.float32), "a condition is bool"),
        ("where", {}, (np.bool_, np.float32, np.uint8), "of one type"),
    ],
)
def test_what_does_not_fit_is_refused(
    kind: str, attributes: dict[str, Any], dtypes: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Operator(kind, attributes).bind([np.zeros((2, 3), dtype) for dtype in dtypes])
