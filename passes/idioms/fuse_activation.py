"""Write activations by their operators, however they are spelled.

A region with one entry whose other inputs are single constants is evaluated on probes and compared with the
activations that ONNX knows (`graphopt.idioms`):

    x * Clip(x + 3, 0, 6) / 6                            ->  HardSwish(x)
    x * 0.5 * (1 + Erf(x / 1.4142135))                   ->  Gelu(x)
    x / (1 + Exp(-x))                                    ->  x * Sigmoid(x)

Runs before affines are merged and absorbed, though a constant factor behind an activation does not hide it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.idioms import (
    ELEMENTWISE,
    Found,
    NearMiss,
    Ranks,
    Region,
    regions_ending_at,
    removable,
)
from graphopt.ir import (
    Changes,
    Reject,
    Rule,
    Tape,
    const,
    constant_tensor,
    op,
    rank,
    rewrite,
    same_shape,
    var,
    want_opset,
)
from graphopt.passes.idioms._activations import Budget, Reader, may_end_a_region, uniform
from graphopt.passes.idioms._forms import FORMS, Form, scaled
from graphopt.pipeline import Pass
from graphopt.targets import Target

NO_ENDS = frozenset({"Exp", "Identity", "Sign"})
"""Operators that no spelling of an activation ends with."""
ROUNDING = 1e-6
"""Factors nearer to 1 than this are 1."""
REMEMBERED_KEY = "graphopt.activations"
"""Under it a model's `meta` holds what was recognised, for the next run of the pass."""
MOST_REMEMBERED = 10_000
WAITING_KEY = "graphopt.activations-waiting"
"""Under it a model's `meta` tells a run that settles whether the run before left anything to settle."""
RAMP_ENDS = ("Clip", "Max", "Min", "Relu", "Where")
"""Operators that spellings of HardSigmoid end with where their factor stands behind a gate."""


@dataclass(frozen=True)
class FuseActivation(Pass):
    """Write activations by their operators, however they are spelled.

    Attributes:
        target: Says which operators are faster than their spelling.
        settle: Where the best form needs a newer opset, use the best that this one has.
    """

    name: ClassVar[str] = "fuse-activation"
    target: str = "portable"
    settle: bool = False

    def apply(self, model: ir.Model, changes: Changes) -> None:
        if self.settle and not model.meta.pop(WAITING_KEY, True):
            return
        remembered = model.meta.setdefault(REMEMBERED_KEY, {})
        if len(remembered) > MOST_REMEMBERED:
            remembered.clear()
        search = _Search(Target.load(self.target), self.settle, remembered)
        ends = op(tuple(sorted(ELEMENTWISE - NO_ENDS)), name="end")
        gated = op("Mul", var("gate"), op(RAMP_ENDS, name="end", shared=True))
        rules = (
            Rule("fuse-activation", (ends,), search.build, ("end",)),
            Rule(
                "fuse-gated-activation",
                (op(("Div", "Mul"), gated, const("factor"), name="root"),),
                search.build_gated,
                ("root", "gate", "end", "factor"),
            ),
        )
        rewrite(model, rules, changes, backwards=True)
        if not self.settle:
            model.meta[WAITING_KEY] = search.waiting


