"""softmax, layer_norm, lrn, reduce and reduce_mean: rows of floats and of codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]
IN: dict[str, Any] = {"x_scale": 0.05, "x_zero": 90}
OUT: dict[str, Any] = {"y_type": "u8", "y_scale": 1 / 256, "y_zero": 0}
COLUMNS = [1, 2, 15, 16, 17, 31, 33, 64, 511, 512, 513, 1030]


def floats(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(sum(shape)).normal(0, 3, shape).astype(np.float32)


def codes(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("columns", COLUMNS)
def test_softmax(agrees: Agrees, columns: int) -> None:
    x = floats((3, 2, columns))
    (found,) = agrees("softmax", {"y_type": "f32"}, [x])
    raised = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    np.testing.assert_allclose(found, raised / raised.sum(-1, keepdims=True), rtol=5e-6)
    agrees("softmax", OUT, [x])
    agrees("softmax", IN | OUT, [codes((5, columns))])
    agrees("softmax", IN, [codes((5, columns))])


@pytest.mark.parametrize("columns", [1, 3, 16, 17, 40, 64, 65])
def test_softmax_of_many_rows(agrees: Agrees, columns: int) -> None:
    """Short ones are turned to stand side by side."""
    agrees("softmax", {}, [floats((139, columns))])
    agrees("softmax", IN | OUT, [codes((139, columns))], threads=(2,))


def test_softmax_of_large_numbers_and_of_none(agrees: Agrees) -> None:
    (found,) = agrees("softmax", {}, [np.array([[1e38, 1e38], [-1e38, 1e38]], np.float32)])
    np.testing.assert_array_equal(found, [[0.5, 0.5], [0, 1]])
    agrees("softmax", {}, [np.zeros((3, 0), np.float32)])
    agrees("softmax", {}, [np.zeros((0, 3), np.float32)])


@pytest.mark.parametrize("rows", [4, 70])
def test_softmax_of_infinities_and_of_what_is_no_number(agrees: Agrees, rows: int) -> None:
    x = np.zeros((rows, 40), np.float32)
    x[0, 3:] = -np.inf
    x[1, 17] = np.nan
    x[2] = -np.inf
    x[3, 39] = np.inf
    (found,) = agrees("softmax", {}, [x])
    np.testing.assert_allclose(found[0, :3], 1 / 3, rtol=1e-6)
    np.testing.assert_array_equal(found[0, 3:], 0)
    assert np.isnan(found[1:3]).all() and np.isnan(found[3, 39])


@pytest.mark.parametrize("columns", COLUMNS)
def test_layer_norm(agrees: Agrees, columns: int) -> None:
    x = floats((3, 2, columns))
    factors = {"gamma": floats((columns,)), "beta": floats((columns + 1,))[1:].copy(), "epsilon": 1e-5}
    (found,) = agrees("layer_norm", factors, [x])
    wide = x.astype(np.float64)
    deviation = np.sqrt(wide.var(-1, keepdims=True) + 1e-5)
    expected = (wide - wide.mean(-1, keepdims=True)) / deviation * factors["gamma"] + factors["beta"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)
    agrees("layer_norm", factors | {"y_type": "s8", "y_scale": 0.05, "y_zero": 3}, [x])
    agrees("layer_norm", factors | IN | {"y_type": "s8", "y_scale": 0.05, "y_zero": 3}, [codes((4, columns))])


@pytest.mark.parametrize("columns", COLUMNS)
def test_layer_norm_that_takes_no_mean_off(agrees: Agrees, columns: int) -> None:
    x = floats((3, 2, columns)) + np.float32(5)
    factors = {"gamma": floats((columns,)), "beta": np.zeros(columns, np.float32), "epsilon": 1e-5}
    factors["centred"] = 0
    (found,) = agrees("layer_norm", factors, [x])
    wide = x.astype(np.float64)
    expected = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + 1e-5) * factors["gamma"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)
    agrees("layer_norm", factors | IN | {"y_type": "s8", "y_scale": 0.05, "y_zero": 3}, [codes((4, columns))])


@pytest.mark.parametrize("columns", [*COLUMNS, 447, 448, 449, 900])
@pytest.mark.parametrize("size", [1, 2, 5, 64])
def test_lrn(agrees: Agrees, columns: int, size: int) -> None:
    x = floats((3, 2, columns))
    for quarters in (1, 2, 3, 4):
        attributes = {"size": size, "alpha": 0.5, "bias": 2.0, "quarters": quarters}
        (found,) = agrees("lrn", attributes, [x])
        around = np.pad(x.astype(np.float64) ** 2, [(0, 0), (0, 0), ((size - 1) // 2, size // 2)])
        sums = np.lib.stride_tricks.sliding_window_view(around, size, axis=-1).sum(-1)
        expected = x / (2 + 0.5 / size * sums) ** (quarters / 4)
        np.testing.assert_allclose(found, expected, rtol=5e-6)
    agrees("lrn", attributes | {"y_type": "s8", "y_scale": 0.05, "y_zero": 3}, [x])
    agrees("lrn", attributes | IN | {"y_type": "s8", "y_scale": 0.05, "y_zero": 3}, [codes((4, columns))])


def test_lrn_of_infinities_and_of_what_has_no_root(agrees: Agrees) -> None:
    x = np.zeros((2, 40), np.float32)
    x[0, 3], x[0, 20] = np.inf, np.nan
    x[1, 7] = 100
    attributes = {"size": 3, "alpha": -1.0, "bias": 1.0, "quarters": 3}
    (found,) = agrees("lrn", attributes, [x])
    assert np.isnan(found[0, [2, 3, 4, 19, 20, 21]]).sum() == 6 and np.isnan(found[1, 6:9]).all()
    assert np.isfinite(found[0, 5:19]).all() and np.isfinite(found[1, 9:]).all()
    agrees("lrn", attributes, [np.zeros((3, 0), np.float32)])
    agrees("lrn", attributes, [np.zeros((0, 3), np.float32)])


@pytest.mark.parametrize("axes", [[0], [1], [2], [-1], [0, 1], [1, 2], [0, 2], [0, 1, 2], []])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reduce_mean(agrees: Agrees, axes: list[int], keepdims: int) -> None:
    attributes: dict[str, Any] = {"axes": axes, "keepdims": keepdims}
    x = floats((3, 5, 70))
    (found,) = agrees("reduce_mean", attributes, [x])
    np.testing.assert_allclose(found, x.mean(tuple(axes), keepdims=bool(keepdims)), rtol=1e-5, atol=1e-6)
    agrees(
        "reduce_mean", attributes | IN | {"y_type": "s8", "y_scale": 0.02, "y_zero": -4}, [codes((3, 5, 70))]
    )


def test_means_of_many_rows_and_of_none(agrees: Agrees) -> None:
    for shape, axis in (((700, 33), 1), ((5, 40, 300), 2), ((2, 9000), 1), ((3, 0), 0), ((0, 3), 1)):
        attributes = {"axes": [axis], "keepdims": 0}
        agrees("reduce_mean", attributes, [floats(shape)])
        agrees(
            "reduce_mean", attributes | IN | {"y_type": "u8", "y_scale": 0.02, "y_zero": 9}, [codes(shape)]
        )


@pytest.mark.parametrize(
    ("kind", "attributes", "x", "message"),
    [
        ("softmax", {}, np.zeros((2, 3), np.uint8), "need a scale"),
        ("softmax", IN, np.zeros((2, 3), np.float32), "not f32"),
        ("softmax", {"y_type": "u8"}, np.zeros((2, 3), np.float32), "'y_scale' is missing"),
        (
            "layer_norm",
            {"gamma": np.ones(2, np.float32), "beta": np.ones(2, np.float32), "epsilon": 0.0},
            np.zeros((2, 3), np.float32),
            "not for rows",
        ),
        (
            "lrn",
            {"size": 65, "alpha": 1.0, "bias": 1.0, "quarters": 3},
            np.zeros((2, 3), np.float32),
            "not from 1 to 64",
        ),
        (
            "lrn",
            {"size": 3, "alpha": 1.0, "bias": 1.0, "quarters": 5},
            np.zeros((2, 3), np.float32),
            "not from 1 to 4",
        ),
        ("reduce_mean", {"axes": [2], "keepdims": 1}, np.zeros((2, 3), np.float32), "'axes'"),
        ("reduce_mean", {"axes": [1], "keepdims": 1}, np.zeros((2, 0), np.float32), "no elements"),
        (
            "reduce_mean",
            {"axes": [0, 2, 4], "keepdims": 1},
            np.zeros((2,) * 5, np.float32),
            "separate groups",
        ),
    ],
)
def test_what_does_not_fit_is_refused(kind: str, attributes: dict[str, Any], x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator(kind, attributes).bind([x])


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "sum_squares": lambda x, axes, keepdims: np.sum(x * x, axes, keepdims=keepdims),
    "max": np.max,
    "min": np.min,
}


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize("axes", [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_reduce(agrees: Agrees, op: str, axes: tuple[int, ...]) -> None:
    for shape in ((3, 5, 1), (1, 7, 33), (2, 3, 600), (4, 70, 16), (3, 1, 9)):
        for keep in (0, 1):
            x = floats(shape)
            (found,) = agrees("reduce", {"op": op, "axes": list(axes), "keepdims": keep}, [x])
            expected = REDUCTIONS[op](x.astype(np.float64), axes, keepdims=bool(keep))
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("op", REDUCTIONS)
def test_reduce_of_what_is_no_number_and_of_nothing(agrees: Agrees, op: str) -> None:
    x = floats((4, 40))
    x[0, 3], x[1, 17], x[2], x[3, 39] = np.nan, np.inf, -np.inf, np.nan
    for axes in ([0], [1]):
        (found,) = agrees("reduce", {"op": op, "axes": axes, "keepdims": 0}, [x])
        with np.errstate(all="ignore"):
            expected = REDUCTIONS[op](x, tuple(axes), keepdims=False)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    agrees("reduce", {"op": op, "axes": [1], "keepdims": 0}, [floats((0, 5))])


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"op": "middle", "axes": [0], "keepdims": 0}, "no reduction"),
        ({"op": "sum", "axes": [2], "keepdims": 0}, "'axes' does not fit"),
        ({"op": "sum", "axes": [-1], "keepdims": 0}, "'axes' does not fit"),
        ({"op": "sum", "axes": [1, 1], "keepdims": 0}, "'axes' does not fit"),
        ({"op": "sum", "axes": [1], "keepdims": 0}, "of no elements"),
    ],
)
def test_what_reduce_does_not_take(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator("reduce", attributes).bind([np.zeros((2, 0), np.float32)])
