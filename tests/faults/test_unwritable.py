"""Where nothing can be written: said before any work is done, and what is there stays as it is."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import SaveError
from graphopt.io import ensure_writable, load, save
from graphopt.testing import parse_model

NOBODY = 65534
LONGEST_NAME = 255
"""Bytes of a file's name."""


@contextmanager
def without_privileges() -> Iterator[None]:
    """Let permissions hold in the block, which they do not for root."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that anyone may look into; `m.onnx` is in it."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        save(parse_model("main (float[2] x) => (float[2] y) { y = Relu (x) }"), Path(made, "m.onnx"))
        yield Path(made)
        Path(made).chmod(0o755)


def assert_refused(path: Path, says: str) -> None:
    folder = path.parent
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    with without_privileges():
        with pytest.raises(SaveError, match=says) as refused:
            ensure_writable(path)
        with pytest.raises(SaveError, match=says):
            save(parse_model("main (float[2] x) => (float[2] y) { y = Neg (x) }"), path)
    assert str(path) in refused.value.message and refused.value.hint
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before


def test_a_folder_that_is_read_only(folder: Path) -> None:
    folder.chmod(0o555)
    assert_refused(folder / "m.onnx", "read-only|Permission denied")
    assert_refused(folder / "new.onnx", "Permission denied")


def test_a_file_that_is_read_only(folder: Path) -> None:
    (folder / "m.onnx").chmod(0o444)
    folder.chmod(0o777)
    assert_refused(folder / "m.onnx", "the file there is read-only")


def test_a_folder_that_cannot_be_entered(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o700)
    with without_privileges(), pytest.raises(SaveError, match="Permission denied"):
        ensure_writable(folder / "closed" / "m.onnx")


@pytest.mark.skipif(not shutil.which("chattr"), reason="needs files that nobody may change")
def test_a_file_that_nobody_may_change(folder: Path) -> None:
    path = folder / "m.onnx"
    if os.geteuid() or subprocess.run(["chattr", "+i", path], capture_output=True).returncode:
        pytest.skip("this file system knows no immutable files, or we may not make one")
    try:
        with pytest.raises(SaveError, match="the file there is read-only"):
            ensure_writable(path)
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


READ_ONLY = """
mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} || exit 77
{python} -m graphopt optimize {folder}/in.onnx -o {folder}/out.onnx --no-measure
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs a file system of its own")
def test_a_read_only_file_system(files: Any) -> None:
    before = files.contents()
    script = READ_ONLY.format(folder=files.folder, python=sys.executable)
    ran = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    if ran.returncode == 77 or "unshare failed" in ran.stderr:
        pytest.skip(f"no file system can be mounted here: {ran.stderr.strip()}")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"error: cannot write '{files.output}': ") and "read-only" in ran.stderr
    assert files.contents() == before


def kinds(folder: Path) -> dict[str, tuple[Path, str]]:
    """Outputs that are no file, and what is said about each."""
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    socket.socket(socket.AF_UNIX).bind(str(folder / "socket"))
    (folder / "dangling").symlink_to("nowhere/m.onnx")
    (folder / "loop").symlink_to("loop")
    return {
        "folder": (folder / "folder", "it is a folder"),
        "fifo": (folder / "fifo", "not a regular file"),
        "socket": (folder / "socket", "not a regular file"),
        "full": (Path("/dev/full"), "not a regular file"),
        "no folder": (folder / "none" / "m.onnx", "there is no folder"),
        "below a file": (folder / "m.onnx" / "m.onnx", "Not a directory"),
        "dangling link": (folder / "dangling", "No such file or directory"),
        "link to itself": (folder / "loop", "symbolic links"),
        "too long": (folder / ("n" * (LONGEST_NAME + 1)), "File name too long"),
        "system": (Path("/proc/m.onnx"), "No such file or directory"),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "folder", "fifo", "socket", "full", "no folder", "below a file", "dangling link",
        "link to itself", "too long", "system",
    ],
)  # fmt: skip
def test_an_output_that_is_no_file(
    run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(folder)  # names of sockets are short
    path, says = kinds(folder)[kind]
    before = sorted(os.listdir(folder))
    ran = run("optimize", "m.onnx", "-o", path)
    assert (ran.code, ran.out) == (2, "")
    named = folder / "nowhere" / "m.onnx" if kind == "dangling link" else path
    assert ran.err.startswith(f"error: cannot write '{named}'") and says in ran.err
    assert "Traceback" not in ran.err and sorted(os.listdir(folder)) == before


@pytest.mark.parametrize("letter", ["n", "\u00e4", "\U0001f600"])
def test_the_longest_name_there_can_be(folder: Path, letter: str) -> None:
    """Temporary files have names of their own, which have to be as short in bytes, not in letters."""
    count = (LONGEST_NAME - len(".onnx")) // len(letter.encode())
    path = folder / f"{letter * count}.onnx"
    save(load(folder / "m.onnx"), path)
    assert sorted(os.listdir(folder)) == sorted(["m.onnx", path.name])


def test_the_weights_that_are_read(run: Any, files: Any) -> None:
    before = files.contents()
    ran = run("optimize", files.model, "-o", files.folder / "in.onnx.data", "--no-measure")
    assert (ran.code, ran.out) == (2, "")
    assert "holds weights of" in ran.err and "hint: name another file" in ran.err
    assert files.contents() == before


@pytest.mark.parametrize("over", ["in.onnx", "out.onnx"])
def test_a_report_over_a_model(run: Any, files: Any, over: str) -> None:
    before = files.contents()
    report = files.folder / over
    ran = run("optimize", files.model, "-o", files.output, "--no-measure", "--report", report)
    assert (ran.code, ran.out) == (2, "") and "would be written over" in ran.err
    assert files.contents() == before


def test_data_that_may_not_be_written_to_is_not(folder: Path) -> None:
    """The data file of an earlier output is left alone, so it matters to nobody what may be done to it."""
    (folder / "big.onnx.data").mkdir()
    (folder / "big.onnx.1.data").symlink_to(folder / "elsewhere" / "data")
    model = load(folder / "m.onnx")
    weight = ir.Value(name="v", const_value=ir.tensor(np.ones(1024, np.float32), name="v"))
    model.graph.register_initializer(weight)
    saved = save(model, folder / "big.onnx", external_data=True)
    assert [path.name for path in saved] == ["big.onnx", "big.onnx.2.data"]
