"""Measuring: pairing, statistics, what counts as slower."""

from __future__ import annotations

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


@pytest.mark.parametrize(("decided", "pairs", "epochs"), [(True, 1.0, 2), (False, 1.0, 4), (False, 1.05, 6)])
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
