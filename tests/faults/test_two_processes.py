"""Several processes write one output at the same time: it is always one of theirs, whole with its data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from graphopt.io import atomic
from graphopt.io.atomic import StagedFile, locked_folder

SCRIPT = Path(__file__).with_name("writers.py")


def test_a_reader_only_ever_sees_whole_models(fast_folder: Path) -> None:
    ran = subprocess.run([sys.executable, SCRIPT, fast_folder], capture_output=True, text=True, check=True)
    told = json.loads(ran.stdout)
    assert told["codes"] == [0, 0, 0, 0], ran.stderr
    assert set(told["found"]) <= {"old", "new"}
    assert {"m.onnx", "m.onnx.data"} <= set(told["files"]) <= {"m.onnx", "m.onnx.data", "m.onnx.1.data"}


def test_a_file_that_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    with StagedFile(tmp_path / "m.onnx") as first:
        with StagedFile(tmp_path / "m.onnx") as second:
            second.file.write(b"second")
            second.finish()
            second.commit()
        first.file.write(b"first")
        first.finish()
        first.commit()
    assert (tmp_path / "m.onnx").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_only_temporary_files_of_the_same_destination_are_leftovers(tmp_path: Path) -> None:
    others = [
        ".m.onnx.1.2.tmp.onnx",
        ".m.onnx.old.1.2.tmp",
        ".mXonnx.1.2.tmp",
        "m.onnx.1.2.tmp",
        ".m.onnx.tmp",
    ]
    for name in (*others, ".m.onnx.12.3.tmp"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".m.onnx.12.4.tmp").mkdir()
    with StagedFile(tmp_path / "m.onnx"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {*others, ".m.onnx.12.4.tmp"}


def test_a_stopped_process_hinders_nobody_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_FOLDER_SECONDS", 0.05)
    with locked_folder(str(tmp_path)), locked_folder(str(tmp_path)):
        pass  # the second waited, and went on
