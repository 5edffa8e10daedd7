"""`prune-channels`: how much goes, which channels go, and that weights make up for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.cost import estimate
from graphopt.errors import UsageError
from graphopt.execute import DATA_KEY
from graphopt.ir import infer_shapes, static_shape
from graphopt.passes.pruning.prune_channels import PruneChannels
from graphopt.pipeline import Outcome, Pass
from graphopt.pruning import importance
from graphopt.testing import parse_model

Prune = Callable[..., Outcome]
Error = Callable[[ir.Model, ir.Model], float]

RNG = np.random.default_rng(3)
SIZES = {"w1": (32, 4, 3, 3), "b1": (32,), "w2": (48, 32, 3, 3), "b2": (48,), "w3": (48, 10)}
SAMPLES = [{"x": RNG.normal(size=(1, 4, 10, 10)).astype(np.float32)} for _ in range(12)]


def network(sizes: dict[str, tuple[int, ...]] | None = None) -> ir.Model:
    """Two Convs and a classifier; channels of the second one depend on each other."""
    given = sizes or SIZES
    declared = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in given.items())
    rng = np.random.default_rng(7)
    weights = {
        name: rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]) or 1) for name, shape in given.items()
    }
    first = weights["w1"]
    weights["w1"] = np.concatenate([first[:16], first[:16] + 0.1 * first[16:]])  # half is nearly the other
    model = parse_model(
        f"""agraph (float[1,4,10,10] x, {declared}) => (float[1,10] y) {{
            a = Conv <pads = [1,1,1,1]> (x, w1, b1) ar = Relu(a) c = Conv(ar, w2, b2) cr = Relu(c)
            p = GlobalAveragePool(cr) f = Flatten(p) y = MatMul(f, w3) }}""",
        weights={name: array.astype(np.float32) for name, array in weights.items()},
    )
    infer_shapes(model)
    return model


@pytest.fixture
def pruned(outcome_of: Callable[[Pass, ir.Model], Outcome]) -> Prune:
    """`pruned(model, data=True, **options)`: run the pass; the outcome."""

    def prune(model: ir.Model, *, data: bool = True, **options: Any) -> Outcome:
        if data:
            model.meta[DATA_KEY] = SAMPLES
        return outcome_of(PruneChannels(**options), model)

    return prune


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("goal", ["macs", "params"])
def test_the_rate_is_met(goal: str, rate: float, pruned: Prune) -> None:
    model = network()
    before = estimate(model)
    pruned(model, rate=rate, goal=goal, data=False)
    after = estimate(model)
    share = after.macs / before.macs if goal == "macs" else after.params / before.params
    assert share == pytest.approx(1 - rate, abs=0.03)


def test_weights_make_up_for_channels_that_go(pruned: Prune, error: Error) -> None:
    models = {name: network() for name in ("fitted", "not fitted", "by size")}
    whole = network()
    pruned(models["fitted"], rate=0.4)
    pruned(models["not fitted"], rate=0.4, compensate=False)
    pruned(models["by size"], rate=0.4, data=False)
    errors = {name: error(whole, model) for name, model in models.items()}
    assert errors["fitted"] < 0.5 * errors["not fitted"]
    assert errors["fitted"] < 0.2 * errors["by size"]


@pytest.mark.parametrize(
    "importance",
    ["reconstruction", "curvature", "taylor", "hessian", "activation", "l1", "l2", "bn-scale", "random"],
)
@pytest.mark.parametrize("scope", ["global", "layer"])
def test_every_importance_leads_to_the_goal(importance: str, scope: str, pruned: Prune) -> None:
    model = network()
    before = estimate(model).macs
    pruned(model, rate=0.3, importance=importance, scope=scope)
    assert estimate(model).macs / before == pytest.approx(0.7, abs=0.03)


def shuffled() -> ir.Model:
    """Two grouped Convs, the second of which reads channels of all groups of the first."""
    rng = np.random.default_rng(5)
    shapes = {"w1": (24, 2, 3, 3), "w2": (32, 12, 1, 1), "w3": (32, 10)}
    declared = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in shapes.items())
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    model = parse_model(
        f"""agraph (float[1,4,10,10] x, {declared}) => (float[1,10] y)
            <int64[5] to = {{1, 2, 12, 10, 10}}, int64[4] back = {{1, 24, 10, 10}}> {{
            a = Conv <group = 2, pads = [1,1,1,1]> (x, w1) ar = Relu(a)
            r = Reshape(ar, to) t = Transpose <perm = [0,2,1,3,4]> (r) s = Reshape(t, back)
            c = Conv <group = 2> (s, w2) cr = Relu(c)
            p = GlobalAveragePool(cr) f = Flatten(p) y = MatMul(f, w3) }}""",
        weights=weights,
    )
    infer_shapes(model)
    return model


@pytest.mark.parametrize(
    "importance",
    ["reconstruction", "curvature", "taylor", "hessian", "activation", "l1", "l2", "bn-scale", "random"],
)
def test_channels_that_grouped_convolutions_share_out_can_go(importance: str, pruned: Prune) -> None:
    model = shuffled()
    before = estimate(model).macs
    pruned(model, rate=0.3, importance=importance, align=1)
    assert estimate(model).macs / before == pytest.approx(0.7, abs=0.06)


def encoded() -> ir.Model:
    """A Conv of a table of positions that is a constant, added to one of the input."""
    rng = np.random.default_rng(5)
    shapes = {"w1": (24, 4, 3, 3), "table": (1, 16, 10, 10), "w2": (24, 16, 1, 1), "w3": (24, 10)}
    declared = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in shapes.items())
    model = parse_model(
        f"""agraph (float[1,4,10,10] x, {declared}) => (float[1,10] y) {{
            a = Conv <pads = [1,1,1,1]> (x, w1) t = Conv(table, w2) s = Add(a, t) r = Relu(s)
            p = GlobalAveragePool(r) f = Flatten(p) y = MatMul(f, w3) }}""",
        weights={name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()},
    )
    infer_shapes(model)
    return model


@pytest.mark.parametrize(
    "importance", ["reconstruction", "curvature", "taylor", "hessian", "activation", "l2"]
)
def test_channels_of_a_constant_that_a_convolution_reads_can_go(importance: str, pruned: Prune) -> None:
    model = encoded()
    before = estimate(model).macs
    pruned(model, rate=0.3, importance=importance, align=1)
    assert estimate(model).macs / before == pytest.approx(0.7, abs=0.06)


def test_layers_that_read_very_many_channels_are_pruned_by_squares(
    pruned: Prune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importance, "MOST_CHANNELS", 8)
    model = network()
    before = estimate(model).macs
    pruned(model, rate=0.3)
    assert estimate(model).macs / before == pytest.approx(0.7, abs=0.03)


def test_channels_of_large_layers_are_aligned(pruned: Prune) -> None:
    model = network({"w1": (32, 4, 3, 3), "b1": (32,), "w2": (128, 32, 3, 3), "b2": (128,), "w3": (128, 10)})
    pruned(model, rate=0.5, data=False, align=16)
    shape = static_shape(model.graph.initializers["w2"])
    assert shape is not None and shape[0] % 16 == 0


def test_a_layer_may_have_a_rate_of_its_own(pruned: Prune) -> None:
    model = network()
    pruned(model, rate=0.4, data=False, layers=("w1:0",))
    assert static_shape(model.graph.initializers["w1"]) == (32, 4, 3, 3)


def test_a_second_run_changes_nothing(pruned: Prune) -> None:
    model = network()
    assert pruned(model, rate=0.3).changes.count
    assert not pruned(model, rate=0.3).changes.count


def test_what_stays_is_told(pruned: Prune) -> None:
    outcome = pruned(network(), rate=0.3, data=False)
    assert outcome.changes.refusals == {"it is an output of the model": 1}
    assert outcome.changes.examples == {"it is an output of the model": ["y"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0.0}, "rate is 0"),
        ({"rate": 1.0}, "rate is 1"),
        ({"rate": -0.5}, "rate is -0.5"),
        ({"goal": "beauty"}, "goal 'beauty'"),
        ({"scope": "all"}, "scope 'all'"),
        ({"importance": "none"}, "importance 'none'"),
        ({"align": 0}, "align=0"),
        ({"layers": ("w1",)}, "'w1' is no rate"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PruneChannels(**options)


def test_more_than_can_go_is_refused(pruned: Prune) -> None:
    with pytest.raises(UsageError, match="no more than"):
        pruned(network(), rate=0.95, data=False, layers=("w1:0",))


def test_an_importance_that_needs_data_is_refused_without(pruned: Prune) -> None:
    with pytest.raises(UsageError, match="needs calibration data"):
        pruned(network(), importance="hessian", data=False)
