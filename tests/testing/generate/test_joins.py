"""Inputs of other sizes are only given to a model whose Concats they fit: onnxruntime does not ask."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest

from graphopt.testing.generate.finish import _joins_fit

MODEL = onnx.parser.parse_model(
    """<ir_version: 8, opset_import: ["" : 18]> g (float[N,2] x, float[M,K] z) => (float[A,B] y)
    <float[1,2] c = {1, 2}> { n = Neg(z) y = Concat <axis = 0> (x, c, n) }"""
)


@pytest.mark.parametrize(("shape", "fits"), [((3, 2), True), ((0, 2), True), ((0, 3), False)])
def test_empty_operands_must_fit_as_well(shape: tuple[int, int], fits: bool) -> None:
    feed = {"x": np.ones((2, 2), np.float32), "z": np.ones(shape, np.float32)}
    assert _joins_fit(MODEL, feed) == fits
