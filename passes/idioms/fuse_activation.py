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
import functools
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.cost import Target
from graphopt.idioms import (
    ELEMENTWISE,
    KINKS,
    CannotEvaluateError,
    Found,
    NearMiss,
    Ranks,
    Region,
    evaluate,
    recognize,
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
from graphopt.passes.idioms._forms import FORMS, Form, scaled
from graphopt.pipeline import Pass

NO_ENDS = frozenset({"Exp", "Identity", "Sign"})
"""Operators that no spelling of an activation ends with."""
MOST_ELEMENTS = 4096
"""Constants with more elements than this are not looked through for being one value repeated."""

ROUNDING = 1e-6
"""Factors nearer to 1 than this are 1."""
REMEMBERED_KEY = "graphopt.activations"
"""Under it a model's `meta` holds what was recognised, for the next run of the pass."""
MOST_REMEMBERED = 10_000
WAITING_KEY = "graphopt.activations-waiting"
"""Under it a model's `meta` tells a run that settles whether the run before left anything to settle."""
LONGEST_CHAIN = 7
"""Nodes of the longest spelling without branches."""
MOST_ALIKE = {
    "Add": 5,
    "Cast": 4,
    "Div": 3,
    "Mul": 6,
    "Erf": 1,
    "Log": 1,
    "Sigmoid": 1,
    "Softplus": 1,
    "Tanh": 1,
}
"""Operator -> how often it stands in one spelling at most."""
MOST_OF_OTHERS = 3
RAMPS = frozenset({"Clip", "HardSigmoid", "LeakyRelu", "Max", "Min", "PRelu", "Relu"})
POWERS = frozenset({"Elu", "Erf", "Exp", "Log", "Sigmoid", "Softplus", "Tanh"})
RAMP_ENDS = ("Clip", "Max", "Min", "Relu", "Where")
"""Operators that spellings of HardSigmoid end with where their factor stands behind a gate."""
BARE = ("Clip", "LeakyRelu", "Max", "Min", "PRelu", "Where")
"""Operators that alone may spell another one: Max(x, 0)."""
AFFINE = frozenset({"Add", "Div", "Mul", "Neg", "Sub"})
BOUNDING = frozenset({"Clip", "Max", "Min", "Where"})
"""Operators that may spell a bound, which a channel may have of its own."""
UNTOLD = frozenset({"", "Abs", "Erf", "LeakyRelu", "Relu", "Sigmoid", "Tanh"})
"""What an affine of each channel before or behind it makes nothing else of: it is no near miss."""
MOST_UNEVEN = 200
"""Regions with several numbers in a constant that are looked at, in a model."""
MOST_UNEVEN_NODES = 12
"""Nodes of such a region."""
BITS = {ir.DataType.FLOAT: 32, ir.DataType.FLOAT16: 16, ir.DataType.DOUBLE: 64, ir.DataType.BFLOAT16: 16}


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


class _Step(NamedTuple):
    """A node of a region as far as it matters to what the region computes.

    Attributes:
        operator: Its name.
        attributes: As text.
        operands: Numbers of constants as float; as text the place of an earlier step, "x" for the entry, ""
            for an absent operand.
    """

    operator: str
    attributes: str
    operands: tuple[float | str, ...]


class _Search:
    """Looks for activations that end at a node; remembers what it saw.

    Attributes:
        waiting: Whether one was found whose best form needs a newer opset.
    """

    def __init__(self, target: Target, settle: bool, seen: dict[Hashable, Found | NearMiss | None]) -> None:
        self._target = target
        self._settle = settle
        self._ranks = Ranks()
        self._numbers: dict[ir.Value, float | None] = {}
        self._seen = seen
        self._claimed: set[ir.Node] = set()
        self._near: dict[ir.Node, ir.Node] = {}
        self._asked_uneven = 0
        self.waiting = False

    def build(self, tape: Tape, end: ir.Node) -> ir.Value:
        """The best form of the largest region that ends here and is worth replacing."""
        if end in self._claimed or not _may_end_a_region(end):
            raise Reject("")
        reason = ""
        for region in reversed(list(regions_ending_at(end, self._ranks, _Budget(end).takes))):
            found = self._recognize(region)
            if isinstance(found, NearMiss):
                if not reason and self._near.get(end, end) is end:
                    reason = str(found)
                    tape.consumed = region.nodes[-2::-1]
                    for node in region.nodes:
                        self._near.setdefault(node, end)
            elif found is None:
                reason = reason or self._uneven(region)
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
        number = None if tensor is None or tensor.size != 1 else _uniform(factor)
        product = root.inputs[0] if root.inputs[1] is factor else root.inputs[1]
        fits = product is not None and len(factor.shape or ()) <= (rank(product) or 0)
        if not number or not fits or len(end.outputs[0].uses()) != 1:
            raise Reject("")
        factor_behind = number if root.op_type == "Mul" else 1.0 / number
        for region in reversed(list(regions_ending_at(end, self._ranks, _Budget(end).takes))):
            found = self._recognize(region)
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

    def _recognize(self, region: Region) -> Found | NearMiss | None:
        operators = frozenset(node.op_type for node in region.nodes)
        if operators.isdisjoint(KINKS if len(region.nodes) > 1 else BARE) or _is_idle_chain(region):
            return None
        dtype = region.entry.dtype
        if dtype not in BITS or region.end.dtype != dtype or _loses_bits(region, dtype):
            return None
        try:
            steps = tuple(self._signature(region))
        except CannotEvaluateError:
            return None
        key = (dtype, steps)
        if key not in self._seen:
            constants = [each for step in steps for each in step.operands if isinstance(each, float)]
            function = functools.partial(self._run, region)
            try:
                self._seen[key] = recognize(operators, function, constants, dtype.numpy().name)
            except CannotEvaluateError:
                self._seen[key] = None
        return self._seen[key]

    def _uneven(self, region: Region) -> str:
        """What a region would be if its constants were all one number each, as text; "" for nothing told."""
        if self._asked_uneven >= MOST_UNEVEN or len(region.nodes) > MOST_UNEVEN_NODES:
            return ""
        kinked = [node for node in region.nodes if node.op_type not in AFFINE]
        made = {region.entry, *(node.outputs[0] for node in region.nodes)}
        firsts: dict[ir.Value, float] = {}
        bounds = True
        for node in region.nodes:
            for value in node.inputs:
                if value is None or value in made:
                    continue
                if value not in self._numbers:
                    self._numbers[value] = _uniform(value)
                if self._numbers[value] is not None:
                    continue
                first = _first(value)
                if first is None:
                    return ""
                firsts[value] = first
                bounds &= node.op_type in BOUNDING
        gated = sum(region.entry in node.inputs for node in region.nodes) > 1
        bounded = any(node.op_type in BOUNDING for node in kinked)
        if not firsts or not (gated or bounded or len(kinked) > 1):
            return ""
        self._asked_uneven += 1
        self._numbers.update(firsts)
        try:
            found = self._recognize(region)
        finally:
            self._numbers.update(dict.fromkeys(firsts))
        name = found.idiom.name if isinstance(found, Found) else ""
        if name in UNTOLD or (name == "Clip" and not bounds):
            return ""
        return f"nearly {name}, but the constant '{next(iter(firsts)).name}' holds several numbers"

    def _signature(self, region: Region) -> Iterator[_Step]:
        """What the region computes, as text and numbers: regions of one signature are the same function.

        Raises:
            CannotEvaluateError: A constant has several values.
        """
        places: dict[ir.Value, str] = {region.entry: "x"}
        for place, node in enumerate(region.nodes):
            operands = tuple(
                "" if value is None else places[value] if value in places else self._number(value)
                for value in node.inputs
            )
            attributes = "".join(str(attribute) for attribute in node.attributes.values())
            yield _Step(node.op_type, attributes, operands)
            places[node.outputs[0]] = str(place)

    def _run(self, region: Region, probes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        values = evaluate(region.nodes, {region.entry: probes}, lambda value: np.array(self._number(value)))
        return values[region.end]

    def _number(self, value: ir.Value) -> float:
        """The one number that a constant holds, once or many times."""
        if value not in self._numbers:
            self._numbers[value] = _uniform(value)
        number = self._numbers[value]
        if number is None:
            raise CannotEvaluateError("a constant has several values")
        return number


def _is_elementwise(node: ir.Node) -> bool:
    return (
        node.op_type in ELEMENTWISE
        and not node.domain
        and len(node.outputs) == 1
        and not any(attribute.is_ref() for attribute in node.attributes.values())
    )


def _may_end_a_region(node: ir.Node) -> bool:
    """Whether a node alone may spell another, or has an elementwise one before it."""
    if node.op_type in BARE:
        return True
    producers = (value.producer() for value in node.inputs if value is not None)
    return any(each is not None and each.op_type in ELEMENTWISE for each in producers)


def _uniform(value: ir.Value) -> float | None:
    tensor = constant_tensor(value)
    if tensor is None or not 0 < tensor.size <= MOST_ELEMENTS or tensor.dtype == ir.DataType.STRING:
        return None
    elements = tensor.numpy().reshape(-1)
    return float(elements[0]) if tensor.size == 1 or bool((elements == elements[0]).all()) else None


def _first(value: ir.Value) -> float | None:
    """The first number of a constant of several."""
    tensor = constant_tensor(value)
    if tensor is None or not 1 < tensor.size <= MOST_ELEMENTS or not tensor.dtype.is_floating_point():
        return None
    return float(tensor.numpy().reshape(-1)[0])


def _loses_bits(region: Region, dtype: ir.DataType) -> bool:
    """Whether the region computes in a type less precise than its entry's, or in integers."""
    for node in region.nodes:
        if node.op_type == "Cast":
            to = ir.DataType(node.attributes["to"].as_int())
            if to not in (dtype, ir.DataType.BOOL) and BITS.get(to, 0) <= BITS[dtype]:
                return True
    return False


def _saves(form: Form, found: Found, gone: list[ir.Node]) -> bool:
    """Whether a form has fewer nodes than what goes, or is the proper operator for a bare one."""
    nodes = form.nodes + (found.scale != 1.0)
    return nodes < len(gone) or (nodes == len(gone) == 1 and gone[0].op_type != form.name.partition(" ")[0])


class _Budget:
    """How often operators may stand in one region: no spelling of an activation has more of them.

    Keeps the search short in long runs of elementwise operators.
    """

    def __init__(self, end: ir.Node) -> None:
        self._left = Counter({end.op_type: MOST_ALIKE.get(end.op_type, MOST_OF_OTHERS) - 1})

    def takes(self, node: ir.Node) -> bool:
        """Whether a node may stand inside; counts it."""
        if not _is_elementwise(node):
            return False
        left = self._left.setdefault(node.op_type, MOST_ALIKE.get(node.op_type, MOST_OF_OTHERS))
        self._left[node.op_type] = left - 1
        return left > 0


def _is_idle_chain(region: Region) -> bool:
    """Whether nodes follow each other without branches, and spell nothing: too many of them, a single Relu
    between affines, or bends beside exponentials."""
    if any(
        sum(value is not None and constant_tensor(value) is None for value in node.inputs) != 1
        for node in region.nodes
    ):
        return False
    bends = [node.op_type for node in region.nodes if node.op_type in RAMPS]
    powers = any(node.op_type in POWERS for node in region.nodes)
    return len(region.nodes) > LONGEST_CHAIN or (bool(bends) and powers) or (bends == ["Relu"] and not powers)


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
