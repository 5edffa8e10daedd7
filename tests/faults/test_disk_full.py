"""The disk is full, or files may only be so large: the previous output stays, and the user is told why."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import pytest

import graphopt


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let this process write files of at most `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 100, 1000, 4000])
def test_the_previous_output_stays(run: Any, files: Any, size: int) -> None:
    before = files.contents()
    with files_limited_to(size):
        ran = run("optimize", files.model, "-o", files.output, "--no-measure")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: cannot write '{files.output}") and "File too large" in ran.err
    assert "hint: " in ran.err and "Traceback" not in ran.err
    assert files.contents() == before


def test_the_model_is_written_where_only_its_report_is_too_large(run: Any, files: Any) -> None:
    report = files.folder / "report.json"
    report.write_text("before")
    with files_limited_to(5000):
        ran = run("optimize", files.model, "-o", files.output, "--no-measure", "--report", report)
    assert ran.code == 2 and f"cannot write '{report}'" in ran.err
    assert report.read_text() == "before"
    onnx.load(str(files.output))
    assert not [name for name in files.names() if name.startswith(".")]


FULL = """
mount -t tmpfs -o size=64k tmpfs {folder} || exit 77
cp {source}/* {folder}/ || exit 77
before=$(cat {folder}/* | md5sum)
dd if=/dev/zero of={folder}/ballast bs=1k 2> /dev/null
{python} -m graphopt optimize {folder}/in.onnx -o {folder}/out.onnx --no-measure
echo "code $?"
rm {folder}/ballast
[ "$before" = "$(cat {folder}/* | md5sum)" ] && ls -A {folder}
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs a file system of its own to fill up")
def test_a_full_file_system(files: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    script = FULL.format(folder=tmp_path_factory.mktemp("full"), source=files.folder, python=sys.executable)
    ran = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    if ran.returncode == 77 or "unshare failed" in ran.stderr:
        pytest.skip(f"no file system can be mounted here: {ran.stderr.strip()}")
    assert ran.stdout.splitlines()[-5:] == ["code 2", "in.onnx", "in.onnx.data", "out.onnx", "out.onnx.data"]
    assert "No space left on device" in ran.stderr
    assert "hint: the disk is full; free some space or save elsewhere" in ran.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("output", [[], ["--json"]])
def test_nothing_can_be_printed(
    run: Any, files: Any, monkeypatch: pytest.MonkeyPatch, output: list[str]
) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        ran = run("optimize", files.model, "-o", files.output, "--no-measure", *output)
    assert ran.code == 2
    assert ran.err == "error: cannot write to stdout: No space left on device\n"
    onnx.load(str(files.output))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_no_message_can_be_printed(run: Any, files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for model, code in ((files.model, 0), (files.folder / "none.onnx", 2)):
        with contextlib.suppress(OSError), open("/dev/full", "w") as full:  # closing it fails as well
            monkeypatch.setattr(sys, "stderr", full)
            assert run("optimize", model, "-o", files.output, "--no-measure").code == code
        monkeypatch.undo()


def test_no_folder_for_temporary_files(model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime shares weights through an empty file in such a folder, or does without."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [os.devnull])
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(_ones(), "w"))
    result = graphopt.optimize(model, measure=False)
    assert result.report.check is not None and result.report.check.equal


def _ones() -> Any:
    import numpy as np

    return np.ones(4, np.float32)
