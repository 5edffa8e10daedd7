"""Element types and tensors across the border: ONNX on one side, PyTorch on the other."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch

from graphopt.errors import TranslationError

TORCH_DTYPES: dict[ir.DataType, torch.dtype] = {
    ir.DataType.FLOAT: torch.float32,
    ir.DataType.DOUBLE: torch.float64,
    ir.DataType.FLOAT16: torch.float16,
    ir.DataType.BFLOAT16: torch.bfloat16,
    ir.DataType.INT8: torch.int8,
    ir.DataType.INT16: torch.int16,
    ir.DataType.INT32: torch.int32,
    ir.DataType.INT64: torch.int64,
    ir.DataType.UINT8: torch.uint8,
    ir.DataType.UINT16: torch.uint16,
    ir.DataType.UINT32: torch.uint32,
    ir.DataType.UINT64: torch.uint64,
    ir.DataType.BOOL: torch.bool,
    ir.DataType.COMPLEX64: torch.complex64,
    ir.DataType.COMPLEX128: torch.complex128,
    ir.DataType.FLOAT8E4M3FN: torch.float8_e4m3fn,
    ir.DataType.FLOAT8E4M3FNUZ: torch.float8_e4m3fnuz,
    ir.DataType.FLOAT8E5M2: torch.float8_e5m2,
    ir.DataType.FLOAT8E5M2FNUZ: torch.float8_e5m2fnuz,
    # PyTorch has no such arithmetic: the integers are held, one to a byte.
    ir.DataType.INT4: torch.int8,
    ir.DataType.UINT4: torch.uint8,
    ir.DataType.INT2: torch.int8,
    ir.DataType.UINT2: torch.uint8,
}

_WIDENED = {torch.int8: np.int8, torch.uint8: np.uint8}


def torch_dtype(dtype: ir.DataType) -> torch.dtype:
    """The PyTorch element type that holds an ONNX one.

    Raises:
        TranslationError: There is none (strings, float4).
    """
    if dtype not in TORCH_DTYPES:
        raise TranslationError(f"PyTorch has no tensors of type {dtype.name}")
    return TORCH_DTYPES[dtype]


def to_torch(tensor: ir.TensorProtocol) -> torch.Tensor:
    """A copy of a tensor's elements as PyTorch's.

    Raises:
        TranslationError: Its element type has no form in PyTorch.
    """
    dtype = torch_dtype(tensor.dtype)
    array = np.ascontiguousarray(tensor.numpy())
    array = array.reshape(tuple(tensor.shape))  # type: ignore[arg-type]
    if dtype in _WIDENED:
        array = array.astype(_WIDENED[dtype])
    is_byte = dtype.is_floating_point and dtype.itemsize == 1
    if not is_byte and dtype != torch.bfloat16:
        return torch.from_numpy(array.copy())
    bits = np.uint8 if is_byte else np.int16
    return torch.from_numpy(array.view(bits).copy()).view(dtype)
