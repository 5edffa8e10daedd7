"""Models with an earlier output, and plug-ins that fail."""

from __future__ import annotations

import dataclasses
import importlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

PLUG_INS = Path(__file__).parent / "plugin"

MODEL = """<ir_version: 8, opset_import: ["" : 17]>
main (float[N,4] x, bool c) => (float[N,4] y, float[N,4] z)
<float[4] w = {1.5, 2, 3, 4}, float[4] v = {5, 2, 3, 4}>
{
    a = Identity (x)
    b = Mul (a, w)
    d = Add (b, v)
    z = If (c) <
        then_branch = yes () => (float[N,4] t) { t = Mul (d, w) },
        else_branch = no () => (float[N,4] e) { e = Add (d, w) }
    >
    y = Relu (d)
}"""


@pytest.fixture
def model() -> onnx.ModelProto:
    """Two outputs, one out of an If whose branches read a value and a weight from around them."""
    return onnx.parser.parse_model(MODEL)


@dataclasses.dataclass(frozen=True)
class Files:
    """A folder with a model to optimize and an output that was there before."""

    folder: Path
    model: Path
    output: Path

    def names(self) -> list[str]:
        """Of all files in the folder."""
        return sorted(os.listdir(self.folder))

    def contents(self) -> dict[str, bytes]:
        """Of all files in the folder, by name."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """`in.onnx`, 4 kB of weights of it in a file of their own, and `out.onnx` likewise, of other numbers."""
    made = Files(tmp_path, tmp_path / "in.onnx", tmp_path / "out.onnx")
    for path, scale in ((made.model, 2.0), (made.output, 1.0)):
        proto = onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["" : 17]> agraph (float[N,1024] x) => (float[N,1024] y) '
            "{ a = Identity(x) b = Add(a, w) y = Mul(b, v) }"
        )
        for name, size in (("w", 1024), ("v", 1)):
            array = np.full(size, scale, np.float32)
            proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        onnx.save(proto, str(path), save_as_external_data=True, location=f"{path.name}.data")
    return made


@pytest.fixture
def plug_ins(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of misbehaving passes, importable as `misbehaving`."""
    monkeypatch.syspath_prepend(str(PLUG_INS))
    return importlib.import_module("misbehaving")


@pytest.fixture
def fast_folder() -> Iterator[Path]:
    """A folder in memory where there is such, since syncing to a disk takes its time."""
    memory = Path("/dev/shm")
    parent = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)
