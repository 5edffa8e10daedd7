"""Which nodes could run on codes on a target, each with the activation that its codes absorb.

A unit says what of it must be quantized; whether it pays to is decided in `_choice`. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.cost import CodeRates
from graphopt.ir import Changes, Reject, constant, constant_tensor, opset, static_shape
from graphopt.passes.operands import an
from graphopt.passes.quantization._forms import Form, clamps_around_zero, form_of
from graphopt.passes.quantization._masked import is_masked
from graphopt.passes.quantization._ranges import range_of
from graphopt.quant.rules import OpRule, QuantizationRules


@dataclass(frozen=True, eq=False)
class Unit:
    """A node that could run on codes.

    Attributes:
        node: The node.
        rule: How the target runs its operator on codes; None for an activation spelled by `form`.
        form: Its spelling.
        tail: The Relu or Clip behind it that the codes of its output make redundant.
        for_all: Also who computes in float reads what it writes as codes.
    """

    node: ir.Node
    rule: OpRule | None = None
    form: Form | None = None
    tail: ir.Node | None = None
    for_all: bool = False

    @property
    def places(self) -> tuple[int, ...]:
        """Positions of the activations among its inputs."""
        if self.rule is None:
            return (0,)
        places = self.rule.data_inputs(self.node)
        weight = self.rule.weight
        if weight is not None and weight not in places and constant_tensor(self.node.inputs[weight]) is None:
            return (*places, weight)
        return places

    @property
    def reads(self) -> list[ir.Value]:
        """The activations that it reads, constants among them."""
        return [value for index in self.places if (value := self.node.inputs[index]) is not None]

    @property
    def writes(self) -> list[ir.Value]:
        """The values that would be codes behind it."""
        return list((self.tail or self.node).outputs)

    @property
    def weight(self) -> ir.Value | None:
        """Its constant weights."""
        place = None if self.rule is None else self.rule.weight
        return None if place is None or place in self.places else self.node.inputs[place]

    @property
    def bias(self) -> ir.Value | None:
        """Its bias."""
        if self.rule is None or self.rule.bias is None or not self.rule.has_bias(self.node):
            return None
        return self.node.inputs[self.rule.bias]

    @property
    def must_write_codes(self) -> bool:
        """Whether nobody can read floats of it: of a tail only codes make it redundant."""
        return self.rule is None or self.rule.output == "needed" or self.tail is not None or self.for_all

    @property
    def same_scale(self) -> bool:
        """Whether what it reads and writes share one scale and zero point."""
        return self.rule is not None and self.rule.same_scale

    def channel_axis(self) -> int | None:
        """The axis of its weights with a scale for each index; None where they all share one."""
        shape = static_shape(self.weight)
        if self.rule is None or shape is None or len(shape) < 2:
            return None
        if self.rule.weight_axis < 0 and len(shape) > 2:
            return None  # a batch of matrices
        return self.rule.channel_axis(self.node, len(shape))


@dataclass(frozen=True)
class Limits:
    """What may be quantized.

    Attributes:
        rules: What the target can run on codes.
        rates: What that takes there.
        keep: Names of nodes, or of their outputs, that stay in float.
        ops: Operators that may; empty for all.
        outputs: Graph outputs may come from codes.
    """

    rules: QuantizationRules
    rates: CodeRates
    keep: Collection[str]
    ops: Collection[str]
    outputs: bool


def find_units(model: ir.Model, limits: Limits, changes: Changes) -> dict[ir.Node, Unit]:
    """Every node of the main graph that could run on codes, in order; counts why others cannot."""
    version = opset(model)
    found: dict[ir.Node, Unit] = {}
    tails: set[ir.Node] = set()
    for node in model.graph:
        if node in tails:
            continue
        rule = limits.rules.of(node)
        form = form_of(node) if rule is None else None
        if form is not None and not all(name in limits.rules.ops for name in form.operators):
            form = None
        if rule is None and form is None:
            if _is_heavy(node):
                measured = f"by rules measured with {limits.rules.runtime}"
                changes.refuse(f"no {node.op_type} runs on codes, {measured}", node.name)
            continue
        tail = None if rule is None else tail_of(node, rule, limits.rules)
        unit = Unit(node, rule, form, None if tail is None or _is_kept(tail, limits) else tail)
        if unit.tail is not None:
            tails.add(unit.tail)
        try:
            _check(unit, version, limits)
        except Reject as reason:
            if str(reason):
                changes.refuse(str(reason), node.name)
            continue
        found[node] = unit
    _spare(model, found, limits, changes)
    return found


def _spare(model: ir.Model, found: dict[ir.Node, Unit], limits: Limits, changes: Changes) -> None:
    """Drop units around nodes that a runtime would run on codes, too, only because they stand between.

    A node that is to stay in float is taken for one on codes where all that it reads is dequantized and all
    that it writes quantized; so not both may be. Runtimes move Q and DQ past what only moves elements.
    """
    makers = {value: unit for unit in found.values() if unit.must_write_codes for value in unit.writes}
    for node in model.graph:
        rule = limits.rules.of(node)
        if rule is None or node in found or rule.same_scale or rule.weight is not None:
            continue
        before = [
            _makers(value, makers, limits)
            for index in rule.data_inputs(node)
            if (value := node.inputs[index]) is not None
        ]
        after = [found[reader] for reader in _readers(node, limits) if reader in found]
        if not all(before) or not after:
            continue
        made = [unit for units in before for unit in units]
        spare_makers = any(map(_heavy_unit, after)) and not any(map(_heavy_unit, made))
        for unit in made if spare_makers else after:
            if found.pop(unit.node, None) is not None:
                changes.refuse(f"{an(node.op_type)} beside it would run on codes as well", unit.node.name)


def _moves(node: ir.Node | None, limits: Limits) -> bool:
    rule = None if node is None else limits.rules.of(node)
    return rule is not None and rule.same_scale


def _makers(value: ir.Value, makers: Mapping[ir.Value, Unit], limits: Limits) -> list[Unit]:
    """The units that write a value as codes, or the elements that are only moved to make it."""
    made = [makers[value]] if value in makers else []
    while (node := value.producer()) is not None and _moves(node, limits) and node.inputs[0] is not None:
        value = node.inputs[0]
        made += [makers[value]] if value in makers else []
    return made


def _readers(node: ir.Node, limits: Limits) -> list[ir.Node]:
    """What reads a node's outputs, and what reads them moved."""
    found: dict[ir.Node, None] = {}
    stack = [node]
    while stack:
        for output in stack.pop().outputs:
            for use in output.uses():
                if use.node not in found:
                    found[use.node] = None
                    if _moves(use.node, limits):
                        stack.append(use.node)
    return list(found)


