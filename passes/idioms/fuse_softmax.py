"""Write Softmax and LogSoftmax by their operators, however they are spelled.

A region with one entry that holds a reduction is evaluated on probes and compared (`graphopt.idioms`):

    e = Exp(x - ReduceMax(x)); e / ReduceSum(e)          ->  Softmax(x)
    x - ReduceLogSumExp(x)                               ->  LogSoftmax(x)
    e = Exp(x / 0.5); e * Reciprocal(ReduceSum(e))       ->  Softmax(x * 2)

Where a row is nothing but -inf, Softmax is NaN; a spelling that gives something else there stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.idioms import FoundReduction, Region, may_be_softmax, recognize_softmax, removable
from graphopt.ir import Changes, Reject, Rule, Tape, op, rank, rewrite
from graphopt.passes.idioms._forms import scaled
from graphopt.passes.idioms._rows import ENDS, RowSearch, reduces
from graphopt.pipeline import Pass
from graphopt.targets import Target

ANY_AXIS_SINCE = 13
"""Before this opset Softmax works on all axes from the named one on."""


@dataclass(frozen=True)
class FuseSoftmax(Pass):
    """Write Softmax and LogSoftmax by their operators, however they are spelled.

    Attributes:
        target: Says whether the operators are faster than their spelling.
    """

    name: ClassVar[str] = "fuse-softmax"
    target: str = "portable"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        if not reduces(model):
            return
        target = Target.load(self.target)
        search = RowSearch(recognize_softmax, may_be_softmax)

        def build(tape: Tape, end: ir.Node) -> ir.Value:
            for region, found in search.at(end):
                if _nodes(found) < len(removable(region)):
                    with search.deciding(region):
                        return _write(tape, region, found, target)
            tape.consumed = search.near
            raise Reject(search.reason)

        rule = Rule(self.name, (op(ENDS, name="end"),), build, ("end",))
        rewrite(model, (rule,), changes, backwards=True)


def _nodes(found: FoundReduction) -> int:
    return 1 + (found.parameters["temperature"] != 1.0)


def _form(region: Region, found: FoundReduction) -> str:
    """The operator as a target's times know it: onnxruntime moves an inner axis of images to the end."""
    axes = rank(region.entry) or 0
    written = any(node.op_type in ("Softmax", "LogSoftmax") for node in region.nodes)
    return found.idiom if axes <= 3 or found.axes == (axes - 1,) or written else f"{found.idiom}.inner"


def _write(tape: Tape, region: Region, found: FoundReduction, target: Target) -> ir.Value:
    entry, (axis,) = region.entry, found.axes
    form = _form(region, found)
    tape.consumed = region.nodes[-2::-1]
    if not target.pays(form):
        nodes, times = len(region.nodes), target.times[form]
        raise Reject(f"{found.idiom} kept as {nodes} nodes: the operator takes {times:.2g}x the time here")
    if axis != (rank(entry) or 0) - 1:
        tape.require_opset(ANY_AXIS_SINCE)
        attributes = {"axis": axis}
    else:
        attributes = {"axis": -1 if tape.opset >= ANY_AXIS_SINCE else axis}
    tape.kind = found.idiom
    tape.finding = (found.idiom, found.error)
    return tape.op(found.idiom, [scaled(tape, entry, found.parameters["temperature"])], attributes)
