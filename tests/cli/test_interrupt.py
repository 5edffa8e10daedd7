"""Signals end a command with their own exit code and a word, wherever they come."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from graphopt.cli.interrupt import InterruptedBySignal, signals_noted

WORDS = {signal.SIGINT: (130, "interrupted\n"), signal.SIGTERM: (143, "terminated\n")}
if hasattr(signal, "SIGHUP"):
    WORDS[signal.SIGHUP] = (129, "terminated\n")


def sends(number: int) -> Any:
    """A function that sends this process a signal, and what reads it."""

    def send(*_: object, **__: object) -> None:
        signal.raise_signal(number)

    return send


@pytest.mark.parametrize("number", WORDS)
@pytest.mark.parametrize(
    "place",
    ["graphopt.compile.driver.save", "graphopt.cli.optimize.parse_shapes", "graphopt.cli.app.make_safe"],
    ids=["in a command", "as it begins", "before any command"],
)
def test_in_any_place(
    run: Any, model: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, place: str
) -> None:
    before = signal.getsignal(number)
    monkeypatch.setattr(place, sends(number))
    ran = run("optimize", model, "--no-measure")
    assert (ran.code, ran.out, ran.err) == (WORDS[number][0], "", WORDS[number][1])
    assert [path.name for path in model.parent.iterdir()] == ["model.onnx"]
    assert signal.getsignal(number) == before


def test_what_libraries_make_of_it(run: Any, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python itself makes a RuntimeError of an interruption while a class is made."""

    def garble(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as error:
            raise RuntimeError("while making a class") from error

    for place in ("graphopt.cli.app.make_safe", "graphopt.compile.driver.save"):
        with monkeypatch.context() as patch:
            patch.setattr(place, garble)
            ran = run("optimize", model, "--no-measure")
        assert (ran.code, ran.err) == (143, "terminated\n")


def test_what_somebody_else_handles_is_theirs() -> None:
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append(True))
    try:
        with signals_noted() as came:
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (heard, came) == ([True], [])


def test_a_block_within_another_has_the_same_list() -> None:
    with signals_noted() as outer, pytest.raises(InterruptedBySignal), signals_noted() as inner:
        assert inner is outer
        signal.raise_signal(signal.SIGINT)
    assert outer == [signal.SIGINT]
