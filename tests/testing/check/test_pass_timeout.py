"""Passes and functions that do not end: stopped after the time that they have."""

from __future__ import annotations

import threading
import time
from typing import Any

import onnx_ir as ir
import pytest

from graphopt import testing
from graphopt.pipeline import Pipeline
from graphopt.testing import PassFailure, check_pass

MODEL = "main (float[2] x) => (float[2] y) { a = Relu(x) y = Relu(a) }"


class Sleeps(ir.passes.InPlacePass):
    def call(self, model: ir.Model) -> ir.passes.PassResult:
        time.sleep(60)
        return ir.passes.PassResult(model, modified=False)


def sleeps(model: ir.Model) -> None:
    time.sleep(60)


def sleeps_within(model: ir.Model) -> None:
    """The limits of the pipeline inside are longer than that of the function."""
    Pipeline([Sleeps()]).run(model)


class SleepsAgain(ir.passes.InPlacePass):
    def call(self, model: ir.Model) -> ir.passes.PassResult:
        nodes = list(model.graph)
        if len(nodes) == 1:
            time.sleep(60)
        nodes[1].outputs[0].name = "b"
        nodes[0].outputs[0].name = "y"
        model.graph.outputs[:] = nodes[0].outputs
        model.graph.remove(nodes[1], safe=True)
        return ir.passes.PassResult(model, modified=True)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (Sleeps(), "it did not end after 0.1 s"),
        (sleeps, "it did not end after 0.1 s"),
        (sleeps_within, "it did not end after 0.1 s"),
        (Pipeline([*Pipeline.parse("dce").items, Sleeps()]), ":Sleeps: it did not end after 0.1 s"),
        (SleepsAgain(), "a second run: it did not end after 0.1 s"),
    ],
)
def test_what_does_not_end_is_stopped(what: Any, told: str) -> None:
    with pytest.raises(PassFailure) as raised:
        check_pass(what, MODEL, pass_timeout=0.1)
    assert raised.value.property == "raises" and raised.value.detail.endswith(told)
    assert "--pass-timeout 0.1" in str(raised.value)


@pytest.mark.parametrize("seconds", [0.5, float("inf"), None])
def test_what_ends_is_not(seconds: float | None) -> None:
    check_pass("dce", MODEL, pass_timeout=seconds)
    check_pass(lambda model: None, MODEL, pass_timeout=seconds)


def test_the_pipelines_of_a_function_need_no_threads() -> None:
    seen = []

    def function(model: ir.Model) -> None:
        Pipeline.parse("{fold,dce,eliminate-identities}*").run(
            model, observer=lambda *_: seen.append(threading.active_count())
        )

    threads = threading.active_count()
    check_pass(function, MODEL)
    assert seen and set(seen) == {threads}


def test_on_generated_models() -> None:
    with pytest.raises(PassFailure, match=r"it did not end after 0\.1 s"):
        testing.check_pass_on_models(Sleeps(), examples=2, pass_timeout=0.1)


def test_by_the_fixture(check_pass_on_models: Any) -> None:
    with pytest.raises(PassFailure, match=r"it did not end after 0\.1 s"):
        check_pass_on_models(Sleeps(), examples=2, pass_timeout=0.1)
