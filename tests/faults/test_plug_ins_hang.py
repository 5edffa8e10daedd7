"""A plug-in whose pass does not end: it is stopped, left out and named, in any thread."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import onnx
import pytest

import graphopt
from graphopt.errors import UsageError
from graphopt.pipeline import FailedPassError, Pipeline, bisect
from graphopt.testing import parse_model

SECONDS = 0.4
"""More than any pass that ends takes here, once all is imported."""
RELU = "main (float[2] x) => (float[2] y) { a = Relu (x) y = Relu (a) }"
ANYWHERE = ["HangsInPython", "HangsCatching"]
"""An exception sent to a thread reaches these; sleeps and locks only give way to signals."""


@pytest.fixture(autouse=True)
def all_imported(model: onnx.ModelProto) -> None:
    graphopt.optimize(model, passes="dce,eliminate-identities", measure=False)


def optimized(model: onnx.ModelProto, name: str) -> graphopt.Result:
    return graphopt.optimize(
        model,
        passes=f"dce,misbehaving.hanging:{name},eliminate-identities",
        measure=False,
        pass_timeout=SECONDS,
    )


def assert_left_out(result: graphopt.Result) -> None:
    (left_out,) = result.report.left_out
    assert left_out.name.startswith("hangs-")
    assert left_out.reason == f"it was stopped after {SECONDS} s; --pass-timeout gives it more time"
    assert result.report.check is not None and result.report.check.equal
    assert result.report.after.nodes < result.report.before.nodes


@pytest.mark.parametrize(
    "name", [*ANYWHERE, "HangsAsleep", "HangsInC", "HangsOnALock", "HangsReading", "HangsCatchingOnceAll"]
)
def test_in_the_main_thread(plug_ins: Any, model: onnx.ModelProto, name: str) -> None:
    assert_left_out(optimized(model, name))
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize("name", ANYWHERE)
def test_in_another_thread(plug_ins: Any, model: onnx.ModelProto, name: str) -> None:
    results = []
    thread = threading.Thread(target=lambda: results.append(optimized(model, name)))
    thread.start()
    thread.join()
    assert_left_out(results[0])


def test_where_the_program_uses_the_timer_itself(plug_ins: Any, model: onnx.ModelProto) -> None:
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    signal.setitimer(signal.ITIMER_REAL, SECONDS / 2)
    try:
        assert_left_out(optimized(model, "HangsCatching"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert rung == [True]


def test_is_waited_for_once(plug_ins: Any, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where several pipelines are tried, none runs a pass that hung before."""
    from graphopt.compile.candidates import Stages, Workshop
    from graphopt.io import Interface, load

    loaded = load(model)
    workshop = Workshop(
        loaded, loaded, Interface.of(loaded), inputs=None, insisted=False, shapes=None, costed=None,
        budget=None, stages=Stages(lambda _: None), observer=None, pass_timeout=SECONDS,
    )  # fmt: skip
    pipeline = Pipeline([plug_ins.hanging.HangsAsleep()])
    assert [left.name for left in workshop.make("first", pipeline).left_out] == ["hangs-asleep"]
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it ran again"))
    assert [left.name for left in workshop.make("second", pipeline).left_out] == ["hangs-asleep"]


def test_no_limit(plug_ins: Any) -> None:
    ended = Pipeline([plug_ins.hanging.TakesItsTime()]).run(parse_model(RELU), pass_timeout=float("inf"))
    assert [record.name for record in ended.records] == ["takes-its-time"]
    with pytest.raises(FailedPassError, match=r"stopped after 0\.05 s"):
        Pipeline([plug_ins.hanging.TakesItsTime()]).run(parse_model(RELU), pass_timeout=0.05)


def test_bisecting_stops_at_it_too(plug_ins: Any) -> None:
    with pytest.raises(FailedPassError, match="hangs-in-python") as failure:
        bisect(
            parse_model(RELU),
            Pipeline([plug_ins.hanging.HangsInPython()]),
            lambda _: True,
            pass_timeout=SECONDS,
        )
    assert failure.value.over_time


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_limit_is_positive(model: onnx.ModelProto, seconds: float) -> None:
    with pytest.raises(UsageError, match="more than 0 seconds"):
        graphopt.optimize(model, pass_timeout=seconds)
