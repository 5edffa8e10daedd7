"""The data file of one model: which name it gets.

A data file that is there already is never written over nor removed, since any number of models may share it:
new content gets a name that is free.
"""

from __future__ import annotations

import contextlib
import filecmp
import itertools
import os
import re

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from graphopt.io.atomic import StagedFile, told_as_save_error
from graphopt.io.names import nested_nodes
from graphopt.io.weights import Layout


class DataFile:
    """Writes a data file for the model at `model_path`; use as a context manager around writing that model.

    Args:
        model_path: The model's path, symbolic links resolved.
        layout: What goes into the file.

    Attributes:
        name: Its name in the model's folder, known inside the block. Content that lies in a file
            of such a name already is not stored again.
    """

    def __init__(self, model_path: str, layout: Layout) -> None:
        self._model_path = model_path
        self._folder = os.path.dirname(model_path)
        self._layout = layout
        self._staged = StagedFile(f"{model_path}.data")
        self._reserved: str | None = None
        self.name = ""

    def __enter__(self) -> DataFile:
        with contextlib.ExitStack() as cleanup:
            cleanup.enter_context(self._staged)
            cleanup.push(self._withdraw)
            with told_as_save_error(f"{self._model_path}.data"):
                self._layout.write(self._staged.file)
            self._staged.finish()
            self._choose_name()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._cleanup.__exit__(*exception)  # type: ignore[arg-type]

    def commit(self) -> None:
        """Move the file into place, before the model that names it."""
        if self._reserved is not None:
            self._staged.commit(self._reserved)

    def _choose_name(self) -> None:
        base = os.path.basename(self._model_path)
        numbered = (f"{base}.{number}.data" for number in itertools.count(1))
        for name in itertools.chain([f"{base}.data"], numbered):
            path = os.path.join(self._folder, name)
            with told_as_save_error(path), contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
                self.name, self._reserved = name, path
                return
            if _same_content(self._staged.temporary, path):
                self.name = name
                return

    def _withdraw(self, kind: object, *_: object) -> None:
        """After a failure, remove the file again unless the model that names it is in place already."""
        if kind is None or self._reserved is None:
            return
        if self.name not in data_files_of(self._model_path):
            with contextlib.suppress(OSError):
                os.unlink(self._reserved)


def data_files_of(model_path: str | os.PathLike[str]) -> set[str]:
    """Names of the data files beside the model at `model_path` that it refers to and that bear its name.

    Symbolic links are followed; where there is no model that can be read, there are none.
    """
    model_path = os.path.realpath(model_path)
    folder, base = os.path.split(model_path)
    own = re.compile(re.escape(base) + r"(\.\d+)?\.data")
    try:
        found = {name for name in os.listdir(folder) if own.fullmatch(name)}
        if not found or not os.path.isfile(model_path):
            return set()
        with open(model_path, "rb") as file:
            proto = onnx.ModelProto.FromString(file.read())
    except (OSError, DecodeError):
        return set()
    return found & set(locations(proto))


def _same_content(one: str, other: str) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def locations(proto: onnx.ModelProto) -> list[str]:
    """Where the external tensors of a model say that their data is, one entry a tensor."""
    tensors = list(proto.graph.initializer)
    for nodes in (proto.graph.node, *(function.node for function in proto.functions)):
        for node in nested_nodes(nodes):
            for attribute in node.attribute:
                tensors.append(attribute.t)
                tensors.extend(attribute.g.initializer)
    return [entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"]
