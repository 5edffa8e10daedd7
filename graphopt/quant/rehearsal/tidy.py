"""Steps that take nodes out: what does nothing, padding that a Conv can do, repeated pairs, equal Qs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_int, attribute_ints, attribute_string, constant, ints, rank, scalar
from graphopt.quant.pairs import Codes, code_range, codes_of, consumers, edges, is_dq, is_q, producer
from graphopt.quant.rehearsal.edits import alike, drop, insert, literal, remove, replace

_NEUTRAL = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0}
_FOLLOWERS = ("Add", "Mul", "BatchNormalization")


def give_each_its_own_dq(graph: ir.Graph) -> None:
    """A DQ for each input of a node that one feeds; what is an output or read in a body keeps the first."""
    for dq in [node for node in graph if is_dq(node)]:
        value = dq.outputs[0]
        readers = consumers(value)
        kept = value.is_graph_output() or edges(value) > len(readers)
        for node, place in readers[0 if kept else 1 :]:
            copy = insert(dq, dq.op_type, dq.inputs, after=True, attributes=dq.attributes, domain=dq.domain)
            node.replace_input_with(place, alike(copy.outputs[0], value))


def drop_no_ops(graph: ir.Graph) -> None:
    """Nodes that hand on their input."""
    for node in list(graph):
        if not node.domain and _does_nothing(node) and not _is_interface(node):
            data = next(place for place, value in enumerate(node.inputs) if constant(value) is None)
            node.replace_input_with(0, node.inputs[data])
            drop(node)


def _does_nothing(node: ir.Node) -> bool:
    if all(constant(value) is not None for value in node.inputs):
        return False
    match node.op_type:
        case "Identity":
            return True
        case "Dropout":
            trains = len(node.inputs) > 2 and bool(scalar(node.inputs[2]) is not False)
            return not trains and not any(value.uses() for value in node.outputs[1:])
        case "Cast":
            data = node.inputs[0]
            return data is not None and data.dtype == ir.DataType(attribute_int(node, "to", 0))
        case "Add" | "Mul" | "Sub" | "Div":
            return any(_is_neutral(node, place) for place in (0, 1))
    return False


def _is_neutral(node: ir.Node, place: int) -> bool:
    if place == 0 and node.op_type in ("Sub", "Div"):
        return False
    value, other = node.inputs[place], node.inputs[1 - place]
    number, dims, other_dims = scalar(value), rank(value), rank(other)
    if number is None or dims is None or other_dims is None or dims > other_dims:
        return False
    return bool(number == _NEUTRAL[node.op_type])


def _is_interface(node: ir.Node) -> bool:
    """Whether the node's output is one of the graph and its input has no maker that could write it."""
    data = node.inputs[0]
    made = producer(data, node.graph)
    return node.outputs[0].is_graph_output() and (
        made is None or data is None or data.is_graph_output() or edges(data) > 1
    )


def merge_transposes(graph: ir.Graph) -> None:
    """A Transpose behind another reads what that one reads; one that does nothing goes."""
    for node in [node for node in graph if _order(node) is not None]:
        before = producer(node.inputs[0], graph)
        if before is None or _order(before) is None:
            continue
        if not _does_move(node) and not _is_interface(node):
            drop(node)
            continue
        node.replace_input_with(0, before.inputs[0])
        _compose(before, node)


def _does_move(node: ir.Node) -> bool:
    order = _order(node)
    return order is not None and order != sorted(order)


def _order(node: ir.Node) -> list[int] | None:
    """The permutation of a Transpose that spells it out."""
    return attribute_ints(node, "perm") if node.op_type == "Transpose" and not node.domain else None


def _compose(first: ir.Node, second: ir.Node) -> None:
    """Let a Transpose do the work of one before as well; one that then does nothing goes."""
    inner, outer = _order(first), _order(second)
    assert inner is not None and outer is not None
    order = [inner[axis] for axis in outer]
    second.attributes["perm"] = ir.AttrInt64s("perm", order)
    if not _does_move(second) and not _is_interface(second):
        drop(second)


def merge_equal_qs(graph: ir.Graph) -> None:
    """Qs of one value that share their zero point and have the same scale."""
    seen: dict[tuple[int, ...], ir.Node] = {}
    for q in [node for node in graph if is_q(node)]:
        codes = codes_of(q)
        if codes.scale is None or not codes.whole:
            continue
        zero = q.inputs[2] if len(q.inputs) > 2 else None
        key = (id(q.inputs[0]), hash(codes.scale.tobytes()), id(zero))
        if key not in seen:
            seen[key] = q
        elif not q.outputs[0].is_graph_output():
            replace(q.outputs[0], seen[key].outputs[0])
            remove(q)


