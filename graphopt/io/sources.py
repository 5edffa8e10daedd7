"""Files of external data, remembered as they were when their model was loaded.

Weights are read from there until the model is saved. What another program writes there meanwhile would mix
old weights with new ones; here that is noticed, though not hindered.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import onnx_ir as ir

from graphopt.errors import SaveError
from graphopt.io.weights import is_external, slots

DATA_FILES_KEY = "graphopt.data_files"
"""In the meta store of the main graph, which outlives a clone: path -> state."""

State = tuple[int, int, int, int]
"""Device, number, bytes and time of the last change in nanoseconds."""


def remember_data(model: ir.Model, tensors: Iterable[ir.ExternalTensor]) -> None:
    """Remember the files that external tensors lie in."""
    paths = {os.path.abspath(tensor.path) for tensor in tensors}
    states = {path: state for path in sorted(paths) if (state := _state(path)) is not None}
    if states:
        model.graph.meta[DATA_FILES_KEY] = states


def data_files(model: ir.Model) -> list[str]:
    """The files remembered, which hold weights of the model."""
    return list(model.graph.meta.get(DATA_FILES_KEY, {}))


def refuse_changed_data(model: ir.Model) -> None:
    """Check that the files remembered, where tensors still lie in them, are as they were.

    Raises:
        SaveError: One is not.
    """
    remembered: dict[str, State] = model.graph.meta.get(DATA_FILES_KEY, {})
    if not remembered:
        return
    used = {os.path.abspath(slot.tensor.path) for slot in slots(model) if is_external(slot.tensor)}  # type: ignore[attr-defined]
    for path in sorted(used & remembered.keys()):
        if _state(path) != remembered[path]:
            raise SaveError(
                f"{path!r} was changed or removed while its weights were in use: nothing is written",
                hint="run it again once nothing writes to that file",
            )


def _state(path: str) -> State | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
