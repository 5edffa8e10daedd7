"""128-bit digests of bytes and tensors, the same on every machine; the function itself is in cpp_ext.

Not for security, and no proof of equality: who replaces one tensor by another compares their bytes once the
digests agree.
"""

from __future__ import annotations

import io
import mmap
import struct
import sys
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt._native import hash128

Bytes: TypeAlias = "bytes | bytearray | memoryview | mmap.mmap | npt.NDArray[Any]"


def hash_bytes(data: Bytes) -> bytes:
    """Return the 16-byte digest of a buffer's bytes, or of an array's elements in C order.

    A C-contiguous buffer or array is read in place, with Python's lock released; any other array is copied.

    Raises:
        BufferError: `data` is a memoryview that is not C-contiguous.
        TypeError: `data` has no buffer, or is an array of Python objects.
    """
    if not isinstance(data, np.ndarray):
        return hash128(data)
    if data.dtype.hasobject:
        raise TypeError("an array of Python objects has no bytes of its own; hash its elements instead")
    # As bytes: the buffer protocol knows no bfloat16, float8 or int4.
    return hash128(np.ascontiguousarray(data).reshape(-1).view(np.uint8))


def hash_tensor(tensor: ir.TensorProtocol) -> bytes:
    """Return the 16-byte digest of a tensor's dtype, shape and elements; its name plays no part.

    Equal tensors have equal digests however they are stored: in an array, a protobuf, packed or in a file.
    External tensors are read through their memory map and not copied; those whose elements are smaller than a
    byte take a copy in packed form, for the time of the call.

    Raises:
        ValueError: The tensor's dtype is undefined, or its external data lies outside the model's folder.
        OSError: The file of an external tensor cannot be read.
    """
    shape = tensor.shape.numpy()
    header = struct.pack(f"<{len(shape) + 2}q", tensor.dtype.value, len(shape), *shape)
    return hash128(header + _hash_elements(tensor))


def _hash_elements(tensor: ir.TensorProtocol) -> bytes:
    if tensor.dtype == ir.DataType.STRING:
        return hash128(_joined_strings(tensor))
    if tensor.dtype.bitwidth < 8:
        return hash128(_packed(tensor))
    array = tensor.numpy()
    if sys.byteorder == "big":
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return hash_bytes(array)


def _packed(tensor: ir.TensorProtocol) -> bytes | memoryview:
    if not isinstance(tensor, ir.ExternalTensor):
        return tensor.tobytes()
    # Asked for its bytes, an external tensor would unpack its elements and keep them for good.
    packed = io.BytesIO()
    tensor.tofile(packed)
    return packed.getbuffer()


def _joined_strings(tensor: ir.TensorProtocol) -> bytes:
    """Each string after its length: "ab", "c" and "a", "bc" differ."""
    strings = (
        tensor.string_data() if isinstance(tensor, ir.StringTensor) else tensor.numpy().reshape(-1).tolist()
    )
    encoded = [text.encode() if isinstance(text, str) else text for text in strings]
    return b"".join(struct.pack("<q", len(text)) + text for text in encoded)
