"""The runner tells apart how a process ends, and what it writes where."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphopt.testing.hostile import Kind, Limits, Runner, attempt, sandbox

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="files are tried in forks")


def outcome_of(doing: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch, seconds: float = 1.0) -> Any:
    """What the runner says of a process that does something in place of loading a model."""

    def load(path: Path) -> object:
        doing(path)
        raise ValueError("done")

    with Runner(limits=Limits(seconds=seconds, peak_bytes=600 << 20)) as runner:
        monkeypatch.setattr(attempt, "load", load)
        return runner.try_bytes(b"x")


def test_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = outcome_of(lambda path: None, monkeypatch)
    assert outcome.kind is Kind.TRACEBACK
    assert outcome.stage == "load"
    assert "ValueError: done" in outcome.detail


def test_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = outcome_of(lambda path: os.kill(os.getpid(), signal.SIGSEGV), monkeypatch)
    assert outcome.kind is Kind.CRASH
    assert "SIGSEGV" in outcome.detail


def test_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    def spin(path: Path) -> None:
        while True:
            pass

    outcome = outcome_of(spin, monkeypatch)
    assert outcome.kind is Kind.HANG


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def grow(path: Path) -> None:
        held = []
        while True:
            held.append(bytearray(os.urandom(1 << 20)) * 50)
            time.sleep(0.001)

    assert outcome_of(grow, monkeypatch, seconds=60.0).kind is Kind.MEMORY


def test_a_file_beside_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = outcome_of(lambda path: (path.parent / "new").write_bytes(b""), monkeypatch)
    assert outcome.kind is Kind.STRAY
    assert outcome.detail.endswith("new")


def test_a_file_far_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    outcome = outcome_of(lambda path: (tmp_path / "far").write_bytes(b""), monkeypatch)
    assert outcome.kind is Kind.STRAY
    assert str(tmp_path / "far") in outcome.detail


def test_reading_is_no_writing(tmp_path: Path) -> None:
    watch = sandbox.WriteWatch([tmp_path])
    (tmp_path / "inside").write_text("x")
    Path(__file__).read_bytes()
    assert watch.strays == []
