"""Fourier transforms and mel filters; complex numbers are pairs in a last dimension of size 2."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def dft(
    x: Tensor, length: int | None = None, axis: int = -2, inverse: bool = False, onesided: bool = False
) -> Tensor:
    """Discrete Fourier transform of one axis.

    Args:
        x: (..., 2), or (..., 1) if real.
        length: What the axis is cut or padded to.
        axis: Counted with the last dimension.
        inverse: Whether to transform back.
        onesided: Whether only the first half of the spectrum is given back, or was given.

    Returns:
        (..., 2), or (..., 1) from half a spectrum.
    """
    axis = axis % x.dim()
    signal = _complex(x)
    if inverse and onesided:
        y = torch.fft.irfft(signal, length, axis)
        return y.unsqueeze(-1).to(x.dtype)
    if inverse:
        if not signal.is_complex():
            signal = torch.complex(signal, torch.zeros_like(signal))
        return torch.view_as_real(torch.fft.ifft(signal, length, axis)).to(x.dtype)
    if onesided and not signal.is_complex():
        return torch.view_as_real(torch.fft.rfft(signal, length, axis)).to(x.dtype)
    y = torch.fft.fft(signal, length, axis)
    if onesided:
        y = y.narrow(axis, 0, y.shape[axis] // 2 + 1)
    return torch.view_as_real(y).to(x.dtype)


def stft(
    x: Tensor, step: int, window: Tensor | None = None, length: int | None = None, onesided: bool = True
) -> Tensor:
    """Fourier transforms of the frames of a signal.

    Args:
        x: (batch, length, 1) real or (batch, length, 2) complex.
        step: Steps between frames.
        window: (frame length), factors of a frame's elements.
        length: The frame length, if there is no window.
        onesided: Whether to give the first half of each spectrum only.

    Returns:
        (batch, frames, bins, 2).
    """
    size = length if length is not None else x.shape[1] if window is None else window.shape[0]
    frames = x.unfold(1, size, step).transpose(-1, -2)
    if window is not None:
        frames = frames * window.unsqueeze(-1)
    return dft(frames, onesided=onesided)


def mel_weight_matrix(
    bins: int,
    dft_length: int,
    sample_rate: int,
    low: float,
    high: float,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """(dft_length // 2 + 1, bins) factors that turn a spectrum into mel bands from `low` to `high` Hz."""
    lowest, highest = _mel(low), _mel(high)
    edges = torch.arange(bins + 2, dtype=torch.float64) * ((highest - lowest) / (bins + 2)) + lowest
    hertz = 700 * (10 ** (edges / 2595) - 1)
    places = ((dft_length + 1) * hertz / sample_rate).floor()
    begin, center, end = places[:-2], places[1:-1], places[2:]
    row = torch.arange(dft_length // 2 + 1, dtype=torch.float64).unsqueeze(-1)
    rising = torch.where(center > begin, (row - begin) / (center - begin).clamp(min=1), 1.0)
    falling = (end - row) / (end - center).clamp(min=1)
    weights = torch.where((row >= begin) & (row <= center), rising, 0.0)
    return torch.where((row >= center) & (row < end), falling, weights).to(dtype)


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def _complex(x: Tensor) -> Tensor:
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    return wide.squeeze(-1) if x.shape[-1] == 1 else torch.view_as_complex(wide.contiguous())