def merge_double_pairs(graph: ir.Graph) -> None:
    """Q, DQ, Q and its DQs in a row become one Q and its DQs, of the range that both have in common."""
    for first in [node for node in graph if is_q(node)]:
        while (row := _row(first)) is not None:
            dq, q, last = row
            before, after = codes_of(first), codes_of(q)
            fits = before.same(codes_of(dq)) and all(after.same(codes_of(each)) for each in last)
            if not fits or before.dtype != after.dtype:
                break
            for each in last:
                each.replace_input_with(0, first.outputs[0])
            remove(q)
            remove(dq)
            if not before.same(after):
                _narrow((first, *last), before, after)


def _row(first: ir.Node) -> tuple[ir.Node, ir.Node, list[ir.Node]] | None:
    """The DQ that alone reads a Q, the Q that alone reads that, and the DQs that read that one."""
    dq = _only_reader(first)
    q = _only_reader(dq) if dq is not None and is_dq(dq) else None
    if dq is None or q is None or not is_q(q) or q.outputs[0].is_graph_output():
        return None
    last = [node for node, _ in consumers(q.outputs[0])]
    return (dq, q, last) if last and all(is_dq(node) for node in last) else None


def _only_reader(node: ir.Node) -> ir.Node | None:
    value = node.outputs[0]
    readers = consumers(value)
    return readers[0][0] if edges(value) == len(readers) == 1 and not value.is_graph_output() else None


def _narrow(pairs: tuple[ir.Node, ...], one: Codes, other: Codes) -> None:
    assert one.range is not None and other.range is not None and one.dtype is not None
    low, high = max(one.range[0], other.range[0]), min(one.range[1], other.range[1])
    least, most = code_range(one.dtype)
    scale = np.float32((high - low) / (most - least))
    zero = np.asarray(np.clip(round(least - low / float(scale)), least, most), one.dtype.numpy())
    for node in pairs:
        node.replace_input_with(1, literal(np.asarray(scale)))
        node.replace_input_with(2, literal(zero))


def fold_pads(graph: ir.Graph) -> None:
    """Zeros padded around the data of a Conv or pooling become padding of its own."""
    for pad in [node for node in graph if node.op_type == "Pad" and not node.domain]:
        value = pad.outputs[0]
        if edges(value) != 1 or value.is_graph_output() or not _pads_zeros_outside_channels(pad):
            continue
        child, place = consumers(value)[0]
        explicit = attribute_string(child, "auto_pad", "NOTSET") == "NOTSET"
        if place == 0 and child.op_type in ("Conv", "AveragePool", "MaxPool") and explicit:
            drop(pad)


def _pads_zeros_outside_channels(pad: ir.Node) -> bool:
    if attribute_string(pad, "mode", "constant") != "constant" or len(pad.inputs) > 3:
        return False
    pads = ints(pad.inputs[1]) if len(pad.inputs) > 1 else attribute_ints(pad, "pads")
    filler = scalar(pad.inputs[2]) if len(pad.inputs) > 2 and pad.inputs[2] is not None else 0.0
    if pads is None or filler is None or filler != 0 or min(pads, default=-1) < 0:
        return False
    half = len(pads) // 2
    return not any((pads[0], pads[1], pads[half], pads[half + 1]))


def fuse_conv(graph: ir.Graph) -> None:
    """Constants behind a Conv of float weights, which its weights and bias take in."""
    for conv in [node for node in graph if node.op_type == "Conv" and not node.domain]:
        while constant(conv.inputs[1]) is not None and (follower := _follower(conv)) is not None:
            _drop_into(conv, follower)


def _follower(conv: ir.Node) -> ir.Node | None:
    value = conv.outputs[0]
    if edges(value) != 1 or value.is_graph_output():
        return None
    node, place = next(iter(consumers(value)), (None, 0))
    if node is None or node.domain or node.op_type not in _FOLLOWERS:
        return None
    others = [other for other in node.inputs if other is not value]
    if any(constant(other) is None for other in others):
        return None
    if node.op_type == "BatchNormalization":
        return node if place == 0 and len([out for out in node.outputs if out.uses()]) <= 1 else None
    return node if _is_by_channel(others, conv) else None


def _is_by_channel(others: list[ir.Value | None], conv: ir.Node) -> bool:
    weight, given = constant(conv.inputs[1]), constant(others[0]) if others else None
    if weight is None or given is None:
        return False
    channels, spatial = weight.shape[0], weight.ndim - 2
    return given.shape in ((channels, *[1] * spatial), (1, channels, *[1] * spatial))


def _drop_into(node: ir.Node, follower: ir.Node) -> None:
    """Let a node write what its follower wrote."""
    place = next(place for place, value in enumerate(follower.inputs) if value is node.outputs[0])
    follower.replace_input_with(0, follower.inputs[place])
    drop(follower)