class _Search:
    """Looks for activations that end at a node; remembers what it saw.

    Attributes:
        waiting: Whether one was found whose best form needs a newer opset.
    """

    def __init__(self, target: Target, settle: bool, seen: dict[Hashable, Found | NearMiss | None]) -> None:
        self._target = target
        self._settle = settle
        self._ranks = Ranks()
        self._reader = Reader(seen)
        self._claimed: set[ir.Node] = set()
        self._near: dict[ir.Node, ir.Node] = {}
        self.waiting = False

    def build(self, tape: Tape, end: ir.Node) -> ir.Value:
        """The best form of the largest region that ends here and is worth replacing."""
        if end in self._claimed or not may_end_a_region(end):
            raise Reject("")
        reason = ""
        for region in reversed(list(regions_ending_at(end, self._ranks, Budget(end).takes))):
            found = self._reader.recognize(region)
            if isinstance(found, NearMiss):
                if not reason and self._near.get(end, end) is end:
                    reason = str(found)
                    tape.consumed = region.nodes[-2::-1]
                    for node in region.nodes:
                        self._near.setdefault(node, end)
            elif found is None:
                reason = reason or self._reader.uneven(region)
            else:
                try:
                    return self._write(tape, region, found)
                except Reject as rejection:
                    if str(rejection):
                        self._claimed.update(region.nodes)
                        raise
        raise Reject(reason)

    def build_gated(
        self, tape: Tape, root: ir.Node, gate: ir.Value, end: ir.Node, factor: ir.Value
    ) -> ir.Value:
        """gate * (c * idiom(x)) / c  ->  gate * idiom(x)."""
        if root in self._claimed:
            raise Reject("")
        tensor = constant_tensor(factor)
        number = None if tensor is None or tensor.size != 1 else uniform(factor)
        product = root.inputs[0] if root.inputs[1] is factor else root.inputs[1]
        fits = product is not None and len(factor.shape or ()) <= (rank(product) or 0)
        if not number or not fits or len(end.outputs[0].uses()) != 1:
            raise Reject("")
        factor_behind = number if root.op_type == "Mul" else 1.0 / number
        for region in reversed(list(regions_ending_at(end, self._ranks, Budget(end).takes))):
            found = self._reader.recognize(region)
            if isinstance(found, Found) and found.scale != 1.0:
                scale = found.scale * factor_behind
                merged = dataclasses.replace(found, scale=1.0 if abs(scale - 1.0) <= ROUNDING else scale)
                form = self._choose(tape, region, merged, [*removable(region), root])
                tape.kind = f"{found.idiom.name} as a gate"
                tape.consumed = region.nodes[-2::-1]
                tape.finding = (found.idiom.name, found.error)
                built = form.build(tape, region.entry, found)
                return scaled(tape, tape.op("Mul", [gate, built]), merged.scale)
        raise Reject("")

    def _write(self, tape: Tape, region: Region, found: Found) -> ir.Value:
        gone = removable(region)
        tape.consumed = region.nodes[-2::-1]
        tape.remark = ""
        tape.finding = (found.idiom.name, found.error)
        form = self._choose(tape, region, found, gone)
        tape.kind = f"{found.idiom.name}" + ("" if form.nodes == 1 else f" as {form.name}")
        return scaled(tape, form.build(tape, region.entry, found), found.scale)

    def _choose(self, tape: Tape, region: Region, found: Found, gone: list[ir.Node]) -> Form:
        """The first form that is fast, available and shorter than what goes."""
        name = found.idiom.name
        dtype = region.entry.dtype
        assert dtype is not None
        reason = ""
        for form in FORMS[name]:
            if not form.applies(found):
                continue
            if self._is_slow(form, region):
                if found.scale != 1.0:
                    raise Reject("")  # told where it ends, without the factor
                tape.remark = f"the operator takes {self._target.times[form.name]:.2g}x the time here"
                reason = f"{name} kept as {_counted(len(region.nodes))}: {tape.remark}"
                continue
            if not _saves(form, found, gone):
                raise Reject(reason)
            oldest = form.oldest_opset(dtype)
            if oldest is None:
                reason = f"{name}: {_absent(form, dtype)}"
                continue
            if form.until is not None and tape.opset > form.until:
                reason = f"{name}: onnxruntime runs {form.name} up to opset {form.until}"
                continue
            _guard_shape(region, name)
            if oldest <= tape.opset:
                return form
            reason = f"{name}: needs opset {oldest}, and the model is at {tape.opset}"
            if not self._settle:
                want_opset(tape.model, oldest, name)
                self.waiting = True
                break
        raise Reject(reason)

    def _is_slow(self, form: Form, region: Region) -> bool:
        """Whether a form takes longer than its spelling, which has no operator as slow itself."""
        return not self._target.pays(form.name) and all(
            self._target.pays(node.op_type) for node in region.nodes
        )


def _saves(form: Form, found: Found, gone: list[ir.Node]) -> bool:
    """Whether a form has fewer nodes than what goes, or is the proper operator for a bare one."""
    nodes = form.nodes + (found.scale != 1.0)
    return nodes < len(gone) or (nodes == len(gone) == 1 and gone[0].op_type != form.name.partition(" ")[0])


def _counted(nodes: int) -> str:
    return f"{nodes} node{'s' if nodes > 1 else ''}"


def _absent(form: Form, dtype: ir.DataType) -> str:
    """Why there is no such form for a type."""
    kind = "float64" if dtype == ir.DataType.DOUBLE else dtype.name.lower()
    return f"{'onnxruntime' if kind == 'float64' else 'ONNX'} has no {form.name} for {kind}"


def _guard_shape(region: Region, name: str) -> None:
    """Refuse where a constant may give the result more dimensions or elements than the entry.

    Raises:
        Reject: It may.
    """
    entry, end = region.entry, region.end
    if entry.shape is not None and end.shape is not None and same_shape(entry.shape, end.shape):
        return
    most = rank(entry)
    for node in region.nodes:
        for value in node.inputs:
            tensor = constant_tensor(value)
            if tensor is None:
                continue
            if tensor.size != 1 or len(tensor.shape) > (0 if most is None else most):
                raise Reject(f"{name}: a constant may give the result more dimensions")
