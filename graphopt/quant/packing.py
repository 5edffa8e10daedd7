"""Codes of less than a byte in the layouts that operators read: bytes of them, and onnxruntime's MatMulNBits.

Tensors of int4 and int2 need none of it: the serializer packs these. Nothing here computes a scale.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from graphopt.errors import UsageError
from graphopt.quant.affine import Affine
from graphopt.quant.groups import Array

BYTE = 8
Bytes = npt.NDArray[np.uint8]


def pack(codes: Array, bits: int) -> Bytes:
    """Bytes of `8 / bits` codes each along the last axis, the first in the lowest bits; the rest are zeros.

    Args:
        codes: Whole numbers from 0 to 2^bits - 1, [..., n].
        bits: 1, 2, 4 or 8.

    Returns:
        uint8, [..., ceil(n * bits / 8)].
    """
    per_byte = BYTE // bits
    codes = np.asarray(codes).astype(np.uint8)
    missing = -codes.shape[-1] % per_byte
    if missing:
        codes = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, missing)])
    parts = codes.reshape(*codes.shape[:-1], codes.shape[-1] // per_byte, per_byte)
    shifts = np.arange(0, BYTE, bits, dtype=np.uint8)
    return np.asarray(np.bitwise_or.reduce(parts << shifts, axis=-1), np.uint8)


def unpack(packed: Bytes, bits: int, count: int) -> Bytes:
    """Undo `pack`: the first `count` codes of each row, uint8."""
    shifts = np.arange(0, BYTE, bits, dtype=np.uint8)
    codes = (packed[..., np.newaxis] >> shifts) & np.uint8((1 << bits) - 1)
    return np.asarray(codes.reshape(*packed.shape[:-1], -1)[..., :count], np.uint8)


def pack_halves(codes: Array) -> Bytes:
    """Bytes of two codes of 4 bits: the first half of each row in the low bits, the second in the high ones.

    Standard operators undo it with a mask, a shift and a Concat.

    Args:
        codes: Whole numbers from 0 to 15, [..., n], n even.
    """
    codes = np.asarray(codes).astype(np.uint8)
    low, high = np.split(codes, 2, axis=-1)
    return np.asarray(low | high << np.uint8(4), np.uint8)


class NBits(NamedTuple):
    """What com.microsoft.MatMulNBits takes in place of a weight [K, N].

    Attributes:
        codes: uint8 [N, blocks, block * bits / 8].
        scales: float32 [N * blocks].
        zero_points: uint8 [N * ceil(blocks * bits / 8)]; None where every one is the middle code.
    """

    codes: Bytes
    scales: npt.NDArray[np.float32]
    zero_points: Bytes | None


def matmul_nbits(affine: Affine, codes: Array) -> NBits:
    """The weight of a MatMulNBits.

    Args:
        affine: By blocks along axis 0.
        codes: [K, N], of its scheme's type.

    Raises:
        UsageError: The scheme has no blocks along axis 0.
    """
    scheme = affine.scheme
    if scheme.axis != 0 or scheme.block is None or codes.ndim != 2:
        raise UsageError(f"scheme {scheme}: MatMulNBits takes blocks along axis 0 of a matrix")
    bits, block = scheme.dtype.bitwidth, scheme.block
    middle = 1 << bits - 1
    missing = affine.scale.shape[0] * block - codes.shape[0]
    zero = _unsigned(affine.zero_point, middle, scheme.signed)
    whole = np.pad(_unsigned(codes, middle, scheme.signed), [(0, missing), (0, 0)])
    columns = np.ascontiguousarray(whole.T).reshape(codes.shape[1], -1, block)
    return NBits(
        pack(columns, bits),
        np.ascontiguousarray(affine.scale.T).reshape(-1),
        None if (zero == middle).all() else pack(np.ascontiguousarray(zero.T), bits).reshape(-1),
    )


def unsigned(affine: Affine, codes: Array) -> tuple[Bytes, Bytes]:
    """Codes and zero points moved to begin at 0, uint8; what they stand for stays the same."""
    middle = 1 << affine.scheme.dtype.bitwidth - 1
    signed = affine.scheme.signed
    return _unsigned(codes, middle, signed), _unsigned(affine.zero_point, middle, signed)


def _unsigned(codes: Array, middle: int, signed: bool) -> Bytes:
    wide: npt.NDArray[Any] = codes.astype(np.int16)
    return np.asarray(wide + middle if signed else wide, np.uint8)