def _heavy_unit(unit: Unit) -> bool:
    return unit.rule is not None and unit.rule.heavy


def _is_heavy(node: ir.Node) -> bool:
    """Whether a node has weights: whoever quantizes expects it to be faster."""
    return any(
        (tensor := constant_tensor(value)) is not None
        and len(tensor.shape) > 1
        and tensor.dtype == ir.DataType.FLOAT
        for value in node.inputs[1:]
    )


def tail_of(node: ir.Node, rule: OpRule, rules: QuantizationRules) -> ir.Node | None:
    """The Relu or Clip that alone reads what a node writes, and that the codes behind it make redundant."""
    if rule.same_scale or rule.output_scale is not None or len(node.outputs) != 1:
        return None
    value = node.outputs[0]
    uses = tuple(value.uses())
    if len(uses) != 1 or uses[0].idx or value.is_graph_output():
        return None
    reader = uses[0].node
    absorbed = reader.op_type in rules.absorbs and clamps_around_zero(reader)
    return reader if absorbed and reader.graph is node.graph else None


def _is_kept(node: ir.Node, limits: Limits) -> bool:
    return node.name in limits.keep or any(output.name in limits.keep for output in node.outputs)


def _check(unit: Unit, version: int, limits: Limits) -> None:
    """Raise `Reject` where a unit cannot run on codes."""
    node, rule = unit.node, unit.rule
    if _is_kept(node, limits) or (limits.ops and node.op_type not in limits.ops):
        raise Reject("it was asked to stay in float")
    if any(value is None for value in (node.inputs[index] for index in unit.places)):
        raise Reject("")
    if any(value is not None and value.dtype not in (ir.DataType.FLOAT, None) for value in unit.reads):
        raise Reject("" if unit.reads[0].dtype not in _HALVES else f"it computes in {unit.reads[0].dtype}")
    if rule is not None and (refusal := rule.refusal(node, version)) is not None:
        raise Reject(refusal)
    if not limits.rates.knows(node):
        raise Reject("" if rule is None or not rule.heavy else f"nobody measured {an(node.op_type)} on codes")
    _check_weights(unit)
    if not all(map(_is_finite, [*unit.reads, unit.weight, unit.bias])):
        raise Reject("it reads a constant that holds NaN or infinity")
    for value in (*unit.reads, *unit.writes):
        ends = _ends(value)
        if ends is None:
            raise Reject("no range was observed of a value that it reads or writes")
        if is_masked(value, *ends):
            raise Reject("it reads or writes a mask, beside which codes tell nothing apart")
    if all(constant_tensor(value) is not None for value in unit.reads) and node.op_type != "Gather":
        raise Reject("it reads constants alone")
    is_output = any(value.is_graph_output() for value in unit.writes)
    if is_output and unit.must_write_codes and not limits.outputs:
        raise Reject("it writes a graph output, behind which no QuantizeLinear can stand")


_HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)


def _ends(value: ir.Value) -> tuple[float, float] | None:
    """Lowest and highest element that a value is known to have; None if nobody looked."""
    array = constant(value)
    if array is None:
        return range_of(value)
    return float(array.min(initial=0.0)), float(array.max(initial=0.0))


def _is_finite(value: ir.Value | None) -> bool:
    """Whether a value is no constant with elements that no range holds."""
    array = constant(value)
    if array is None or not array.size:
        return True
    return bool(np.isfinite([array.min(), array.max()]).all())


def _check_weights(unit: Unit) -> None:
    rule, weight, bias = unit.rule, unit.weight, unit.bias
    if rule is None or rule.weight is None:
        return
    if weight is None:
        if rule.bias is not None:
            raise Reject("its weights are computed")
        return
    tensor = constant_tensor(weight)
    shape = static_shape(weight)
    if tensor is None or shape is None or tensor.dtype != ir.DataType.FLOAT or 0 in shape:
        raise Reject("its weights are no constant of float32")
    if bias is None:
        return
    axis = unit.channel_axis()
    known = constant_tensor(bias)
    if known is None or known.dtype != ir.DataType.FLOAT:
        raise Reject("its bias is computed")
    dims = tuple(known.shape.numpy())
    if axis is None or (known.size != 1 and (known.size != shape[axis] or dims[-1] != shape[axis])):
        raise Reject("its bias is not one number a channel")
