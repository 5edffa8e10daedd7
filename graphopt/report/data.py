"""The report of one optimization, as data: what was done, what it cost, what was left and why.

It holds results of the layers below and renders as JSON; tables and HTML stand in their own files.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from graphopt.pipeline import Record
from graphopt.report.idioms import idioms

if TYPE_CHECKING:
    from graphopt.cost import ModelCost
    from graphopt.execute import BenchResult, CheckResult
    from graphopt.report.quantization import Quantization
    from graphopt.report.steps import Step


@dataclasses.dataclass
class Summary:
    """Size of a model.

    Attributes:
        nodes: Nodes that compute, Constant not counted, bodies and functions counted.
        ops: Nodes by operator, most frequent first.
        initializers: Number of initializers.
        parameter_bytes: Bytes of all initializers, Constant nodes and programs.
        file_bytes: Bytes of the serialized model with its weights; None before it is written.
    """

    nodes: int
    ops: dict[str, int]
    initializers: int
    parameter_bytes: int
    file_bytes: int | None = None


@dataclasses.dataclass
class LeftOut:
    """A pass that was left out because it broke the model.

    Attributes:
        name: The pass as text.
        reason: What went wrong: it raised, broke the structure, or changed the numbers.
    """

    name: str
    reason: str


@dataclasses.dataclass
class Candidate:
    """One of the models among which the emitted one was chosen.

    Attributes:
        name: "original", or the level or pipeline it came from.
        nodes: Nodes that compute.
        speedup: Median latency of the original over this one's, paired; None if not measured.
        chosen: Whether it is the emitted one.
    """

    name: str
    nodes: int
    speedup: float | None = None
    chosen: bool = False


@dataclasses.dataclass(repr=False)
class Report:
    """Everything that is known about one optimization.

    Attributes:
        version: Of graphopt.
        source: File or "in memory".
        target: Name of the target.
        pipeline: The text that ran, passes left out removed.
        notes: What a user should know: repairs, corrected declarations, assumptions, hints.
        before: Size of the model as it came.
        after: Size of the emitted model.
        cost_before: Cost estimate of the model as it came.
        cost_after: Cost estimate of the emitted model.
        records: One for each pass run.
        left_out: Passes that broke the model.
        check: The comparison with the original; None if it was not asked for.
        bench: The measurement; None if it was not asked for.
        candidates: What the emitted model was chosen among.
        quantization: How it was quantized; None where it was not.
        steps: What each step took, where the model was pruned: the original first.
        seconds: Time by stage: load, oracle, passes, check, measure, save.
        files: What was written, the model first, then its data file if it has one.
        unmet: What was asked for and is not reached by what is emitted all the same; "" if nothing is.
    """

    version: str
    source: str
    target: str
    pipeline: str
    before: Summary
    after: Summary
    notes: list[str] = dataclasses.field(default_factory=list)
    cost_before: ModelCost | None = None
    cost_after: ModelCost | None = None
    records: list[Record] = dataclasses.field(default_factory=list)
    left_out: list[LeftOut] = dataclasses.field(default_factory=list)
    check: CheckResult | None = None
    bench: BenchResult | None = None
    candidates: list[Candidate] = dataclasses.field(default_factory=list)
    quantization: Quantization | None = None
    steps: list[Step] = dataclasses.field(default_factory=list)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    files: list[str] = dataclasses.field(default_factory=list)
    unmet: str = ""

    def __repr__(self) -> str:
        nodes = f"{self.before.nodes} -> {self.after.nodes} nodes"
        checked = "not compared" if self.check is None or not self.check.ran else "equal"
        if self.check is not None and self.check.ran and not self.check.equal:
            checked = "different"
        speedup = next((each.speedup for each in self.candidates if each.chosen), None)
        measured = "not measured" if speedup is None else f"{speedup:.2f}x as fast"
        return f"Report({self.source!r}, {nodes}, {checked}, {measured})"

    def to_dict(self) -> dict[str, Any]:
        """The whole report as JSON-able values."""
        plain = {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return {**plain, "idioms": _plain(idioms(self.records))}

    def _repr_html_(self) -> str:
        from graphopt.report.html import render

        return render(self)


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, list):
        return [_plain(element) for element in value]
    return value
