"""Channels go through a global response normalization: the mean is taken of the sizes of those that stay."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import Session
from graphopt.ir import infer_shapes, verify
from graphopt.passes.pruning._remove import Removal
from graphopt.passes.pruning.drop_dead_channels import DropDeadChannels
from graphopt.passes.pruning.prune_channels import PruneChannels
from graphopt.pipeline import Pass
from graphopt.pruning import dependency_groups
from graphopt.testing import parse_model

GONE, CHANNELS = 2, 6


def normalization(*, bias: float = 0.0, mean: str = "ReduceMean", norm: str = "ReduceL2") -> ir.Model:
    """Convolution, normalization by the mean of the channels' sizes, convolution; a channel is constant."""
    rng = np.random.default_rng(0)
    first, last = rng.normal(size=(CHANNELS, 3)), rng.normal(size=(2, CHANNELS))
    first[GONE] = 0.0
    biases = rng.normal(size=CHANNELS)
    biases[GONE] = bias
    model = parse_model(
        f"""agraph (float[1,3,4,4] x) => (float[1,2,4,4] y) <float[{CHANNELS},3,1,1] w = {{{_told(first)}}},
            float[{CHANNELS}] b = {{{_told(biases)}}}, float[2,{CHANNELS},1,1] v = {{{_told(last)}}},
            int64[2] space = {{2, 3}}, int64[1] channels = {{1}}, float little = {{0.001}}> {{
            a = Conv(x, w, b) g = {norm}(a, space) m = {mean}(g, channels) e = Add(m, little) n = Div(g, e)
            s = Mul(a, n) t = Add(s, a) y = Conv(t, v) }}"""
    )
    infer_shapes(model)
    return model


def _told(array: np.ndarray) -> str:
    return ", ".join(f"{number:.4f}" for number in array.ravel())


def outputs(model: ir.Model) -> np.ndarray:
    """On an input."""
    x = np.random.default_rng(1).normal(size=(1, 3, 4, 4)).astype(np.float32)
    made: np.ndarray = Session(model).run({"x": x})["y"]
    return made


def changed(each: Pass, model: ir.Model) -> int:
    """How much a pass changes; the model is valid afterwards."""
    count = each.call(model).changes.count
    infer_shapes(model)
    verify(model)
    return count


def test_a_channel_of_zeros_goes_and_no_number_changes() -> None:
    model = normalization()
    before = outputs(model)
    groups = dependency_groups(model)
    (group,) = groups.groups
    Removal(model, groups).remove([(group, [GONE])])
    infer_shapes(model)
    verify(model)
    np.testing.assert_allclose(outputs(model), before, rtol=1e-5, atol=1e-5)


def test_a_dead_channel_goes_unless_the_mean_counts_it() -> None:
    model = normalization()
    before = outputs(model)
    assert changed(DropDeadChannels(), model) == 1
    np.testing.assert_allclose(outputs(model), before, rtol=1e-5, atol=1e-5)
    assert changed(DropDeadChannels(), model) == 0
    assert changed(DropDeadChannels(), normalization(bias=1.5)) == 0


def test_a_rate_is_met_and_a_second_run_changes_nothing() -> None:
    model = normalization()
    half = PruneChannels(rate=0.5, goal="params")
    assert changed(half, model) == CHANNELS // 2
    assert np.isfinite(outputs(model)).all()
    assert changed(half, model) == 0


@pytest.mark.parametrize(("mean", "norm"), [("ReduceMax", "ReduceL2"), ("ReduceMean", "ReduceMean")])
def test_other_reductions_keep_all_channels(mean: str, norm: str) -> None:
    groups = dependency_groups(normalization(mean=mean, norm=norm))
    assert not groups.groups
    assert any("reduces over them" in refusal.reason for refusal in groups.refusals)
