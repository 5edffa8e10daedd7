"""A report as tables: what is shown, added up and left out."""

from __future__ import annotations

import io
from collections.abc import Iterable

import pytest
from rich.console import Console, RenderableType

from graphopt.cost import ModelCost, Parameters
from graphopt.cost.rates import GENERIC
from graphopt.execute import BenchResult, CheckResult, InputSet, OutputDifference
from graphopt.pipeline import Record
from graphopt.report import Candidate, Report, Summary
from graphopt.report.check_tables import checked, latencies
from graphopt.report.cost_tables import cost_notes
from graphopt.report.tables import before_after, candidates, optimization, passes, refusals


def lines(renderables: Iterable[RenderableType], width: int = 120) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False)
    for each in renderables:
        console.print(each)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def record(
    name: str, hits: dict[str, int], nodes: tuple[int, int], refusals: dict[str, int] | None = None
) -> Record:
    refused = refusals or {}
    return Record(
        name, sum(hits.values()), hits, refused, {each: ["n1", "n2"] for each in refused}, *nodes, 0.25
    )


RECORDS = [
    record("fold", {"a": 3, "b": 2}, (10, 8), {"too large": 9}),
    record("cse", {}, (8, 8)),
    record("fold", {"a": 1, "c": 1, "d": 1}, (8, 7), {"too large": 2, "random": 4}),
]


def test_runs_of_a_pass_are_added_up_and_idle_ones_counted() -> None:
    assert lines(passes(RECORDS)) == [
        "pass  changes  nodes    time  what",
        "fold        8     -3  500 ms  4 a, 2 b, 1 c, ...",
        "1 pass found nothing to do",
    ]


def test_verbose_shows_idle_passes_too() -> None:
    assert [line.split()[0] for line in lines(passes(RECORDS, verbose=True))] == ["pass", "fold", "cse"]


def test_refusals_are_those_of_the_last_run_most_frequent_first() -> None:
    assert [line.split()[:3] for line in lines(refusals(RECORDS))[1:]] == [
        ["4", "fold", "random"],
        ["2", "fold", "too"],
    ]


def test_many_refusals_are_cut_short() -> None:
    many = record("fold", {}, (1, 1), {f"reason {count}": count for count in range(1, 9)})
    shown = lines(refusals([many]))
    assert len(shown) == 7 and shown[-1] == "and 3 more reasons: --verbose shows them"
    assert len(lines(refusals([many], verbose=True))) == 9


def test_no_choice_no_table() -> None:
    report = Report("1", "m", "portable", "", Summary(2, {}, 0, 0), Summary(1, {}, 0, 0))
    assert lines(candidates(report)) == []


def bench() -> BenchResult:
    return BenchResult([[0.2] * 10, [0.1] * 10], InputSet({}, description="x float32[1]"))


def test_before_and_after() -> None:
    report = Report(
        "1", "m", "portable", "", Summary(4, {}, 0, 100, 1000), Summary(3, {}, 0, 100, 900), bench=bench(),
        candidates=[Candidate("original", 4), Candidate("-O2", 3, 2.0, True)],
    )  # fmt: skip
    assert lines([before_after(report)]) == [
        "           before   after",
        "nodes           4       3  -25%",
        "file      1.00 kB   900 B  -10%",
        "measured   200 ms  100 ms  -50%  2.00x faster (2.00 to 2.00)",
    ]
    assert "measured with x float32[1], 1 thread" in lines(optimization(report))


def test_percentage_and_ratio_are_one_statistic() -> None:
    """The pairs say half the time; the medians of each alone would say a third."""
    drifting = BenchResult([[0.1, 0.1, 0.3, 0.3, 0.3] * 4, [0.05, 0.05, 0.1, 0.15, 0.15] * 4], InputSet({}))
    report = Report(
        "1", "m", "portable", "", Summary(4, {}, 0, 100), Summary(4, {}, 0, 100), bench=drifting,
        candidates=[Candidate("original", 4), Candidate("-O2", 4, 2.0, True)],
    )  # fmt: skip
    assert lines([before_after(report)])[-1].split()[:6] == ["measured", "300", "ms", "150", "ms", "-50%"]


def cost(unknown: list[str]) -> ModelCost:
    return ModelCost([], Parameters(5, 20), Parameters(0, 0), 8, GENERIC, {"N": 2}, unknown_shapes=unknown)


def test_costs_that_count_different_nodes_are_not_compared() -> None:
    summary = Summary(4, {}, 0, 100)
    report = Report(
        "1", "m", "portable", "", summary, summary, cost_before=cost(["LSTM a"]), cost_after=cost([])
    )
    shown = lines([before_after(report)])
    assert any("1 node not counted before, 0 after" in line for line in shown)
    assert list(cost_notes(cost(["LSTM a"]))) == [
        "costs assume N=2; --shape sets them",
        "costs leave out 1 node of unknown shape: LSTM a",
    ]


@pytest.mark.parametrize(
    ("result", "first"),
    [
        (CheckResult(True, True, True, input_sets=[InputSet({})]), "equal, bit for bit, on 1 input set"),
        (CheckResult(True, True, input_sets=[InputSet({})] * 2), "equal, within tolerance, on 2 input sets"),
        (
            CheckResult(True, True, input_sets=[InputSet({}, description=f"x f[{n}]") for n in (2, 1)]),
            "equal, within tolerance, on 2 input sets: x f[2]; x f[1]",
        ),
        (CheckResult(True, False, reason="output 'y': missing"), "different: output 'y': missing"),
        (CheckResult(False, False, reason="no kernel"), "not compared: no kernel"),
    ],
)
def test_the_answer_of_a_check(result: CheckResult, first: str) -> None:
    assert lines(checked(result)) == [first]


def test_each_output_at_its_worst() -> None:
    outputs = [OutputDifference("y", True, False, 1e-6, 1e-5, 1e-5, 3), OutputDifference("y", True, True)]
    result = CheckResult(True, True, outputs=outputs, input_sets=[InputSet({})] * 2, notes=["a note"])
    assert lines(checked(result))[1:] == [
        "output  max abs  max rel  ULP",
        "y         1e-06    1e-05    3",
        "note: a note",
    ]


def test_latencies() -> None:
    assert lines(latencies(bench(), ["a", "b"])) == [
        "model  median         quartiles  speed",
        "a      200 ms  200 ms to 200 ms",
        "b      100 ms  100 ms to 100 ms  2.00x faster (2.00 to 2.00)",
        "",
        "10 rounds, 1 thread, with x float32[1]",
    ]
