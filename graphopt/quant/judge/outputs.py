"""What must follow a node: a Q alone, perhaps behind an activation that it makes redundant."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.quant.judge.site import Obstacle, Site
from graphopt.quant.pairs import codes_of, consumers, edges, is_q
from graphopt.quant.rehearsal.codes import clip_bounds, makes_redundant
from graphopt.quant.rehearsal.edits import origins
from graphopt.quant.rules import OpRule
from graphopt.quant.wording import label, number, range_text

_READ_TWICE = ("HardSwish",)
"""Operators that onnxruntime spells out in two that read their input."""


def quantizers(site: Site, rule: OpRule) -> list[ir.Node]:
    """The Qs that its outputs go to; none where it writes floats."""
    node = site.node
    outputs = [value for value in node.outputs if value.uses() or value.is_graph_output()]
    if rule.output == "free":
        return []
    if rule.outputs != 1:
        return [_only_q(site, value) for value in outputs]
    value = node.outputs[0]
    readers = consumers(value)
    last = node
    if edges(value) == 1 and readers and readers[0][0].op_type in site.rules.absorbs:
        follower = readers[0][0]
        after = follower.outputs[0]
        if not follower.domain and is_read_once(after) and not after.is_graph_output():
            last = follower
            _check_redundant(site, rule, follower)
    value = last.outputs[0]
    if rule.output == "optional" and not any(is_q(reader) for reader, _ in consumers(value)):
        return []
    if node.outputs[0].is_graph_output():
        value = node.outputs[0]
    return [_only_q(site, value)]


def _check_redundant(site: Site, rule: OpRule, follower: ir.Node) -> None:
    """Stops at a Relu or Clip behind that no Q makes redundant."""
    q = consumers(follower.outputs[0])[0][0]
    if is_q(q) and makes_redundant(q, follower) and not rule.same_scale:
        return
    kind, name = follower.op_type, label(origins(follower)[0] if origins(follower) else follower)
    if not is_q(q):
        raise Obstacle(
            f"no Q follows the {kind} behind it",
            f"{name} follows it, and {site.reader(q)} follows that, not a QuantizeLinear",
        )
    bounds, range_ = clip_bounds(follower), codes_of(q).range
    limits = "numbers below 0" if kind == "Relu" else f"numbers outside {range_text(bounds)}"
    codes = "codes" if range_ is None else f"codes from {number(range_[0])} to {number(range_[1])}"
    raise Obstacle(
        f"the {kind} behind it is not absorbed: the Q's range goes beyond it",
        f"the QuantizeLinear behind {name} has {codes}, some of which stand for {limits}",
    )


def _only_q(site: Site, value: ir.Value) -> ir.Node:
    """The Q that alone reads an output."""
    readers = consumers(value)
    total = edges(value)
    qs = [reader for reader, _ in readers if is_q(reader)]
    if value.is_graph_output():
        raise Obstacle("its output is a graph output", "its output is a graph output, so no Q can follow it")
    if total == 1 and qs:
        return qs[0]
    if total == 0:
        raise Obstacle("an output of it is not read", "nobody reads an output of it, so no Q follows it")
    if len(qs) > 1:
        raise Obstacle(
            "its output goes to several QuantizeLinears",
            f"its output goes to {len(qs)} QuantizeLinears, and a single one must follow it",
        )
    if qs:
        others = [reader for reader, _ in readers if reader is not qs[0]]
        more = site.reader(others[0]) if others else "the body of a node"
        raise Obstacle(
            "its output goes elsewhere besides to a QuantizeLinear",
            f"its output goes to a QuantizeLinear and to {more}, and a QuantizeLinear alone must read it",
        )
    if total == 1 and readers:
        raise Obstacle(
            f"no Q follows it, but {readers[0][0].op_type}",
            f"its output goes to {site.reader(readers[0][0])}, not to a QuantizeLinear",
        )
    raise Obstacle("no Q follows it", f"its output goes to {total} nodes, none of them a QuantizeLinear")


def is_read_once(value: ir.Value) -> bool:
    """Whether one node of the graph alone reads a value, once."""
    readers = consumers(value)
    return len(readers) == edges(value) == 1 and readers[0][0].op_type not in _READ_TWICE
