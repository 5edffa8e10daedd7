"""An explanation as tables for a terminal: functions from results to rich renderables.

They print nothing and decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote
from typing import TYPE_CHECKING

from graphopt.report.explanation import Explanation, NodeStory, PassStory, Refusal, base_name
from graphopt.report.idiom_tables import idiom_table
from graphopt.report.layout import NODE_WIDTH, columns, dim, heading, hint, note, sections, shortened
from graphopt.report.units import listed, plural

if TYPE_CHECKING:
    from rich.console import RenderableType

    from graphopt.report.trail import Standing, Step

SOURCES_SHOWN = 6
HITS_SHOWN = 3


def explanation(found: Explanation) -> Iterator[RenderableType]:
    """All that was asked for, section by section."""
    if found.node is not None:
        yield from sections(_node(found.node), map(note, found.notes), _next_for_node(found.node))
        return
    before, after = found.nodes
    title = f"{found.source}: {before} -> {after} nodes; not compared, not measured, nothing written"
    yield from sections(
        [heading(title)] if found.asked_pass is None else _pass(found.asked_pass),
        idiom_table(found.idioms),
        _refusals(found.refusals, with_pass=found.asked_pass is None),
        map(note, found.notes),
        _next_for_model(found),
    )


def _node(story: NodeStory) -> Iterator[RenderableType]:
    yield from sections(
        [heading(_verdict(story))],
        _steps(story.steps),
        _findings(story),
        _refusals(story.refusals, counted=False),
        _approaches(story),
        _silence(story),
    )


def _verdict(story: NodeStory) -> str:
    """What became of the node, in one sentence."""
    before, now = story.before, story.now
    if before is None:
        made = next((each for each in now if each.sources), None)
        return f"{story.asked!r} is made by the passes" + (f", {_made_of(made)}" if made else "")
    if not now:
        last = story.steps[-1]
        became = "is a constant now, by" if last.constant else "is gone, by"
        return f"{before} {became} {base_name(last.by)}"
    if now == (before,) and not story.steps:
        return f"{before} stands as it was"
    same = [each for each in now if (each.op, each.name) == (before.op, before.name)]
    if same:
        others = [name for name in same[0].sources if name != before.name]
        return f"{before} took in {listed(others, SOURCES_SHOWN)}" if others else f"{before} stands, changed"
    names = " and ".join(map(str, now[:2])) + (f" and {len(now) - 2} more" if len(now) > 2 else "")
    others = [name for name in now[0].sources if name != before.name]
    together = f", together with {listed(others, SOURCES_SHOWN)}" if others else ""
    return f"{before} became {names}{together}"


def _made_of(node: Standing) -> str:
    return f"{node}: made of {listed(list(node.sources), SOURCES_SHOWN)}"


def _steps(steps: Sequence[Step]) -> Iterator[RenderableType]:
    if not steps:
        return
    table = columns("by", "it became", "what the pass did there and elsewhere")
    for step in steps:
        did = ", ".join(f"{count} {what}" for what, count in list(step.did.items())[:HITS_SHOWN])
        became = listed([str(each) for each in step.nodes], 2)
        table.add_row(step.by, became or ("a constant" if step.constant else "nothing"), did)
    yield table


def _findings(story: NodeStory) -> Iterator[RenderableType]:
    for finding in story.findings:
        kept = f"; {finding.remark}" if finding.remark else ""
        how = "by its structure" if finding.error is None else f"error {finding.error:.1g}"
        yield f"recognised as {finding.idiom} ({how}), written as {finding.form}{kept}"


def _refusals(
    refusals: Sequence[Refusal], *, with_pass: bool = True, counted: bool = True
) -> Iterator[RenderableType]:
    if not refusals:
        return
    heads = [*([">left"] if counted else []), *(["by"] if with_pass else []), "because"]
    table = columns(*heads, "for example" if counted else "at")
    for each in refusals:
        cells = [str(each.count)] if counted else []
        cells += [each.by] if with_pass else []
        table.add_row(*cells, each.reason, shortened(", ".join(each.examples[:1]), NODE_WIDTH))
    yield table


def _approaches(story: NodeStory) -> Iterator[RenderableType]:
    if story.approaches:
        yield dim("nearest rules")
    for each in story.approaches:
        yield (
            f"{each.by}, {each.rule}: {each.matched} of {each.operators} operators of {each.pattern} fit; "
            f"{each.place} is {each.found}, expected {each.expected}"
        )


def _silence(story: NodeStory) -> Iterator[RenderableType]:
    if story.now and not story.refusals and not story.approaches and not story.findings:
        yield f"no pass of this pipeline has a rule for {story.now[0].op} here"


def _pass(story: PassStory) -> Iterator[RenderableType]:
    yield heading(f"{story.name}: {story.summary}" if story.summary else story.name)
    if not story.runs:
        yield "it never ran: the model has nothing that it works on"
        return
    did = ", ".join(f"{count} {what}" for what, count in story.hits.items())
    yield (
        f"in {plural(story.runs, 'run')} it did: {did}"
        if did
        else f"in {plural(story.runs, 'run')} it found nothing to do"
    )


def _next_for_node(story: NodeStory) -> Iterator[RenderableType]:
    """What to look at next."""
    reasons = " ".join(each.reason for each in story.refusals)
    if "callers may set" in " ".join(each.found for each in story.approaches):
        yield hint("if callers never set that input, --passes freeze-initializers,-O2 makes it a constant")
    if "needs opset" in reasons:
        yield hint(
            "--opset auto raises the opset where the model allows it; --pass raise-opset says what it met"
        )
    if any(finding.remark for finding in story.findings):
        yield hint(
            "times come from the target: --target FILE.toml with a [times] table of your runtime decides"
        )
    names = dict.fromkeys([each.by for each in story.refusals] + [each.by for each in story.approaches])
    if names:
        yield hint(f"`graphopt passes {next(iter(names))}` shows what it looks for")


def _next_for_model(found: Explanation) -> Iterator[RenderableType]:
    example = next((name for each in found.refusals for name in each.examples), None)
    if example is not None:
        command = f"graphopt explain {quote(found.source)} --node {quote(example)}"
        yield hint(f"`{command}` tells all about one node")
    else:
        yield dim("nothing was refused")
