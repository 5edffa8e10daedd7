"""Which nodes became which, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from graphopt.report.layout import NODE_WIDTH, Shortened, columns, dim, heading, sections, shortened
from graphopt.report.units import plural, shorten

if TYPE_CHECKING:
    from rich.console import RenderableType

    from graphopt.report.diff import Became, Diff, NodeRef

NODES_SHOWN = 8


def difference(found: Diff, *, verbose: bool = False) -> Iterator[RenderableType]:
    """Which nodes became which.

    Args:
        found: The difference.
        verbose: Name every node instead of the first few of each kind.
    """
    rewritten = [each for each in found.changed if each.what != "inputs"]
    limit = None if verbose else NODES_SHOWN
    yield from sections(
        _in_short(found, len(rewritten)),
        _operators(found),
        _became("fused", found.fused, limit),
        _became("changed", rewritten, limit),
        _named("removed", found.removed, limit),
        _named("new", found.new, limit),
    )


def _in_short(found: Diff, rewritten: int) -> Iterator[RenderableType]:
    before, after = found.nodes
    yield heading("the same" if found.same else f"{before} -> {plural(after, 'node')}")
    counts = {
        "kept": found.kept,
        "kept with other inputs": len(found.changed) - rewritten,
        "changed": rewritten,
        f"fused from {len({s for each in found.fused for s in each.sources})}": len(found.fused),
        "removed": len(found.removed),
        "new": len(found.new),
    }
    yield ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    for line in found.interface:
        yield Text.assemble(("interface: ", "yellow"), line)
    weights = [f"{len(names)} {what}" for what, names in found.constants.items() if names]
    if weights:
        yield f"weights by name: {', '.join(weights)}"


def _operators(found: Diff) -> Iterator[RenderableType]:
    if found.ops:
        table = columns("operator", ">before", ">after", ">")
        for op, (old, new) in found.ops.items():
            table.add_row(op, str(old), str(new), f"{new - old:+d}")
        yield table


def _became(label: str, entries: Sequence[Became], limit: int | None) -> Iterator[RenderableType]:
    if not entries:
        return
    table = columns(label, "name", "from")
    for each in entries[:limit]:
        what = f" ({each.what})" if each.what == "attributes" else ""
        sources = Shortened(
            ", ".join(f"{source.op} {source.name}" for source in each.sources) + what,
            ", ".join(f"{source.op} {shorten(source.name, NODE_WIDTH)}" for source in each.sources) + what,
        )
        table.add_row(each.node.op, shortened(each.node.name, NODE_WIDTH), sources)
    yield table
    yield from _more(entries, limit)


def _named(label: str, entries: Sequence[NodeRef], limit: int | None) -> Iterator[RenderableType]:
    if not entries:
        return
    table = columns(label, "name")
    for each in entries[:limit]:
        table.add_row(each.op, each.name if limit is None else shortened(each.name))
    yield table
    yield from _more(entries, limit)


def _more(entries: Sequence[object], limit: int | None) -> Iterator[RenderableType]:
    if limit is not None and len(entries) > limit:
        yield dim(f"and {len(entries) - limit} more: --verbose names them")
