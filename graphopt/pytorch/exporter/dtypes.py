"""Element types and tensors across the border: ONNX on one side, PyTorch on the other."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.tensor_adapters import to_torch_dtype

from graphopt.errors import TranslationError
from graphopt.pytorch.arrays import to_tensor

_HELD_AS = {
    # PyTorch has no arithmetic of so few bits: the integers are held, one to a byte.
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
    if dtype in _HELD_AS:
        return _HELD_AS[dtype]
    try:
        return to_torch_dtype(dtype)
    except (TypeError, ValueError) as error:
        raise TranslationError(f"PyTorch has no tensors of type {dtype.name}") from error


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
    return to_tensor(array.copy())
