"""Write Reshape, Transpose, Reshape as the DepthToSpace or SpaceToDepth that it is, and Slices and a Concat.

    [N, b, b, C, H, W] -> perm 0 3 4 1 5 2 -> [N, C, b H, b W]        DepthToSpace, mode DCR
    [N, C, b, b, H, W] -> perm 0 1 4 2 5 3 -> [N, C, b H, b W]        DepthToSpace, mode CRD
    [N, C, H, b, W, b] -> perm 0 3 5 1 2 4 -> [N, b b C, H, W]        SpaceToDepth
    Concat(x[::2, ::2], x[::2, 1::2], x[1::2, ::2], x[1::2, 1::2])    SpaceToDepth

Half the time in onnxruntime (64x40x40, one thread: 0.25 ms for 0.49).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, attribute_ints, op, rest, rule, same_dim, var
from graphopt.passes.algebra._blocks import Blocks, blocks
from graphopt.pipeline import RewritePass

DEPTH_TO_SPACE: dict[tuple[int, ...], tuple[str, int, tuple[int, int]]] = {
    (0, 3, 4, 1, 5, 2): ("DCR", 3, (1, 2)),
    (0, 1, 4, 2, 5, 3): ("CRD", 1, (2, 3)),
}
"""Permutation -> mode, axis of the channels, axes of the block."""
FIRST_OPSET_OF_MODE = 11
KERNELS = frozenset(
    {
        ir.DataType.FLOAT,
        ir.DataType.DOUBLE,
        ir.DataType.FLOAT16,
        ir.DataType.UINT8,
        ir.DataType.INT8,
    }
)
"""Types for which onnxruntime has both operators."""

VIEWS = op("Transpose", op("Reshape", var("x"), rest("_"), name="split"), name="transpose")


@rule(op("Reshape", VIEWS, rest("__"), name="merge"))
def views_as_depth_to_space(
    tape: Tape, x: ir.Value, split: ir.Node, transpose: ir.Node, merge: ir.Node
) -> ir.Value:
    """Reshape(Transpose(Reshape(x)))  ->  DepthToSpace(x)."""
    known = DEPTH_TO_SPACE.get(tuple(attribute_ints(transpose, "perm") or ()))
    shape, result = split.outputs[0].shape, merge.outputs[0].shape
    if known is None or x.shape is None or shape is None or result is None:
        raise Reject("")
    mode, at, (first, second) = known
    if len(x.shape) != 4 or len(shape) != 6 or len(result) != 4:
        raise Reject("")
    size, channels = shape.dims[first], shape.dims[at]
    if not isinstance(size, int) or size != shape.dims[second] or size < 2:
        raise Reject("the blocks are not square, or of a size that is not known")
    kept = zip((0, 4, 5), (0, 2, 3), strict=True)
    if not all(same_dim(shape.dims[new], x.shape.dims[old]) for new, old in kept):
        raise Reject("the Reshape splits more than the channels")
    if not isinstance(channels, int) or result.dims[1] != channels:
        raise Reject("the number of channels is not known")
    expected = (x.shape.dims[0], x.shape.dims[2] * size, x.shape.dims[3] * size)
    others = [
        dim
        for dim, wanted in zip((result.dims[0], *result.dims[2:]), expected, strict=True)
        if not same_dim(dim, wanted)
    ]
    # One that is not known follows from the rest, as the number of elements is the same.
    if len(others) > 1 or any(isinstance(dim, int) for dim in others):
        raise Reject("the batch, height and width of the result are not known to be those of DepthToSpace")
    if tape.opset < FIRST_OPSET_OF_MODE and mode != "DCR":
        tape.require_opset(FIRST_OPSET_OF_MODE)
    if x.dtype not in KERNELS:
        raise Reject(f"onnxruntime has no DepthToSpace for {x.dtype}")
    attributes = {"blocksize": size} if mode == "DCR" else {"blocksize": size, "mode": mode}
    return tape.op("DepthToSpace", [x], attributes)


@rule(op("Reshape", VIEWS, rest("__"), name="merge"))
def views_as_space_to_depth(tape: Tape, merge: ir.Node) -> ir.Value:
    """Reshape(Transpose(Reshape(x)))  ->  SpaceToDepth(x)."""
    return _space_to_depth(tape, blocks(merge.outputs[0]))


@rule(op("Concat", op("Slice", rest("_")), rest("__"), name="join"))
def slices_as_space_to_depth(tape: Tape, join: ir.Node) -> ir.Value:
    """Concat(x[::2, ::2], x[::2, 1::2], x[1::2, ::2], x[1::2, 1::2])  ->  SpaceToDepth(x)."""
    return _space_to_depth(tape, blocks(join.outputs[0]))


def _space_to_depth(tape: Tape, found: Blocks) -> ir.Value:
    if found.source.dtype not in KERNELS:
        raise Reject(f"onnxruntime has no SpaceToDepth for {found.source.dtype}")
    channels = int(found.places[:, 2].max()) + 1
    rows, columns, inner = np.indices((found.size, found.size, channels)).reshape(3, -1)
    if not np.array_equal(found.places, np.stack([rows, columns, inner], axis=1)):
        raise Reject("the channels come in another order than those of SpaceToDepth")
    return tape.op("SpaceToDepth", [found.source], {"blocksize": found.size})


@dataclass(frozen=True)
class ViewsToDepth(RewritePass):
    """Write Reshape, Transpose, Reshape, or Slices and a Concat, as DepthToSpace or SpaceToDepth."""

    name: ClassVar[str] = "views-to-depth"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (
        views_as_depth_to_space,
        views_as_space_to_depth,
        slices_as_space_to_depth,
    )
