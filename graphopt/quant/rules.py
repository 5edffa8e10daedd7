"""How a runtime runs quantized operators: which Q and DQ a node needs around it to run on integer codes.

The rules of a target are data, the `[quantization]` table of its file; this module reads and checks them and
says what a node's own form breaks. It looks at single nodes; `predict` looks at what surrounds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.ir import Operator
from graphopt.quant.scheme import DTYPES, Scheme

Output = Literal["needed", "optional", "free"]
"""Whether a Q must follow, alone: it must, it may (without one, the node writes floats), or nobody looks."""

OUTPUTS = ("needed", "optional", "free")

STEPS = frozenset(
    {
        "own-dq",
        "fold-constants",
        "transpose-weights",
        "drop-no-ops",
        "share-constants",
        "merge-transposes",
        "fold-pads",
        "fuse-conv",
        "merge-equal-qs",
        "merge-double-pairs",
        "fuse-matmul-add",
        "propagate",
        "quantize-constants",
        "wrap-where-constants",
        "absorb-clips",
        "int8-pairs-to-uint8",
    }
)
"""What runtimes do to a graph before they look for nodes to run on codes; `rehearsal` does it to a copy."""


@dataclass(frozen=True)
class OpRule:
    """When an operator runs on codes.

    Attributes:
        op: Its name, `domain.Name` outside the standard's domain.
        kernel: The runtime's operator that it becomes; its own name where that takes codes.
        kernel_without_q: The same where no Q follows; "" for the same one.
        heavy: It is worth quantizing for its own sake; the others, where they stand between such.
        data: Inputs that must come from a DQ: the activations.
        variadic: All inputs must.
        weight: The input that holds weights, which must come from a DQ too (of activations, in a product of
            two of them); None where there is none.
        bias: The input that holds a bias: from a DQ of int32, or a float constant where the rules say
            `quantize-constants`.
        bias_tolerance: How far, relative and absolute, the bias's scale may be from that of the data times
            that of the weights; empty where nobody looks, and the bias is taken as if they agreed.
        weight_axis: The axis of the weights along which each index may have a scale of its own.
        transposed_by: The attribute which, if not 0, exchanges the two axes of the weights.
        output: Whether a Q must be the only consumer of the output, which then is no graph output.
        asymmetric_weights: It takes weights with a zero point other than 0.
        symmetric: "data" where its data needs codes around 0, "factors" where both inputs do if none is
            constant, "" where they need not.
        counts_scales: Weights with several scales need as many as there are output channels.
        same_scale: Input and output need one scale and one zero point.
        positive_scale: And that scale above 0.
        types: Types of the codes of its data. The output's are the same as those of its first input.
        weight_types: Types of the codes of its weights.
        factor_types: The same where they are no constants; empty where that makes no difference.
        min_opset: The opset from which on.
        attributes: Values that attributes must have; a list stands for any number of that one value.
        attributes_with_bias: The same where a bias is given.
        outputs: How many outputs it may have; 0 for any number, each followed by its own Q.
        output_scale: The scale of uint8 codes that its output is written with best, where its range is known.
    """

    op: str
    kernel: str
    kernel_without_q: str = ""
    heavy: bool = False
    data: tuple[int, ...] = (0,)
    variadic: bool = False
    weight: int | None = None
    bias: int | None = None
    bias_tolerance: tuple[float, ...] = ()
    weight_axis: int = 0
    transposed_by: str = ""
    asymmetric_weights: bool = True
    symmetric: str = ""
    counts_scales: bool = False
    output: Output = "needed"
    same_scale: bool = False
    positive_scale: bool = False
    types: tuple[ir.DataType, ...] = (ir.DataType.UINT8, ir.DataType.INT8)
    weight_types: tuple[ir.DataType, ...] = (ir.DataType.INT8, ir.DataType.UINT8)
    factor_types: tuple[ir.DataType, ...] = ()
    min_opset: int = 1
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    attributes_with_bias: Mapping[str, Any] = field(default_factory=dict, hash=False)
    outputs: int = 1
    output_scale: float | None = None

    @property
    def operator(self) -> Operator:
        """Domain and name."""
        domain, _, name = self.op.rpartition(".")
        return domain, name

    def data_inputs(self, node: ir.Node) -> tuple[int, ...]:
        """Positions of the activations of a node of this operator."""
        if not self.variadic:
            return tuple(place for place in self.data if place < len(node.inputs))
        return tuple(place for place, value in enumerate(node.inputs) if value is not None)

    def has_bias(self, node: ir.Node) -> bool:
        """Whether a node has a bias."""
        return self.bias is not None and self.bias < len(node.inputs) and node.inputs[self.bias] is not None

    def channel_axis(self, node: ir.Node, rank: int) -> int:
        """The axis of a node's weights, of so many dimensions, along which each index may have its scale."""
        axis = self.weight_axis % rank
        transposed = node.attributes.get(self.transposed_by) if self.transposed_by else None
        return rank - 1 - axis if transposed is not None and transposed.as_int() else axis

    def refusal(self, node: ir.Node, opset: int) -> str | None:
        """Why a node's own form (opset, attributes, outputs) keeps it off codes, in a sentence's end; or
        None."""
        if opset < self.min_opset:
            return f"{node.op_type} takes codes from opset {self.min_opset} on, the model is of opset {opset}"
        wanted = dict(self.attributes)
        if self.has_bias(node):
            wanted |= self.attributes_with_bias
        for name, value in wanted.items():
            found = _attribute(node, name)
            if found is not None and not _is(found, value):
                given = " where it has a bias" if name not in self.attributes else ""
                return f"its {name} is {_shown(found)}, and must be {_shown(value)}{given}"
        if self.outputs and any(value.name for value in node.outputs[self.outputs :]):
            return f"it has more than {self.outputs} output{'s' * (self.outputs > 1)}"
        return None

    @classmethod
    def from_dict(cls, op: str, plain: Mapping[str, Any]) -> OpRule:
        """The rule that a table holds.

        Raises:
            TypeError, ValueError: It is not such a table.
        """
        made: OpRule = _typed(cls, {"op": op, **plain}, f"quantization.ops.{op}")
        if made.symmetric not in ("", "data", "factors"):
            raise ValueError(f"quantization.ops.{op}: symmetric is {made.symmetric!r}, not data or factors")
        if made.output not in OUTPUTS:
            raise ValueError(f"quantization.ops.{op}: output is {made.output!r}, expected one of {OUTPUTS}")
        return made


