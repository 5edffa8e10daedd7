"""max_pool, average_pool and global_average_pool: windows over images, of codes and of floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnxruntime
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]

WINDOWS: list[dict[str, Any]] = [
    {"kernel": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 0], "ceil": 1},
    {"kernel": [3, 2], "strides": [1, 3], "pads": [2, 1, 0, 0]},
    {"kernel": [5, 5], "strides": [1, 1], "pads": [2, 2, 2, 2]},
    {"kernel": [1, 3], "strides": [1, 2], "pads": [0, 0, 0, 2], "ceil": 1},
]
CODES: dict[str, Any] = {"x_scale": 0.03, "x_zero": 100, "y_type": "s8", "y_scale": 0.02, "y_zero": -7}


def image(shape: tuple[int, ...], dtype: Any = np.uint8) -> Any:
    rng = np.random.default_rng(sum(shape))
    if dtype == np.float32:
        return rng.normal(0, 1, shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.choice([info.min, info.max, -1 & info.max, 3], shape).astype(dtype)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("channels", [1, 3, 17, 33, 64, 65, 130])
def test_windows_and_tails_of_channels(agrees: Agrees, window: dict[str, Any], channels: int) -> None:
    shape = (2, 7, 6, channels)
    average = window | {"count_include_pad": channels % 2}
    for dtype in (np.uint8, np.int8, np.float32):
        agrees("max_pool", window, [image(shape, dtype)])
    agrees("average_pool", average | CODES, [image(shape)])
    agrees("average_pool", average, [image(shape, np.float32)])


def test_dilated_windows_and_those_that_hold_nothing(agrees: Agrees) -> None:
    window = {"kernel": [2, 2], "strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [2, 2]}
    for dtype, least in ((np.uint8, 0), (np.int8, -128), (np.float32, np.finfo(np.float32).min)):
        agrees("max_pool", window, [image((1, 5, 4, 9), dtype)])
        (found,) = agrees("max_pool", window, [image((1, 1, 1, 9), dtype)])
        assert (found == least).all()


@pytest.mark.parametrize(
    "shape", [(2, 7, 7, 70), (1, 1, 1, 3), (1, 40, 30, 5), (2, 9, 300), (1, 3, 2, 2, 17), (0, 3, 3, 8)]
)
def test_means_of_whole_images(agrees: Agrees, shape: tuple[int, ...]) -> None:
    for zero in (0, 100, 255):
        agrees("global_average_pool", CODES | {"x_zero": zero}, [image(shape)])
    agrees(
        "global_average_pool",
        CODES | {"x_zero": -128, "y_type": "u8", "y_zero": 255},
        [image(shape, np.int8)],
    )
    agrees("global_average_pool", {}, [image(shape, np.float32)])


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool", "AveragePool with padding"])
def test_windows_are_those_of_onnx(window: dict[str, Any], kind: str) -> None:
    """Against onnxruntime: what the shape is, and which pixels count."""
    x = image((2, 7, 6, 5), np.float32)
    attributes = {
        "kernel_shape": window["kernel"],
        "strides": window["strides"],
        "pads": window["pads"],
        "ceil_mode": window.get("ceil", 0),
    }
    own = dict(window)
    if kind.endswith("padding"):
        attributes["count_include_pad"] = own["count_include_pad"] = 1
    name = kind.split()[0]
    node = onnx.helper.make_node(name, ["x"], ["y"], **attributes)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph([node], "pool", [value("x", 1, [2, 5, 7, 6])], [value("y", 1, None)])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": np.ascontiguousarray(np.moveaxis(x, -1, 1))})
    (found,) = Operator("max_pool" if name == "MaxPool" else "average_pool", own).reference([x])
    np.testing.assert_allclose(np.moveaxis(found, -1, 1), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    ("height", "kernel", "stride", "pad", "ceil"),
    [(1, 2, 2, 0, 0), (1, 3, 2, 0, 0), (1, 2, 2, 0, 1), (2, 5, 3, 0, 0), (1, 3, 2, 1, 0), (1, 4, 2, 1, 1)],
)
def test_windows_larger_than_the_image_give_what_onnxruntime_gives(
    agrees: Agrees, kind: str, height: int, kernel: int, stride: int, pad: int, ceil: int
) -> None:
    x = image((2, height, 5, 3), np.float32)
    attributes: dict[str, Any] = {"strides": [stride, 1], "pads": [0, 0, pad, 0], "ceil_mode": ceil}
    node = onnx.helper.make_node(kind, ["x"], ["y"], kernel_shape=[kernel, 2], **attributes)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph([node], "pool", [value("x", 1, [2, 3, "h", 5])], [value("y", 1, None)])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": np.ascontiguousarray(np.moveaxis(x, -1, 1))})
    window = {"kernel": [kernel, 2], "strides": [stride, 1], "pads": [0, 0, pad, 0], "ceil": ceil}
    (found,) = agrees("max_pool" if kind == "MaxPool" else "average_pool", window, [x])
    np.testing.assert_allclose(np.moveaxis(found, -1, 1), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": [0, 3]}, "'kernel' has 0"),
        ({"pads": [3, 0, 0, 0]}, "whole windows"),
        ({"strides": [1, 0]}, "'strides' has 0"),
        ({"ceil": 2}, "outside 0..1"),
        ({"x_scale": 1.0}, "no attribute is named 'x_scale'"),
    ],
)
def test_what_is_no_window_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator("max_pool", WINDOWS[0] | change)


def test_images_that_do_not_fit_are_refused() -> None:
    operator = Operator("max_pool", {"kernel": [3, 3], "strides": [1, 1], "pads": [0, 0, 0, 0]})
    with pytest.raises(ValueError, match="larger than the image"):
        operator.bind([np.zeros((1, 1, 9, 4), np.uint8)])
    with pytest.raises(ValueError, match="has not"):
        operator.bind([np.zeros((2, 9, 4), np.uint8)])
    with pytest.raises(ValueError, match="needs scales and zero points"):
        Operator("global_average_pool", {}).bind([np.zeros((1, 2, 9, 4), np.uint8)])
    with pytest.raises(ValueError, match="not f32"):
        Operator("global_average_pool", CODES).bind([np.zeros((1, 2, 9, 4), np.float32)])
    with pytest.raises(ValueError, match="no pixels"):
        Operator("global_average_pool", {}).bind([np.zeros((1, 0, 9, 4), np.float32)])
