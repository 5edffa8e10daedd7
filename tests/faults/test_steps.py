"""Saving fails at each of its steps in turn: the old model is intact or the new one whole, with its data."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphopt.io import ensure_writable

SCRIPT = Path(__file__).with_name("steps.py")
RECOGNISABLE = re.compile(r"\.m\.onnx\.(data\.)?\d+\.\d+\.tmp|m\.onnx\.1\.data")

Outcomes = list[dict[str, Any]]


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Outcomes]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        ran = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=True)
        yield json.loads(ran.stdout)


def of_fault(outcomes: Outcomes, fault: str) -> Outcomes:
    found = [each for each in outcomes if each["fault"] == fault]
    assert len(found) > 20
    return found


def test_killed_at_any_step(outcomes: Outcomes) -> None:
    for each in of_fault(outcomes, "kill"):
        assert each["ended"] == "killed" and each["model"] in ("old", "new"), each
        assert all(RECOGNISABLE.fullmatch(name) for name in each["left"]), each


def test_the_next_save_cleans_up_after_a_killed_one(outcomes: Outcomes) -> None:
    assert any(each["left"] for each in of_fault(outcomes, "kill"))
    assert not any(each["left_next"] for each in outcomes)


def test_interrupted_at_any_step(outcomes: Outcomes) -> None:
    for each in of_fault(outcomes, "interrupt"):
        assert each["ended"] == "KeyboardInterrupt" and each["model"] in ("old", "new"), each
        assert not each["left"] or each["step"].startswith("os.remove"), each  # it was just being removed


def test_interrupted_right_after_a_file_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that comes during a call into the system is heard as soon as that returns."""

    def opened(*arguments: Any) -> None:
        open(*arguments).close()
        raise KeyboardInterrupt

    monkeypatch.setattr("graphopt.io.atomic.open", opened, raising=False)
    with pytest.raises(KeyboardInterrupt):
        ensure_writable(tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_disk_is_full_at_any_step(outcomes: Outcomes) -> None:
    for each in of_fault(outcomes, "full"):
        assert not each["left"], each
        if each["model"] == "old":
            assert each["ended"].startswith("SaveError: cannot write"), each
            assert each["ended"].endswith("No space left on device"), each
        else:
            assert (each["model"], each["ended"]) == ("new", "saved"), each