@dataclass(frozen=True)
class WeightOnly:
    """When a product runs on weights in codes and activations in float.

    Attributes:
        ops: The operators.
        kernel: What they become.
        types: Types of the weights' codes.
        min_block: The smallest block, which is a power of two; 0 where blocks are not taken.
        whole_columns: Whether one scale a tensor or an output channel will do as well.
        decoded: Types of codes that its activations may be decoded from, and its result become.
    """

    ops: tuple[str, ...]
    kernel: str
    types: tuple[ir.DataType, ...]
    min_block: int = 0
    whole_columns: bool = False
    decoded: tuple[ir.DataType, ...] = ()


@dataclass(frozen=True)
class QuantizationRules:
    """How a runtime runs quantized operators.

    Attributes:
        runtime: What the rules were measured on.
        activations: Scheme of activations, of one scale a tensor.
        weights: Scheme of weights; those with an axis of channels have one scale each channel.
        bias: Scheme of a bias; its scale is that of the activations times that of the weights.
        ops: The operators that run on codes, by `domain.Name`.
        reduce_range_without: Names of instructions (as in /proc/cpuinfo); a machine that has none of them
            needs weights of 7 bits. Empty: never.
        steps: What it does to the graph before it looks for nodes to run on codes, in order, again and again.
        last_steps: What it does after that, once.
        propagates: Operators that Q and DQ move past, with the opset from which on.
        absorbs: Activations that a Q behind makes redundant, where its range says no more than theirs.
        weight_only: Products of float activations and weights in codes; None where there are none.
    """

    runtime: str
    activations: Scheme
    weights: Scheme
    bias: Scheme
    ops: Mapping[str, OpRule] = field(hash=False)
    reduce_range_without: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    last_steps: tuple[str, ...] = ()
    propagates: Mapping[str, int] = field(default_factory=dict, hash=False)
    absorbs: tuple[str, ...] = ()
    weight_only: WeightOnly | None = None

    def of(self, node: ir.Node) -> OpRule | None:
        """The rule of a node's operator, or None where it does not run on codes."""
        return self.ops.get(f"{node.domain}.{node.op_type}" if node.domain else node.op_type)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> QuantizationRules:
        """The rules that a table `[quantization]` holds.

        Raises:
            KeyError, TypeError, ValueError, UsageError: It is not such a table.
        """
        given = dict(plain)
        ops = given.pop("ops")
        made = {name: OpRule.from_dict(name, rule) for name, rule in ops.items()}
        weight_only = given.pop("weight_only", None)
        if weight_only is not None:
            given["weight_only"] = _typed(WeightOnly, weight_only, "quantization.weight_only")
        rules: QuantizationRules = _typed(cls, {**given, "ops": made}, "quantization")
        if unknown := [step for step in (*rules.steps, *rules.last_steps) if step not in STEPS]:
            raise ValueError(f"quantization: unknown step {unknown[0]!r}; known: {', '.join(sorted(STEPS))}")
        return rules


