"""How far rounding moves the outputs of a model: by element, for every float type, and no further."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from graphopt.ir import infer_shapes
from graphopt.testing import parse_model
from graphopt.testing.check.noise import movement

UNITS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float": 2.0**-23, "double": 2.0**-52}
TYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float": np.float32, "double": np.float64}


@pytest.mark.parametrize("opset", [18, 22])
@pytest.mark.parametrize("dtype", list(UNITS))
def test_what_cancels_moves_and_what_does_not_hardly_does(dtype: str, opset: int) -> None:
    """Since opset 22 onnxruntime has no RandomUniformLike."""
    model = parse_model(
        f"""<ir_version: 10, opset_import: ["" : {opset}]>
        g ({dtype}[2] x, {dtype}[2] y) => ({dtype}[2] cancelled, {dtype}[2] sum) {{
            one = Neg(y)  cancelled = Add(x, one)  sum = Add(x, y)
        }}"""
    )
    infer_shapes(model)
    inputs = {"x": np.array([100, 1]).astype(TYPES[dtype]), "y": np.array([100, 3]).astype(TYPES[dtype])}
    moved = movement(model, inputs)
    unit = UNITS[dtype]
    assert unit < moved["cancelled"][0] / 100 < 20 * unit
    assert 0 < moved["cancelled"][1] < 50 * unit
    assert moved["sum"][0] / 200 < 20 * unit


def test_elements_move_on_their_own() -> None:
    """Rows of two over the root of their variance are 1 and -1 but where both are nearly the same."""
    model = parse_model(
        """g (float[2,2] x) => (float[2,2] y) <float[2] one = {1.0, 1.0}, float[2,2] far = {1e4, 1e4, 0, 0}> {
            z = Add(x, far)  y = LayerNormalization(z, one)
        }"""
    )
    infer_shapes(model)
    moved = movement(model, {"x": np.array([[1e-3, 2e-3], [1.0, 2.0]], np.float32)})["y"]
    assert moved[0].min() > 0.1 and moved[1].max() < 1e-4


@pytest.mark.parametrize(
    "body",
    [
        'z = Add(x, far)  n, "", w = LayerNormalization(z, one)  y = Sub(z, far)',
        "x_moved = Add(x, far)  x_moved_moved = Neg(far)  y = Add(x_moved, x_moved_moved)",
    ],
)
def test_outputs_without_names_and_names_in_use_hinder_nothing(body: str) -> None:
    text = (
        f"g (float[2] x) => (float[2] y) <float[2] one = {{1, 1}}, float[2] far = {{100, 100}}> {{ {body} }}"
    )
    model = parse_model(text)
    infer_shapes(model)
    moved = movement(model, {"x": np.array([1, 3], np.float32)})["y"]
    assert moved.shape == (2,) and (moved > 100 * UNITS["float"]).all()


def test_arrays_of_sequences_move_each_on_its_own() -> None:
    model = parse_model(
        """g (float[2] x, float[2] y) => (seq(float[2]) s) {
            one = Neg(y)  cancelled = Add(x, one)  sum = Add(x, y)  s = SequenceConstruct(cancelled, sum)
        }"""
    )
    infer_shapes(model)
    inputs = {"x": np.array([100, 1], np.float32), "y": np.array([100, 3], np.float32)}
    cancelled, total = movement(model, inputs)["s"]
    assert cancelled[0] / 100 > UNITS["float"] and total[0] / 200 < 20 * UNITS["float"]
