"""What codes a node must be given and must write: their types, scales and zero points."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import constant_tensor, static_shape
from graphopt.quant.judge.site import Obstacle, Site
from graphopt.quant.pairs import codes_of, edges, is_q, producer
from graphopt.quant.rules import OpRule
from graphopt.quant.wording import codes_text, dtype_name, dtype_names

_SIGNED = "its activations are int8 and several nodes read them; uint8 ones would do"


def check_types(
    site: Site, rule: OpRule, places: tuple[int, ...], read: list[ir.Node], written: list[ir.Node]
) -> None:
    """Stops where types of codes do not go together, or weights have a form that is not taken.

    Args:
        site: The node.
        rule: Its rule.
        places: Positions of its data.
        read: The DQs of its data, then that of its weights if it has any.
        written: The Qs that it writes to.
    """
    data = read[: len(places)]
    first = codes_of(data[0]).dtype
    for place, dq in zip(places, data, strict=True):
        dtype = codes_of(dq).dtype
        if dtype not in rule.types:
            raise _wrong_type(site, dq, f"its input {site.input_name(place)}", dtype, rule)
        if dtype != first:
            raise Obstacle(
                "its inputs have codes of different types",
                f"its input {site.input_name(places[0])} has codes of {dtype_name(first)}, "
                f"{site.input_name(place)} of {dtype_name(dtype)}",
            )
    if rule.weight is not None:
        _check_weights(site, rule, rule.weight, data[0], read[-1])
    for q in written:
        dtype = codes_of(q).dtype
        if dtype == first:
            continue
        signed = q if dtype == ir.DataType.INT8 else data[0] if first == ir.DataType.INT8 else None
        why = "" if signed is None else _why_signed(site, signed)
        raise Obstacle(
            _SIGNED if why else "its output has codes of another type than its input",
            f"its input has codes of {dtype_name(first)}, its output of {dtype_name(dtype)}{why}",
        )


def _check_weights(site: Site, rule: OpRule, place: int, data: ir.Node, dq: ir.Node) -> None:
    weights = codes_of(dq).dtype
    fixed = constant_tensor(dq.inputs[0]) is not None
    types = rule.weight_types if fixed else rule.factor_types or rule.weight_types
    if weights not in types:
        raise Obstacle(
            f"its weights have codes of {dtype_name(weights)}",
            f"its weights {site.input_name(place)} have codes of {dtype_name(weights)}, "
            f"and must have {dtype_names(types)}",
        )
    if fixed and not rule.asymmetric_weights:
        _check_zero_points(site, place, dq)
    if rule.symmetric == "data" or (rule.symmetric == "factors" and not fixed):
        _check_symmetry(site, rule.data_inputs(site.node)[0], data, dq if not fixed else None)
    if rule.counts_scales:
        _check_count(site, rule, place, dq)
    if codes_of(data).dtype == ir.DataType.INT8 and weights != ir.DataType.INT8:
        raise Obstacle(
            "its activations are int8 and its weights are not",
            f"its input has codes of int8, its weights of {dtype_name(weights)}",
        )


def _check_zero_points(site: Site, place: int, dq: ir.Node) -> None:
    codes = codes_of(dq)
    if codes.zero_point is not None and codes.zero_point.any():
        raise Obstacle(
            "its weights have a zero point", f"its weights {site.input_name(place)} have a zero point"
        )


def _check_symmetry(site: Site, place: int, data: ir.Node, factor: ir.Node | None) -> None:
    """Stops where data have a zero point, or a second factor one that is not the middle."""
    zero = codes_of(data).zero
    if zero:
        name = site.input_name(place)
        raise Obstacle("its input has a zero point", f"its input {name} has the zero point {zero}, not 0")
    codes = None if factor is None else codes_of(factor)
    if codes is not None and codes.zero != (128 if codes.dtype == ir.DataType.UINT8 else 0):
        cause = "its second factor is not symmetric"
        raise Obstacle(cause, f"the zero point of its second factor is {codes.zero}, not the middle")


def _check_count(site: Site, rule: OpRule, place: int, dq: ir.Node) -> None:
    codes, shape = codes_of(dq), static_shape(dq.inputs[0])
    if codes.whole or codes.scale is None or shape is None:
        return
    channels = shape[rule.channel_axis(site.node, len(shape))]
    if codes.scale.shape != (channels,):
        raise Obstacle(
            "its weights do not have one scale each output channel",
            f"its weights {site.input_name(place)} have scales of shape {codes.scale.shape}, "
            f"and its output {channels} channels",
        )


def _wrong_type(site: Site, dq: ir.Node, what: str, dtype: ir.DataType | None, rule: OpRule) -> Obstacle:
    kind = site.node.op_type
    takes = f"{kind} takes {dtype_names(rule.types)} there"
    why = _why_signed(site, dq) if dtype == ir.DataType.INT8 else ""
    cause = _SIGNED if why else f"its input has codes of {dtype_name(dtype)}"
    return Obstacle(cause, f"{what} has codes of {dtype_name(dtype)}, and {takes}{why}")


def _why_signed(site: Site, node: ir.Node) -> str:
    """Why int8 codes were not made uint8, as a sentence's end; "" where the runtime never does."""
    if "int8-pairs-to-uint8" not in site.rules.last_steps:
        return ""
    q = node if is_q(node) else producer(node.inputs[0], site.graph)
    if q is None or not is_q(q):
        return "; only codes that a QuantizeLinear makes become uint8"
    if q.outputs[0].is_graph_output():
        return "; codes that are a graph output do not become uint8"
    readers = edges(q.outputs[0])
    if readers != 1:
        return f"; they are read {readers} times, and only those read once become uint8"
    return ""


def check_scales(site: Site, rule: OpRule, dq: ir.Node, written: list[ir.Node]) -> None:
    """Stops where the codes that are read and written do not have one scale and zero point."""
    before = codes_of(dq)
    for q in written:
        after = codes_of(q)
        if not before.same(after):
            raise Obstacle(
                f"{site.node.op_type} needs one scale on both sides",
                f"its input has {codes_text(before)}, its output {codes_text(after)}",
            )
    if rule.positive_scale and before.scale is not None and not before.scale.reshape(-1)[0] > 0:
        raise Obstacle("its scale is not above 0", "its scale is not above 0")
