"""Effects of units by gradients: those of a linear model are what its outputs really move."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import DATA_KEY, Session
from graphopt.passes.pruning._effects import effects
from graphopt.passes.pruning._sensitivity import without_effect
from graphopt.passes.pruning.prune_channels import PruneChannels
from graphopt.pruning import dependency_groups
from graphopt.testing import parse_model

RNG = np.random.default_rng(3)
SAMPLES = [{"x": RNG.normal(size=(2, 3, 6, 6)).astype(np.float32)} for _ in range(300)]
SIZES = {"w": (6, 3, 3, 3), "u": (6, 4)}
LINEAR = "a = Conv(x, w) p = GlobalAveragePool(a) f = Flatten(p) y = MatMul(f, u)"
BLOCKED = "a = Conv(x, w) p = GlobalAveragePool(a) f = Flatten(p) m = MatMul(f, u) y = Hardmax(m)"


def network(body: str) -> ir.Model:
    declared = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in SIZES.items())
    model = parse_model(f"agraph (float[2,3,6,6] x, {declared}) => (float[2,4] y) {{ {body} }}")
    rng = np.random.default_rng(7)
    for value in [value for value in model.graph.inputs if value.name in SIZES]:
        array = rng.normal(size=SIZES[value.name or ""]).astype(np.float32)
        value.const_value = ir.tensor(array, name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return model


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
