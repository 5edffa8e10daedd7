"""A plug-in whose pass raises, whatever it is: the pass is left out and named, and the model is right."""

from __future__ import annotations

import signal
from typing import Any

import onnx
import pytest

import graphopt
from graphopt.pipeline import FailedPassError, Pipeline
from graphopt.testing import parse_model


def optimized(model: onnx.ModelProto, name: str, **options: Any) -> graphopt.Result:
    return graphopt.optimize(
        model, passes=f"dce,misbehaving.{name},eliminate-identities", measure=False, **options
    )


def assert_left_out(result: graphopt.Result, name: str, reason: str) -> None:
    (left_out,) = result.report.left_out
    assert (left_out.name, left_out.reason) == (name, reason)
    assert result.report.check is not None and result.report.check.equal
    assert result.report.after.nodes < result.report.before.nodes  # the other passes did their work


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("RaisesException", "ZeroDivisionError: by nothing"),
        ("RaisesWithoutText", "KeyError"),
        ("RaisesUnprintable", "Unprintable"),
        ("RaisesSystemExit", "SystemExit: 0"),
        ("RaisesMemoryError", "MemoryError"),
        ("RaisesGeneratorExit", "GeneratorExit"),
        ("RaisesBaseException", "BaseException: of no kind"),
        ("RaisesAfterChanging", "ValueError: half done"),
    ],
)
def test_left_out_and_named(plug_ins: Any, model: onnx.ModelProto, name: str, reason: str) -> None:
    found = getattr(plug_ins.raising, name)
    assert_left_out(optimized(model, f"raising:{name}"), found.name, reason)


def test_endless_recursion(plug_ins: Any, model: onnx.ModelProto) -> None:
    (left_out,) = optimized(model, "raising:RaisesRecursionError").report.left_out
    assert left_out.reason.startswith("RecursionError: maximum recursion depth exceeded")


@pytest.mark.parametrize("name", ["ReturnsNothing", "ReturnsNoModel"])
def test_what_is_no_result(plug_ins: Any, model: onnx.ModelProto, name: str) -> None:
    (left_out,) = optimized(model, f"returning:{name}").report.left_out
    assert left_out.name == f"misbehaving.returning:{name}"


def test_ctrl_c_is_no_failure_of_a_pass(plug_ins: Any) -> None:
    model = parse_model("main (float[2] x) => (float[2] y) { y = Relu (x) }")
    with pytest.raises(KeyboardInterrupt):
        Pipeline([plug_ins.raising.RaisesKeyboardInterrupt()]).run(model)


def test_what_handlers_of_signals_raise_is_no_failure_of_a_pass(plug_ins: Any) -> None:
    """A server that is told to end by a signal, which comes in the midst of a pass."""

    def leave(*_: object) -> None:
        raise SystemExit(3)

    model = parse_model("main (float[2] x) => (float[2] y) { y = Relu (x) }")
    before = signal.signal(signal.SIGTERM, leave)
    try:
        with pytest.raises(SystemExit, match="3"):
            Pipeline([plug_ins.raising.SendsTheProcessASignal()]).run(model)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_pipeline_names_the_pass(plug_ins: Any) -> None:
    model = parse_model("main (float[2] x) => (float[2] y) { y = Relu (x) }")
    with pytest.raises(FailedPassError, match="pass raises-system-exit: SystemExit: 0"):
        Pipeline([plug_ins.raising.RaisesSystemExit()]).run(model)
