"""A whole network, quantized by our own passes, gives as a program what onnxruntime makes of it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from graphopt import demo
from graphopt.native import compile


@pytest.mark.parametrize("batch", [1, 7])
def test_the_demo_on_codes(quantized: ir.Model, batch: int) -> None:
    images = demo.load().images[-batch:]
    session = onnxruntime.InferenceSession(ir.to_proto(quantized).SerializeToString())
    (expected,) = session.run(None, {"image": images})
    program = compile(quantized)
    for threads in (1, 2):
        (found,) = program.run({"image": images}, threads=threads)
        np.testing.assert_allclose(found, expected, atol=0.02)
        assert (found.argmax(-1) == expected.argmax(-1)).all()
    (reference,) = program.reference({"image": images})
    np.testing.assert_array_equal(reference, found)
