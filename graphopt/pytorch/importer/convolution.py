"""The ONNX form of convolutions: one Conv, without a bias where the module has none.

torch's own table makes zeros for a missing bias, and for one of conv3d of a shape that no runtime takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from onnxscript import opset18 as op


def translations() -> Mapping[Callable[..., Any], Callable[..., Any]]:
    """Translation of each operator, for `torch.onnx.export(custom_translation_table=...)`."""
    aten = torch.ops.aten
    return {aten.conv1d.default: _conv1d, aten.conv2d.default: _conv2d, aten.conv3d.default: _conv3d}


def _conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Any:
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


def _conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Any:
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


def _conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Sequence[int] = (1, 1, 1),
    padding: Sequence[int] = (0, 0, 0),
    dilation: Sequence[int] = (1, 1, 1),
    groups: int = 1,
) -> Any:
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def _conv(
    rank: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Any:
    strides, pads, dilations = (_each(rank, numbers) for numbers in (stride, padding, dilation))
    options = {"strides": strides, "pads": pads * 2, "dilations": dilations, "group": groups}
    if len(x.shape) == rank + 1:  # a single sample, without the dimension of the batch
        y = op.Conv(op.Unsqueeze(x, op.Constant(value_ints=[0])), weight, bias, **options)
        return op.Squeeze(y, op.Constant(value_ints=[0]))
    return op.Conv(x, weight, bias, **options)


def _each(rank: int, numbers: Sequence[int]) -> list[int]:
    """One number for each dimension: PyTorch lets one stand for all."""
    given = list(numbers)
    return given * rank if len(given) == 1 else given
