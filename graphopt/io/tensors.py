"""Checks of stored tensors: what a tensor declares against the bytes that are really there.

Nothing is allocated by a declared size. External data is looked at through `stat` alone and never opened.
"""

from __future__ import annotations

import dataclasses
import math
import os
import stat
from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir

from graphopt.errors import LoadError, ModelError
from graphopt.io.versions import READABLE_TYPES

# NumPy's limit on the bytes of an array, with its zero dimensions left out.
_LARGEST_ARRAY = 2**63 - 1
# NumPy's limit on the dimensions of an array.
MOST_DIMENSIONS = 64
# A sparse tensor becomes a dense one when it is read; beyond this the file is more likely wrong than useful.
LARGEST_DENSIFIED_BYTES = 256 * 2**20

_Proto = onnx.TensorProto
_IN_INT32 = frozenset({
    _Proto.INT32, _Proto.INT16, _Proto.INT8, _Proto.UINT16, _Proto.UINT8, _Proto.BOOL, _Proto.FLOAT16,
    _Proto.BFLOAT16, _Proto.FLOAT8E4M3FN, _Proto.FLOAT8E4M3FNUZ, _Proto.FLOAT8E5M2, _Proto.FLOAT8E5M2FNUZ,
    _Proto.FLOAT8E8M0, _Proto.UINT4, _Proto.INT4, _Proto.FLOAT4E2M1, _Proto.UINT2, _Proto.INT2,
})  # fmt: skip
# Field of typed data -> the element types that may stand in it (onnx.proto, TensorProto).
_FIELDS: dict[str, frozenset[int]] = {
    "float_data": frozenset({_Proto.FLOAT, _Proto.COMPLEX64}),
    "int32_data": _IN_INT32,
    "int64_data": frozenset({_Proto.INT64}),
    "double_data": frozenset({_Proto.DOUBLE, _Proto.COMPLEX128}),
    "uint64_data": frozenset({_Proto.UINT32, _Proto.UINT64}),
    "string_data": frozenset({_Proto.STRING}),
}
_COMPLEX = (_Proto.COMPLEX64, _Proto.COMPLEX128)


