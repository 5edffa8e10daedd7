"""Models as channels-last converters write them keep no transpose but those of what goes in and out."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphopt.compile import optimize

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NAMES = ("mobilenet_v2", "mobilenet_v3", "resnet", "efficientnet", "unet", "detector", "generator")
SIDE = 32


@pytest.fixture(scope="module")
def nhwc_models() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        return importlib.import_module("nhwc_models")


@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize("name", NAMES)
def test_no_transpose_is_left_inside(nhwc_models: Any, name: str, batch: int | str) -> None:
    model = nhwc_models.MODELS[name](SIDE, batch)
    channels = model.graph.input[0].type.tensor_type.shape.dim[3].dim_value
    image = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    feed = np.random.default_rng(0).standard_normal((1 if batch == 1 else 2, image, image, channels))
    result = optimize(model, inputs={"image": feed.astype(np.float32)}, measure=False)
    assert not result.report.left_out
    left = [node.name for node in result.model.graph if node.op_type == "Transpose"]
    assert len(left) <= nhwc_models.EDGES[name], left


def test_every_model_is_tested(nhwc_models: Any) -> None:
    assert set(nhwc_models.MODELS) == set(NAMES)
