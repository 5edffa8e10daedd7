"""Saving: a model appears at its path whole or not at all, with its external data beside it.

The data file comes first, under a name that was free, then the model that names it: whenever the work is
cut off, the old pair or the new one is whole. No data file that was there before is touched: other models may
share it.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path

import onnx_ir as ir
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]
from onnx import serialization

from graphopt.errors import SaveError
from graphopt.io.atomic import (
    StagedFile,
    ensure_writable,
    remove_leftovers,
    temporary_prefix,
    termination_as_exit,
)
from graphopt.io.datafile import DataFile
from graphopt.io.read import format_of
from graphopt.io.serialize import to_proto
from graphopt.io.sources import refuse_changed_data
from graphopt.io.weights import (
    Change,
    Layout,
    Slot,
    in_memory,
    is_external,
    lay_out,
    replaced,
    slots,
)
from graphopt.ir import paused_collector

# Protobuf ends at 2 GiB; well before, one message is slow to write and takes its size twice in memory.
LARGEST_INLINE_BYTES = 1_500_000_000


def save(
    model: ir.Model,
    path: str | os.PathLike[str],
    *,
    external_data: bool | None = None,
    size_threshold: int = 1024,
) -> list[Path]:
    """Write `model` to `path`; equal models give equal bytes.

    Args:
        model: The same afterwards.
        path: The suffix chooses between binary (`.onnx`) and ONNX's text, textproto and JSON forms.
        external_data: Whether weights go to a file of their own beside the model, `<name>.data`, or
            `<name>.1.data` and so on where other content is there already. None: where they come from such a
            file, or are too large for one message.
        size_threshold: Smaller tensors stay in the model, in bytes.

    Returns:
        The files that the model now consists of: `path`, and its data file where it has one.

    Raises:
        SaveError: The file cannot be written, the model cannot be written as ONNX, or a file that its weights
            lie in has changed since it was loaded. What was at `path` before is still there.
    """
    ensure_writable(path)
    refuse_changed_data(model)
    places = list(slots(model))
    if external_data is None:
        size = sum(slot.tensor.nbytes for slot in places if slot.tensor.dtype != ir.DataType.STRING)
        external_data = size > LARGEST_INLINE_BYTES or any(is_external(slot.tensor) for slot in places)
    moved = [slot for slot in places if external_data and _may_move(slot, size_threshold)]
    kept = {id(slot) for slot in moved}
    changes = [in_memory(slot) for slot in places if is_external(slot.tensor) and id(slot) not in kept]
    with paused_collector(), termination_as_exit(), contextlib.ExitStack() as files:
        staged = files.enter_context(StagedFile(path))
        remove_leftovers(temporary_prefix(f"{staged.path}.data"))
        if not moved:
            _write(model, changes, staged)
            refuse_changed_data(model)
            staged.commit()
            return [Path(path)]
        layout = lay_out(moved)
        data = files.enter_context(DataFile(staged.path, layout))
        with data.settled():
            _place(model, changes, staged, layout, data)
        return [Path(path), _beside(Path(path), staged.path, data.name)]


def _place(
    model: ir.Model, changes: list[Change], staged: StagedFile, layout: Layout, data: DataFile
) -> None:
    """Write the model, then move the data file into place and the model after it."""
    while True:
        data.choose_name()
        _write(model, [*changes, *layout.external(os.path.dirname(staged.path), data.name)], staged)
        refuse_changed_data(model)
        try:
            data.commit()
        except FileExistsError:
            continue
        staged.commit()
        return


def _beside(path: Path, real: str, name: str) -> Path:
    """The file `name` beside the model, in the caller's words unless the model's path is a link elsewhere."""
    folder = os.path.dirname(real)
    return path.parent / name if os.path.realpath(path.parent) == folder else Path(folder, name)


def _may_move(slot: Slot, size_threshold: int) -> bool:
    """Whether a tensor goes to the data file: a large initializer, or a large external one."""
    if slot.tensor.dtype == ir.DataType.STRING or slot.tensor.nbytes < max(size_threshold, 1):
        return False
    return slot.is_initializer or is_external(slot.tensor)


def _write(model: ir.Model, changes: list[Change], staged: StagedFile) -> None:
    """Write `model` with the changes made to it to the staged file, and unmake them."""
    with replaced(changes):
        proto = to_proto(model)
    try:
        # onnx warns that its text form is experimental; whoever names a file so knows.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = serialization.registry.get(format_of(staged.path)).serialize_proto(proto)
    except (ValueError, EncodeError) as error:
        raise SaveError(
            f"the model does not fit into one message: {error}",
            hint="save it with external data, and make large constants of nodes initializers first",
        ) from error
    staged.write(data)
