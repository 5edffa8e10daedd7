"""Judges single nodes of a rehearsed copy: what a rule asks for, and what of it is missing.

Every reason that a prediction gives is worded here or in `OpRule.refusal`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_int, constant, constant_tensor, rank, static_shape
from graphopt.quant.pairs import Codes, codes_of, consumers, edges, is_dq, is_q, producer
from graphopt.quant.rehearsal.codes import clip_bounds, makes_redundant
from graphopt.quant.rehearsal.edits import origins
from graphopt.quant.rules import OpRule, QuantizationRules, WeightOnly
from graphopt.quant.wording import (
    codes_text,
    dtype_name,
    dtype_names,
    label,
    number,
    operator_name,
    range_text,
)

INT8 = "int8"
FLOAT = "float"
WEIGHT_ONLY = "weight-only"
GONE = "gone"

_INTEGER = ("ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM")
_INTEGER_PREFIXES = ("QLinear", "QGemm", "QAttention", "QEmbed", "QOrdered", "MatMulIntegerToFloat")
_WEIGHT_ONLY = ("MatMulNBits", "MatMulBnb4", "GatherBlockQuantized")
_READ_TWICE = ("HardSwish",)
"""Operators that onnxruntime spells out in two that read their input."""
_CODES = (ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16)
_SCALES = (ir.DataType.FLOAT, ir.DataType.FLOAT16)
_SIGNED = "its activations are int8 and several nodes read them; uint8 ones would do"


def integer_kind(domain: str, op_type: str) -> str | None:
    """`INT8` or `WEIGHT_ONLY` for an operator that is quantized by itself, else None."""
    if op_type in _WEIGHT_ONLY and domain:
        return WEIGHT_ONLY
    return INT8 if op_type in _INTEGER or op_type.startswith(_INTEGER_PREFIXES) else None


@dataclass(frozen=True)
class Verdict:
    """How one node runs.

    Attributes:
        runs_in: `INT8`, `FLOAT`, `WEIGHT_ONLY` or `GONE`.
        kernel: The operator that runs it.
        cause: Why it is not int8, without names.
        detail: The same with names, the end of a sentence.
    """

    runs_in: str
    kernel: str
    cause: str
    detail: str


class _Obstacle(Exception):
    """What keeps a node off codes, without and with names."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail


def judge(node: ir.Node, original: ir.Node, rules: QuantizationRules, opset: int) -> Verdict:
    """How a node of a rehearsed copy runs; sentences name the values of the node it stands for."""
    return _Judge(node, original, rules, opset).verdict()


