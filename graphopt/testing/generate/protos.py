"""Write what is known of values as protobuf messages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir

from graphopt.testing.generate.known import Array, Known

_BITS_PACKED = frozenset({ir.DataType.INT4, ir.DataType.UINT4, ir.DataType.FLOAT4E2M1})


def tensor(known: Known) -> onnx.TensorProto:
    """A constant's content."""
    return tensor_of(known.array, known.dtype, known.name)


def tensor_of(array: Array, dtype: ir.DataType, name: str = "") -> onnx.TensorProto:
    """An array as a constant of that name."""
    if dtype in _BITS_PACKED:
        return ir.to_proto(ir.tensor(array, dtype=dtype, name=name))
    proto = onnx.TensorProto(name=name, data_type=int(dtype), dims=array.shape)
    if dtype == ir.DataType.STRING:
        proto.string_data.extend(str(text).encode() for text in array.reshape(-1))
    else:
        little = array.dtype.newbyteorder("<") if array.dtype.isbuiltin == 1 else array.dtype
        proto.raw_data = np.ascontiguousarray(array, little).tobytes()
    return proto


def declaration(known: Known, dims: Sequence[int | str | None] | None) -> onnx.ValueInfoProto:
    """A declaration; None for a shape that is not told, as of sequences and optionals."""
    if not known.is_tensor or dims is None:
        return onnx.ValueInfoProto(name=known.name, type=known.type_proto)
    info = onnx.ValueInfoProto(name=known.name)
    info.type.tensor_type.elem_type = int(known.dtype)
    shape = info.type.tensor_type.shape
    shape.SetInParent()  # a scalar has a shape too
    for dim in dims:
        if isinstance(dim, str):
            shape.dim.add(dim_param=dim)
        elif dim is None:
            shape.dim.add()
        else:
            shape.dim.add(dim_value=dim)
    return info
