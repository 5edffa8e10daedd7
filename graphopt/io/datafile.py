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
from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from graphopt.io.atomic import StagedFile, locked_folder, told_as_save_error
from graphopt.io.names import nested_nodes
from graphopt.io.weights import Layout


class DataFile:
    """Writes a data file for the model at `model_path`; use as a context manager around writing that model.

    Args:
        model_path: The model's path, symbolic links resolved.
        layout: What goes into the file.

    Attributes:
        name: Its name in the model's folder, once chosen. Content that lies in a file of such a name already
            is not stored again.
    """

    def __init__(self, model_path: str, layout: Layout) -> None:
        self._model_path = model_path
        self._folder = os.path.dirname(model_path)
        self._layout = layout
        self._staged = StagedFile(f"{model_path}.data", is_final=False)
        self._is_new = True
        self.name = ""

    def __enter__(self) -> DataFile:
        with contextlib.ExitStack() as cleanup:
            cleanup.enter_context(self._staged)
            with told_as_save_error(self._staged.path):
                self._layout.write(self._staged.file)
            self._staged.finish()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._cleanup.__exit__(*exception)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def settled(self) -> Iterator[None]:
        """Between choosing a name and the model in place: others wait, and a failure takes the file back."""
        with locked_folder(self._folder):
            try:
                yield
            except BaseException:
                self._withdraw()
                raise

    def choose_name(self) -> None:
        """Choose a name that is free, or of a file of the same content."""
        base = os.path.basename(self._model_path)
        numbered = (f"{base}.{number}.data" for number in itertools.count(1))
        for self.name in itertools.chain([f"{base}.data"], numbered):
            self._is_new = not os.path.lexists(self._path)
            if self._is_new or _same_content(self._staged.temporary, self._path):
                return

    def commit(self) -> None:
        """Move the file into place, before the model that names it.

        Raises:
            FileExistsError: The name is no longer free; choose again.
        """
        if self._is_new:
            self._staged.commit_new(self._path)

    @property
    def _path(self) -> str:
        return os.path.join(self._folder, self.name)

    def _withdraw(self) -> None:
        """Remove the file again unless the model that names it is in place already."""
        if self._staged.is_at(self._path) and self.name not in data_files_of(self._model_path):
            with contextlib.suppress(OSError):
                os.unlink(self._path)


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
