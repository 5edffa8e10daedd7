"""matmul_nbits: floats by constant weights of 4 or 8 bits in blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator
from graphopt.quant.packing import pack

Agrees = Callable[..., list[Any]]


def given(
    columns: int, depth: int, bits: int, block: int, *, zeros: bool = True, bias: bool = True
) -> tuple[dict[str, Any], Any]:
    """Attributes, and the weights [K, N] they stand for."""
    rng = np.random.default_rng([columns, depth, bits, block])
    blocks = -(-depth // block)
    codes = rng.integers(0, 1 << bits, (columns, blocks, block))
    points = rng.integers(0, 1 << bits, (columns, blocks))
    scales = rng.uniform(-0.1, 0.1, (columns, blocks)).astype(np.float32)
    attributes: dict[str, Any] = {
        "bits": bits,
        "block": block,
        "depth": depth,
        "weights": pack(codes, bits),
        "scales": scales,
    }
    if zeros:
        attributes["zeros"] = pack(points, bits)
    if bias:
        attributes["bias"] = rng.normal(size=columns).astype(np.float32)
    middle = points[..., np.newaxis] if zeros else 1 << (bits - 1)
    weights = (codes - middle) * scales[..., np.newaxis].astype(np.float64)
    return attributes, weights.reshape(columns, -1)[:, :depth].T


def floats(*shape: int) -> Any:
    return np.random.default_rng(list(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("block", [16, 32, 64, 128, 256, 512])
def test_products_are_those_of_the_weights(agrees: Agrees, bits: int, block: int) -> None:
    for rows, columns, depth in [
        (1, 5, block),
        (1, 70, 3 * block - 7),
        (3, 33, block + 1),
        (15, 64, 2 * block),
    ]:
        attributes, weights = given(columns, depth, bits, block)
        x = floats(rows, depth)
        (found,) = agrees("matmul_nbits", attributes, [x])
        expected = x.astype(np.float64) @ weights + attributes["bias"]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * (depth * (1 << bits)) ** 0.5)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("rows", [0, 1, 2, 3, 5, 7, 11, 12, 13, 19, 26])
def test_all_heights_of_tiles(agrees: Agrees, bits: int, rows: int) -> None:
    attributes, _ = given(19, 37, bits, 16)
    agrees("matmul_nbits", attributes, [floats(rows, 37)])


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("rows", [1, 4])
def test_all_tails_of_columns_and_depth(agrees: Agrees, bits: int, rows: int) -> None:
    for columns in (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 129):
        attributes, _ = given(columns, 20, bits, 16)
        agrees("matmul_nbits", attributes, [floats(rows, 20)], threads=(1,))
    for depth in range(1, 35):
        attributes, _ = given(5, depth, bits, 16)
        agrees("matmul_nbits", attributes, [floats(rows, depth)], threads=(1,), gaps=(3,))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("zeros", "bias"), [(False, False), (True, False), (False, True)])
def test_zero_points_and_bias_may_be_missing(agrees: Agrees, bits: int, zeros: bool, bias: bool) -> None:
    attributes, weights = given(10, 40, bits, 16, zeros=zeros, bias=bias)
    x = floats(2, 1, 3, 40)
    (found,) = agrees("matmul_nbits", attributes, [x])
    expected = x.astype(np.float64) @ weights + attributes.get("bias", 0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("rows", "columns"), [(1, 3000), (401, 200)])
def test_blocks_of_rows_and_panels(agrees: Agrees, rows: int, columns: int) -> None:
    attributes, _ = given(columns, 100, 4, 32)
    agrees("matmul_nbits", attributes, [floats(rows, 100)], threads=(1, 2, 4), gaps=(0,))


@pytest.mark.parametrize("bits", [4, 8])
def test_extreme_numbers(agrees: Agrees, bits: int) -> None:
    attributes, _ = given(9, 32, bits, 16)
    x = floats(5, 32)
    x[0], x[1, 3], x[2, 4], x[3] = 0, np.inf, np.nan, 3e38
    agrees("matmul_nbits", attributes, [x])
    agrees("matmul_nbits", attributes, [x * np.float32(1e-38) * np.float32(1e-3)])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 31), np.float32), r"multiplies \[2, 31\] by weights of 32 rows"),
        (np.zeros((), np.float32), "by weights of 32 rows"),
        (np.zeros((2, 32), np.uint8), "multiplies f32, not u8"),
    ],
)
def test_inputs_that_are_refused(x: Any, message: str) -> None:
    operator = Operator("matmul_nbits", given(3, 32, 4, 16)[0])
    with pytest.raises(ValueError, match=message):
        operator.bind([x])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 5}, "'bits' is neither 4 nor 8"),
        ({"bits": 2}, "'bits' is 2, outside 4..8"),
        ({"block": 24}, "'block' is no power of two"),
        ({"block": 8}, "'block' is 8"),
        ({"depth": 0}, "'depth' is 0"),
        ({"depth": 33}, r"'weights' is \[3, 2, 8\], not \[3, 3, 8\]"),
        ({"weights": np.zeros((0, 2, 8), np.uint8)}, "no columns"),
        ({"scales": np.zeros(6, np.float32)}, r"'scales' is \[6\], not \[3, 2\]"),
        ({"zeros": np.zeros((3, 2), np.uint8)}, r"'zeros' is \[3, 2\], not \[3, 1\]"),
        ({"bias": np.zeros(2, np.float32)}, r"'bias' is \[2\], not \[3\]"),
        ({"more": 1}, "no attribute is named 'more'"),
    ],
)
def test_attributes_that_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator("matmul_nbits", given(3, 32, 4, 16)[0] | change)
