"""The order in which units go: what the inputs seen leave idle is not taken for useless."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from graphopt.ir import infer_shapes
from graphopt.pruning import dependency_groups, importance
from graphopt.pruning.importance import Moments, Ranking, rank, weighed_sinks
from graphopt.testing import parse_model

ROWS = 4096
"""Many: what is told does not follow from few rows."""


def ranking(
    weights: npt.NDArray[np.float32], scales: npt.NDArray[np.float64], measure: str = "reconstruction"
) -> Ranking:
    """Of channels of these scales, independent of each other, that one product reads."""
    count = len(weights)
    model = parse_model(
        f"agraph (float[1,4] x, float[4,{count}] w, float[{count},1] v) => (float[1,1] y)"
        " { m = MatMul(x, w) r = Relu(m) y = MatMul(r, v) }"
    )
    arrays = {"w": np.ones((4, count), np.float32), "v": weights.reshape(count, 1)}
    for value in list(model.graph.inputs)[1:]:
        value.const_value = ir.tensor(arrays[value.name or ""], name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    infer_shapes(model)
    groups = dependency_groups(model)
    (group,) = [each for each in groups.groups if each.name == "w"]
    (sink,) = weighed_sinks(groups, group)
    moments = Moments(count)
    rng = np.random.default_rng(0)
    moments.observe(rng.normal(size=(ROWS, count)) * scales)
    return rank(groups, group, measure, {sink.data: moments}, rng)


def test_an_idle_channel_with_large_weights_stays_before_a_busy_one_with_small_weights() -> None:
    weights = np.array([1.0, 0.1, 0.1, 1.0, 1.0], np.float32)
    scales = np.array([0.01, 1.0, 1.0, 1.0, 1.0])
    assert set(ranking(weights, scales).order[:2]) == {1, 2}


def test_an_idle_channel_goes_before_a_busy_one_with_equal_weights() -> None:
    scales = np.array([1.0, 0.01, 1.0, 1.0, 1.0])
    assert ranking(np.ones(5, np.float32), scales).order[0] == 1


@pytest.mark.parametrize("measure", ["reconstruction", "curvature", "hessian", "activation"])
def test_of_very_many_channels_squares_alone_tell_what_each_is_worth(
    measure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importance, "MOST_CHANNELS", 4)
    scales = np.array([1.0, 0.01, 1.0, 1.0, 1.0])
    assert ranking(np.ones(5, np.float32), scales, measure).order[0] == 1
