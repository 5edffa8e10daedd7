"""Effects of units by gradients: those of a linear model are what its outputs really move."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import DATA_KEY, Session
from graphopt.passes.pruning._effects import EVEN, curvatures, effects
from graphopt.passes.pruning._sensitivity import without_effect
from graphopt.passes.pruning.prune_channels import PruneChannels, gather_moments
from graphopt.pruning import dependency_groups
from graphopt.pruning.importance import rank
from graphopt.testing import parse_model

RNG = np.random.default_rng(3)
SAMPLES = [{"x": RNG.normal(size=(2, 3, 6, 6)).astype(np.float32)} for _ in range(300)]
SIZES = {"w": (6, 3, 3, 3), "v": (6, 6, 1, 1), "u": (6, 4)}
LINEAR = "a = Conv(x, w) p = GlobalAveragePool(a) f = Flatten(p) y = MatMul(f, u)"
BLOCKED = "a = Conv(x, w) p = GlobalAveragePool(a) f = Flatten(p) m = MatMul(f, u) y = Hardmax(m)"


def network(body: str) -> ir.Model:
    sizes = {name: shape for name, shape in SIZES.items() if f"{name})" in body}
    declared = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in sizes.items())
    rng = np.random.default_rng(7)
    return parse_model(
        f"agraph (float[2,3,6,6] x, {declared}) => (float[2,4] y) {{ {body} }}",
        weights={name: rng.normal(size=shape).astype(np.float32) for name, shape in sizes.items()},
    )


def test_effects_on_a_linear_model_are_what_its_outputs_move() -> None:
    model = network(LINEAR)
    groups = dependency_groups(model)
    (group,) = groups.groups
    told = effects(model, groups, SAMPLES, 1).of(group)
    assert told is not None
    before = [Session(model).run(sample)["y"] for sample in SAMPLES]
    moved = []
    for unit in range(len(group)):
        with without_effect(groups, group, [unit], {}):
            session = Session(model)
            after = [session.run(sample)["y"] for sample in SAMPLES]
        pairs = zip(before, after, strict=True)
        moved.append(np.mean([np.sum((a - b) ** 2) / np.sum(a**2) for a, b in pairs]))
    # both rows of a batch are summed over in one run, and their mean is told
    assert 2 * told == pytest.approx(np.asarray(moved), rel=0.25)
    assert np.argmin(told) == np.argmin(moved)


def test_the_curvature_of_a_linear_model_is_that_of_its_weights() -> None:
    """Outputs behind a mean are equally moved by all places of a channel: by u u^T in all."""
    model = network("m = Conv(x, w) a = Conv(m, v) p = GlobalAveragePool(a) f = Flatten(p) y = MatMul(f, u)")
    groups = dependency_groups(model)
    found = curvatures(model, groups, SAMPLES, 1)
    (curvature,) = [each for sink, each in found.items() if sink.node.op_type == "Conv"]
    u = model.graph.initializers["u"].const_value
    assert u is not None
    expected = u.numpy().astype(np.float64) @ u.numpy().T
    expected *= (1 - EVEN) * len(expected) / np.trace(expected)
    expected += EVEN * np.eye(len(expected))
    assert curvature == pytest.approx(expected, abs=0.15)
    assert np.linalg.eigvalsh(curvature).min() > 0


def test_channels_go_that_the_outputs_do_not_see() -> None:
    """The second Conv makes two channels from each of its own; only one of the two is read with weight."""
    model = network("m = Conv(x, w) a = Conv(m, v) p = GlobalAveragePool(a) f = Flatten(p) y = MatMul(f, u)")
    blind, seen = [0, 2, 4], [1, 3, 5]
    v = np.zeros((6, 6, 1, 1), np.float32)
    v[blind, blind] = 2.5
    v[seen, seen] = 1.0
    u = np.random.default_rng(5).normal(size=(6, 4)).astype(np.float32)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    u[blind] *= 1e-3
    for name, array in (("v", v), ("u", u)):
        model.graph.initializers[name].const_value = ir.tensor(array, name=name)
    groups = dependency_groups(model)
    group = next(each for each in groups.groups if each.name == "w")
    moments = gather_moments(model, groups, SAMPLES[:40], 1)
    curved = curvatures(model, groups, SAMPLES, 1)
    rng = np.random.default_rng(0)
    blindly = rank(groups, group, "reconstruction", moments, rng)
    told = rank(groups, group, "curvature", moments, rng, None, curved)
    assert set(blindly.order[:3]) == set(seen)
    assert set(told.order[:3]) == set(blind)


def test_the_model_is_not_changed() -> None:
    model = network(LINEAR)
    before = [node.op_type for node in model.graph]
    effects(model, dependency_groups(model), SAMPLES[:2], 1)
    assert [node.op_type for node in model.graph] == before


def test_an_operator_without_a_derivative_is_named_and_another_measure_takes_its_place() -> None:
    model = network(BLOCKED)
    groups = dependency_groups(model)
    told = effects(model, groups, SAMPLES[:4], 1)
    assert all(each is None for each in told.units)
    assert [each.op_type for each in told.missing] == ["Hardmax"]
    model.meta[DATA_KEY] = SAMPLES[:8]
    outcome = PruneChannels(rate=0.3, importance="taylor").call(model)
    assert any("Hardmax" in reason for reason in outcome.changes.refusals)
