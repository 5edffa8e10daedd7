"""Groups of weights that are all zero are left out by some tiers: nothing else may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Agrees = Callable[..., list[Any]]
RANGES = {"u8": (0, 256, np.uint8), "s8": (-128, 128, np.int8)}


def sparse(rng: np.random.Generator, columns: int, depth: int, zeros: float, taps: int = 1) -> Any:
    """Weights [columns, taps * depth] of which so many blocks, of 16 columns and 4 of the depth, are zero."""
    blocks = rng.random((-(-columns // 16), taps, -(-depth // 4))) >= zeros
    kept = np.repeat(np.repeat(blocks, 16, 0), 4, 2)[:columns, :, :depth].reshape(columns, -1)
    return (rng.integers(-128, 128, (columns, taps * depth)) * kept).astype(np.int8)


def attributes(rng: np.random.Generator, weights: Any, x_type: str, y_type: str) -> dict[str, Any]:
    low, high, _ = RANGES[x_type]
    found = {
        "weights": weights,
        "weight_scale": rng.uniform(0.01, 0.02, len(weights)).astype(np.float32),
        "bias": rng.integers(-3000, 3000, len(weights), dtype=np.int32),
        "x_scale": 0.03,
        "x_zero": int(rng.integers(low, high)),
        "y_type": y_type,
    }
    return found if y_type == "f32" else found | {"y_scale": 0.7, "y_zero": 7}


def codes(rng: np.random.Generator, type_: str, shape: tuple[int, ...]) -> Any:
    low, high, dtype = RANGES[type_]
    return rng.integers(low, high, shape).astype(dtype)


@pytest.mark.parametrize("zeros", [0.2, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("rows", [*range(14), 24, 25, 49])
def test_products(agrees: Agrees, rows: int, zeros: float) -> None:
    rng = np.random.default_rng(rows)
    for columns, depth in ((64, 36), (150, 67), (15, 130)):
        for x_type, y_type in (("u8", "u8"), ("s8", "f32"), ("s8", "s8")):
            weights = sparse(rng, columns, depth, zeros)
            x = codes(rng, x_type, (rows, depth))
            agrees("gemm", attributes(rng, weights, x_type, y_type), [x], threads=(1, 2), gaps=(0, 3))


@pytest.mark.parametrize("depth", range(1, 14))
def test_depths_that_are_no_multiple_of_a_group(agrees: Agrees, depth: int) -> None:
    rng = np.random.default_rng(depth)
    for rows in (1, 3, 5, 13):
        weights = sparse(rng, 33, depth, 0.5)
        agrees("gemm", attributes(rng, weights, "u8", "s8"), [codes(rng, "u8", (rows, depth))], threads=(1,))


@pytest.mark.parametrize("x_type", ["u8", "s8"])
def test_weights_with_zero_points(agrees: Agrees, x_type: str) -> None:
    """A weight of zero is then none of value zero, but its code still adds nothing."""
    rng = np.random.default_rng(5)
    given = attributes(rng, sparse(rng, 40, 32, 0.6), x_type, "u8")
    given["weight_zero"] = rng.integers(-90, 90, 40, dtype=np.int32)
    agrees("gemm", given, [codes(rng, x_type, (9, 32))])


@pytest.mark.parametrize("channels", [3, 16, 18, 64])
@pytest.mark.parametrize("kernel", [1, 3])
def test_convolutions(agrees: Agrees, kernel: int, channels: int) -> None:
    rng = np.random.default_rng(channels)
    for x_type in ("u8", "s8"):
        weights = sparse(rng, 70, channels, 0.5, kernel * kernel).reshape(70, kernel, kernel, channels)
        window = {
            "strides": [1, 1],
            "pads": [kernel // 2] * 4,
            "dilations": [1, 1],
            "groups": 1,
        }
        x = codes(rng, x_type, (1, 7, 9, channels))
        agrees("conv", attributes(rng, weights, x_type, "u8") | window, [x], threads=(1, 3))


def test_groups_of_a_convolution_share_vectors(agrees: Agrees) -> None:
    rng = np.random.default_rng(9)
    weights = rng.integers(-128, 128, (32, 3, 3, 4)).astype(np.int8)
    window = {"strides": [1, 1], "pads": [1] * 4, "dilations": [1, 1], "groups": 8}
    agrees("conv", attributes(rng, weights, "u8", "u8") | window, [codes(rng, "u8", (1, 6, 6, 32))])


def test_transposes_of_convolutions(agrees: Agrees) -> None:
    rng = np.random.default_rng(11)
    for kernel, stride in ((2, 2), (3, 2)):
        weights = sparse(rng, 32, 16, 0.5, kernel * kernel).reshape(32, kernel, kernel, 16)
        window = {
            "strides": [stride] * 2,
            "pads": [0] * 4,
            "dilations": [1, 1],
            "groups": 1,
            "output_padding": [0, 0],
        }
        x = codes(rng, "u8", (1, 5, 4, 16))
        agrees("conv_transpose", attributes(rng, weights, "u8", "u8") | window, [x])