def _attribute(node: ir.Node, name: str) -> Any:
    """An attribute's value as Python has it, or None where the node leaves it to its default."""
    attribute = node.attributes.get(name)
    if attribute is None or attribute.is_ref():
        return None
    return list(attribute.value) if isinstance(attribute.value, tuple) else attribute.value


def _is(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return isinstance(found, list) and all(element == wanted[0] for element in found)
    return bool(found == wanted)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "all " + _shown(value[0]) if len(set(value)) == 1 else str(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _typed(cls: type[Any], plain: Mapping[str, Any], where: str) -> Any:
    """The dataclass of a table's values, each checked against the type of its field."""
    known = {each.name: each for each in fields(cls)}
    if unknown := sorted(plain.keys() - known.keys()):
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(known)}")
    needed = [n for n, each in known.items() if each.default is MISSING and each.default_factory is MISSING]
    if missing := [name for name in needed if name not in plain]:
        raise ValueError(f"{where}: key {missing[0]!r} is missing")
    values = {}
    for name, value in plain.items():
        try:
            values[name] = _READERS.get(str(known[name].type), _as_is)(value)
        except (TypeError, ValueError, UsageError) as error:
            raise ValueError(f"{where}.{name}: {error}") from error
    return cls(**values)


def _as_is(value: Any) -> Any:
    return value


def _exactly(wanted: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not wanted:
            raise TypeError(f"expected {wanted.__name__}, found {value!r}")
        return value

    return read


def _tuple(each: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        return tuple(map(each, _exactly(list)(value)))

    return read


def _dtype(value: Any) -> ir.DataType:
    if value not in DTYPES:
        raise ValueError(f"{value!r} is none of {', '.join(DTYPES)}")
    return DTYPES[value]


_READERS: dict[str, Callable[[Any], Any]] = {
    "str": _exactly(str),
    "int": _exactly(int),
    "bool": _exactly(bool),
    "int | None": _exactly(int),
    "float | None": _exactly(float),
    "Scheme": Scheme.parse,
    "Mapping[str, Any]": _exactly(dict),
    "Mapping[str, int]": _exactly(dict),
    "tuple[float, ...]": _tuple(_exactly(float)),
    "tuple[int, ...]": _tuple(_exactly(int)),
    "tuple[str, ...]": _tuple(_exactly(str)),
    "tuple[ir.DataType, ...]": _tuple(_dtype),
}
"""How a field's value is read from TOML, by the field's type."""
