"""Tensors of PyTorch and arrays of numpy, one over the memory of the other. Needs torch when used only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def to_numpy(value: Any) -> np.ndarray[Any, Any]:
    """A tensor's elements as an array, without a copy where its memory allows.

    bfloat16 and float8 come as `ml_dtypes`, complex numbers as pairs of floats in a last axis of 2.
    """
    import torch

    if not isinstance(value, torch.Tensor):
        return np.asarray(value)
    tensor = value.detach()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    tensor = tensor.resolve_neg().cpu()
    name = str(tensor.dtype).removeprefix("torch.")
    if _is_of_ml_dtypes(name):
        import ml_dtypes

        width = torch.uint16 if name == "bfloat16" else torch.uint8
        bits: np.ndarray[Any, Any] = tensor.contiguous().view(width).numpy()
        return bits.view(getattr(ml_dtypes, name))
    return np.asarray(tensor.numpy())


def to_tensor(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """A tensor over an array's memory (copied where it is read-only); the reverse of `to_numpy`."""
    import torch

    array = np.ascontiguousarray(array).reshape(array.shape)
    if not array.flags.writeable:
        array = array.copy()
    if not _is_of_ml_dtypes(array.dtype.name):
        return torch.from_numpy(array.view(array.dtype.name))  # numpy has two types called uint64
    width = np.uint16 if array.dtype.itemsize == 2 else np.uint8
    return torch.from_numpy(array.view(width)).view(getattr(torch, array.dtype.name))


def _is_of_ml_dtypes(name: str) -> bool:
    """Whether numpy has an element type from that package alone."""
    return name == "bfloat16" or name.startswith("float8")
