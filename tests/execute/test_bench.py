"""Measuring: pairing, statistics, what counts as slower."""

from __future__ import annotations

import itertools
import json
import sys

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import ExecutionError
from graphopt.execute import BenchResult, InputSet, bench
from graphopt.execute.bench import Ratio


def model(body: str) -> ir.Model:
    return ir.from_onnx_text(
        f'<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float[N] y) {{ {body} }}'
    )


def result(*seconds: list[float], starts: list[int] | None = None) -> BenchResult:
    return BenchResult(list(seconds), InputSet({}), starts or [0])


def test_every_model_is_measured_in_every_round() -> None:
    measured = bench([model("y = Neg(x)"), model("y = Abs(x)")], seconds=0.05, min_rounds=4)
    assert len(measured.seconds) == 2
    assert measured.rounds == len(measured.seconds[1]) >= 4
    assert measured.starts[0] == 0
    assert measured.repeats > 1
    json.dumps(measured.to_dict(), allow_nan=False)


def test_given_inputs_are_used() -> None:
    measured = bench(
        [model("y = Neg(x)")], inputs=[InputSet({"x": np.ones(17, np.float32)})], seconds=0.01, min_rounds=1
    )
    assert measured.inputs.values["x"].shape == (17,)


def test_a_clear_difference_is_called() -> None:
    noise = np.random.default_rng(0).normal(1, 0.02, 40)
    measured = result((noise * 1.0).tolist(), (noise[::-1] * 1.2).tolist(), starts=[0, 10, 20, 30])
    assert measured.slower(1) and not measured.faster(1)
    assert measured.faster(0, baseline=1)
    low, high = measured.ratio(1).interval
    assert low < 1.2 < high or abs(measured.ratio(1).median - 1.2) < 0.05


def test_a_small_loss_is_seen() -> None:
    rng = np.random.default_rng(0)
    measured = result(
        rng.normal(1, 0.02, 60).tolist(), rng.normal(1.025, 0.02, 60).tolist(), starts=[0, 15, 30, 45]
    )
    assert measured.slower(1) and measured.decided(1)


def test_equal_models_are_decided_once_the_interval_is_narrow() -> None:
    rng = np.random.default_rng(0)
    few, many = (
        result(rng.normal(1, 0.05, n).tolist(), rng.normal(1, 0.05, n).tolist(), starts=[0, n // 2])
        for n in (10, 2000)
    )
    assert not few.decided(1)
    assert many.decided(1) and not many.slower(1)


@pytest.mark.parametrize(("decided", "pairs", "epochs"), [(True, 1.0, 2), (False, 1.0, 4), (False, 1.05, 10)])
def test_measuring_goes_on_while_it_is_not_clear(
    monkeypatch: pytest.MonkeyPatch, decided: bool, pairs: float, epochs: int
) -> None:
    monkeypatch.setattr(BenchResult, "decided", lambda self, index, baseline=0: decided)
    monkeypatch.setattr(
        BenchResult, "ratio", lambda self, index, baseline=0: Ratio(pairs, (0.0, 9.0), (0.0, 9.0))
    )
    module = sys.modules[bench.__module__]
    monkeypatch.setattr(
        module, "_measure", lambda sessions, result, *_: [times.append(1.0) for times in result.seconds]
    )
    measured = bench([model("y = Neg(x)")] * 2, seconds=100, until_decided=True)
    assert len(measured.starts) == epochs


def test_noise_is_not_called_a_difference() -> None:
    rng = np.random.default_rng(0)
    measured = result(
        rng.normal(1, 0.1, 40).tolist(), rng.normal(1, 0.1, 40).tolist(), starts=[0, 10, 20, 30]
    )
    assert not measured.slower(1) and not measured.faster(1)


def test_a_difference_of_one_session_alone_is_not_called() -> None:
    other = [1.0] * 30 + [1.3] * 10
    assert not result([1.0] * 40, other, starts=[0, 10, 20, 30]).slower(1)


def in_epochs(ratio: float, *, seed: int, epochs: int = 10, between: float = 0.03) -> BenchResult:
    """Synthetic times: each epoch's buffers lie somewhere else, and each pair has noise of its own."""
    rng = np.random.default_rng(seed)
    pairs = np.concatenate([ratio * rng.normal(1, between) * rng.normal(1, 0.02, 50) for _ in range(epochs)])
    return result([1.0] * len(pairs), pairs.tolist(), starts=list(range(0, len(pairs), 50)))


@pytest.mark.parametrize("seed", range(8))
def test_a_steady_loss_is_called_though_epochs_differ(seed: int) -> None:
    assert in_epochs(1.08, seed=seed).slower(1)


def test_a_loss_in_most_epochs_is_called_though_it_is_not_sure() -> None:
    other = ([1.08] * 9 + [0.98]) * 4 + [0.97] * 20
    measured = result([1.0] * 60, other, starts=list(range(0, 60, 10)))
    assert measured.ratio(1).interval[0] < 1 and not measured.decided(1)
    assert measured.slower(1)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ratio", [1.0, 0.98])
def test_epochs_that_differ_are_no_loss(ratio: float, seed: int) -> None:
    assert not in_epochs(ratio, seed=seed).slower(1)


def test_two_epochs_alone_are_not_several() -> None:
    assert not result([1.0] * 20, [1.05] * 10 + [0.99, 1.04] * 5, starts=[0, 10]).slower(1)


def test_no_model_of_three_is_measured_behind_the_same_one_always() -> None:
    order = sys.modules[bench.__module__]._order
    rng = np.random.default_rng(0)
    sequence = [index for done in range(2000) for index in order(3, done, rng)]
    behind_itself = [
        sum(one == other == index for one, other in itertools.pairwise(sequence)) for index in range(3)
    ]
    assert min(behind_itself) > 0.8 * max(behind_itself)


def test_drift_common_to_a_pair_cancels() -> None:
    drift = np.linspace(1, 3, 40)
    assert result(drift.tolist(), (drift * 1.05).tolist(), starts=[0, 10, 20, 30]).slower(1)


def test_a_model_that_does_not_load_is_an_error() -> None:
    broken = ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["": 17, "other": 1]> '
        "g (float[N] x) => (float[N] y) { y = other.Magic(x) }"
    )
    with pytest.raises(ExecutionError, match="Magic"):
        bench([broken])
