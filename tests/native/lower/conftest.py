"""A model as a program, beside what onnxruntime makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime
import pytest

from graphopt.native import compile
from graphopt.native.lower import lowered
from graphopt.testing import parse_model

Array = npt.NDArray[Any]
Lower = Callable[..., list[str]]


@pytest.fixture
def lower() -> Lower:
    """Check that a program gives what onnxruntime does, within a step, and return the kinds of its steps."""

    def check(text: str, step: float = 0.1, share: float = 1.0, **dims: int) -> list[str]:
        model = parse_model(text)
        program = compile(model)
        rng = np.random.default_rng(0)
        inputs = {value.name or "": _array(value, rng, dims) for value in model.graph.inputs}
        session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
        expected = session.run(None, inputs)
        for got, want in zip(program.run(inputs), expected, strict=True):
            assert got.shape == want.shape and got.dtype == want.dtype
            near = np.abs(got.astype(np.float64) - want.astype(np.float64)) <= step * 1.001
            assert near.mean() >= share, f"{near.mean():.4f} within a step\n{got}\n{want}"
        return [each.kind for each in lowered(model, floats_too=True).steps.steps]

    return check


def _array(value: ir.Value, rng: np.random.Generator, dims: dict[str, int]) -> Array:
    assert value.shape is not None and value.dtype is not None
    shape = [dim if isinstance(dim, int) else dims[str(dim.value)] for dim in value.shape]
    if value.dtype == ir.DataType.FLOAT:
        return rng.normal(0, 2, shape).astype(np.float32)
    if value.dtype == ir.DataType.BOOL:
        return rng.random(shape) < 0.5
    info = np.iinfo(value.dtype.numpy())
    return rng.integers(info.min, info.max, shape, endpoint=True).astype(value.dtype.numpy())
