"""Attention and rotary embedding as operators of the standard."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import recipe


@recipe("Attention", weight=4)
def attention(b: Builder, op_type: str) -> None:
    """Of rank 4, or of rank 3 with the heads told; a mask, a causal one, grouped heads, a past."""
    batch, length, size = b.choices.choose((1, 2)), b.choices.choose((3, 1)), b.choices.choose((4, 2))
    heads, kv_heads = b.choices.choose(((2, 2), (1, 1), (2, 1), (4, 2)))
    if b.choices.chance(0.6):
        shapes = [[batch, each, length, size] for each in (heads, kv_heads, kv_heads)]
        more: dict[str, Any] = {}
    else:
        shapes = [[batch, length, each * size] for each in (heads, kv_heads, kv_heads)]
        more = {"q_num_heads": heads, "kv_num_heads": kv_heads}
    q = _of_shape(b, shapes[0])
    k, v = (_of_shape(b, shape, q.dtype) for shape in shapes[1:])
    mask = None
    if b.choices.chance(0.4):
        shape = b.choices.choose(([length, length], [1, 1, length, length], [batch, 1, 1, length]))
        mask = b.floats(shape, q.dtype)
    if b.choices.chance(0.3):
        more["is_causal"] = 1
    if b.choices.chance(0.3):
        more["scale"] = b.choices.choose((0.5, 1.0))
    b.op(op_type, q, k, v, mask, **more)


@recipe("RotaryEmbedding", weight=4)
def rotary(b: Builder, op_type: str) -> None:
    """Of rank 4 or 3; with positions or a cache for each place; halves or pairs."""
    batch, length, heads, size = b.choices.choose((1, 2)), 3, b.choices.choose((2, 1)), 4
    flat = b.choices.chance(0.4)
    x = _of_shape(b, [batch, length, heads * size] if flat else [batch, heads, length, size])
    positions = b.choices.chance(0.5)
    shape = [5, size // 2] if positions else [batch, length, size // 2]
    places = b.constant(b.choices.numbers().integers(0, 5, (batch, length))) if positions else None
    cos, sin = b.floats(shape, x.dtype), b.floats(shape, x.dtype)
    pairs = b.choices.choose((0, 1))
    b.op(op_type, x, cos, sin, places, interleaved=pairs, num_heads=heads if flat else None)


def _of_shape(b: Builder, shape: list[int], dtype: ir.DataType | None = None) -> Known:
    """A value of floats with that shape, one that is there if one has it."""
    fit = [v for v in b.visible() if v.is_tensor and v.shape == tuple(shape)]
    fit = [v for v in fit if (v.dtype == dtype if dtype else v.dtype.is_floating_point())]
    return b.choices.choose(fit) if fit else b.new(dtype or b.dtype("f"), shape)
