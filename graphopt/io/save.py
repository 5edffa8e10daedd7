"""Saving: a model appears at its path whole or not at all, with its external data beside it.

The data file comes first, under a name that no model refers to, then the model that names it: whenever the
work is cut off, the old pair or the new one is whole. The old model's own data file goes last.
"""

from __future__ import annotations

import contextlib
import os
import warnings

import onnx_ir as ir
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]
from onnx import serialization

from graphopt.errors import SaveError
from graphopt.io.atomic import StagedFile, ensure_writable, termination_as_exit, told_as_save_error
from graphopt.io.datafile import DataFile, data_files_of
from graphopt.io.read import format_of
from graphopt.io.serialize import to_proto
from graphopt.io.weights import (
    Change,
    Slot,
    in_memory,
    is_external,
    lay_out,
    lies_in,
    put_all,
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
) -> None:
    """Write `model` to `path`; equal models give equal bytes.

    Args:
        model: The same afterwards. Saved over the file that its weights are mapped from, it uses the new one.
        path: The suffix chooses between binary (`.onnx`) and ONNX's text, textproto and JSON forms.
        external_data: Whether weights go to a file of their own beside the model, `<name>.data`. None: where
            they come from such a file, or are too large for one message.
        size_threshold: Smaller tensors stay in the model, in bytes.

    Raises:
        SaveError: The file cannot be written, or the model cannot be written as ONNX. What was at `path`
            before is still there.
    """
    ensure_writable(path)
    places = list(slots(model))
    if external_data is None:
        size = sum(slot.tensor.nbytes for slot in places if slot.tensor.dtype != ir.DataType.STRING)
        external_data = size > LARGEST_INLINE_BYTES or any(is_external(slot.tensor) for slot in places)
    moved = [slot for slot in places if external_data and _may_move(slot, size_threshold)]
    kept = {id(slot) for slot in moved}
    changes = [in_memory(slot) for slot in places if is_external(slot.tensor) and id(slot) not in kept]
    with paused_collector(), termination_as_exit(), contextlib.ExitStack() as files:
        staged = files.enter_context(StagedFile(path))
        old_data = data_files_of(staged.path)
        if moved:
            layout = lay_out(moved)
            data = files.enter_context(DataFile(staged.path, layout))
            changes += layout.external(os.path.dirname(staged.path), data.name)
            _write(model, changes, staged)
            data.commit()
            old_data.discard(data.name)
        else:
            _write(model, changes, staged)
        staged.commit()
    _remove(old_data, os.path.dirname(staged.path), changes)


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
    with told_as_save_error(staged.path):
        staged.file.write(data)
    staged.finish()


def _remove(names: set[str], folder: str, changes: list[Change]) -> None:
    """Remove data files that nothing refers to any more; tensors in memory move to the new one."""
    for name in names:
        path = os.path.join(folder, name)
        put_all([change for change in changes if lies_in(change.slot.tensor, path)])
        with contextlib.suppress(OSError):
            os.unlink(path)