class _Judge:
    def __init__(self, node: ir.Node, original: ir.Node, rules: QuantizationRules, opset: int) -> None:
        self._node = node
        self._original = original
        self._rules = rules
        self._opset = opset
        self._graph = node.graph

    def verdict(self) -> Verdict:
        """How the node runs."""
        node, rule = self._node, self._rules.of(self._node)
        kind = integer_kind(self._original.domain, self._original.op_type)
        if kind is not None:
            return Verdict(kind, operator_name(self._original), "", "it is a quantized operator")
        if all(constant(value) is not None for value in node.inputs if value is not None):
            return Verdict(GONE, "", "computed ahead of time", "all its inputs are constants")
        if rule is not None and rule.same_scale and self._moves_codes(node.inputs[0]):
            return Verdict(INT8, operator_name(node), "", "it is given integers")
        held = self._weight_only()
        if held is not None:
            return Verdict(WEIGHT_ONLY, held.kernel, "", "its weights alone come from a DequantizeLinear")
        try:
            if rule is None:
                raise self._uncovered()
            writes_codes = self._check(rule)
        except _Obstacle as obstacle:
            return Verdict(FLOAT, operator_name(node), obstacle.cause, obstacle.detail)
        if writes_codes:
            return Verdict(INT8, rule.kernel, "", "DequantizeLinear before it, QuantizeLinear behind it")
        kernel = rule.kernel_without_q or rule.kernel
        return Verdict(
            INT8, kernel, "", "DequantizeLinear before it; it writes floats, as no QuantizeLinear follows"
        )

    def _moves_codes(self, value: ir.Value | None) -> bool:
        """Whether a value holds integers, as far as types or what made it tell."""
        while value is not None:
            if value.dtype is not None:
                return value.dtype in _CODES
            node = value.producer()
            if node is None:
                return False
            if integer_kind(node.domain, node.op_type) == INT8:
                return node.op_type.startswith("QLinear") or node.op_type == "QGemm"
            rule = self._rules.of(node)
            if rule is None or not rule.same_scale:
                return is_q(node)
            value = node.inputs[0]
        return False

    def _uncovered(self) -> _Obstacle:
        op = self._node.op_type
        runtime = self._rules.runtime.split(",")[0]
        return _Obstacle(f"{op} has no integer form there", f"{runtime} has no integer form of {op}")

    def _check(self, rule: OpRule) -> bool:
        """Whether it writes codes.

        Raises:
            _Obstacle: It does not run on codes.
        """
        node = self._node
        refusal = rule.refusal(node, self._opset)
        if refusal is not None:
            raise _Obstacle(refusal, refusal)
        places = rule.data_inputs(node)
        read = [self._dequantized(place) for place in places]
        if rule.weight is not None:
            read.append(self._dequantized(rule.weight, is_weight=True))
        if rule.has_bias(node):
            assert rule.bias is not None
            self._check_bias(rule, rule.bias, read)
        written = self._written(rule)
        self._check_types(rule, places, read, written)
        if rule.same_scale:
            self._check_scales(rule, read[0], written)
        return bool(written)

    def _dequantized(self, place: int, is_weight: bool = False) -> ir.Node:
        """The DQ that feeds an input."""
        value = self._node.inputs[place]
        source = producer(value, self._graph)
        if source is not None and is_dq(source):
            return source
        name = self._input_name(place)
        if constant(value) is not None:
            what = "weights are" if is_weight else "constant is"
            raise _Obstacle(
                f"its {what} not quantized", f"its constant {name} is in float, with no DequantizeLinear"
            )
        raise _Obstacle(
            "its second factor is not quantized" if is_weight else "its input is not quantized",
            f"its input {name} comes from {self._maker(value)}, not from a DequantizeLinear",
        )

    def _check_bias(self, rule: OpRule, place: int, read: list[ir.Node]) -> None:
        value = self._node.inputs[place]
        source, name = producer(value, self._graph), self._input_name(place)
        if source is not None and is_dq(source):
            dtype = codes_of(source).dtype
            if dtype == self._rules.bias.dtype:
                self._check_bias_scale(rule, name, codes_of(source), read)
                return
            raise _Obstacle(
                "its bias has codes of another type",
                f"its bias {name} has codes of {dtype_name(dtype)}, and must have int32",
            )
        behind = (
            ""
            if rule.output == "needed"
            else ", and no QuantizeLinear right behind it lets the runtime quantize it"
        )
        raise _Obstacle(
            "its bias is not quantized", f"its bias {name} is in float, with no DequantizeLinear{behind}"
        )

    def _check_bias_scale(self, rule: OpRule, name: str, bias: Codes, read: list[ir.Node]) -> None:
        data, weights = codes_of(read[0]).scale, codes_of(read[-1]).scale
        if not rule.bias_tolerance or bias.scale is None or data is None or weights is None:
            return
        relative, absolute = rule.bias_tolerance
        wanted = (data * weights).reshape(-1)
        found = bias.scale.reshape(-1)
        if found.size not in (1, wanted.size) and wanted.size != 1:
            raise _Obstacle(
                "its bias has other scales than its weights",
                f"its bias {name} has {found.size} scales, its weights have {wanted.size}",
            )
        with np.errstate(invalid="ignore"):
            fits = np.abs(found - wanted) <= absolute + relative * np.abs(wanted)
        if not fits.all():
            raise _Obstacle(
                "its bias has another scale than its input times its weights",
                f"its bias {name} does not have the scale of its input times that of its weights",
            )

    def _written(self, rule: OpRule) -> list[ir.Node]:
        """The Qs that its outputs go to; none where it writes floats."""
        node = self._node
        outputs = [value for value in node.outputs if value.uses() or value.is_graph_output()]
        if rule.output == "free":
            return []
        if rule.outputs != 1:
            return [self._only_q(value) for value in outputs]
        value = node.outputs[0]
        readers = consumers(value)
        last = node
        if edges(value) == 1 and readers and readers[0][0].op_type in self._rules.absorbs:
            follower = readers[0][0]
            after = follower.outputs[0]
            if not follower.domain and _is_read_once(after) and not after.is_graph_output():
                last = follower
                self._check_redundant(rule, follower)
        value = last.outputs[0]
        if rule.output == "optional" and not any(is_q(reader) for reader, _ in consumers(value)):
            return []
        if node.outputs[0].is_graph_output():
            value = node.outputs[0]
        return [self._only_q(value)]

    def _check_redundant(self, rule: OpRule, follower: ir.Node) -> None:
        """Stops at a Relu or Clip behind that no Q makes redundant."""
        q = consumers(follower.outputs[0])[0][0]
        if is_q(q) and makes_redundant(q, follower) and not rule.same_scale:
            return
        kind, name = follower.op_type, label(origins(follower)[0] if origins(follower) else follower)
        if not is_q(q):
            raise _Obstacle(
                f"no Q follows the {kind} behind it",
                f"{name} follows it, and {self._reader(q)} follows that, not a QuantizeLinear",
            )
        bounds, range_ = clip_bounds(follower), codes_of(q).range
        limits = "numbers below 0" if kind == "Relu" else f"numbers outside {range_text(bounds)}"
        codes = "codes" if range_ is None else f"codes from {number(range_[0])} to {number(range_[1])}"
        raise _Obstacle(
            f"the {kind} behind it is not absorbed: the Q's range goes beyond it",
            f"the QuantizeLinear behind {name} has {codes}, some of which stand for {limits}",
        )

    def _only_q(self, value: ir.Value) -> ir.Node:
        """The Q that alone reads an output."""
        readers = consumers(value)
        total = edges(value)
        qs = [reader for reader, _ in readers if is_q(reader)]
        if value.is_graph_output():
            raise _Obstacle(
                "its output is a graph output", "its output is a graph output, so no Q can follow it"
            )
        if total == 1 and qs:
            return qs[0]
        if total == 0:
            raise _Obstacle("an output of it is not read", "nobody reads an output of it, so no Q follows it")
        if len(qs) > 1:
            raise _Obstacle(
                "its output goes to several QuantizeLinears",
                f"its output goes to {len(qs)} QuantizeLinears, and a single one must follow it",
            )
        if qs:
            others = [reader for reader, _ in readers if reader is not qs[0]]
            more = self._reader(others[0]) if others else "the body of a node"
            raise _Obstacle(
                "its output goes elsewhere besides to a QuantizeLinear",
                f"its output goes to a QuantizeLinear and to {more}, and a QuantizeLinear alone must read it",
            )
        if total == 1 and readers:
            raise _Obstacle(
                f"no Q follows it, but {readers[0][0].op_type}",
                f"its output goes to {self._reader(readers[0][0])}, not to a QuantizeLinear",
            )
        raise _Obstacle("no Q follows it", f"its output goes to {total} nodes, none of them a QuantizeLinear")

    def _check_types(
        self, rule: OpRule, places: tuple[int, ...], read: list[ir.Node], written: list[ir.Node]
    ) -> None:
        data = read[: len(places)]
        first = codes_of(data[0]).dtype
        for place, dq in zip(places, data, strict=True):
            dtype = codes_of(dq).dtype
            if dtype not in rule.types:
                raise self._wrong_type(dq, f"its input {self._input_name(place)}", dtype, rule)
            if dtype != first:
                raise _Obstacle(
                    "its inputs have codes of different types",
                    f"its input {self._input_name(places[0])} has codes of {dtype_name(first)}, "
                    f"{self._input_name(place)} of {dtype_name(dtype)}",
                )
        if rule.weight is not None:
            weights = codes_of(read[-1]).dtype
            fixed = constant_tensor(read[-1].inputs[0]) is not None
            types = rule.weight_types if fixed else rule.factor_types or rule.weight_types
            if weights not in types:
                raise _Obstacle(
                    f"its weights have codes of {dtype_name(weights)}",
                    f"its weights {self._input_name(rule.weight)} have codes of {dtype_name(weights)}, "
                    f"and must have {dtype_names(types)}",
                )
            if fixed and not rule.asymmetric_weights:
                self._check_zero_points(rule.weight, read[-1])
            if rule.symmetric == "data" or (rule.symmetric == "factors" and not fixed):
                self._check_symmetry(places[0], data[0], read[-1] if not fixed else None)
            if rule.counts_scales:
                self._check_count(rule, rule.weight, read[-1])
            if first == ir.DataType.INT8 and weights != first:
                raise _Obstacle(
                    "its activations are int8 and its weights are not",
                    f"its input has codes of int8, its weights of {dtype_name(weights)}",
                )
        for q in written:
            dtype = codes_of(q).dtype
            if dtype == first:
                continue
            signed = q if dtype == ir.DataType.INT8 else data[0] if first == ir.DataType.INT8 else None
            why = "" if signed is None else self._why_signed(signed)
            raise _Obstacle(
                _SIGNED if why else "its output has codes of another type than its input",
                f"its input has codes of {dtype_name(first)}, its output of {dtype_name(dtype)}{why}",
            )

    def _check_zero_points(self, place: int, dq: ir.Node) -> None:
        codes = codes_of(dq)
        if codes.zero_point is not None and codes.zero_point.any():
            raise _Obstacle(
                "its weights have a zero point", f"its weights {self._input_name(place)} have a zero point"
            )

    def _check_symmetry(self, place: int, data: ir.Node, factor: ir.Node | None) -> None:
        """Stops where data have a zero point, or a second factor one that is not the middle."""
        zero = codes_of(data).zero
        if zero:
            name = self._input_name(place)
            raise _Obstacle(
                "its input has a zero point", f"its input {name} has the zero point {zero}, not 0"
            )
        codes = None if factor is None else codes_of(factor)
        if codes is not None and codes.zero != (128 if codes.dtype == ir.DataType.UINT8 else 0):
            cause = "its second factor is not symmetric"
            raise _Obstacle(cause, f"the zero point of its second factor is {codes.zero}, not the middle")

    def _check_count(self, rule: OpRule, place: int, dq: ir.Node) -> None:
        codes, shape = codes_of(dq), static_shape(dq.inputs[0])
        if codes.whole or codes.scale is None or shape is None:
            return
        channels = shape[rule.channel_axis(self._node, len(shape))]
        if codes.scale.shape != (channels,):
            raise _Obstacle(
                "its weights do not have one scale each output channel",
                f"its weights {self._input_name(place)} have scales of shape {codes.scale.shape}, "
                f"and its output {channels} channels",
            )

    def _wrong_type(self, dq: ir.Node, what: str, dtype: ir.DataType | None, rule: OpRule) -> _Obstacle:
        kind = self._node.op_type
        takes = f"{kind} takes {dtype_names(rule.types)} there"
        why = self._why_signed(dq) if dtype == ir.DataType.INT8 else ""
        cause = _SIGNED if why else f"its input has codes of {dtype_name(dtype)}"
        return _Obstacle(cause, f"{what} has codes of {dtype_name(dtype)}, and {takes}{why}")

    def _why_signed(self, node: ir.Node) -> str:
        """Why int8 codes were not made uint8, as a sentence's end; "" where the runtime never does."""
        if "int8-pairs-to-uint8" not in self._rules.last_steps:
            return ""
        q = node if is_q(node) else producer(node.inputs[0], self._graph)
        if q is None or not is_q(q):
            return "; only codes that a QuantizeLinear makes become uint8"
        if q.outputs[0].is_graph_output():
            return "; codes that are a graph output do not become uint8"
        readers = edges(q.outputs[0])
        if readers != 1:
            return f"; they are read {readers} times, and only those read once become uint8"
        return ""

    def _check_scales(self, rule: OpRule, dq: ir.Node, written: list[ir.Node]) -> None:
        before = codes_of(dq)
        for q in written:
            after = codes_of(q)
            if not before.same(after):
                raise _Obstacle(
                    f"{self._node.op_type} needs one scale on both sides",
                    f"its input has {codes_text(before)}, its output {codes_text(after)}",
                )
        if rule.positive_scale and before.scale is not None and not before.scale.reshape(-1)[0] > 0:
            raise _Obstacle("its scale is not above 0", "its scale is not above 0")

    def _weight_only(self) -> WeightOnly | None:
        """What makes a product of float activations and weights in codes of this node."""
        held, node = self._rules.weight_only, self._node
        if held is None or operator_name(node) not in held.ops or len(node.inputs) < 2:
            return None
        dq = producer(node.inputs[1], self._graph)
        data = producer(node.inputs[0], self._graph)
        if dq is None or not is_dq(dq) or is_dq(data) or not _fits(dq, held):
            return None
        value = node.outputs[0]
        readers = consumers(value)
        if any(is_q(reader) for reader, _ in readers):
            return None
        if edges(value) == 1 and readers and readers[0][0].op_type in self._rules.absorbs:
            after = readers[0][0].outputs[0]
            if _is_read_once(after) and not after.is_graph_output():
                return None
        return held if node.op_type == "MatMul" or self._is_plain_gemm() else None

    def _is_plain_gemm(self) -> bool:
        node = self._node
        if any(attribute_int(node, name, 0) for name in ("transA", "transB")):
            return False
        scales = [node.attributes[name].as_float() for name in ("alpha", "beta") if name in node.attributes]
        return all(math.isclose(scale, 1.0, abs_tol=1e-6) for scale in scales) and (
            len(node.inputs) < 3 or node.inputs[2] is None or rank(node.inputs[2]) == 1
        )

    def _input_name(self, place: int) -> str:
        inputs = self._original.inputs
        value = inputs[place] if place < len(inputs) else self._node.inputs[place]
        return repr(value.name) if value is not None and value.name else "of its own"

    def _maker(self, value: ir.Value | None) -> str:
        node = None if value is None else value.producer()
        if node is None:
            return "a graph input" if value is not None and value.is_graph_input() else "outside"
        stands_for = origins(node)
        if not stands_for:
            return f"a {node.op_type} of the runtime"
        where = "" if node.graph is self._graph else ", outside this body"
        return label(stands_for[-1]) + where

    def _reader(self, node: ir.Node) -> str:
        stands_for = origins(node)
        return label(stands_for[0]) if stands_for else f"a {node.op_type}"


