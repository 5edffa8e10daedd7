"""Write a mean over all spatial axes as a GlobalAveragePool, which runs on codes where a ReduceMean does not.

ReduceMean(x, axes=[2, 3])                 ->  GlobalAveragePool(x)
ReduceMean(x, axes=[2, 3], keepdims=0)     ->  Squeeze(GlobalAveragePool(x), [2, 3])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, attribute_int, op, rank, rest, rule, var
from graphopt.passes.operands import reduced_axes, with_axes
from graphopt.pipeline import RewritePass

FEWEST_AXES, MOST_AXES = 3, 5
"""A GlobalAveragePool takes batch, channels and at least one spatial axis."""


@rule(op("ReduceMean", var("x"), rest("_"), name="mean"))
def mean_to_pool(tape: Tape, x: ir.Value, mean: ir.Node) -> ir.Value:
    """ReduceMean(x, all spatial axes)  ->  GlobalAveragePool(x), squeezed where the axes go."""
    axes = rank(x)
    if x.dtype != ir.DataType.FLOAT:
        raise Reject(f"a mean of {x.dtype}")
    if axes is None or axes < FEWEST_AXES:
        raise Reject("it is not known to have spatial axes")
    reduced = sorted(reduced_axes(mean, axes))
    if reduced != list(range(2, axes)):
        raise Reject("the mean is over other axes than the spatial ones")
    if axes > MOST_AXES:
        raise Reject(f"onnxruntime has no pool over {axes - 2} axes")
    if x.shape is not None and 0 in x.shape.dims:
        raise Reject("a mean of no elements")
    pooled = tape.op("GlobalAveragePool", [x])
    return pooled if attribute_int(mean, "keepdims", 1) else with_axes(tape, "Squeeze", pooled, reduced)


@dataclass(frozen=True)
class ReduceMeanToPool(RewritePass):
    """Write a mean over all spatial axes as a GlobalAveragePool, which there is none of over no elements."""

    name: ClassVar[str] = "reduce-mean-to-pool"
    rules: ClassVar[tuple[Rule, ...]] = (mean_to_pool,)
