"""Write normalizations by their operators, however they are spelled.

A region with one entry that holds reductions is evaluated on probes; axes, groups, epsilon, scale and bias
are solved for (`graphopt.idioms`):

    c = x - ReduceMean(x); c / Sqrt(ReduceMean(c * c) + 1e-5) * s + b     ->  LayerNormalization(x, s, b)
    x * Reciprocal(Sqrt(ReduceMean(Pow(x, 2)) + 1e-6)) * s                ->  RMSNormalization(x, s)
    x / ReduceL2(x)                                                       ->  LpNormalization(x)

Rows over spatial axes become InstanceNormalization, groups of channels the spelling that is fastest, rows
along another axis LayerNormalization between two Transposes. Other constants than those of the definition
(N - 1 for N, say) go into scale and epsilon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.idioms import FoundReduction, Region, may_be_normalization, recognize_normalization, removable
from graphopt.ir import (
    Changes,
    Reject,
    Rule,
    Tape,
    const,
    constant_tensor,
    op,
    rewrite,
    rule,
    static_shape,
    var,
)
from graphopt.passes.idioms._norm_forms import MOST_ONES, NormForm, norm_forms
from graphopt.passes.idioms._rows import ENDS, RowSearch, reduces
from graphopt.passes.operands import is_filled_with, keep
from graphopt.pipeline import Pass
from graphopt.targets import Target

_NORM = op(("LayerNormalization", "RMSNormalization"), var("x"), const("ones"), name="norm")


@rule(op("Mul", _NORM, var("scale")))
def scale_into_norm(tape: Tape, norm: ir.Node, x: ir.Value, ones: ir.Value, scale: ir.Value) -> ir.Value:
    """Norm(x, ones) * scale, a value of the scale's shape  ->  Norm(x, scale)."""
    keep(x, constant_tensor(scale) is None and is_filled_with(ones, 1.0))
    keep(x, static_shape(scale) == static_shape(ones), "the scale varies along other axes than the rows'")
    return tape.op(norm.op_type, [x, scale], norm.attributes)


@rule(op("Add", op("LayerNormalization", var("x"), var("scale"), name="norm"), var("bias")))
def bias_into_norm(tape: Tape, norm: ir.Node, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    """LayerNormalization(x, scale) + bias, a value of the scale's shape  ->  with that bias."""
    shape = static_shape(bias)
    keep(x, constant_tensor(bias) is None and shape is not None and shape == static_shape(scale))
    return tape.op(norm.op_type, [x, scale, bias], norm.attributes)


@dataclass(frozen=True)
class FuseNorm(Pass):
    """Write normalizations by their operators, however they are spelled.

    Attributes:
        target: Says which operators are faster than their spelling.
    """

    name: ClassVar[str] = "fuse-norm"
    target: str = "portable"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        if not reduces(model):
            return
        target = Target.load(self.target)
        search = RowSearch(recognize_normalization, may_be_normalization)

        def build(tape: Tape, end: ir.Node) -> ir.Value:
            reason = ""
            for region, found in search.at(end):
                form, against = _choose(target, region, found)
                if form is not None:
                    with search.deciding(region):
                        return _write(tape, region, found, form)
                if against:
                    search.claim(region)
                    reason, tape.consumed = reason or against, tape.consumed or region.nodes[-2::-1]
            tape.consumed = search.near or tape.consumed
            if search.guarded is not None:
                kept, near = search.guarded
                tape.consumed = kept.nodes[-2::-1]
                tape.finding, tape.remark = (f"guarded {near.idiom}", None), near.difference
            raise Reject(search.reason or reason)

        region = Rule(self.name, (op(ENDS, name="end"),), build, ("end",))
        rewrite(model, (region, scale_into_norm, bias_into_norm), changes, backwards=True)


def _choose(target: Target, region: Region, found: FoundReduction) -> tuple[NormForm | None, str]:
    """The shortest form that is fast and saves nodes, or why there is none ("" where none is missed)."""
    gone = len(removable(region))
    forms = list(norm_forms(found, region.entry))
    if not forms:
        return None, f"{found.idiom}: {_obstacle(found, region)}" if gone > 2 else ""
    fast = [form for form in forms if target.pays(form.name)]
    shorter = [form for form in fast if form.total(found) < gone]
    if shorter:
        return min(shorter, key=lambda form: form.total(found)), ""
    slow = next((form for form in forms if form not in fast and form.total(found) < gone), None)
    if slow is None:
        return None, ""
    times = target.times[slow.name]
    return None, f"{slow.name} kept as {gone} nodes: the operator takes {times:.2g}x the time here"


def _obstacle(found: FoundReduction, region: Region) -> str:
    """Why no form says what a region was found to compute."""
    shape = region.entry.shape
    assert shape is not None
    sizes = [shape.dims[axis] for axis in found.axes]
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) < len(sizes):
        unknown = next(
            axis for axis, size in zip(found.axes, sizes, strict=True) if not isinstance(size, int)
        )
        return f"the size of axis {unknown} is not known"
    if "epsilon" in found.parameters and math.prod(known) > MOST_ONES:
        return "a scale of ones would be too large"
    return f"no operator does it along axes {', '.join(map(str, found.axes))} of {len(shape)}"


def _write(tape: Tape, region: Region, found: FoundReduction, form: NormForm) -> ir.Value:
    tape.consumed = region.nodes[-2::-1]
    tape.require_opset(form.since)
    tape.kind = form.name
    tape.finding = (form.name, found.error)
    return form.write(tape, region.entry, found)
