"""Small decisions that several recipes make: axes, sizes that multiply to a number, windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from graphopt.testing.generate.builder import Builder, Test, kind_of
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import Unfit


def an_axis(b: Builder, rank: int) -> int:
    """An axis of a tensor, now and then counted from the end.

    Raises:
        Unfit: It is a scalar.
    """
    if not rank:
        raise Unfit("a scalar has no axes")
    axis = b.choices.integer(0, rank - 1)
    return axis - rank if b.counts_back(0.3) else axis


def some_axes(b: Builder, rank: int, probability: float = 0.4) -> list[int]:
    """Different axes, also none or all, now and then counted from the end."""
    axes = b.choices.some(range(rank), probability)
    return [axis - rank for axis in axes] if b.counts_back(0.2) else axes


def factors(b: Builder, size: int, rank: int) -> list[int]:
    """`rank` sizes that multiply to `size`."""
    sizes: list[int] = []
    for _ in range(rank - 1):
        sizes.append(b.choices.choose([each for each in (1, 2, 3, 4, 6) if size and size % each == 0] or [1]))
        size //= sizes[-1]
    return [size, *sizes] if b.choices.chance(0.5) else [*sizes, size]


def has_attribute(b: Builder, op_type: str, name: str) -> bool:
    """Whether the operator takes it as an attribute at this opset."""
    return name in b.schema(op_type).attributes


def typed(b: Builder, dtype: ir.DataType, rank: int | None = None, where: Test | None = None) -> Known:
    """A value of that element type and rank for which `where` holds, if one is there; a new one otherwise."""

    def fits(value: Known) -> bool:
        if not value.is_tensor or value.dtype != dtype or rank not in (None, value.rank):
            return False
        return where is None or where(value)

    if b.forced:
        return b.pick(kind_of(dtype), rank, fits)
    fit = [value for value in b.visible() if fits(value)]
    if fit and b.choices.chance(0.9):
        return fit[b.choices.integer(0, len(fit) - 1)]
    return b.new(dtype, b.shape(rank))


def window(b: Builder, kernel: Sequence[int]) -> dict[str, Any]:
    """Padding, strides and dilations of a window of that size."""
    made: dict[str, Any] = {}
    padding = b.choices.weighted(("none", "same", "odd", "auto"), (4, 4, 2, 1))
    if padding == "same":
        made["pads"] = [size // 2 for size in kernel] * 2
    elif padding == "odd":
        made["pads"] = [b.choices.choose((0, 1, 2)) for _ in range(2 * len(kernel))]
    elif padding == "auto":
        made["auto_pad"] = b.choices.choose(("SAME_UPPER", "SAME_LOWER", "VALID"))
    if b.choices.chance(0.25):
        made["strides"] = [b.choices.choose((1, 2)) for _ in kernel]
    if b.choices.chance(0.1):
        made["dilations"] = [b.choices.choose((1, 2)) for _ in kernel]
    return made


def either_order(b: Builder, x: Known, y: Known) -> tuple[Known, Known]:
    """Both, now and then swapped."""
    return (y, x) if b.choices.chance(0.4) else (x, y)
