"""Read rows of a table where they were picked by a product with one-hot rows.

    MatMul(Cast(Equal(Unsqueeze(ids), [0, 1, ..., n - 1])), table)  ->  Gather(table', Clip(ids, -1, n))
    MatMul(OneHot(ids, n, [0, 1]), table)                           ->  Gather(table', Clip(ids, -n - 1, n))

An id that is none of the numbers compared with has an all-zero one-hot row, where Gather would fail or count
from the end. So the table gets a row of zeros at its end, which is both row n and row -1, and ids are clipped
to it. OneHot counts negative ids from the end itself, so that its table stands twice; a large one stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import (
    Reject,
    Rule,
    Tape,
    attribute_int,
    const,
    constant,
    constant_tensor,
    op,
    rule,
    same_shape,
    scalar,
    var,
)
from graphopt.passes.fusion._arrays import is_float
from graphopt.passes.operands import with_axes
from graphopt.pipeline import RewritePass

FIRST_OPSET_OF_INTEGER_CLIP = 12
IDS = (ir.DataType.INT32, ir.DataType.INT64)
SPARSEST = 4
"""Numbers compared with reach at most to so many times their count: gaps in the table hold zeros."""
DOUBLED_BYTES = 1 << 20

Table = npt.NDArray[Any]


@rule(op("MatMul", op("Cast", op("Equal", var("ids"), const("numbers"))), const("table")))
def compared_ids(tape: Tape, ids: ir.Value, numbers: ir.Value, table: ir.Value) -> ir.Value:
    """MatMul(Cast(Equal(ids, range)), table)  ->  Gather(table', Clip(ids))."""
    rows = _rows(table)
    keys = constant(numbers)
    if keys is None or ids.dtype not in IDS or ids.shape is None or constant_tensor(ids) is not None:
        raise Reject("what is compared are no integers of known shape")
    if ids.shape.dims[-1:] != (1,) or keys.size != rows.shape[0] or keys.shape[-1:] != (keys.size,):
        raise Reject("the numbers compared with do not stand along the last axis, one for each row")
    if keys.ndim > len(ids.shape):
        raise Reject("the numbers compared with give the result more dimensions")
    flat = keys.reshape(-1)
    top = int(flat.max(initial=0))
    if flat.size == 0 or flat.min() < 0 or top >= SPARSEST * flat.size or np.unique(flat).size != flat.size:
        raise Reject("the numbers compared with are no small, different indices")
    made = np.zeros((top + 2, *rows.shape[1:]), rows.dtype)
    made[flat] = rows
    return _gather(tape, made, _without_last_axis(tape, ids), (-1, top + 1), table)


@rule(op("MatMul", op("OneHot", var("ids"), const("depth"), const("values"), name="one_hot"), const("table")))
def one_hot_ids(
    tape: Tape, ids: ir.Value, depth: ir.Value, values: ir.Value, one_hot: ir.Node, table: ir.Value
) -> ir.Value:
    """MatMul(OneHot(ids, n, [0, 1]), table)  ->  Gather(table', Clip(ids))."""
    rows = _rows(table)
    number, pair = scalar(depth), constant(values)
    if ids.dtype not in IDS or number is None or pair is None:
        raise Reject("its ids are no integers, or its depth is not known")
    if int(number) != rows.shape[0] or [float(each) for each in pair.reshape(-1)] != [0.0, 1.0]:
        raise Reject("its values are not 0 and 1")
    output = one_hot.outputs[0]
    if attribute_int(one_hot, "axis", -1) not in (-1, len(output.shape or ()) - 1):
        raise Reject("its axis is not the last one")
    if rows.nbytes > DOUBLED_BYTES:
        raise Reject("the table would double")
    none = np.zeros((1, *rows.shape[1:]), rows.dtype)
    made = np.concatenate([rows, none, none, rows])
    return _gather(tape, made, ids, (-rows.shape[0] - 1, rows.shape[0]), table)


def _rows(table: ir.Value) -> Table:
    """The table, its rows along axis 0; Reject of one that sums would tell from a look-up."""
    if not is_float(table):
        raise Reject("the table is not floating point")
    rows = constant(table)
    if rows is None or rows.ndim != 2 or not np.isfinite(rows.astype(np.float64)).all():
        raise Reject("the table is no finite matrix")
    return rows


def _gather(tape: Tape, rows: Table, ids: ir.Value, bounds: tuple[int, int], table: ir.Value) -> ir.Value:
    if tape.opset < FIRST_OPSET_OF_INTEGER_CLIP:
        tape.require_opset(FIRST_OPSET_OF_INTEGER_CLIP)
    assert ids.dtype is not None
    low, high = (tape.const(np.array(bound, ids.dtype.numpy()), "bound") for bound in bounds)
    clipped = tape.op("Clip", [ids, low, high])
    return tape.op("Gather", [tape.const(rows, table.name or "table"), clipped], {"axis": 0})


def _without_last_axis(tape: Tape, ids: ir.Value) -> ir.Value:
    """`ids` without its last axis, of size 1: what was unsqueezed, or a Squeeze."""
    assert ids.shape is not None
    node = ids.producer()
    if node is not None and not node.domain and node.op_type in ("Unsqueeze", "Reshape"):
        source = node.inputs[0]
        if source is not None and same_shape(source.shape, ir.Shape(ids.shape.dims[:-1])):
            return source
    return with_axes(tape, "Squeeze", ids, [len(ids.shape) - 1])


@dataclass(frozen=True)
class OneHotToGather(RewritePass):
    """Turn products of one-hot rows and a table into Gather."""

    name: ClassVar[str] = "one-hot-to-gather"
    rules: ClassVar[tuple[Rule, ...]] = (compared_ids, one_hot_ids)
