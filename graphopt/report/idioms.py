"""The idioms that passes recognised, summed up from their records; nothing is recognised here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from graphopt.pipeline import Record


@dataclasses.dataclass
class IdiomCount:
    """One idiom, written in one form.

    Attributes:
        idiom: The function.
        form: Operators it is written with now.
        count: Number of places.
        error: Largest difference from the function on the probes, relative, of all places; None where the
            structure told.
        remark: Why it is not written in its shortest form, or "".
        example: The value that one of the places makes.
    """

    idiom: str
    form: str
    count: int
    error: float | None
    remark: str
    example: str


def idioms(records: Iterable[Record]) -> list[IdiomCount]:
    """What was recognised, most frequent first; a place found several times counts as it was found last."""
    last = {finding.node: finding for record in records for finding in record.findings}
    counted: dict[tuple[str, str, str], IdiomCount] = {}
    for finding in last.values():
        key = (finding.idiom, finding.form, finding.remark)
        entry = counted.setdefault(
            key, IdiomCount(finding.idiom, finding.form, 0, None, finding.remark, finding.node)
        )
        entry.count += 1
        if finding.error is not None:
            entry.error = max(entry.error or 0.0, finding.error)
    return sorted(counted.values(), key=lambda each: (-each.count, each.idiom, each.form))


def remark(each: IdiomCount) -> str:
    """Why an idiom is not written in its shortest form, in words; "" where it is."""
    nodes = len(each.form.split())
    return f"kept as {nodes} node{'s' if nodes != 1 else ''}: {each.remark}" if each.remark else ""
