"""Idioms summed up from records: each place once, by name and form, with the largest error."""

from __future__ import annotations

from graphopt.ir import Finding
from graphopt.pipeline import Record
from graphopt.report import Report, Summary
from graphopt.report.html import render
from graphopt.report.idioms import idioms, remark

SLOW = "the operator takes 2.9x the time here"


def record(*findings: Finding) -> Record:
    return Record("fuse-activation", 1, {}, {}, {}, 9, 5, 0.1, list(findings))


RECORDS = [
    record(Finding("Gelu", "a", "Gelu", 1e-8), Finding("Swish", "s", "Sigmoid Mul", 0.0, SLOW)),
    record(Finding("Gelu", "b", "Gelu", 5e-8), Finding("Swish", "s", "Sigmoid Mul", 0.0, SLOW)),
]


def test_places_count_once_and_the_largest_error_is_kept() -> None:
    assert [(each.idiom, each.form, each.count, each.error) for each in idioms(RECORDS)] == [
        ("Gelu", "Gelu", 2, 5e-8),
        ("Swish", "Sigmoid Mul", 1, 0.0),
    ]


def test_the_last_finding_of_a_place_counts() -> None:
    later = record(Finding("HardSwish", "a", "HardSwish", 0.0))
    assert [(each.idiom, each.count) for each in idioms([*RECORDS[:1], later])] == [
        ("HardSwish", 1),
        ("Swish", 1),
    ]


def test_where_speed_came_first_is_said() -> None:
    assert [remark(each) for each in idioms(RECORDS)] == ["", f"kept as 2 nodes: {SLOW}"]


def test_reports_have_them() -> None:
    size = Summary(nodes=9, ops={}, initializers=0, parameter_bytes=0)
    report = Report("0", "m.onnx", "portable", "", size, size, records=RECORDS)
    assert [each["idiom"] for each in report.to_dict()["idioms"]] == ["Gelu", "Swish"]
    assert f"kept as 2 nodes: {SLOW}" in render(report)
