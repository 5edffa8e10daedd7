"""affine: codes scaled and shifted by column, as the steps that it stands for give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator
from graphopt.native import Program, ProgramBuilder

Agrees = Callable[..., list[Any]]

DTYPES = {"u8": np.uint8, "s8": np.int8}
CODING: dict[str, Any] = {"x_type": "u8", "x_scale": 0.02, "x_zero": 77, "y_type": "u8", "y_scale": 0.03}
CODING["y_zero"] = 100
COLUMNS = [1, 3, 31, 32, 33, 63, 64, 65, 127, 128, 129, 511, 512, 513, 1030]


def codes(shape: tuple[int, ...], kind: str = "u8") -> Any:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape).astype(np.uint8).view(DTYPES[kind])


def every_code(columns: int, kind: str = "u8") -> Any:
    """Each code in each column."""
    column = np.arange(256, dtype=np.uint8).view(DTYPES[kind])
    return np.ascontiguousarray(np.broadcast_to(column[:, None], (256, columns)))


def factors(columns: int) -> dict[str, Any]:
    rng = np.random.default_rng(columns)
    return {
        "scale": rng.normal(0, 1.5, columns).astype(np.float32),
        "shift": rng.normal(0, 1, columns).astype(np.float32),
    }


def composed(attributes: dict[str, Any], x: Any) -> Any:
    """What the steps that it stands for give, one after the other."""

    def run(kind: str, what: dict[str, Any], *inputs: Any) -> Any:
        return Operator(kind, what).bind(list(inputs), 1).run()[0]

    number = run("dequantize", {"scale": attributes["x_scale"], "zero": attributes["x_zero"]}, x)
    number = run("binary", {"op": "mul"}, number, attributes["scale"])
    number = run("binary", {"op": "add"}, number, attributes["shift"])
    kind, zero, scale = attributes["y_type"], attributes["y_zero"], attributes["y_scale"]
    if "y_low" in attributes:
        low, high = (np.float32(attributes[f"y_{end}"] - zero) * np.float32(scale) for end in ("low", "high"))
        number = run("unary", {"op": "clip", "low": float(low), "high": float(high)}, number)
    result = run("quantize", {"type": kind, "scale": scale, "zero": zero}, number)
    if "table" in attributes:
        result = run("lookup", {"table": attributes["table"], "type": attributes["table_type"]}, result)
    return result


@pytest.mark.parametrize("columns", COLUMNS)
def test_all_tails(agrees: Agrees, columns: int) -> None:
    attributes = CODING | factors(columns)
    for shape in [(1, columns), (3, 2, columns), (0, columns)]:
        x = codes(shape)
        (found,) = agrees("affine", attributes, [x])
        np.testing.assert_array_equal(found, composed(attributes, x))


@pytest.mark.parametrize("types", [("u8", "u8"), ("u8", "s8"), ("s8", "u8"), ("s8", "s8")])
@pytest.mark.parametrize("end", [0, 1])
def test_every_code_with_extreme_zeros_bounds_and_scales(
    agrees: Agrees, types: tuple[str, str], end: int
) -> None:
    x_zero, y_zero = ((-128, 127)[end] if kind == "s8" else (0, 255)[end] for kind in types)
    attributes = CODING | factors(100) | {"x_type": types[0], "y_type": types[1]}
    attributes |= {"x_zero": x_zero, "y_zero": y_zero}
    x = every_code(100, types[0])
    for more in ({}, {"y_low": 3, "y_high": 90}, {"y_scale": 1e-30}, {"x_scale": 1e-30}, {"x_scale": 1e30}):
        (found,) = agrees("affine", attributes | more, [x], threads=(1,))
        np.testing.assert_array_equal(found, composed(attributes | more, x))


@pytest.mark.parametrize("x_scale", [0.5, 0.1, 0.3])
def test_ties_go_to_even_wherever_rounding_puts_them(agrees: Agrees, x_scale: float) -> None:
    """Half units everywhere: columns that no factor and offset can give have tables."""
    scale = np.array([1, 0.5, 5, 1.5, 2.5, 1 / 3, 10 / 3, 7, 0, -1, -5, -0.5], np.float32).repeat(12)
    shift = np.tile(
        np.array([0, 0.5, 0.25, -0.5, 1 / 3, 0.05, -0.15, 5, -7.5, 0.1, 100, -0.35], np.float32), 12
    )
    for y_scale in (1.0, 0.1, 0.2, 0.7):
        attributes = CODING | {"scale": scale, "shift": shift, "x_scale": x_scale, "y_scale": y_scale}
        x = every_code(len(scale))
        (found,) = agrees("affine", attributes, [x], threads=(1,))
        np.testing.assert_array_equal(found, composed(attributes, x))


def test_extreme_numbers(agrees: Agrees) -> None:
    largest = float(np.finfo(np.float32).max)
    ends = [0.0, -0.0, 1e-45, -1e-45, 1e-38, 1.0, -1.0, 1e38, -1e38, largest, -largest]
    scale, shift = (np.array(each, np.float32).reshape(-1) for each in np.meshgrid(ends, ends))
    attributes = CODING | {"scale": scale, "shift": shift}
    x = every_code(len(scale))
    (found,) = agrees("affine", attributes, [x], threads=(1,))
    np.testing.assert_array_equal(found, composed(attributes, x))


def test_a_table_is_applied_to_the_codes(agrees: Agrees) -> None:
    attributes = CODING | factors(70) | {"table": codes((256,)), "table_type": "s8"}
    x = every_code(70)
    (found,) = agrees("affine", attributes, [x])
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, composed(attributes, x))


def test_it_runs_in_place_unless_a_column_has_a_table() -> None:
    """Of 0.1 times 5, plus 0.05, ties round to either side: no factor and offset do that."""
    for scale, shift, y_scale in ((5.0, 0.05, 0.1), (1.3, 0.4, 0.03)):
        same = {name: np.full(3, value, np.float32) for name, value in (("scale", scale), ("shift", shift))}
        attributes = CODING | same | {"x_scale": 0.1, "y_scale": y_scale}
        builder = ProgramBuilder()
        value = builder.input("x", "u8", [256, 3])
        table = {"table": np.arange(256, dtype=np.uint8), "type": "u8"}
        for kind, what in (("lookup", table), ("affine", attributes), ("lookup", table)):
            (value,) = builder.step(kind, [value], what, 1, "")
        builder.output(value, "y")
        x = every_code(3)
        (found,) = Program(builder.build()).run({"x": x})
        np.testing.assert_array_equal(found, composed(attributes, x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_type": "f32"}, "not u8 or s8"),
        ({"x_zero": -1}, "outside 0..255"),
        ({"x_scale": 0.0}, "'x_scale' is not above 0"),
        ({"shift": np.zeros(4, np.float32)}, "'shift' is not one number for each column"),
        ({"scale": np.zeros((3, 1), np.float32)}, "'scale' is not one number for each column"),
        ({"shift": np.array([0, np.inf, 1], np.float32)}, "'shift' has a number that is not finite"),
        ({"scale": np.zeros(3, np.int32)}, "'scale'"),
        ({"table": np.zeros(9, np.uint8), "table_type": "u8"}, "9 bytes"),
        ({"more": 1}, "no attribute is named 'more'"),
    ],
)
def test_what_scales_no_columns_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator("affine", CODING | factors(3) | change)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 4), np.uint8), "not for rows of"),
        (np.zeros((), np.uint8), "not for rows of"),
        (np.zeros((2, 3), np.int8), "takes codes of u8, not s8"),
    ],
)
def test_rows_that_do_not_fit_are_refused(x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator("affine", CODING | factors(3)).bind([x])
