"""What looks at windows of images: pools and resizes."""

from __future__ import annotations

import numpy as np

from graphopt.testing.programs.maker import MOST_ELEMENTS, Maker, Recipe, Value, is_image, made_codes, taking


@taking(is_image)
def _max_pool(maker: Maker, value: Value) -> None:
    if 0 in value.shape:
        return
    count, height, width, channels = value.shape
    attributes = {"kernel": [3, 3], "strides": [2, 2], "pads": [1] * 4, "dilations": [1, 1], "ceil": 0}
    shape = (count, (height - 1) // 2 + 1, (width - 1) // 2 + 1, channels)
    maker.step("max_pool", [value], attributes, value.type, shape)


@taking(is_image)
def _average_pool(maker: Maker, value: Value) -> None:
    if 0 in value.shape:
        return
    count, height, width, channels = value.shape
    attributes = {"x_scale": maker.scale(), "x_zero": maker.zero(value.type), **made_codes(maker)}
    attributes |= {"kernel": [2, 2], "strides": [1, 1], "pads": [1, 0, 0, 1], "ceil": 0}
    attributes["count_include_pad"] = maker.below(2)
    maker.step("average_pool", [value], attributes, attributes["y_type"], (count, height, width, channels))


@taking(is_image)
def _global_average_pool(maker: Maker, value: Value) -> None:
    if 0 in value.shape:
        return
    attributes = {"x_scale": maker.scale(), "x_zero": maker.zero(value.type), **made_codes(maker)}
    shape = (value.shape[0], 1, 1, value.shape[-1])
    maker.step("global_average_pool", [value], attributes, attributes["y_type"], shape)


@taking(is_image)
def _resize(maker: Maker, value: Value) -> None:
    if 0 in value.shape or 4 * np.prod(value.shape) > MOST_ELEMENTS:
        return
    count, height, width, channels = value.shape
    attributes = {
        "mode": "nearest",
        "coordinates": "asymmetric",
        "nearest_mode": "floor",
        "scales": [2.0, 2.0],
    }
    maker.step("resize", [value], attributes, value.type, (count, 2 * height, 2 * width, channels))


RECIPES: dict[str, Recipe] = {
    "average_pool": _average_pool,
    "global_average_pool": _global_average_pool,
    "max_pool": _max_pool,
    "resize": _resize,
}
