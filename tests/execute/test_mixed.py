"""Models that onnxruntime does not load: each node runs where it can."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import Session
from graphopt.testing import parse_model


def test_an_old_batch_normalization_beside_an_operator_that_onnxruntime_lacks() -> None:
    model = parse_model(
        """
        g (float[1,2] x, int32[2] i) => (float[1,2] y, int32[N] u)
        <float[2] scale = {2.0, 3.0}, float[2] zero = {0.0, 0.0}, float[2] one = {1.0, 1.0}>
        { y = BatchNormalization (x, scale, zero, zero, one)  u = Unique (i) }
        """,
        opset=11,
    )
    session = Session(model)
    results = session.run({"x": np.ones((1, 2), np.float32), "i": np.array([3, 3], np.int32)})
    assert session.backend == "onnx.reference"
    assert np.allclose(results["y"], [[2.0, 3.0]], rtol=1e-4)
    assert results["u"].tolist() == [3]


def test_bodies_read_values_of_the_graph_around_them() -> None:
    model = parse_model(
        """
        g (int32[2] i, bool c, float[2] x) => (float[2] y, int32[N] u) {
            t = Neg (x)
            y = If (c) <then_branch = a () => (float[2] p) { p = Abs (t) },
                        else_branch = b () => (float[2] q) { q = Add (t, x) }>
            u = Unique (i)
        }
        """
    )
    inputs = {"i": np.array([1, 2], np.int32), "c": np.array(True), "x": np.array([1.0, -2.0], np.float32)}
    assert Session(model).run(inputs)["y"].tolist() == [1.0, 2.0]


def test_sequences_pass_between_nodes() -> None:
    model = parse_model(
        """
        g (int32[2] i, float[2] x) => (float[4] y, int32[N] u) {
            s = SequenceConstruct (x, x)
            y = ConcatFromSequence <axis = 0> (s)
            u = Unique (i)
        }
        """
    )
    inputs = {"i": np.array([1, 2], np.int32), "x": np.array([1.0, 2.0], np.float32)}
    assert Session(model).run(inputs)["y"].tolist() == [1.0, 2.0, 1.0, 2.0]


@pytest.mark.parametrize("shape", [(), (2,)])
def test_results_are_arrays(shape: tuple[int, ...]) -> None:
    model = parse_model("g (bfloat16 x) => (bfloat16 y) { y = Add (x, x) }")
    model.graph.inputs[0].shape = ir.Shape(shape)
    model.graph.outputs[0].shape = ir.Shape(shape)
    dtype = ir.DataType.BFLOAT16.numpy()
    assert isinstance(Session(model).run({"x": np.ones(shape, dtype)})["y"], np.ndarray)
