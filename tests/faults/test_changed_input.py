"""The input is replaced, changed or cut off while it is being optimized: nothing of a mixture is written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import graphopt
from graphopt.errors import SaveError
from graphopt.io import load, save

OTHER = np.full(1024, 9, np.float32).tobytes()


def change(path: Path) -> None:
    path.write_bytes(OTHER)


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(OTHER)
    os.replace(other, path)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("happens", [change, replace, remove])
def test_weights_change_during_the_passes(files: Any, happens: Any) -> None:
    before = files.contents()
    data = files.folder / "in.onnx.data"
    happened: list[None] = []

    def observe(*_: object) -> None:
        if not happened:
            happened.append(None)
            happens(data)

    with pytest.raises(SaveError, match="was changed or removed while its weights were in use") as refused:
        graphopt.optimize(
            files.model, output=files.output, measure=False, check=False, observer=observe, passes="dce,cse"
        )
    assert refused.value.hint is not None
    after = files.contents()
    for name in ("in.onnx", "out.onnx", "out.onnx.data"):
        assert after[name] == before[name]
    assert not [name for name in files.names() if name.startswith(".")]


def test_weights_that_are_no_longer_in_that_file_may_change(files: Any) -> None:
    loaded = load(files.model)
    for value in loaded.graph.initializers.values():
        value.const_value = ir.tensor(np.zeros(1024, np.float32), name=value.name)
    change(files.folder / "in.onnx.data")
    save(loaded, files.output)


def test_the_model_itself_is_read_at_once(files: Any) -> None:
    """Whatever becomes of the file then, the output is of what was there."""

    def observe(*_: object) -> None:
        files.model.write_bytes(b"")

    graphopt.optimize(files.model, output=files.output, measure=False, observer=observe)
    weight = load(files.output).graph.initializers["w"].const_value
    assert weight is not None and set(weight.numpy().tolist()) == {2.0}


CUT_OFF = textwrap.dedent("""
    import os, sys
    import graphopt
    def cut_off(*_):
        os.truncate(sys.argv[1] + ".data", 0)
    graphopt.optimize(sys.argv[1], output=sys.argv[2], measure=False, passes="{cse}*", observer=cut_off)
""")


@pytest.mark.skipif(not hasattr(signal, "SIGBUS"), reason="maps are of another kind here")
def test_weights_are_cut_off_where_they_are_mapped(files: Any) -> None:
    """To read what is no longer there ends a process at once, as SIGKILL would; the output is what it was."""
    before = files.contents()
    ran = subprocess.run([sys.executable, "-c", CUT_OFF, files.model, files.output], capture_output=True)
    assert ran.returncode != 0
    after = files.contents()
    assert after["out.onnx"] == before["out.onnx"] and after["out.onnx.data"] == before["out.onnx.data"]
