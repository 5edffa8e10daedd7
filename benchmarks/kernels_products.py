"""Rows of `kernels.py`: products of two computed inputs, and of floats by weights of few bits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from kernels_rows import Row, in_onnxruntime, node, timed

from graphopt._native import Operator
from graphopt.quant.packing import pack

# Heads, rows, columns, depth: scores and sums of attention.
COMPUTED = [(12, 128, 128, 32), (12, 128, 32, 128), (8, 196, 196, 64)]
# Rows, columns, depth; of blocks of 32.
FEW_BITS = [(1, 1024, 1024), (1, 4096, 1024), (8, 1024, 1024), (128, 1024, 1024)]
BLOCK = 32


def matmul(tier: str | None) -> Iterator[Row]:
    """u8 by u8, both computed."""
    rng = np.random.default_rng(0)
    for heads, rows, columns, depth in COMPUTED:
        a = rng.integers(0, 256, (heads, rows, depth)).astype(np.uint8)
        b = rng.integers(0, 256, (heads, depth, columns)).astype(np.uint8)
        attributes: dict[str, Any] = {"a_scale": 0.01, "a_zero": 3, "b_scale": 0.01, "b_zero": 120}
        attributes |= {"y_type": "u8", "y_scale": 1.0, "y_zero": 100}
        ours = Operator("matmul", attributes, tier=tier).bind([a, b], 1)
        names = ["a", "c_as", "c_az", "b", "c_bs", "c_bz", "c_ys", "c_yz"]
        constants = {
            "c_as": np.float32(0.01),
            "c_az": np.uint8(3),
            "c_bs": np.float32(0.01),
            "c_bz": np.uint8(120),
            "c_ys": np.float32(1),
            "c_yz": np.uint8(100),
        }
        peers = {"onnxruntime": in_onnxruntime([node("QLinearMatMul", names)], {"a": a, "b": b}, constants)}
        name = f"matmul u8 {heads}x{rows}x{columns}x{depth}"
        yield Row(name, 2 * heads * rows * columns * depth, ours.seconds, peers)


def matmul_nbits(tier: str | None) -> Iterator[Row]:
    """Floats by weights of 4 or 8 bits; torch multiplies by floats."""
    rng = np.random.default_rng(0)
    for bits in (4, 8):
        for rows, columns, depth in FEW_BITS:
            blocks = depth // BLOCK
            weights = pack(rng.integers(0, 1 << bits, (columns, blocks, BLOCK)), bits)
            scales = rng.uniform(0.01, 0.1, (columns, blocks)).astype(np.float32)
            x = rng.normal(size=(rows, depth)).astype(np.float32)
            attributes = {"bits": bits, "block": BLOCK, "depth": depth, "weights": weights, "scales": scales}
            ours = Operator("matmul_nbits", attributes, tier=tier).bind([x], 1)
            theirs = node(
                "MatMulNBits",
                ["x", "c_w", "c_s"],
                domain="com.microsoft",
                K=depth,
                N=columns,
                bits=bits,
                block_size=BLOCK,
            )
            left, right = torch.from_numpy(x), torch.randn(depth, columns)
            peers = {
                "onnxruntime": in_onnxruntime([theirs], {"x": x}, {"c_w": weights, "c_s": scales.ravel()}),
                "torch": timed(partial(torch.mm, left, right)),
            }
            yield Row(f"matmul_nbits {bits} bits {rows}x{columns}x{depth}", 0, ours.seconds, peers)


def rows(tier: str | None) -> Iterator[Row]:
    """All of them."""
    yield from matmul(tier)
    yield from matmul_nbits(tier)
