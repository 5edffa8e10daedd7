"""Prune, quantize and plan memory in one call on the demo's network: each step, and its accuracy."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import graphopt
from graphopt import demo
from graphopt.execute import Session
from graphopt.report.memory import PLAN_KEY

CALIBRATION, JUDGED = 64, 300
"""Of the demo's 500 images, so many are calibrated on, and so many others judge."""

Run = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@pytest.fixture(scope="module")
def result() -> graphopt.Result:
    given = demo.load()
    images, labels = given.images[-JUDGED:], given.labels[-JUDGED:]

    def accuracy(run: Run) -> float:
        (scores,) = run({"image": images}).values()
        return float(np.mean(np.argmax(scores, axis=1) == labels))

    return graphopt.optimize(
        given.model,
        prune="macs=0.3",
        quantize="int8",
        plan_memory=True,
        calibration=[{"image": image[None]} for image in given.images[:CALIBRATION]],
        metric=accuracy,
        target="native",
        measure=False,
    )


def test_each_step_is_told(result: graphopt.Result) -> None:
    steps = result.report.steps
    assert [step.name for step in steps] == ["original", "optimized", "pruned", "quantized", "planned"]
    original, optimized, pruned, quantized, planned = steps
    assert original.file_bytes > optimized.file_bytes > pruned.file_bytes > quantized.file_bytes
    assert pruned.macs / original.macs == pytest.approx(0.7, abs=0.03)
    assert quantized.macs == planned.macs == pruned.macs
    assert all(step.memory_bytes for step in steps)
    assert (planned.memory_bytes or 0) <= (quantized.memory_bytes or 0)


def test_accuracy_stays_within_a_point_while_channels_go(result: graphopt.Result) -> None:
    accuracy = [step.accuracy or 0.0 for step in result.report.steps]
    assert accuracy[0] > 0.97 and accuracy[2] >= accuracy[0] - 0.01
    assert accuracy[3] >= accuracy[0] - 0.02 and accuracy[4] == accuracy[3]


def test_the_plan_is_in_the_metadata_and_the_model_runs(result: graphopt.Result) -> None:
    plan = json.loads(result.model.metadata_props[PLAN_KEY])
    assert plan["offsets"] and plan["arena"] < (
        result.report.steps[-1].memory_bytes or 0
    )  # programs have more
    (scores,) = Session(result.model).run({"image": demo.load().images[:1]}).values()
    assert scores.shape == (1, 10)


def test_a_plan_alone_is_a_step_of_its_own() -> None:
    steps = graphopt.optimize(demo.load().model, plan_memory=True, measure=False).report.steps
    assert [step.name for step in steps] == ["original", "optimized", "planned"]
    assert (steps[2].memory_bytes or 0) <= (steps[1].memory_bytes or 0)


def test_a_model_whose_memory_cannot_be_planned_is_emitted_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> None:
        raise graphopt.GraphoptError("the size of 'v' is unknown")

    monkeypatch.setattr("graphopt.compile.driver.with_plan", refuse)
    report = graphopt.optimize(demo.load().model, plan_memory=True, measure=False).report
    assert (
        report.unmet == "memory is not planned: the size of 'v' is unknown" and report.unmet in report.notes
    )
