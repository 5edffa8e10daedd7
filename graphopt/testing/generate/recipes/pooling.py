"""Pooling: windows of every kind, and global ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes._parts import has_attribute, window
from graphopt.testing.generate.recipes.convolution import image


@recipe("MaxPool", "AveragePool", "LpPool", weight=15)
def pool(b: Builder, op_type: str) -> None:
    """Rounded up or down, with padding counted or not; MaxPool now and then with places."""
    x = image(b)
    kernel = [b.choices.choose((2, 1, 3)) for _ in range(x.rank - 2)]
    more: dict[str, Any] = {"kernel_shape": kernel, **window(b, kernel)}
    more["pads"] = [
        min(pad, size - 1) for pad, size in zip(more.get("pads", [0] * 6), kernel * 2, strict=False)
    ]
    if "auto_pad" in more:
        del more["pads"]
    for name in ("ceil_mode", "count_include_pad", "storage_order"):
        if has_attribute(b, op_type, name) and b.choices.chance(0.25):
            more[name] = 1
    places = op_type == "MaxPool" and b.opset >= 8 and b.specials and b.choices.chance(0.15)
    # The kernel that tells places takes NaN otherwise than the one that tells none.
    places = places and bool(np.isfinite(x.array.astype(np.float64)).all())
    if not has_attribute(b, op_type, "dilations"):
        more.pop("dilations", None)
    b.op(op_type, x, outputs=2 if places else 1, **more)


@recipe("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", weight=6)
def global_pool(b: Builder, op_type: str) -> None:
    """Over everything behind the channels."""
    b.op(op_type, image(b))
