"""What each step of compressing a model did to its size, its work, its time, its memory and its accuracy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from graphopt.report.layout import columns, dim
from graphopt.report.units import amount, duration, significant, size

if TYPE_CHECKING:
    from rich.console import RenderableType


PLANNED = "planned"
"""Step in which nodes stand in the order of the memory plan."""


@dataclasses.dataclass(frozen=True)
class Step:
    """A model on the way from the original to what is emitted.

    Attributes:
        name: "original", "optimized", "pruned", "quantized" or "planned".
        file_bytes: Bytes of it as a file, weights included.
        params: Elements of its constants.
        macs: Multiply-accumulates of a run.
        seconds: Median latency; None if not measured.
        memory_bytes: An arena for its activations, nodes as they stand, or in the order of the memory plan
            where there is one; None if nobody can tell.
        accuracy: The metric, against the original; None if not measured.
        metric: Its name, or "".
    """

    name: str
    file_bytes: int
    params: int
    macs: int
    seconds: float | None = None
    memory_bytes: int | None = None
    accuracy: float | None = None
    metric: str = ""


def steps(found: Sequence[Step]) -> Iterator[RenderableType]:
    """A line for each step, with what it takes of the original."""
    if not found:
        return
    first = found[0]
    metric = next((each.metric for each in found if each.metric), "accuracy")
    table = columns("step", ">size", ">", ">MACs", ">", ">latency", ">", ">memory", ">", f">{metric}")
    for each in found:
        table.add_row(
            each.name,
            size(each.file_bytes), _share(each.file_bytes, first.file_bytes),
            amount(each.macs), _share(each.macs, first.macs),
            "" if each.seconds is None else duration(each.seconds), _share(each.seconds, first.seconds),
            "" if each.memory_bytes is None else size(each.memory_bytes),
            _share(each.memory_bytes, first.memory_bytes),
            "" if each.accuracy is None else significant(each.accuracy, 5),
        )  # fmt: skip
    yield table
    yield dim("size of the file; memory of an arena that activations share; shares are of the original")


def _share(now: float | None, before: float | None) -> str:
    return "" if not before or now is None else f"{100 * now / before:.0f}%"
