"""Costs and what is in a model, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from graphopt.report.layout import NODE_WIDTH, columns, dim, heading, note, sections, shortened
from graphopt.report.units import amount, duration, listed, plural, significant, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from graphopt.cost import ModelCost
    from graphopt.report.inspection import Inspection


def inspection(found: Inspection, *, top: int | None = 10) -> Iterator[RenderableType]:
    """A model looked at.

    Args:
        found: What was found.
        top: Number of nodes to list, dearest first; None for all, in order.
    """
    yield from sections(
        [heading(found.source)],
        [_facts(found)],
        [_ports(found)],
        [", ".join(f"{op} {count}" for op, count in found.ops.items())],
        [totals(found.cost)],
        [nodes(found.cost, top)] if top != 0 and found.cost.nodes else (),
        map(note, (*found.notes, *cost_notes(found.cost))),
    )


def _ports(found: Inspection) -> RenderableType:
    table = columns("", "name", "type")
    for kind, members in (("input", found.inputs), ("output", found.outputs)):
        for name, type_ in members:
            table.add_row(kind, name, type_)
    return table


def _facts(found: Inspection) -> RenderableType:
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in found.opsets.items())
    inner = [plural(found.bodies, "body")] if found.bodies else []
    inner += [plural(len(found.functions), "function")] if found.functions else []
    entries = {
        "made by": found.producer,
        "format": f"IR {found.ir_version}, opset {opsets}",
        "nodes": ", ".join([str(found.nodes), *inner]),
        "functions": listed(list(found.functions)),
        "weights in": listed(list(found.external_files)),
        "optimized": found.metadata.get("graphopt.pipeline", ""),
    }
    table = columns("", "")
    table.show_header = False
    for label, text in entries.items():
        if text:
            table.add_row(dim(label), text)
    return table


def totals(cost: ModelCost) -> RenderableType:
    """Costs of a whole model."""
    table = columns("", ">", "")
    table.show_header = False
    generated = (
        f"{amount(cost.generated.elements)} of them made at run time" if cost.generated.elements else ""
    )
    table.add_row(
        "parameters", amount(cost.params), ", ".join(filter(None, [size(cost.parameter_bytes), generated]))
    )
    table.add_row("MACs", amount(cost.macs), "")
    table.add_row("FLOPs", amount(cost.flops), "")
    table.add_row("bytes moved", size(cost.bytes_moved), f"{significant(cost.intensity)} FLOPs a byte")
    table.add_row("activations", size(cost.activation_peak_bytes), "peak memory in this order of nodes")
    table.add_row("estimate", duration(cost.time.estimate), rates_remark(cost))
    return table


def nodes(cost: ModelCost, top: int | None) -> RenderableType:
    """The dearest nodes, or all of them in order."""
    ranked = list(cost.nodes)
    if top is not None:
        ranked = sorted(ranked, key=lambda node: -(node.seconds or 0.0))[:top]
    total = cost.time.estimate
    table = columns("node", "op", ">MACs", ">FLOPs", ">bytes", ">FLOP/B", ">time", ">")
    for node in ranked:
        share = "" if node.seconds is None or not total else f"{100 * node.seconds / total:.0f}%"
        table.add_row(
            shortened(node.name, NODE_WIDTH),
            node.op,
            amount(node.macs),
            amount(node.flops),
            size(node.bytes_moved),
            significant(node.intensity),
            "?" if node.seconds is None else duration(node.seconds),
            share,
        )
    return table


def rates_remark(cost: ModelCost) -> str:
    """The interval of an estimated time, and where the rates behind it come from."""
    low, _, high = cost.time
    return f"{duration(low)} to {duration(high)}, rates {'measured' if cost.rates.measured else 'assumed'}"


def cost_notes(cost: ModelCost) -> Iterator[str]:
    """What a cost estimate assumes and what it leaves out."""
    if cost.assumed:
        sizes = [f"{name}={count}" for name, count in cost.assumed.items()]
        yield f"costs assume {', '.join(sizes)}; --shape sets them"
    if cost.guessed:
        sizes = [f"{name}={count}" for name, count in cost.guessed.items()]
        yield f"costs guess {plural(len(sizes), 'size')} inside the graph: {listed(sizes)}"
    if cost.unknown_ops:
        yield f"costs leave out {', '.join(f'{op} ({why})' for op, why in cost.unknown_ops.items())}"
    if cost.unknown_shapes:
        nodes = plural(len(cost.unknown_shapes), "node")
        yield f"costs leave out {nodes} of unknown shape: {listed(cost.unknown_shapes, 2)}"
    yield from cost.notes
