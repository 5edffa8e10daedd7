"""A whole network on codes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt import demo
from graphopt.compile import pipeline_for
from graphopt.io import load
from graphopt.pipeline import Pipeline


@pytest.fixture(scope="session")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> ir.Model:
    """The demo's network, quantized by our own passes, everything on codes."""
    data = tmp_path_factory.mktemp("data") / "images.npy"
    np.save(data, demo.load().images[:32])
    model = load(demo.load().model)
    pipeline_for(2, None, ()).run(model)
    Pipeline.parse(f"calibrate{{data={data}}},quantize-static{{everywhere=true}}").run(model)
    return model
