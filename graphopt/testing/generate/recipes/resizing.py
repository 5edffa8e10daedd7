"""Resize and Upsample: scales or sizes, every mode and reading of coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes._parts import has_attribute

SCALES = (2.0, 1.0, 0.5, 1.5)
COORDINATES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")


@recipe("Resize", weight=6)
def resize(b: Builder, op_type: str) -> None:
    """The last dimensions larger or smaller, or all as they are."""
    x = b.pick(rank=4)
    mode = b.choices.choose(("nearest", "linear", "cubic"))
    more: dict[str, Any] = {"mode": mode}
    if has_attribute(b, op_type, "coordinate_transformation_mode"):
        more["coordinate_transformation_mode"] = b.choices.choose(COORDINATES)
        if mode == "nearest" and b.choices.chance(0.5):
            more["nearest_mode"] = b.choices.choose(("floor", "round_prefer_floor", "ceil"))
    if has_attribute(b, op_type, "antialias") and b.choices.chance(0.2):
        more["antialias"] = 1
    scales = _scales(b)
    if b.opset < 11:
        b.op(op_type, x, scales, **more)
        return
    roi = b.constant(np.array([], np.float32)) if b.opset < 13 or b.choices.chance(0.3) else None
    if b.choices.chance(0.4):
        sizes = [*x.shape[:2], *(b.choices.choose((size, 2 * size, 3)) for size in x.shape[2:])]
        none = b.constant(np.array([], np.float32)) if b.opset < 13 else None
        b.op(op_type, x, roi, none, b.ints(sizes), **more)
    else:
        b.op(op_type, x, roi, scales, **more)


@recipe("Upsample", weight=4)
def upsample(b: Builder, op_type: str) -> None:
    """What became Resize."""
    x = b.pick(rank=4)
    scales = [1.0, 1.0, b.choices.choose((2.0, 1.0)), b.choices.choose((2.0, 1.0, 3.0))]
    taken = scales if has_attribute(b, op_type, "scales") else b.constant(np.array(scales, np.float32))
    b.op(op_type, x, mode=b.choices.choose(("nearest", "linear")), scales=taken)


def _scales(b: Builder) -> Known:
    return b.constant(np.array([1.0, 1.0, b.choices.choose(SCALES), b.choices.choose(SCALES)], np.float32))
