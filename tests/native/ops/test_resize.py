"""resize: nearest and linear, of codes and floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnxruntime
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]
COORDINATES = ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric"]


def image(shape: tuple[int, ...], dtype: Any) -> Any:
    rng = np.random.default_rng(sum(shape))
    return (
        rng.normal(0, 40, shape).clip(-128, 127).astype(dtype)
        if dtype != np.uint8
        else rng.integers(0, 256, shape, dtype)
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 15, 17, 64, 65, 129])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_all_tails_of_channels(agrees: Agrees, dtype: Any, channels: int, mode: str) -> None:
    for size in ({"scales": [2.0, 2.0]}, {"sizes": [3, 9]}, {"scales": [0.6, 1.3]}):
        agrees("resize", {"mode": mode, **size}, [image((2, 5, 4, channels), dtype)])


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scales", [[2.0, 2.0], [1.0, 3.0], [0.7, 1.4]])
def test_pixels_are_those_of_onnx(coordinates: str, mode: str, scales: list[float]) -> None:
    """Against onnxruntime, in each way of telling places and nearest pixels."""
    x = image((1, 7, 6, 3), np.float32)
    for nearest in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")[
        : 4 if mode == "nearest" else 1
    ]:
        node = onnx.helper.make_node(
            "Resize",
            ["x", "", "scales"],
            ["y"],
            mode=mode,
            coordinate_transformation_mode=coordinates,
            nearest_mode=nearest,
        )
        value = onnx.helper.make_tensor_value_info
        given = onnx.numpy_helper.from_array(np.array([1, 1, *scales], np.float32), "scales")
        graph = onnx.helper.make_graph(
            [node], "resize", [value("x", 1, [1, 3, 7, 6])], [value("y", 1, None)], [given]
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (expected,) = session.run(None, {"x": np.ascontiguousarray(np.moveaxis(x, -1, 1))})
        attributes = {"mode": mode, "coordinates": coordinates, "nearest_mode": nearest, "scales": scales}
        (found,) = Operator("resize", attributes).reference([x])
        np.testing.assert_allclose(np.moveaxis(found, -1, 1), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"mode": "cubic", "sizes": [1, 1]}, "'mode'"),
        ({"mode": "linear"}, "either"),
        ({"mode": "linear", "sizes": [1, 1], "scales": [1.0, 1.0]}, "either"),
        ({"mode": "linear", "sizes": [0, 1]}, "'sizes' has 0"),
        ({"mode": "linear", "scales": [0.0, 1.0]}, "'scales'"),
        ({"mode": "linear", "sizes": [1, 1], "coordinates": "else"}, "'coordinates' is unknown: 'else'"),
    ],
)
def test_what_is_no_resize_is_refused(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator("resize", attributes)


def test_images_without_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="without pixels"):
        Operator("resize", {"mode": "linear", "sizes": [2, 2]}).bind([np.zeros((1, 0, 3, 4), np.uint8)])