def _is_read_once(value: ir.Value) -> bool:
    """Whether one node of the graph alone reads a value, once."""
    readers = consumers(value)
    return len(readers) == edges(value) == 1 and readers[0][0].op_type not in _READ_TWICE


def _fits(dq: ir.Node, held: WeightOnly) -> bool:
    """Whether weights in codes have the form that a product of floats takes."""
    weight, scale = constant_tensor(dq.inputs[0]), constant_tensor(dq.inputs[1])
    zero = constant_tensor(dq.inputs[2]) if len(dq.inputs) > 2 and dq.inputs[2] is not None else None
    if weight is None or scale is None or (zero is None and len(dq.inputs) > 2 and dq.inputs[2] is not None):
        return False
    if any(value is not None and len(value.uses()) != 1 for value in dq.inputs):
        return False  # each is packed for this node alone
    if weight.dtype not in held.types or len(weight.shape) != 2 or scale.dtype not in _SCALES:
        return False
    block, shapes = (
        attribute_int(dq, "block_size", 0),
        {tuple(each.shape) for each in (scale, zero) if each is not None},
    )
    rows, columns = (int(size) for size in weight.shape.numpy())
    if block:
        whole = block >= held.min_block > 0 and not block & (block - 1) and attribute_int(dq, "axis", 1) == 0
        return whole and shapes == {(-(-rows // block), columns)}
    by_column = shapes == {(columns,)} and attribute_int(dq, "axis", 1) == 1
    return held.whole_columns and (shapes == {()} or by_column)
