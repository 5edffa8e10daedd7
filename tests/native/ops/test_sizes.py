"""Steps that read their sizes: range, and slice, reshape and expand without attributes for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]
INTEGERS: list[Any] = [np.int32, np.int64]


def integers(*numbers: int, dtype: Any = np.int64) -> Any:
    return np.array(numbers, dtype)


def grid(*shape: int) -> Any:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(
    "ends", [(0, 5, 1), (2, 9, 3), (2, 10, 4), (5, 5, 1), (7, 5, 1), (5, -3, -2), (-5, -3, -1), (0, 5, 100)]
)
def test_ranges(agrees: Agrees, ends: tuple[int, int, int], dtype: Any) -> None:
    (found,) = agrees("range", {}, [np.array(end, dtype) for end in ends])
    np.testing.assert_array_equal(found, np.arange(*ends, dtype=dtype))


def test_ranges_over_all_integers_have_no_overflow(agrees: Agrees) -> None:
    info = np.iinfo(np.int64)
    far = integers(info.max - 1)
    for first, end, step in ((integers(info.min), far, far), (integers(info.max), integers(info.min), -far)):
        (found,) = agrees("range", {}, [first, end, step])
        wanted = [int(first[0]) + i * int(step[0]) for i in range(len(found))]
        assert found.tolist() == wanted and len(found) == 3


@pytest.mark.parametrize("dtype", INTEGERS)
def test_slices_between_computed_ends(agrees: Agrees, dtype: Any) -> None:
    x = grid(3, 7, 5)
    starts, ends = integers(1, -4, dtype=dtype), integers(100, 0, dtype=dtype)
    (found,) = agrees("slice", {"axes": [1, 2], "steps": [2, -1]}, [x, starts, ends])
    np.testing.assert_array_equal(found, x[:, 1:100:2, -4:0:-1])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shapes_that_are_computed(agrees: Agrees, dtype: Any) -> None:
    x = grid(3, 4, 5)
    np.testing.assert_array_equal(
        agrees("reshape", {}, [x, integers(-1, 0, 3, dtype=dtype)])[0], x.reshape(5, 4, 3)
    )
    nothing = np.zeros((0, 4), np.float32)
    (found,) = agrees("reshape", {"zeros": 1}, [nothing, integers(3, 0, dtype=dtype)])
    assert found.shape == (3, 0)
    row = grid(4, 1)
    for shape in ((2, 4, 3), (4, 1), (1,), (5,), ()):
        (found,) = agrees("expand", {}, [row, np.array(shape, dtype)])
        np.testing.assert_array_equal(found, row * np.ones(shape, np.float32))


@pytest.mark.parametrize(
    ("kind", "attributes", "inputs", "message"),
    [
        ("range", {}, [integers(0), integers(3), integers(0)], "distance is 0"),
        ("range", {}, [integers(-(2**62)), integers(2**62), integers(1)], "too many elements"),
        ("range", {}, [integers(0), integers(3, dtype=np.int32), integers(1)], "of one type"),
        ("range", {}, [np.float32(0), np.float32(3), np.float32(1)], "s32 or s64, not f32"),
        ("range", {}, [integers(0, 1), integers(3), integers(1)], "is one number"),
        ("slice", {"axes": [0]}, [grid(4), integers(0, 1), integers(2)], "as many as 'axes'"),
        ("slice", {"axes": [0]}, [grid(4), grid(1), integers(2)], "starts are s32 or s64"),
        ("slice", {"axes": [0]}, [grid(4)], "takes 3 inputs"),
        ("reshape", {}, [grid(4), integers(-1, -1)], "more than one -1"),
        ("reshape", {}, [grid(4), integers(-2)], "has -2"),
        ("reshape", {}, [grid(4), integers(*[1] * 9)], "too many"),
        ("reshape", {}, [grid(4)], "takes 2 inputs"),
        ("reshape", {"zeros": 1, "dims": [4]}, [grid(4)], "'zeros' is 1, outside 0..0"),
        ("expand", {}, [grid(4), integers(3)], "do not broadcast"),
        ("expand", {}, [grid(4), integers(-1)], "negative"),
    ],
)
def test_what_are_no_sizes_is_refused(
    kind: str, attributes: dict[str, Any], inputs: list[Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Operator(kind, attributes).bind(inputs)
