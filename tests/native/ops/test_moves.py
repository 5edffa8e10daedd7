"""What moves elements as they are: transpose, slice, pad, gather, expand; and shape, which reads none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]
DTYPES: list[Any] = [np.uint8, np.int8, np.float32, np.int32, np.int64, np.bool_]


def values(shape: tuple[int, ...], dtype: Any) -> Any:
    return np.random.default_rng(sum(shape)).integers(0, 2 if dtype == np.bool_ else 127, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "perm"),
    [
        ((2, 3, 4, 5), [0, 3, 1, 2]),
        ((2, 3, 4, 5), [0, 2, 3, 1]),
        ((2, 3, 4, 5), [3, 2, 1, 0]),
        ((65, 129), [1, 0]),
        ((2, 17, 256), [0, 2, 1]),
        ((1, 6, 1, 9), [0, 2, 1, 3]),
        ((3, 0, 2), [2, 1, 0]),
        ((4,), [0]),
        ((), []),
    ],
)
def test_transposed(agrees: Agrees, dtype: Any, shape: tuple[int, ...], perm: list[int]) -> None:
    x = values(shape, dtype)
    (found,) = agrees("transpose", {"perm": perm}, [x])
    np.testing.assert_array_equal(found, x.transpose(perm))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 33, 64, 65])
def test_planes_over_all_tails(agrees: Agrees, rows: int, dtype: Any) -> None:
    for columns in (1, 2, 3, 4, 5, 8, 9, 16, 17, 63, 64, 65, 128, 130):
        agrees("transpose", {"perm": [1, 0]}, [values((rows, columns), dtype)], threads=(1,))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "taken",
    [
        (slice(None), slice(1, 3), slice(None)),
        (slice(None), slice(None), slice(2, 5)),
        (slice(0, 1), slice(-1, None), slice(-4, -1)),
        (slice(None), slice(None, None, 2), slice(None, None, 3)),
        (slice(None), slice(None, None, -1), slice(5, 0, -2)),
        (slice(1, 1), slice(None), slice(None)),
        (slice(-(2**40), 2**40), slice(2**40, -(2**40), -1), slice(-(2**62), 2**62)),
    ],
)
def test_slices(agrees: Agrees, dtype: Any, taken: tuple[slice, ...]) -> None:
    x = values((2, 4, 7), dtype)
    attributes: dict[str, Any] = {"axes": [0, 1, -1], "starts": [], "ends": [], "steps": []}
    for part in taken:
        step = part.step or 1
        attributes["starts"].append(part.start if part.start is not None else (0 if step > 0 else 2**40))
        attributes["ends"].append(part.stop if part.stop is not None else (2**62 if step > 0 else -(2**62)))
        attributes["steps"].append(step)
    (found,) = agrees("slice", attributes, [x])
    np.testing.assert_array_equal(found, x[taken])


@pytest.mark.parametrize(
    ("mode", "name"), [("constant", "constant"), ("edge", "edge"), ("reflect", "reflect")]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float32])
def test_padded(agrees: Agrees, mode: Any, name: str, dtype: Any) -> None:
    x = values((2, 4, 5), dtype)
    value = {"value": 1.5 if dtype == np.float32 else 7}
    for before, after in (([0, 2, 3], [0, 1, 4]), ([1, 0, 0], [1, 0, 0]), ([0, 0, 0], [0, 0, 0])):
        (found,) = agrees("pad", {"pads": before + after, "mode": name, **value}, [x])
        more = {"constant_values": value["value"]} if mode == "constant" else {}
        np.testing.assert_array_equal(found, np.pad(x, list(zip(before, after, strict=True)), mode, **more))
    (found,) = agrees("pad", {"pads": [0, -1, -2, 0, 1, -1], "mode": "constant", **value}, [x])
    np.testing.assert_array_equal(found[:, :3], x[:, 1:, 2:-1])
    assert (found[:, 3] == value["value"]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gathered(agrees: Agrees, dtype: Any, index: Any, axis: int) -> None:
    x = values((3, 4, 5), dtype)
    for indices in (np.array([[0, -1], [2, 1]], index), np.array(1, index), np.zeros(0, index)):
        (found,) = agrees("gather", {"axis": axis}, [x, indices])
        np.testing.assert_array_equal(found, np.take(x, indices, axis))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gathered_elements(agrees: Agrees, dtype: Any, index: Any, axis: int) -> None:
    x = values((3, 4, 5), dtype)
    for length in (1, 7, 0):
        shape = [3, 4, 5]
        shape[axis] = length
        indices = np.random.default_rng(length).integers(-3, 3, shape).astype(index)
        (found,) = agrees("gather_elements", {"axis": axis}, [x, indices])
        np.testing.assert_array_equal(found, np.take_along_axis(x, indices.astype(np.int64), axis))
    (found,) = agrees("gather_elements", {"axis": axis}, [x, np.ones((2, 2, 2), index)])
    np.testing.assert_array_equal(
        found, np.take_along_axis(x[:2, :2, :2], np.ones((2, 2, 2), np.int64), axis)
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_gathered_parts(agrees: Agrees, dtype: Any, index: Any, depth: int) -> None:
    x = values((3, 4, 5), dtype)
    for rows in ((), (6,), (2, 3), (0,)):
        places = np.random.default_rng(depth).integers(-3, 3, (*rows, depth)).astype(index)
        (found,) = agrees("gather_nd", {"batch": 0}, [x, places])
        expected = x[tuple(np.moveaxis(places, -1, 0))] if depth else np.broadcast_to(x, (*rows, *x.shape))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gathered_parts_of_each_batch(agrees: Agrees, dtype: Any) -> None:
    x = values((3, 4, 5), dtype)
    places = np.random.default_rng(0).integers(-4, 4, (3, 6, 1))
    (found,) = agrees("gather_nd", {"batch": 1}, [x, places])
    np.testing.assert_array_equal(found, np.stack([x[i][places[i, :, 0]] for i in range(3)]))
    both = np.random.default_rng(0).integers(-5, 5, (3, 4, 2, 1))
    (found,) = agrees("gather_nd", {"batch": 2}, [x, both])
    np.testing.assert_array_equal(found, np.take_along_axis(x, both[..., 0], 2))


def test_indices_that_do_not_fit_are_refused() -> None:
    x = np.zeros((3, 4), np.float32)
    for kind, attributes, shape in (
        ("gather_elements", {"axis": 0}, (2,)),
        ("gather_elements", {"axis": 2}, (2, 2)),
        ("gather_elements", {"axis": 0}, (2, 5)),
        ("gather_nd", {"batch": 0}, (2, 3)),
        ("gather_nd", {"batch": 0}, ()),
        ("gather_nd", {"batch": 1}, (3,)),
        ("gather_nd", {"batch": 1}, (2, 1)),
        ("gather_nd", {"batch": 1}, (2, 2, 1)),
    ):
        with pytest.raises(ValueError, match="do not fit"):
            Operator(kind, attributes).bind([x, np.zeros(shape, np.int64)])
        with pytest.raises(ValueError, match="indices are s32 or s64"):
            Operator(kind, attributes).bind([x, np.zeros(shape, np.float32)])


@pytest.mark.parametrize(("kind", "what"), [("gather_elements", {"axis": 0}), ("gather_nd", {"batch": 0})])
def test_other_indices_outside_are_errors_of_the_run(kind: str, what: dict[str, int]) -> None:
    for index in (3, -4, 2**40):
        bound = Operator(kind, what).bind([np.zeros((3, 1), np.uint8), np.array([[index]])])
        with pytest.raises(ValueError, match=r"lies outside an axis of 3"):
            bound.run()


def test_an_index_outside_is_an_error_of_the_run() -> None:
    for index in (3, -4, 2**40):
        bound = Operator("gather", {"axis": 0}).bind([np.zeros((3, 2), np.uint8), np.array([index])])
        with pytest.raises(ValueError, match=r"lies outside an axis of 3"):
            bound.run()


@pytest.mark.parametrize(
    ("kind", "attributes", "message"),
    [
        ("transpose", {"perm": [0, 0]}, "each axis once"),
        ("transpose", {"perm": [0, 1]}, "not for"),
        ("slice", {"axes": [0], "starts": [0], "ends": [1], "steps": [0]}, "'steps' has 0"),
        ("slice", {"axes": [3], "starts": [0], "ends": [1]}, "'axes'"),
        ("slice", {"axes": [0, -3], "starts": [0, 0], "ends": [1, 1]}, "'axes'"),
        ("pad", {"pads": [0, 0]}, "two for each axis"),
        ("pad", {"pads": [0, 0, 5, 0, 0, 0], "mode": "reflect"}, "too few"),
        ("pad", {"pads": [0, 0, -6, 0, 0, 0]}, "negative size"),
        ("pad", {"pads": [0] * 6, "mode": "wrap"}, "'mode' is unknown"),
        ("pad", {"pads": [0] * 6, "value": 256}, "no u8"),
        ("gather", {"axis": 8}, "'axis'"),
    ],
)
def test_what_does_not_fit_is_refused(kind: str, attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator(kind, attributes).bind([np.zeros((2, 4, 5), np.uint8)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axes", [[], [2], [0, 1, 2], [2, 0, 2, 1]])
def test_sizes(agrees: Agrees, dtype: Any, axes: list[int]) -> None:
    for shape in ((2, 3, 5), (0, 7, 1)):
        (found,) = agrees("shape", {"axes": axes}, [values(shape, dtype)])
        np.testing.assert_array_equal(found, np.array(shape)[axes])


@pytest.mark.parametrize("axis", [-1, 3])
def test_axes_that_there_are_not_have_no_size(axis: int) -> None:
    with pytest.raises(ValueError, match="'axes' has one that"):
        Operator("shape", {"axes": [axis]}).bind([np.zeros((2, 3, 4), np.uint8)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((), []),
        ((), [3, 2]),
        ((3, 1, 17), [3, 5, 17]),
        ((3, 1, 17), [-1, 5, -1]),
        ((3, 17, 1), [2, 3, 17, 70]),
        ((1, 4, 1, 5), [1, 4, 3, 5]),
        ((1, 1), [40, 1000]),
        ((1, 5), [0, 5]),
        ((0, 1), [0, 4]),
    ],
)
def test_expand(agrees: Agrees, dtype: Any, shape: tuple[int, ...], dims: list[int]) -> None:
    x = values(shape, dtype)
    (found,) = agrees("expand", {"dims": dims}, [x])
    own = (*[1] * (len(dims) - len(shape)), *shape)
    wanted = [size if size >= 0 else mine for size, mine in zip(dims, own, strict=True)]
    np.testing.assert_array_equal(found, np.broadcast_to(x, wanted))


@pytest.mark.parametrize("dims", [[3], [2, 3], [5, 3, 4], [2, -2], [1] * 9])
def test_what_a_value_cannot_be_expanded_to(dims: list[int]) -> None:
    with pytest.raises(ValueError, match=r"'dims'|negative"):
        Operator("expand", {"dims": dims}).bind([np.zeros((2, 4), np.uint8)])