class TensorChecker:
    """Checks the tensors of one model.

    Args:
        model_path: The model's file, beside which its external data lies; None where it came without a file,
            so that it cannot have external data.

    Attributes:
        data_folders: The folder of each external data file met so far, by the location below it.
    """

    def __init__(self, model_path: str | None) -> None:
        self.data_folders: dict[str, str] = {}
        self._model_path = model_path
        self._found: dict[str, _DataFile] = {}
        self._densified = 0

    def check(self, tensor: onnx.TensorProto, what: str) -> None:
        """Compare type, dimensions and data of `tensor`, which messages call `what`.

        Raises:
            ModelError: They disagree.
            LoadError: Its external data is missing, too short or not where it may be.
        """
        count, size = declared_size(tensor, what)
        if tensor.data_location == _Proto.EXTERNAL:
            self._check_external(tensor, what, size)
        elif tensor.HasField("raw_data"):
            _check_raw(tensor, what, count, size)
        else:
            _check_fields(tensor, what, count)

    def dense(self, sparse: onnx.SparseTensorProto, what: str) -> onnx.TensorProto:
        """`sparse` written out with its zeros, under the name of its values.

        Raises:
            ModelError: It contradicts itself, or written out it would be larger than is sensible.
        """
        self.check(sparse.values, f"the values of {what}")
        self.check(sparse.indices, f"the indices of {what}")
        if _Proto.EXTERNAL in (sparse.values.data_location, sparse.indices.data_location):
            raise ModelError(f"{what} is sparse and kept in external data, which is not supported")
        check_rank(len(sparse.dims), what)
        dims = tuple(sparse.dims)
        count = _count(dims, what)
        values = ir.serde.deserialize_tensor(sparse.values)
        indices = ir.serde.deserialize_tensor(sparse.indices)
        nonzeros = values.size
        if len(values.shape) != 1 or indices.dtype != ir.DataType.INT64 or values.dtype == ir.DataType.STRING:
            raise ModelError(f"{what} is sparse, expected a row of numbers and int64 indices")
        size = packed_bytes(count, values.dtype.bitwidth)
        self._densified += size
        if self._densified > LARGEST_DENSIFIED_BYTES:
            raise ModelError(
                f"{what} is sparse with {nonzeros} elements of {list(dims)}: {size} bytes when dense; "
                f"all sparse tensors of a model may take {LARGEST_DENSIFIED_BYTES}",
                hint="split the tensor or give it dense",
            )
        flat = _flat_indices(indices.numpy(), dims, nonzeros, what)
        array = np.zeros(count, dtype=values.dtype.numpy())
        array[flat] = values.numpy()
        dense = ir.serde.serialize_tensor(
            ir.Tensor(array.reshape(dims), dtype=values.dtype, name=sparse.values.name)
        )
        dense.doc_string = sparse.values.doc_string
        return dense

    def _check_external(self, tensor: onnx.TensorProto, what: str, size: int) -> None:
        if tensor.data_type == _Proto.STRING:
            raise ModelError(f"{what} holds strings, which cannot be external data")
        entries = {entry.key: entry.value for entry in tensor.external_data}
        offset = _byte_count(entries.get("offset"), "offset", what)
        length = _byte_count(entries.get("length"), "length", what)
        file = self._locate(entries.get("location", ""), what)
        if length not in (0, size):
            raise ModelError(
                f"{what} is {list(tensor.dims)}: expected external data of {size} bytes, found {length}"
            )
        if offset + size > file.size:
            raise LoadError(
                f"{what} needs bytes {offset} to {offset + size} of {file.path!r}, which has {file.size}",
                hint="the data file is truncated or belongs to another model; fetch both again",
            )
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = file.location
        self.data_folders[file.location] = file.folder

    def _locate(self, location: str, what: str) -> _DataFile:
        """The data file of that location, refused where it lies outside the model's folder."""
        if location in self._found:
            return self._found[location]
        if self._model_path is None:
            raise LoadError(
                f"{what} is external data in {location!r}, and the model came without a folder",
                hint="give the path of the model instead",
            )
        place = find_external(self._model_path, location)
        if place is None:
            raise LoadError(
                f"{what} is external data in {location!r}, outside the folder of {self._model_path!r}",
                hint="put the data file beside the model and name it by a relative path",
            )
        path = os.path.join(*place)
        try:
            status = os.stat(path)
        except OSError as error:
            raise LoadError(
                f"{what} is external data in {path!r}, which cannot be read: {error.strerror}",
                hint="the data file belongs beside the model; copy or download it too",
            ) from error
        if not stat.S_ISREG(status.st_mode):
            raise LoadError(f"{what} is external data in {path!r}, which is not a regular file")
        if status.st_nlink > 1:
            raise LoadError(
                f"{what} is external data in {path!r}, which has {status.st_nlink} hard links, "
                "so that it may be a file from outside the model's folder",
                hint="copy the model's folder and load the copy",
            )
        self._found[location] = _DataFile(*place, status.st_size)
        return self._found[location]


@dataclasses.dataclass(frozen=True)
class _DataFile:
    """A file of external data: its folder, its path below it, and its size in bytes."""

    folder: str
    location: str
    size: int

    @property
    def path(self) -> str:
        return os.path.join(self.folder, self.location)


def declared_size(tensor: onnx.TensorProto, what: str) -> tuple[int, int]:
    """Elements and bytes that `tensor` declares.

    Raises:
        ModelError: Its type or dimensions make no sense.
    """
    if tensor.data_type not in READABLE_TYPES:
        raise ModelError(f"{what} has the element type {tensor.data_type}, which is not one that runs")
    check_rank(len(tensor.dims), what)
    count = _count(tensor.dims, what)
    if tensor.data_type == _Proto.STRING:
        return count, 0
    bits = ir.DataType(tensor.data_type).bitwidth
    if math.prod(dim for dim in tensor.dims if dim) * bits // 8 > _LARGEST_ARRAY:
        raise ModelError(f"{what} declares {list(tensor.dims)}, more than any machine can address")
    return count, packed_bytes(count, bits)


