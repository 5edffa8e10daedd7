"""Changes of element type in which PyTorch overflows or rounds in another way."""

from __future__ import annotations

import torch

# Above this a float8_e4m3fn rounds to a number that it has not; PyTorch's versions differ there.
_E4M3FN_OVERFLOW = 464.0


def to_float8(x: torch.Tensor, dtype: torch.dtype, saturate: bool = True) -> torch.Tensor:
    """Floats of 8 bits; what is too large becomes the largest, or if not `saturate` infinite or NaN."""
    wide = x.to(torch.float32)
    if saturate:
        largest = torch.finfo(dtype).max
        wide = torch.clamp(wide, -largest, largest)
    elif dtype == torch.float8_e4m3fn:
        wide = torch.where(wide.abs() > _E4M3FN_OVERFLOW, torch.nan, wide)
    return wide.to(dtype)


def to_short_integer(x: torch.Tensor, bits: int, signed: bool) -> torch.Tensor:
    """Integers of fewer than 8 bits, one to a byte: floats rounded, halves away from zero; high bits lost."""
    if torch.is_floating_point(x):
        wide = x.to(torch.float32)
        rounded = torch.floor(wide.abs() + 0.5)
        x = torch.where(wide < 0, -rounded, rounded)
    count = 1 << bits
    kept = x.to(torch.int64) & (count - 1)
    if not signed:
        return kept.to(torch.uint8)
    return torch.where(kept < count // 2, kept, kept - count).to(torch.int8)
