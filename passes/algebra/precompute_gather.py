"""Compute what is done to the rows of a constant table once for the table, not for each row that is read.

An embedding is a Gather from a constant; whatever treats each of its elements or rows alike commutes with it:

    Gelu(Gather(table, ids) + b)        ->  Gather(Gelu(table + b), ids)
    LayerNormalization(Gather(table, ids), scale, bias)
                                        ->  Gather(LayerNormalization(table, scale, bias), ids)

`fold` then evaluates the table. A table that others read too would be stored twice, and is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.idioms import ELEMENTWISE
from graphopt.ir import (
    Reject,
    Rule,
    Tape,
    attribute_int,
    constant,
    constant_tensor,
    op,
    rank,
    rule,
    static_shape,
)
from graphopt.passes.operands import softmax_axis
from graphopt.pipeline import RewritePass

ROWWISE = frozenset({"LayerNormalization", "RMSNormalization", "Softmax", "LogSoftmax", "LpNormalization"})
"""Operators that treat the elements along the last axis as one."""


@rule(op(tuple(sorted(ELEMENTWISE | ROWWISE)), name="node"))
def apply_to_the_table(tape: Tape, node: ir.Node) -> ir.Value:
    """f(Gather(table, ids))  ->  Gather(f(table), ids)."""
    inputs = dict.fromkeys(value for value in node.inputs if value is not None)
    gathers = [value for value in inputs if constant_tensor(value) is None]
    gather = gathers[0].producer() if len(gathers) == 1 else None
    if gather is None or gather.op_type != "Gather" or gather.domain or gather.graph is not node.graph:
        raise Reject("")
    table, indices = gather.inputs
    rows = static_shape(table)
    if table is None or rows is None or constant_tensor(table) is None:
        raise Reject("")
    if attribute_int(gather, "axis", 0) != 0 or len(rows) < 2:
        raise Reject("the table is not read row by row")
    if len(table.uses()) > 1 or table.is_graph_output():
        raise Reject("others read the table too, which would be stored twice")
    if len({use.node for use in gather.outputs[0].uses()}) > 1 or gather.outputs[0].is_graph_output():
        raise Reject("the rows are also used elsewhere")
    if node.op_type in ROWWISE:
        _guard_rowwise(node, gathers[0])
        operands = list(node.inputs)
    else:
        operands = [None if value is None else _row(tape, value, gathers[0], rows) for value in node.inputs]
    operands = [table if value is gathers[0] else value for value in operands]
    attributes = dict(node.attributes)
    if node.op_type in ROWWISE:  # the table's last axis is another than that of what is read
        attributes["axis"] = ir.AttrInt64("axis", len(rows) - 1)
    made = tape.op(node.op_type, operands, attributes)
    tape.consumed = (gather,)
    return tape.op("Gather", [made, indices])


def _guard_rowwise(node: ir.Node, rows: ir.Value) -> None:
    last = None if rows.shape is None else len(rows.shape) - 1
    default = softmax_axis(node) if node.op_type in ("Softmax", "LogSoftmax") else -1
    if attribute_int(node, "axis", default) not in (-1, last) or node.inputs[0] is not rows:
        raise Reject("it does not run along the last axis")
    if len([output for output in node.outputs if output.uses() or output.is_graph_output()]) > 1:
        raise Reject("a further output is in use")
    if any(len(value.shape or ()) > 1 for value in node.inputs[1:] if value is not None):
        raise Reject("its scale has more than one axis")


def _row(tape: Tape, value: ir.Value, gathered: ir.Value, rows: tuple[int, ...]) -> ir.Value:
    """A constant operand in the shape that it has against the table.

    Raises:
        Reject: It does not treat all rows alike, or makes them larger.
    """
    tensor = constant_tensor(value)
    if tensor is None:
        return value  # the rows themselves
    shape = tuple(int(dim) for dim in tensor.shape.numpy())
    if len(shape) > (rank(gathered) or 1):
        raise Reject("a constant gives the result more axes")
    inner = shape[max(len(shape) - (len(rows) - 1), 0) :]
    if any(dim != 1 for dim in shape[: len(shape) - len(inner)]):
        raise Reject("a constant differs from row to row")
    wanted = rows[len(rows) - len(inner) :] if inner else ()
    if any(dim not in (1, width) for dim, width in zip(inner, wanted, strict=True)):
        raise Reject("a constant makes the rows larger")
    if inner == shape:
        return value
    array = constant(value)
    assert array is not None
    return tape.const(np.reshape(array, inner), value.name or "constant")


@dataclass(frozen=True)
class PrecomputeGather(RewritePass):
    """Compute what is done to the rows of a constant table once for the table."""

    name: ClassVar[str] = "precompute-gather"
    rules: ClassVar[tuple[Rule, ...]] = (apply_to_the_table,)
