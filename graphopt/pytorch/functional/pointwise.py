"""Arithmetic on elements where ONNX's rules of types or rounding are not PyTorch's."""

from __future__ import annotations

import torch


def divide(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`a / b`; of integers rounded towards zero."""
    rounding = None if torch.is_floating_point(a) else "trunc"
    return torch.div(a, b, rounding_mode=rounding)


def power(base: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
    """`base ** exponent` in the base's type; float powers of integers are truncated."""
    if torch.is_floating_point(base):
        return torch.pow(base, exponent.to(base.dtype))
    if torch.is_floating_point(exponent):
        return torch.pow(base.to(torch.float64), exponent).to(base.dtype)
    return torch.pow(base, exponent).to(base.dtype)


def shift_left(x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """Bits of unsigned integers moved left; those moved out are lost, and zeros come in."""
    wide = x.to(torch.int64)
    return torch.where(by.to(torch.int64) < 64, wide << by.to(torch.int64), 0).to(x.dtype)


def shift_right(x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """Bits of unsigned integers moved right; zeros come in."""
    wide, count = x.to(torch.int64), by.to(torch.int64)
    # int64 copies its sign into the high bits; the first step masks it off, the others then see none.
    first = torch.where(count > 0, (wide >> 1) & torch.iinfo(torch.int64).max, wide)
    rest = torch.clamp(count - 1, min=0)
    return torch.where(rest < 64, first >> rest, 0).to(x.dtype)
