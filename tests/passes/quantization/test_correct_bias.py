"""Biases take off what rounding weights shifts outputs by on average."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import DATA_KEY, Session
from graphopt.ir import constant, infer_shapes, verify
from graphopt.passes.quantization._rounded import noted
from graphopt.passes.quantization.correct_bias import CorrectBias
from graphopt.passes.quantization.quantize_static import QuantizeStatic
from graphopt.pipeline import Outcome
from graphopt.testing import parse_model

Weights = Callable[..., str]
Feeds = list[dict[str, Any]]

LAYERS: dict[str, tuple[str, dict[str, tuple[int, ...]], str]] = {
    "Conv": ("[1,8,9,9]", {"w": (8, 8, 3, 3), "b": (8,)}, "Conv(x, w, b)"),
    "Conv without a bias": ("[1,8,9,9]", {"w": (8, 8, 3, 3)}, "Conv(x, w)"),
    "depthwise Conv": ("[1,8,9,9]", {"w": (8, 1, 3, 3), "b": (8,)}, "Conv<group=8>(x, w, b)"),
    "Gemm": ("[8,16]", {"w": (8, 16), "b": (8,)}, "Gemm<transB=1>(x, w, b)"),
    "Gemm the other way": ("[8,16]", {"w": (16, 8), "b": (1, 8)}, "Gemm(x, w, b)"),
}


def _run(kind: str, weights: Weights) -> tuple[ir.Model, ir.Model, Feeds, Outcome]:
    shape, constants, layer = LAYERS[kind]
    dims = ",".join(f"d{place}" for place in range(shape.count(",") + 1))
    before = parse_model(
        f"agraph (float{shape} x) => (float[{dims}] y) {weights(**constants)} {{ y = {layer} }}"
    )
    infer_shapes(before)
    random = np.random.default_rng(0)
    size = [int(dim) for dim in shape[1:-1].split(",")]
    feeds = [{"x": random.uniform(0.5, 1.5, size).astype(np.float32)} for _ in range(8)]
    model = before.clone()
    model.meta[DATA_KEY] = feeds
    outcome = CorrectBias(threads=1, reduce_range=True).call(model)
    verify(model)
    assert all(value.uses() for value in model.graph.initializers.values())
    return before, model, feeds, outcome


def _error(before: ir.Model, after: ir.Model, feeds: Feeds) -> float:
    """Squared error of outputs."""
    one, other = Session(before), Session(after)
    return float(np.mean([np.square(one.run(feed)["y"] - other.run(feed)["y"]).mean() for feed in feeds]))


@pytest.mark.parametrize("kind", LAYERS)
def test_outputs_are_nearer_than_with_the_bias_as_it_was(weights: Weights, kind: str) -> None:
    before, model, feeds, outcome = _run(kind, weights)
    assert outcome.changes.count == 1
    rounded = before.clone()
    rounded.graph.initializers["w"].const_value = model.graph.initializers["w"].const_value
    assert _error(before, model, feeds) < _error(before, rounded, feeds) / 2


@pytest.mark.parametrize("kind", LAYERS)
def test_weights_lie_on_the_grid_that_is_noted(weights: Weights, kind: str) -> None:
    _, model, _, _ = _run(kind, weights)
    affine, array = noted(model.graph.initializers["w"]), constant(model.graph.initializers["w"])
    assert affine is not None and array is not None
    assert np.array_equal(affine.fake(array), array)


@pytest.mark.parametrize("kind", LAYERS)
def test_what_stays_in_float_has_weights_and_bias_back(weights: Weights, kind: str) -> None:
    before, model, feeds, _ = _run(kind, weights)
    QuantizeStatic(ops=("MatMul",)).call(model)
    verify(model)
    assert _error(before, model, feeds) == 0.0


def test_a_second_run_changes_nothing(weights: Weights) -> None:
    _, model, _, _ = _run("Conv", weights)
    assert not CorrectBias(threads=1).call(model).modified


def test_a_matmul_has_no_bias(weights: Weights) -> None:
    model = parse_model(
        f"agraph (float[8,16] x) => (float[8,8] y) {weights(w=(16, 8))} {{ y = MatMul(x, w) }}"
    )
    infer_shapes(model)
    outcome = CorrectBias().call(model)
    assert not outcome.modified
    assert outcome.changes.refusals == {"it has no bias of its own": 1}


def test_a_bias_that_is_computed_stays(weights: Weights) -> None:
    model = parse_model(
        f"""agraph (float[8,16] x, float[8] b) => (float[8,8] y) {weights(w=(16, 8))} {{
            y = Gemm(x, w, b)
        }}"""
    )
    infer_shapes(model)
    outcome = CorrectBias().call(model)
    assert outcome.changes.refusals == {"its bias is not one constant a channel": 1}
