"""Weights become zero where they should, and outputs stay nearer than with the smallest gone."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphopt import Pipeline
from graphopt.errors import UsageError
from graphopt.execute import DATA_KEY, Session
from graphopt.ir import constant, infer_shapes, verify
from graphopt.passes.pruning.prune_weights import PruneWeights
from graphopt.passes.quantization.round_weights import RoundWeights
from graphopt.pipeline import Outcome
from graphopt.quant.measures import sqnr_db
from graphopt.testing import check_pass, parse_model

Feeds = list[dict[str, Any]]
LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], str]] = {
    "MatMul": ((32, 48), (48, 32), "MatMul(x, w)"),
    "batched MatMul": ((2, 8, 48), (48, 32), "MatMul(x, w)"),
    "Gemm": ((32, 48), (48, 32), "Gemm(x, w)"),
    "turned Gemm": ((32, 48), (32, 48), "Gemm<transB=1>(x, w)"),
    "Conv": ((1, 8, 9, 9), (16, 8, 3, 3), "Conv<pads=[1, 1, 1, 1]>(x, w)"),
    "1x1 Conv": ((1, 32, 9, 9), (16, 32, 1, 1), "Conv(x, w)"),
    "strided Conv": ((1, 8, 9, 9), (16, 8, 3, 3), 'Conv<auto_pad="SAME_UPPER", strides=[2, 2]>(x, w)'),
    "1-D Conv": ((1, 8, 40), (16, 8, 5), "Conv<dilations=[2]>(x, w)"),
    "grouped Conv": ((1, 16, 9, 9), (16, 8, 3, 3), "Conv<group=2>(x, w)"),
}


def model_of(kind: str) -> tuple[ir.Model, Feeds]:
    """One layer, and samples whose elements hang together."""
    shape, weight, layer = LAYERS[kind]
    ports = f"float[{','.join(map(str, shape))}] x, float[{','.join(map(str, weight))}] w"
    result = ",".join(f"d{axis}" for axis in range(len(shape)))
    model = parse_model(f"agraph ({ports}) => (float[{result}] y) {{ y = {layer} }}")
    random = np.random.default_rng(0)
    (value,) = (each for each in model.graph.inputs if each.name == "w")
    model.graph.inputs.remove(value)
    value.const_value = ir.tensor(random.normal(size=weight).astype(np.float32), name="w")
    model.graph.initializers.add(value)
    infer_shapes(model)
    mixed = random.normal(size=(shape[-1], shape[-1]))
    feeds = [{"x": np.maximum(random.normal(size=shape) @ mixed, 0).astype(np.float32)} for _ in range(16)]
    return model, feeds


def pruned(model: ir.Model, feeds: Feeds | None, **options: Any) -> tuple[ir.Model, Outcome]:
    made = model.clone()
    if feeds is not None:
        made.meta[DATA_KEY] = feeds
    outcome = PruneWeights(**{"least": 1, "threads": 1, **options}).call(made)
    verify(made)
    return made, outcome


def weight_of(model: ir.Model) -> np.ndarray[Any, Any]:
    array = constant(model.graph.initializers["w"])
    assert array is not None
    return array


def noise(before: ir.Model, after: ir.Model, feeds: Feeds) -> float:
    left, right = Session(before), Session(after)
    return float(np.mean([sqnr_db(left.run(feed)["y"], right.run(feed)["y"]) for feed in feeds]))


@pytest.mark.parametrize("scope", ["model", "layer"])
@pytest.mark.parametrize("kind", LAYERS)
def test_outputs_stay_nearer_than_with_the_smallest_gone(kind: str, scope: str) -> None:
    model, feeds = model_of(kind)
    made, outcome = pruned(model, feeds, scope=scope)
    smallest, _ = pruned(model, None, importance="magnitude")
    assert outcome.changes.count == 1
    assert np.mean(weight_of(made) == 0) == pytest.approx(0.5, abs=0.01)
    assert np.mean(weight_of(smallest) == 0) == pytest.approx(0.5, abs=0.01)
    assert noise(model, made, feeds) > noise(model, smallest, feeds) + 1.0


@pytest.mark.parametrize("kind", LAYERS)
def test_two_of_four_lie_along_the_channels(kind: str) -> None:
    model, feeds = model_of(kind)
    made, _ = pruned(model, feeds, pattern="2:4")
    weight = weight_of(made)
    if kind in ("MatMul", "batched MatMul", "Gemm"):
        weight = weight.T
    channels_last = np.moveaxis(weight, 1, -1)
    assert (np.count_nonzero(channels_last.reshape(-1, 4), axis=1) <= 2).all()


def test_blocks_go_as_a_whole() -> None:
    model, feeds = model_of("turned Gemm")
    made, _ = pruned(model, feeds, block="4x2")
    blocks = (weight_of(made) != 0).reshape(8, 4, 24, 2).sum(axis=(1, 3))
    assert set(np.unique(blocks)) == {0, 8}
    assert np.mean(blocks == 0) == 0.5


@pytest.mark.parametrize("options", [{"rate": 0.3}, {"rate": 0.9}, {"pattern": "1:4"}, {"block": "2x4"}])
@pytest.mark.parametrize("scope", ["model", "layer"])
def test_a_second_run_changes_nothing(options: dict[str, Any], scope: str) -> None:
    model, feeds = model_of("Conv")
    made, _ = pruned(model, feeds, scope=scope, **options)
    _, again = pruned(made, feeds, scope=scope, **options)
    assert again.changes.count == 0


def test_layers_share_a_rate() -> None:
    model = parse_model(
        """agraph (float[16,32] x, float[32,32] w, float[32,32] v) => (float[16,32] y) {
            a = MatMul(x, w)
            y = MatMul(a, v)
        }"""
    )
    random = np.random.default_rng(0)
    for name, low in (("w", 0.9), ("v", 0.0)):
        (value,) = (each for each in model.graph.inputs if each.name == name)
        model.graph.inputs.remove(value)
        array = random.uniform(low, 1.0, (32, 32)) * random.choice((-1.0, 1.0), (32, 32))
        value.const_value = ir.tensor(array.astype(np.float32), name=name)
        model.graph.initializers.add(value)
    infer_shapes(model)
    made, _ = pruned(model, None, importance="magnitude", scope="model")
    first, second = (constant(made.graph.initializers[name]) for name in ("w", "v"))
    assert first is not None and second is not None
    assert np.mean(first == 0) < 0.45 < 0.55 < np.mean(second == 0)
    assert np.mean(first == 0) + np.mean(second == 0) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("Conv", {"least": 10000}, "its weights are fewer than 10000"),
        ("Conv", {"keep": ("y",)}, "its weights are to stay"),
        ("Conv", {"pattern": "2:16"}, "its 8 inputs are no multiple of 16"),
        ("Conv", {"block": "3x1"}, "its 16 outputs are no multiple of 3"),
    ],
)
def test_what_stays_and_why(kind: str, options: dict[str, Any], reason: str) -> None:
    model, feeds = model_of(kind)
    made, outcome = pruned(model, feeds, **options)
    assert dict(outcome.changes.refusals) == {reason: 1}
    assert outcome.changes.count == 0 and np.array_equal(weight_of(made), weight_of(model))


def test_depthwise_convolutions_stay() -> None:
    model = parse_model(
        """agraph (float[1,2,9,9] x) => (float[1,2,7,7] y)
            <float[2,1,3,3] w = {1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9}> { y = Conv<group=2>(x, w) }"""
    )
    infer_shapes(model)
    _, outcome = pruned(model, None, importance="magnitude")
    assert dict(outcome.changes.refusals) == {"its outputs are sums of only 9 products": 1}


def test_weights_that_were_rounded_stay() -> None:
    model, feeds = model_of("Conv")
    model.meta[DATA_KEY] = feeds
    RoundWeights(threads=1).call(model)
    _, outcome = pruned(model, feeds)
    (reason,) = outcome.changes.refusals
    assert reason.startswith("its weights are on a grid of codes")


@pytest.mark.parametrize(
    "options",
    [
        {"rate": 0.0},
        {"rate": 1.0},
        {"rate": -0.1},
        {"pattern": "4:2"},
        {"block": "16"},
        {"pattern": "2:4", "block": "4x1"},
        {"importance": "guess"},
        {"scope": "graph"},
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        PruneWeights(**options)


def test_it_says_that_it_needs_data() -> None:
    model, _ = model_of("Conv")
    with pytest.raises(UsageError, match="no data to calibrate with"):
        pruned(model, None)


def test_options_are_read_from_text() -> None:
    text = "prune-weights{pattern=2:4,keep=[a,b]},prune-weights{rate=0.7,block=4x1,importance=magnitude}"
    assert str(Pipeline.parse(text)) == text


@pytest.mark.parametrize("kind", LAYERS)
def test_the_pass_keeps_what_every_pass_must_keep(kind: str) -> None:
    model, _ = model_of(kind)
    check_pass(PruneWeights(importance="magnitude", least=1, rate=0.3), model)


@given(
    st.sampled_from(sorted(LAYERS)),
    st.sampled_from(({}, {"pattern": "1:2"}, {"block": "2x1"}, {"block": "1x8"})),
    st.floats(0.1, 0.9),
    st.floats(0.0, 1.0),
    st.integers(0, 2**31),
)
@settings(max_examples=20, deadline=None)
def test_weights_that_are_zero_go_at_no_cost(
    kind: str, structure: dict[str, str], rate: float, more: float, seed: int
) -> None:
    """Where enough is zero already, in any structure, not a bit of the model changes."""
    model, feeds = model_of(kind)
    share = max(rate, 0.5 if "pattern" in structure else 0) * (1 - more) + more
    zeroed, _ = pruned(model, None, importance="magnitude", rate=min(share, 0.99), scope="layer", **structure)
    made, outcome = pruned(zeroed, feeds, rate=rate, **structure)
    assert outcome.changes.count == 0
    assert np.array_equal(weight_of(zeroed), weight_of(made))
