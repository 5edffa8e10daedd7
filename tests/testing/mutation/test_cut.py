"""Pieces of a model compute what it computes there."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute.session import Session
from graphopt.io import to_proto
from graphopt.ir import infer_shapes, verify
from graphopt.testing import parse_model
from graphopt.testing.generate import Seeded, Unfit
from graphopt.testing.inputs import INPUTS_KEY
from graphopt.testing.mutation import Recording, cut

TEXT = """
    agraph (float[N, 4] x, bool deep) => (float[N, 4] y) <float[4] b = {1, 2, 3, 4}, int64[1] last = {1}>
    {
        a = Add(x, b)
        e = Exp(a)
        s = ReduceSum(e, last)
        d = Div(e, s)
        i = If (deep) <
            then_branch = then () => (float[N, 4] t) { u = Mul(d, a)  t = Mul(u, b) },
            else_branch = else () => (float[N, 4] f) { f = Sub(d, x) }
        >
        r = Relu(i)
        y = Mul(r, b)
    }
"""


@pytest.fixture
def recording() -> Recording:
    model = parse_model(TEXT)
    infer_shapes(model)
    feed = {"x": np.arange(12, dtype=np.float32).reshape(3, 4) / 8, "deep": np.array(True)}
    return Recording(model, feed)


@pytest.mark.parametrize("seed", range(20))
def test_a_piece_computes_what_the_whole_does(recording: Recording, seed: int) -> None:
    before = to_proto(recording.model)
    piece = cut(recording, Seeded(seed), nodes=(1, 5))
    verify(piece)
    assert 1 <= len(piece.graph) <= 5
    (feed,) = piece.meta[INPUTS_KEY]
    for name, array in Session(piece, fallback=False).run(feed).items():
        np.testing.assert_array_equal(array, recording.arrays[name])
    assert to_proto(recording.model) == before
    tensors = {id(value.const_value) for value in recording.model.graph.initializers.values()}
    assert {id(value.const_value) for value in piece.graph.initializers.values()} <= tensors


def test_a_model_of_fewer_nodes_has_no_piece(recording: Recording) -> None:
    with pytest.raises(Unfit, match="too few nodes"):
        cut(recording, Seeded(0), nodes=(30, 40))


def test_functions_come_along() -> None:
    model = parse_model(
        """
        <ir_version: 8, opset_import: ["" : 18, "local" : 1]>
        agraph (float[2] x) => (float[2] y) { c = Add(x, x)  y = local.Twice(c) }
        <domain: "local", opset_import: ["" : 18]>
        Twice (a) => (b) { b = Add(a, a) }
        """
    )
    infer_shapes(model)
    recording = Recording(model, {"x": np.ones(2, np.float32)})
    piece = cut(recording, Seeded(0), nodes=(2, 2))
    assert isinstance(next(iter(piece.functions.values())), ir.Function)
    np.testing.assert_array_equal(Session(piece).run({"x": np.ones(2, np.float32)})["y"], [4, 4])
