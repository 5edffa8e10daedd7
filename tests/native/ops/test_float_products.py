"""gemm_f32, matmul_f32, conv_f32 and conv_transpose_f32: products of floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]


def floats(*shape: int) -> Any:
    return np.random.default_rng(list(shape)).normal(size=shape).astype(np.float32)


def close(found: Any, expected: Any, depth: int) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * depth**0.5)


def window(
    image: tuple[int, ...],
    columns: int,
    kernel: tuple[int, int] = (3, 3),
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, ...] = (0, 0, 0, 0),
    dilations: tuple[int, int] = (1, 1),
    groups: int = 1,
    **more: Any,
) -> tuple[dict[str, Any], Any]:
    """Attributes of a convolution, and an image."""
    attributes = {
        "weights": floats(columns, *kernel, image[3] // groups),
        "bias": floats(columns),
        "strides": list(strides),
        "pads": list(pads),
        "dilations": list(dilations),
        "groups": groups,
    }
    return attributes | more, floats(*image)


@pytest.mark.parametrize("rows", [0, 1, 2, 5, 6, 7, 8, 9, 13, 25, 97])
def test_gemm_is_a_product_of_matrices(agrees: Agrees, rows: int) -> None:
    for columns, depth in ((1, 1), (15, 7), (16, 8), (17, 200), (33, 3), (48, 5), (64, 40), (70, 129)):
        weights, x = floats(columns, depth), floats(rows, depth)
        (found,) = agrees("gemm_f32", {"weights": weights, "bias": floats(columns)}, [x], threads=(2,))
        close(found, x.astype(np.float64) @ weights.T + floats(columns), depth)


def test_gemm_of_any_rank_without_a_bias(agrees: Agrees) -> None:
    weights = floats(9, 12)
    for shape in ((12,), (2, 3, 12), (0, 12)):
        (found,) = agrees("gemm_f32", {"weights": weights}, [floats(*shape)])
        close(found, floats(*shape).astype(np.float64) @ weights.T, 12)


def test_of_nothing_the_bias_is_left(agrees: Agrees) -> None:
    (found,) = agrees("gemm_f32", {"weights": floats(5, 0), "bias": floats(5)}, [floats(3, 0)])
    np.testing.assert_array_equal(found, np.broadcast_to(floats(5), (3, 5)))
    (found,) = agrees("matmul_f32", {}, [floats(2, 3, 0), floats(2, 0, 4)])
    np.testing.assert_array_equal(found, np.zeros((2, 3, 4)))
    for a, b in (((0, 4), (4, 3)), ((3, 4), (4, 0)), ((0, 3, 4), (4, 5))):
        agrees("matmul_f32", {}, [floats(*a), floats(*b)])


def test_results_are_clamped(agrees: Agrees) -> None:
    attributes = {"weights": floats(20, 300), "low": 0.0, "high": 6.0}
    (found,) = agrees("gemm_f32", attributes, [floats(9, 300)])
    assert found.min() == 0 and found.max() == 6
    (found,) = agrees("gemm_f32", {**attributes, "low": 7.0}, [floats(9, 300)])
    assert (found == 6).all()
    for image, groups in (((1, 5, 5, 16), 16), ((1, 5, 5, 16), 1)):
        attributes, x = window(image, 16, groups=groups, low=-0.5)
        (found,) = agrees("conv_f32", attributes, [x])
        assert found.min() == -0.5


def test_what_is_no_number_stays(agrees: Agrees) -> None:
    x = floats(9, 200)
    x[1, 3], x[2, 4], x[5, 150] = np.nan, np.inf, -np.inf
    (found,) = agrees("gemm_f32", {"weights": floats(20, 200), "low": 0.0, "high": 6.0}, [x])
    assert np.isnan(found[1]).all() and not np.isnan(found[[0, 2, 3, 5]]).any()


@pytest.mark.parametrize("transposed", [0, 1])
def test_matmul_of_what_is_computed(agrees: Agrees, transposed: int) -> None:
    for a, b in (
        ((7, 20), (20, 33)),
        ((2, 3, 9, 130), (2, 3, 130, 17)),
        ((3, 1, 5), (5, 70)),
        ((5, 8), (3, 8, 6)),
        ((4, 1, 3, 8), (2, 8, 64)),
    ):
        left, right = floats(*a), floats(*b)
        given = np.ascontiguousarray(right.swapaxes(-1, -2)) if transposed else right
        (found,) = agrees("matmul_f32", {"transpose_b": transposed}, [left, given])
        close(found, left.astype(np.float64) @ right, a[-1])
        what = {"transpose_b": transposed, "scale": 0.3}
        (scaled,) = agrees("matmul_f32", what, [left, given], threads=(2,), gaps=(0,))
        np.testing.assert_array_equal(scaled, found * np.float32(0.3))


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (1, 5), (5, 2)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1)])
def test_windows_and_strides(agrees: Agrees, kernel: tuple[int, int], strides: tuple[int, int]) -> None:
    for channels, columns in ((3, 1), (16, 24), (20, 70)):
        for pads in ((0, 0, 0, 0), (1, 0, 2, 1)):
            attributes, x = window((2, 7, 6, channels), columns, kernel, strides, pads)
            agrees("conv_f32", attributes, [x], threads=(2,))


@pytest.mark.parametrize("kind", ["conv_f32", "conv_transpose_f32"])
@pytest.mark.parametrize("dilations", [(2, 1), (1, 3), (2, 2)])
def test_dilations(agrees: Agrees, kind: str, dilations: tuple[int, int]) -> None:
    more: dict[str, Any] = {"output_padding": [0, 0]} if "transpose" in kind else {}
    for strides in ((1, 1), (2, 2), (2, 3)):
        attributes, x = window((1, 8, 9, 8), 9, (3, 3), strides, (1, 1, 1, 1), dilations, **more)
        agrees(kind, attributes, [x], threads=(2,))


@pytest.mark.parametrize("kind", ["conv_f32", "conv_transpose_f32"])
@pytest.mark.parametrize("groups", [2, 4, 16])
def test_groups(agrees: Agrees, kind: str, groups: int) -> None:
    more: dict[str, Any] = {"output_padding": [1, 0]} if "transpose" in kind else {}
    for columns in (16, 48):
        attributes, x = window((2, 5, 6, 16), columns, (3, 3), (2, 2), (1, 1, 1, 1), groups=groups, **more)
        agrees(kind, attributes, [x], threads=(2,))


@pytest.mark.parametrize("channels", [2, 7, 16, 31, 33, 64, 100])
def test_channels_with_weights_of_their_own(agrees: Agrees, channels: int) -> None:
    for strides, kernel in (((1, 1), (3, 3)), ((2, 2), (5, 5)), ((1, 2), (1, 4))):
        attributes, x = window((2, 9, 7, channels), channels, kernel, strides, (1, 2, 0, 1), groups=channels)
        (found,) = agrees("conv_f32", attributes, [x], threads=(2,))
        dense = np.zeros((channels, *kernel, channels), np.float32)
        dense[range(channels), :, :, range(channels)] = attributes["weights"][..., 0]
        (wanted,) = Operator("conv_f32", attributes | {"weights": dense, "groups": 1}).reference([x])
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("kernel", [(2, 2), (3, 3), (4, 4), (1, 3)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 2)])
def test_transposes_add_up_windows(agrees: Agrees, kernel: tuple[int, int], strides: tuple[int, int]) -> None:
    for channels, columns in ((3, 1), (16, 24)):
        attributes, x = window((2, 4, 5, channels), columns, kernel, strides, output_padding=[0, 1])
        (found,) = agrees("conv_transpose_f32", attributes, [x], threads=(2,))
        wanted = np.zeros(found.shape) + attributes["bias"]
        for row in range(kernel[0]):
            for column in range(kernel[1]):
                added = x.astype(np.float64) @ attributes["weights"][:, row, column].T
                lines = slice(row, row + (x.shape[1] - 1) * strides[0] + 1, strides[0])
                places = slice(column, column + (x.shape[2] - 1) * strides[1] + 1, strides[1])
                wanted[:, lines, places] += added
        close(found, wanted, channels * kernel[0] * kernel[1])


def test_windows_wider_than_the_image(agrees: Agrees) -> None:
    attributes, x = window((1, 2, 2, 5), 6, (5, 5), (1, 1), (2, 2, 2, 2))
    agrees("conv_f32", attributes, [x])


def test_large_windows_of_many_rows(agrees: Agrees) -> None:
    attributes, x = window((1, 70, 70, 1), 2, (60, 60))
    agrees("conv_f32", attributes, [x], threads=(2,), gaps=(0,))


@pytest.mark.parametrize(
    ("kind", "attributes", "shapes", "said"),
    [
        ("gemm_f32", {"weights": floats(3)}, [(2, 3)], "not \\[N, K\\]"),
        ("gemm_f32", {"weights": floats(3, 4), "bias": floats(2)}, [(2, 4)], "'bias' is"),
        ("gemm_f32", {"weights": floats(3, 4)}, [(2, 5)], "by weights of 4 rows"),
        ("gemm_f32", {"weights": floats(3, 4), "low": float("nan")}, [(2, 4)], "'low'"),
        ("gemm_f32", {"weights": floats(3, 4), "scale": 1.0}, [(2, 4)], "'scale'"),
        ("matmul_f32", {}, [(2, 3), (4, 2)], "multiplies"),
        ("matmul_f32", {"transpose_b": 2}, [(2, 3), (3, 2)], "'transpose_b'"),
        (
            "conv_f32",
            window((1, 3, 3, 2), 4)[0] | {"output_padding": [0, 0]},
            [(1, 3, 3, 2)],
            "output_padding",
        ),
        ("conv_f32", window((1, 3, 3, 2), 4)[0], [(1, 3, 3, 3)], "takes images"),
        ("conv_f32", window((1, 3, 3, 2), 4)[0], [(1, 2, 3, 2)], "nothing is left"),
    ],
)
def test_what_is_refused(kind: str, attributes: Any, shapes: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Operator(kind, attributes).bind([floats(*shape) for shape in shapes], 1)
    with pytest.raises(ValueError, match="f32"):
        Operator("matmul_f32", {}).bind([floats(2, 3), np.zeros((3, 2), np.int8)], 1)
