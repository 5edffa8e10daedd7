"""Trials of groups: the same noise whatever lies before a group is run again or held."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import Session
from graphopt.passes.pruning._sensitivity import Trials, without_effect
from graphopt.passes.pruning.prune_channels import gather_moments
from graphopt.pruning import dependency_groups
from graphopt.testing import parse_model

RNG = np.random.default_rng(3)
SAMPLES = [{"x": RNG.normal(size=(1, 4, 6, 6)).astype(np.float32)} for _ in range(4)]
SIZES = {"w1": (8, 4, 3, 3), "w2": (12, 8, 1, 1), "w3": (8, 12, 1, 1), "w4": (8, 5)}


def network() -> ir.Model:
    """A residual block and a classifier: three groups, one behind the other."""
    declared = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in SIZES.items())
    return parse_model(
        f"""agraph (float[1,4,6,6] x, {declared}) => (float[1,5] y) {{
            a = Conv(x, w1) ar = Relu(a) b = Conv(ar, w2) br = Relu(b) c = Conv(br, w3) s = Add(ar, c)
            p = GlobalAveragePool(s) f = Flatten(p) y = MatMul(f, w4) }}""",
        weights={name: RNG.normal(size=shape).astype(np.float32) for name, shape in SIZES.items()},
    )


def test_noise_is_that_of_whole_runs_in_any_order() -> None:
    model = network()
    groups = dependency_groups(model)
    moments = gather_moments(model, groups, SAMPLES, 1)
    trials = Trials(model, groups, moments, SAMPLES, 1)
    whole = [Session(model).run(sample)["y"] for sample in SAMPLES]
    ahead = sorted(groups.groups, key=trials.place)
    assert len({trials.place(group) for group in ahead}) > 1
    for group in (*ahead, *reversed(ahead)):
        with without_effect(groups, group, [0, 2], moments):
            made = [Session(model).run(sample)["y"] for sample in SAMPLES]
        noises = [np.square(o - w).sum() / np.square(w).sum() for o, w in zip(made, whole, strict=True)]
        assert trials.noise(group, [0, 2]) == pytest.approx(float(np.mean(noises)), rel=1e-4)
