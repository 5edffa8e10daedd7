"""Drop the arithmetic of a Reshape that can only add or take away axes of size 1.

    Reshape(x [n, k, 120], [n, 1, w, 120])  ->  Unsqueeze(x, 1)

Both sides hold as many elements, so where all dimensions but one are known to be equal, that one is too: w is
k, or the Reshape would fail. Without this the target is computed from some other value's shape in every run.
For an empty x the count says nothing; then the axes of x are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, constant_tensor, op, rule, same_dim, var
from graphopt.ir.dims import Dim
from graphopt.passes.operands import with_axes
from graphopt.pipeline import RewritePass


@rule(op("Reshape", var("x"), var("target"), name="node"))
def computed_reshape(tape: Tape, x: ir.Value, target: ir.Value, node: ir.Node) -> ir.Value:
    """Reshape(x, computed)  ->  Unsqueeze(x) or Squeeze(x), where only axes of size 1 come or go."""
    result = node.outputs[0].shape
    if constant_tensor(target) is not None or x.shape is None or result is None:
        raise Reject("")
    before, after = _longer(x.shape.dims), _longer(result.dims)
    if len(before) != len(after) or len(x.shape) == len(result):
        raise Reject("")
    if sum(not same_dim(old, new) for old, new in zip(before, after, strict=True)) > 1:
        raise Reject("more than one size of the result is not known")
    if len(before) == len(x.shape):
        return with_axes(tape, "Unsqueeze", x, _ones(result.dims))
    if len(after) == len(result):
        return with_axes(tape, "Squeeze", x, _ones(x.shape.dims))
    raise Reject("axes of size 1 come and go")


def _longer(dims: Sequence[Dim]) -> list[Dim]:
    return [dim for dim in dims if dim != 1]


def _ones(dims: Sequence[Dim]) -> list[int]:
    return [axis for axis, dim in enumerate(dims) if dim == 1]


@dataclass(frozen=True)
class ReshapeByCount(RewritePass):
    """Write a computed Reshape that only adds or drops axes of size 1 as Unsqueeze or Squeeze."""

    name: ClassVar[str] = "reshape-by-count"
    rules: ClassVar[tuple[Rule, ...]] = (computed_reshape,)
