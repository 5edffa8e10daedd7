"""Files that are no models: each is refused in words, with a next step."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest

from graphopt.errors import LoadError, UsageError
from graphopt.io import load, save

MODEL = onnx.parser.parse_model(
    '<ir_version: 8, opset_import: ["" : 17]> agraph (float[N,3] x) => (float[N,3] y) { y = Relu(x) }'
)


def refusal(path: Path) -> LoadError:
    with pytest.raises(LoadError) as caught:
        load(path)
    assert path.name in str(caught.value)
    assert caught.value.hint
    return caught.value


def test_missing_file(tmp_path: Path) -> None:
    assert "there is no file" in str(refusal(tmp_path / "nothing.onnx"))


def test_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "is a folder" in str(refusal(folder))


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "not a regular file" in str(refusal(tmp_path / "pipe.onnx"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello, this is no protobuf at all", "not a protobuf message"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"\x18\x00\x00\x00TFL3rest", "TensorFlow Lite"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (MODEL.SerializeToString()[:-20], "not a protobuf message"),
        (onnx.ModelProto(ir_version=8).SerializeToString(), "holds no graph"),
    ],
)
def test_content_that_is_no_model(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert message in str(refusal(path))


def test_every_truncation_is_an_error_or_a_model(tmp_path: Path) -> None:
    data = MODEL.SerializeToString()
    path = tmp_path / "model.onnx"
    for length in range(1, len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(Exception) as caught:
            load(path)
        assert type(caught.value).__module__ == "graphopt.errors"


@pytest.mark.parametrize("suffix", [".onnx", ".pb", ".onnxtxt", ".textproto", ".json"])
def test_formats_by_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    save(load(MODEL), path)
    assert load(path).graph.node(0).op_type == "Relu"


@pytest.mark.parametrize("suffix", [".onnxtxt", ".textproto", ".json"])
def test_bad_text(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_text("no model")
    with pytest.raises(LoadError, match="is not a model in the"):
        load(path)


def test_path_with_a_null_byte() -> None:
    with pytest.raises(LoadError, match="cannot read"):
        load("model\0.onnx")


def test_neither_path_nor_model() -> None:
    with pytest.raises(UsageError, match="found int"):
        load(3)  # type: ignore[arg-type]
