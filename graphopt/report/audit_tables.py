"""An audit as tables for a terminal: functions from results to rich renderables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from graphopt.report.layout import NODE_WIDTH, columns, heading, note, sections, shortened
from graphopt.report.units import duration, listed, plural

if TYPE_CHECKING:
    from rich.console import RenderableType

    from graphopt.report.audit import Audit, AuditedNode

NAMES_SHOWN = 4


def audit(found: Audit, *, every: bool = False) -> Iterator[RenderableType]:
    """A model looked at.

    Args:
        found: What was found.
        every: List the light nodes too.
    """
    listed_nodes = found.nodes if every else found.heavy
    yield from sections(
        [heading(_title(found))],
        [_summary(found)],
        [_groups(found)] if found.groups else (),
        [_nodes(listed_nodes)] if listed_nodes else (),
        _confirmation(found),
        map(note, found.notes),
    )


def _title(found: Audit) -> str:
    """The model, and what is said of which version of a runtime."""
    if not found.confirmed_in:
        return f"{found.source}, predicted by rules measured with {found.runtime}"
    if found.runtime.partition(",")[0] == found.confirmed_in:
        return f"{found.source} in {found.runtime}"
    return f"{found.source} in {found.confirmed_in}, by rules measured with {found.runtime}"


def _summary(found: Audit) -> str:
    heavy = found.heavy
    if not heavy:
        return "no node of it is worth quantizing"
    parts = []
    for kind in ("int8", "weight-only", "float"):
        members = [node for node in heavy if node.runs_in == kind]
        parts += [f"{len(members)} in {kind}{_of_time(members, found)}"] if members else []
    light = [node for node in found.nodes if not node.heavy]
    fast = sum(node.runs_in == "int8" for node in light)
    rest = f"; of {plural(len(light), 'other node')} that could, {fast} run in int8" if light else ""
    return f"{plural(len(heavy), 'heavy node')}: {', '.join(parts)}{rest}"


def _of_time(members: Sequence[AuditedNode], found: Audit) -> str:
    share = sum(node.share or 0.0 for node in members)
    return f" ({_percent(share)} of the {'time' if found.shares == 'profile' else 'estimated time'})"


def _groups(found: Audit) -> RenderableType:
    table = columns(">nodes", ">time", "in float because", "nodes")
    for cause, members in found.groups:
        names = listed([node.name for node in members], NAMES_SHOWN)
        table.add_row(str(len(members)), _percent(sum(node.share or 0.0 for node in members)), cause, names)
    return table


def _nodes(members: Sequence[AuditedNode]) -> RenderableType:
    table = columns("node", "op", "runs in", ">time", "as", "why not in int8")
    for node in members:
        place = node.runs_in if node.agrees is not False else f"{node.runs_in}?"
        why = node.reason.partition(": ")[2] if node.cause else ""
        if node.agrees is False:
            why = f"onnxruntime runs {node.found}, not as predicted" + (f" ({why})" if why else "")
        kernel = node.kernel.rpartition(".")[2]
        table.add_row(shortened(node.name, NODE_WIDTH), node.op, place, _percent(node.share), kernel, why)
    return table


def _confirmation(found: Audit) -> Iterator[str]:
    asked = [node for node in found.nodes if node.agrees is not None]
    if found.seconds is not None:
        taken = f"; {_percent(found.conversions)} of it in QuantizeLinear and DequantizeLinear"
        yield f"a run takes {duration(found.seconds)} under the profiler{taken}"
    if not asked:
        return
    wrong = found.disagreements
    if not wrong:
        yield f"confirmed: onnxruntime runs {plural(len(asked), 'node')} as predicted"
        return
    names = listed([node.name for node in wrong], NAMES_SHOWN)
    yield f"not as predicted: {len(wrong)} of {plural(len(asked), 'node')} run otherwise: {names}"


def _percent(share: float | None) -> str:
    if share is None:
        return "?"
    return f"{100 * share:.0f}%" if share >= 0.01 or not share else "<1%"
