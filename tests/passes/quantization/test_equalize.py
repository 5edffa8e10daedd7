"""Layers that follow each other are evened out to the bit, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import Session
from graphopt.ir import constant, infer_shapes, verify
from graphopt.passes.quantization.equalize import Equalize
from graphopt.pipeline import Outcome
from graphopt.testing import parse_model

Weights = Callable[..., str]


def _uneven(model: ir.Model, name: str, axis: int = 0) -> None:
    """Scale the indices of an axis of a weight to be of very different size."""
    weight = model.graph.initializers[name]
    array = constant(weight)
    assert array is not None
    factors = np.geomspace(0.01, 30.0, array.shape[axis]).astype(np.float32)
    spread = factors.reshape([-1 if place == axis else 1 for place in range(array.ndim)])
    weight.const_value = ir.Tensor(array * spread, name=name)


def _run(text: str, uneven: str = "w", axis: int = 0) -> tuple[ir.Model, ir.Model, Outcome]:
    before = parse_model(text)
    infer_shapes(before)
    _uneven(before, uneven, axis)
    model = before.clone()
    outcome = Equalize().call(model)
    verify(model)
    return before, model, outcome


def _assert_same(before: ir.Model, model: ir.Model) -> None:
    shape = [dim for dim in before.graph.inputs[0].shape or () if isinstance(dim, int)]
    feed = {"x": np.random.default_rng(0).normal(size=shape).astype(np.float32)}
    assert np.array_equal(Session(before).run(feed)["y"], Session(model).run(feed)["y"])


def _ratio(model: ir.Model, op_type: str, axis: int) -> float:
    """Of the largest to the smallest magnitude along an axis of the first weight of an operator."""
    node = next(node for node in model.graph if node.op_type == op_type)
    array = constant(node.inputs[1])
    assert array is not None
    largest = np.abs(np.moveaxis(array, axis, 0)).reshape(array.shape[axis], -1).max(axis=1)
    return float(largest.max() / largest.min())


@pytest.mark.parametrize("between", ["Relu(c)", "LeakyRelu(c)", "MaxPool<kernel_shape=[2, 2]>(c)"])
def test_convs_with_what_passes_scales_between(weights: Weights, between: str) -> None:
    before, model, outcome = _run(
        f"""agraph (float[1,3,8,8] x) => (float[1,4,n,m] y)
        {weights(w=(8, 3, 3, 3), b=(8,), v=(4, 8, 1, 1))} {{
            c = Conv(x, w, b)
            r = {between}
            y = Conv(r, v)
        }}"""
    )
    assert outcome.changes.hits["pair of layers"] == 1
    assert _ratio(model, "Conv", 0) < _ratio(before, "Conv", 0) / 10
    _assert_same(before, model)


def test_a_chain_through_a_depthwise_conv(weights: Weights) -> None:
    before, model, outcome = _run(
        f"""agraph (float[1,3,8,8] x) => (float[1,4,n,m] y)
        {weights(w=(8, 3, 1, 1), b=(8,), d=(8, 1, 3, 3), e=(8,), v=(4, 8, 1, 1))} {{
            c = Conv(x, w, b)
            r = Relu(c)
            f = Conv<group=8>(r, d, e)
            s = Relu(f)
            y = Conv(s, v)
        }}""",
        uneven="d",
    )
    assert outcome.changes.count >= 2
    _assert_same(before, model)


def test_matrix_products_with_a_bias_between(weights: Weights) -> None:
    before, model, outcome = _run(
        f"""agraph (float[2,4] x) => (float[2,n] y) {weights(w=(4, 8), b=(8,), v=(5, 8), c=(5,))} {{
            m = MatMul(x, w)
            a = Add(m, b)
            r = Relu(a)
            y = Gemm<transB=1>(r, v, c)
        }}""",
        axis=1,
    )
    assert outcome.changes.count == 1
    _assert_same(before, model)


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        ("Sigmoid(c)", "a Sigmoid makes it, of which no constant scales channels"),
        ("Clip(c, , six)", "a Clip makes it, of which no constant scales channels"),
        ("Add(c, c)", "a sum of two values makes it"),
    ],
)
def test_what_passes_no_scales_is_refused(weights: Weights, between: str, reason: str) -> None:
    text = weights(w=(8, 3, 1, 1), v=(4, 8, 1, 1))[:-1]
    _, _, outcome = _run(
        f"""agraph (float[1,3,8,8] x) => (float[1,4,n,m] y) {text}, float six = {{6.0}}> {{
            c = Conv(x, w)
            r = {between}
            y = Conv(r, v)
        }}"""
    )
    assert not outcome.modified
    assert outcome.changes.refusals[reason] == 1


def test_a_value_that_others_read_is_left(weights: Weights) -> None:
    _, _, outcome = _run(
        f"""agraph (float[1,4,8,8] x) => (float[1,4,n,m] y) {weights(w=(4, 4, 1, 1), v=(4, 4, 1, 1))} {{
            c = Conv(x, w)
            d = Conv(c, v)
            y = Add(c, d)
        }}"""
    )
    assert not outcome.modified
    assert outcome.changes.refusals["others read the value too"] == 1


def test_a_second_run_changes_nothing(weights: Weights) -> None:
    _, model, _ = _run(
        f"""agraph (float[1,3,8,8] x) => (float[1,4,n,m] y)
        {weights(w=(8, 3, 1, 1), d=(8, 1, 3, 3), v=(4, 8, 1, 1))} {{
            c = Conv(x, w)
            f = Conv<group=8>(c, d)
            y = Conv(f, v)
        }}"""
    )
    assert not Equalize().call(model).modified
