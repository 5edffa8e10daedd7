"""Layers of low rank become two, where that takes less time and loses no more than is allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphopt.errors import UsageError
from graphopt.execute import DATA_KEY, Session
from graphopt.ir import infer_shapes, verify
from graphopt.passes.pruning.factorize import Factorize
from graphopt.pipeline import Outcome
from graphopt.pruning.low_rank import Directions
from graphopt.testing import check_pass, parse_model

RANK = 8
LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], str]] = {
    "MatMul": ((512, 128), (128, 96), "MatMul(x, w)"),
    "batched MatMul": ((4, 128, 128), (128, 96), "MatMul(x, w)"),
    "Gemm": ((512, 128), (128, 96), "Gemm<beta=0.5>(x, w, b)"),
    "turned Gemm": ((512, 128), (96, 128), "Gemm<transB=1>(x, w, b)"),
    "1x1 Conv": ((1, 128, 24, 24), (96, 128, 1, 1), "Conv<strides=[2, 2]>(x, w, b)"),
    "3x3 Conv": ((1, 64, 24, 24), (96, 64, 3, 3), "Conv<pads=[1, 1, 1, 1], kernel_shape=[3, 3]>(x, w, b)"),
    "1-D Conv": ((1, 64, 600), (96, 64, 3), "Conv<dilations=[2]>(x, w)"),
}


def model_of(kind: str, rank: int | None = RANK) -> ir.Model:
    """One layer with a weight of some rank, or a full one."""
    shape, size, layer = LAYERS[kind]
    axis = 1 if kind in ("MatMul", "batched MatMul", "Gemm") else 0
    ports = {"x": shape, "w": size} | ({"b": (96,)} if ", b)" in layer else {})
    inputs = ", ".join(f"float[{','.join(map(str, dims))}] {name}" for name, dims in ports.items())
    result = ",".join(f"d{place}" for place in range(len(shape)))
    model = parse_model(f"agraph ({inputs}) => (float[{result}] y) {{ y = {layer} }}")
    random = np.random.default_rng(0)
    matrix = random.normal(size=(96, int(np.prod(size)) // 96))
    if rank is not None:
        matrix = random.normal(size=(96, rank)) @ matrix[:rank]
    weight = matrix.T if axis else matrix.reshape(size)
    arrays = {"w": weight, "b": random.normal(size=96)}
    for value in list(model.graph.inputs):
        if value.name in arrays:
            model.graph.inputs.remove(value)
            value.const_value = ir.tensor(arrays[value.name].astype(np.float32), name=value.name)
            model.graph.initializers.add(value)
    infer_shapes(model)
    return model


def samples(kind: str, directions: int | None = None) -> list[dict[str, Any]]:
    """Inputs that lie in few directions along the channels."""
    shape = LAYERS[kind][0]
    random = np.random.default_rng(1)
    axis = 1 if "Conv" in kind else -1
    feeds = []
    channels = shape[axis]
    mixed = random.normal(size=(directions or channels, channels))
    for _ in range(8):
        rest = [size for place, size in enumerate(shape) if place != axis % len(shape)]
        x = random.normal(size=(*rest, len(mixed))) @ mixed
        feeds.append({"x": np.moveaxis(x, -1, axis).astype(np.float32)})
    return feeds


def factorized(
    model: ir.Model, feeds: list[dict[str, Any]] | None = None, **options: Any
) -> tuple[ir.Model, Outcome]:
    made = model.clone()
    if feeds is not None:
        made.meta[DATA_KEY] = feeds
    outcome = Factorize(**{"threads": 1, **options}).call(made)
    verify(made)
    infer_shapes(made)
    return made, outcome


def lost(before: ir.Model, after: ir.Model, feed: dict[str, Any]) -> float:
    """Share of the squared output."""
    expected, actual = (Session(each).run(feed)["y"].astype(np.float64) for each in (before, after))
    return float(np.sum((expected - actual) ** 2) / np.sum(expected**2))


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_of_low_rank_becomes_two(kind: str) -> None:
    model = model_of(kind)
    made, outcome = factorized(model, error=1e-6)
    operator = LAYERS[kind][2].partition("(")[0].partition("<")[0]
    assert dict(outcome.changes.hits) == {operator: 1}
    assert [node.op_type for node in made.graph] == [operator, operator]
    assert made.graph[0].outputs[0].shape is not None
    assert RANK in made.graph[0].outputs[0].shape.numpy()
    assert sorted(made.graph.initializers) == sorted(
        ["w/first", "w/second"] + ["b"] * (", b)" in LAYERS[kind][2])
    )
    assert lost(model, made, samples(kind)[0]) < 1e-9


@pytest.mark.parametrize("kind", LAYERS)
def test_data_that_lie_in_few_directions_allow_a_low_rank(kind: str) -> None:
    model = model_of(kind, rank=None)
    feeds = samples(kind, directions=2)
    assert factorized(model)[1].changes.count == 0
    made, outcome = factorized(model, feeds)
    assert outcome.changes.count == 1
    assert lost(model, made, feeds[0]) < 0.02


@pytest.mark.parametrize("kind", LAYERS)
def test_a_large_mean_hides_no_error(kind: str) -> None:
    """The error is a share of what outputs vary by, not of what they are."""
    model = model_of(kind, rank=None)
    feeds = [{"x": feed["x"] + 30} for feed in samples(kind, directions=2)]
    made, outcome = factorized(model, feeds)
    assert outcome.changes.count == 1
    expected, actual = (Session(each).run(feeds[0])["y"].astype(np.float64) for each in (model, made))
    axis = 1 if "Conv" in kind else -1
    others = tuple(place for place in range(expected.ndim) if place != axis % expected.ndim)
    varies = expected - expected.mean(axis=others, keepdims=True)
    assert np.sum((expected - actual) ** 2) < 0.03 * np.sum(varies**2)


def test_a_full_rank_stays() -> None:
    _, outcome = factorized(model_of("MatMul", rank=None))
    assert dict(outcome.changes.refusals) == {"its rank is too high for the error allowed": 1}


def test_what_takes_no_less_time_stays() -> None:
    """Of one row, dispatching a second node takes what the product saves."""
    model = parse_model("agraph (float[1,64] x, float[64,64] w) => (float[1,64] y) { y = MatMul(x, w) }")
    (value,) = (each for each in model.graph.inputs if each.name == "w")
    model.graph.inputs.remove(value)
    random = np.random.default_rng(0)
    array = random.normal(size=(64, 1)) @ random.normal(size=(1, 64))
    value.const_value = ir.tensor(array.astype(np.float32), name="w")
    model.graph.initializers.add(value)
    infer_shapes(model)
    _, outcome = factorized(model)
    assert dict(outcome.changes.refusals) == {"two factors take no less time, as estimated": 1}


@pytest.mark.parametrize(
    ("options", "reason"), [({"keep": ("y",)}, "it is to stay"), ({"least": 1 << 20}, None)]
)
def test_what_is_asked_to_stay(options: dict[str, Any], reason: str | None) -> None:
    _, outcome = factorized(model_of("Gemm"), **options)
    assert dict(outcome.changes.refusals) == ({} if reason is None else {reason: 1})
    assert outcome.changes.count == 0


@pytest.mark.parametrize("kind", LAYERS)
def test_a_second_run_changes_nothing(kind: str) -> None:
    made, _ = factorized(model_of(kind))
    assert factorized(made)[1].changes.count == 0


@pytest.mark.parametrize("kind", LAYERS)
def test_the_pass_keeps_what_every_pass_must_keep(kind: str) -> None:
    check_pass(Factorize(), model_of(kind))


@pytest.mark.parametrize("options", [{"error": 0.0}, {"error": 1.0}, {"align": 0}, {"rows": -1}])
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Factorize(**options)


@given(st.integers(1, 12), st.integers(1, 12), st.floats(1e-6, 0.9), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_the_rank_is_the_least_that_keeps_to_the_error(
    outputs: int, inputs: int, error: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    weight, x = random.normal(size=(outputs, inputs)), random.normal(size=(50, inputs))
    x -= x.mean(axis=0)
    directions = Directions.of(weight[None], (x.T @ x / 50)[None], np.zeros((1, inputs)))
    rank = directions.rank(error)
    signal = np.sum((x @ weight.T) ** 2)

    def share(rank: int) -> float:
        left, right = (each.astype(np.float64) for each in directions.factors(weight, rank))
        return float(np.sum((x @ (weight - left @ right).T) ** 2) / signal)

    assert share(rank) <= error + 1e-5
    assert rank == 1 or share(rank - 1) > error - 1e-5
