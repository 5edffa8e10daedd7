"""Why a model was not rewritten further, as data: refusals, idioms, and the story of one node or one pass."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from graphopt.ir import Finding
from graphopt.pipeline import Record
from graphopt.report.idioms import IdiomCount
from graphopt.report.trail import Standing, Step


@dataclasses.dataclass
class Refusal:
    """Places that a pass left alone for one reason.

    Attributes:
        by: The pass.
        reason: Why.
        count: Number of places.
        examples: Nodes, a few.
    """

    by: str
    reason: str
    count: int
    examples: list[str]


@dataclasses.dataclass
class Approach:
    """A rule that comes near a node.

    Attributes:
        by: Its pass.
        rule: Its name.
        pattern: Operators of its pattern.
        matched: How many of them were found.
        operators: How many there are.
        place: Where the match ended.
        expected: What the pattern wants there.
        found: What is there.
    """

    by: str
    rule: str
    pattern: str
    matched: int
    operators: int
    place: str
    expected: str
    found: str


@dataclasses.dataclass
class NodeStory:
    """What became of one node, and why not more.

    Attributes:
        asked: The name that was asked for.
        before: The node in the model as it came; None for one that a pass made.
        steps: What passes made of it.
        now: What stands for it in the optimized model.
        refusals: What passes say about the places it is a part of.
        findings: Idioms that it ends, or ended.
        approaches: Rules that nearly fit around what it is now, the nearest first.
    """

    asked: str
    before: Standing | None
    steps: list[Step]
    now: tuple[Standing, ...]
    refusals: list[Refusal]
    findings: list[Finding]
    approaches: list[Approach]


@dataclasses.dataclass
class PassStory:
    """What one pass did in all its runs.

    Attributes:
        name: The pass.
        summary: What it is for.
        runs: How often it ran.
        hits: Changes by kind.
    """

    name: str
    summary: str
    runs: int
    hits: dict[str, int]


@dataclasses.dataclass
class Explanation:
    """What a pipeline left alone in a model, and why.

    Attributes:
        source: File or "in memory".
        pipeline: The text that ran.
        nodes: Number of nodes before and after.
        refusals: As each pass last saw them, most frequent first.
        idioms: What was recognised.
        node: The node asked for, if one was.
        asked_pass: The pass asked for, if one was.
        notes: What a user should know.
    """

    source: str
    pipeline: str
    nodes: tuple[int, int]
    refusals: list[Refusal]
    idioms: list[IdiomCount]
    node: NodeStory | None = None
    asked_pass: PassStory | None = None
    notes: list[str] = dataclasses.field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-able values."""
        return dataclasses.asdict(self)


def base_name(name: str) -> str:
    """A pass without its options."""
    return name.partition("{")[0]


def of_pass(records: Iterable[Record], name: str | None) -> list[Record]:
    """The records of one pass, or all."""
    return [record for record in records if name is None or base_name(record.name) == name]


def refusals(records: Iterable[Record]) -> list[Refusal]:
    """Places left alone, as each pass last saw them, most frequent first; alike ones of one pass once."""
    merged: dict[tuple[str, str], Refusal] = {}
    for record in _last(records):
        by = base_name(record.name)
        for reason, count in record.refusals.items():
            examples = record.examples.get(reason, [])
            known = merged.setdefault((by, reason), Refusal(by, _plain(by, reason), count, examples))
            known.count = max(known.count, count)
    return sorted(merged.values(), key=lambda each: (-each.count, each.by, each.reason))


def refusals_told(records: Iterable[Record]) -> list[Refusal]:
    """What passes last said about watched nodes."""
    merged: dict[tuple[str, str], Refusal] = {}
    for record in _last(records):
        for reason, node in dict.fromkeys(record.told):
            key = (base_name(record.name), reason)
            known = merged.setdefault(key, Refusal(key[0], _plain(*key), 0, []))
            if node not in known.examples:
                known.examples.append(node)
                known.count += 1
    return list(merged.values())


def pass_story(records: Sequence[Record], name: str, summary: str) -> PassStory:
    """What one pass did."""
    hits = sum((Counter(record.hits) for record in records), Counter[str]())
    return PassStory(name, summary, len(records), dict(hits.most_common()))


def findings_at(records: Iterable[Record], names: Iterable[str]) -> list[Finding]:
    """The idioms last found at values of these names."""
    last = {finding.node: finding for record in records for finding in record.findings}
    return [last[name] for name in dict.fromkeys(names) if name in last]


def _plain(by: str, reason: str) -> str:
    """The reason without the name of a rule that is called as its pass is."""
    return reason.removeprefix(f"{by}: ")


def _last(records: Iterable[Record]) -> Iterator[Record]:
    """The last run of each pass."""
    yield from {record.name: record for record in records}.values()