def check_rank(rank: int, what: str) -> None:
    """Raise `ModelError` for more dimensions than arrays have."""
    if rank > MOST_DIMENSIONS:
        raise ModelError(f"{what} has {rank} dimensions; at most {MOST_DIMENSIONS} are read")


def find_external(model_path: str, location: str) -> tuple[str, str] | None:
    """The folder and the path below it of external data, symbolic links resolved.

    A model that is itself a symbolic link (a download cache, for example) may have its data beside the link's
    target as well. None where `location` is absolute, climbs with `..` or resolves to somewhere else.
    """
    parts = location.replace("\\", "/").split("/")
    if not location or "\0" in location or not parts[0] or ".." in parts or ":" in parts[0]:
        return None
    path = os.path.realpath(os.path.join(os.path.dirname(model_path), location))
    beside_link = os.path.realpath(os.path.dirname(model_path) or ".")
    beside_target = os.path.dirname(os.path.realpath(model_path))
    for folder in (beside_link, beside_target):
        if path != folder and os.path.commonpath((folder, path)) == folder:
            return folder, os.path.relpath(path, folder)
    return None


def packed_bytes(count: int, bits: int) -> int:
    """Bytes of `count` elements of `bits` bits, packed without gaps."""
    return -(-count * bits // 8)


def _count(dims: Sequence[int], what: str) -> int:
    if any(dim < 0 for dim in dims):
        raise ModelError(f"{what} has a negative dimension: {list(dims)}")
    return math.prod(dims)


def _check_raw(tensor: onnx.TensorProto, what: str, count: int, size: int) -> None:
    if tensor.data_type == _Proto.STRING:
        raise ModelError(f"{what} holds strings as raw bytes, expected string_data")
    found = len(tensor.raw_data)
    if found != size:
        kind = ir.DataType(tensor.data_type).name
        raise ModelError(f"{what} is {kind} {list(tensor.dims)}: expected {size} bytes, found {found}")
    if found and any(len(getattr(tensor, field)) for field in _FIELDS):
        raise ModelError(f"{what} holds its data twice, as raw bytes and as numbers")


def _check_fields(tensor: onnx.TensorProto, what: str, count: int) -> None:
    kind = ir.DataType(tensor.data_type)
    if tensor.data_type in _COMPLEX:
        expected = 2 * count
    elif kind != ir.DataType.STRING and kind.bitwidth < 8:
        expected = packed_bytes(count, kind.bitwidth)
    else:
        expected = count
    filled = {field: len(data) for field in _FIELDS if len(data := getattr(tensor, field))}
    for field in filled:
        if tensor.data_type not in _FIELDS[field]:
            raise ModelError(
                f"{what} is {kind.name} and holds its data in {field}, where that type cannot stand"
            )
    found = sum(filled.values())
    if found != expected:
        raise ModelError(
            f"{what} is {kind.name} {list(tensor.dims)}: expected {expected} elements, found {found}"
        )


def _byte_count(text: str | None, key: str, what: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdigit():
        raise ModelError(f"{what} is external data with the {key} {text!r}, expected a number of bytes")
    return int(text[:20])


def _flat_indices(
    indices: np.ndarray[tuple[int, ...], np.dtype[np.int64]], dims: tuple[int, ...], nonzeros: int, what: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Row-major positions of the elements; `indices` is [nonzeros] or [nonzeros, rank] (onnx.proto)."""
    if indices.shape == (nonzeros,):
        bounds: tuple[int, ...] = (math.prod(dims),)
        table = indices[:, None]
    elif indices.shape == (nonzeros, len(dims)):
        bounds, table = dims, indices
    else:
        raise ModelError(
            f"{what} has indices of shape {list(indices.shape)} for {nonzeros} elements of {list(dims)}"
        )
    if nonzeros and not ((table >= 0) & (table < np.array(bounds))).all():
        raise ModelError(f"{what} has indices outside {list(dims)}")
    return np.ravel_multi_index(tuple(table.T), bounds) if nonzeros else np.zeros(0, np.int64)
