"""What a pass did and what it refused, with reasons; the record behind every report."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

EXAMPLES_PER_REASON = 5
WATCHED_KEY = "graphopt.watched"
"""Under it a model's `meta` may hold the names, in a set, of nodes and values whose refusals are all kept."""


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What a region of the graph was found to compute.

    Attributes:
        idiom: Name of the function.
        node: The value that computes it now.
        form: Operators that it is written with now.
        error: Largest difference from the function on the probes, relative; None where the structure told.
        remark: Why it is not written in its shortest form, or "".
    """

    idiom: str
    node: str
    form: str
    error: float | None
    remark: str = ""


@dataclasses.dataclass
class Changes:
    """Counts of one run of one pass.

    Attributes:
        hits: Changes by what was done (a rule's name, say).
        refusals: Refused places by reason.
        examples: For each reason the names of the first few nodes refused for it.
        findings: Idioms recognised, in order, whether they were rewritten or kept as they are.
        watched: Names of nodes and values of which every refusal is kept.
        told: Reason and node of each refusal of those, in order.
    """

    hits: Counter[str] = dataclasses.field(default_factory=Counter)
    refusals: Counter[str] = dataclasses.field(default_factory=Counter)
    examples: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    findings: list[Finding] = dataclasses.field(default_factory=list)
    watched: set[str] = dataclasses.field(default_factory=set)
    told: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    @property
    def count(self) -> int:
        """Number of changes."""
        return sum(self.hits.values())

    def add(self, what: str, times: int = 1) -> None:
        """Count `times` changes of one kind."""
        if times:
            self.hits[what] += times

    def refuse(self, reason: str, node: str | None = None, among: Iterable[str | None] = ()) -> None:
        """Count a place that was left alone, and why.

        Args:
            reason: Why.
            node: The node it is about.
            among: Names of further nodes and values of that place.
        """
        self.refusals[reason] += 1
        named = self.examples.setdefault(reason, [])
        if node and len(named) < EXAMPLES_PER_REASON:
            named.append(node)
        if self.watched and not self.watched.isdisjoint((node, *among)):
            self.told.append((reason, node or ""))
