"""Convolutions and pools element by element, writing into memory that their input stands in.

The plainest way a runtime may do it on which the distances of `graphopt.memory.overlap` rest: outputs in
row-major order, each in one piece after all of its inputs were read.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_int, attribute_ints

Array = np.ndarray[Any, Any]


def slide(node: ir.Node, source: Array, *others: Array | None, out: Array) -> None:
    """Compute a Conv, MaxPool or AveragePool into `out`, which may share memory with `source`.

    Args:
        node: With explicit pads.
        source: Input [N, C, ...]: read again for each element, never copied.
        others: Weights and bias of a Conv.
        out: Output [N, M, ...].
    """
    axes = source.ndim - 2
    strides = attribute_ints(node, "strides") or [1] * axes
    pads = attribute_ints(node, "pads") or [0] * 2 * axes
    dilations = attribute_ints(node, "dilations") or [1] * axes
    weights = others[0] if others else None
    kernel = attribute_ints(node, "kernel_shape") or list(weights.shape[2:] if weights is not None else ())
    groups = attribute_int(node, "group", 1) if node.op_type == "Conv" else source.shape[1]
    per_group, made_per_group = source.shape[1] // groups, out.shape[1] // groups
    for image, filter_, *place in np.ndindex(*out.shape):
        first = filter_ // made_per_group * per_group
        taken = []
        for tap in itertools.product(*map(range, kernel)):
            steps = zip(place, strides, pads, tap, dilations, strict=False)
            at = [y * stride - pad + t * dilation for y, stride, pad, t, dilation in steps]
            if all(0 <= each < size for each, size in zip(at, source.shape[2:], strict=True)):
                cells = source[image, first : first + per_group][(..., *at)].astype(np.float64)
                taken.append((tap, cells))
        out[image, filter_][tuple(place)] = _reduced(node, weights, others, filter_, taken)


def _reduced(
    node: ir.Node,
    weights: Array | None,
    others: tuple[Array | None, ...],
    filter_: int,
    taken: list[tuple[tuple[int, ...], Array]],
) -> float:
    if node.op_type == "Conv":
        assert weights is not None
        total = sum(float(cells @ weights[filter_][(..., *tap)]) for tap, cells in taken)
        bias = others[1] if len(others) > 1 else None
        return total + (0.0 if bias is None else float(bias[filter_]))
    values = [float(cells[0]) for _, cells in taken]
    return max(values) if node.op_type == "MaxPool" else sum(values) / len(values)
