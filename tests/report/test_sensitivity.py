"""A sensitivity scan as a table and as a drawing."""

from __future__ import annotations

import dataclasses
import math
from xml.etree import ElementTree

from rich.console import Console

from graphopt.report.sensitivity import GroupSensitivity, Point, Sensitivity
from graphopt.report.sensitivity_plot import MARGIN, MOST_NAMES, WIDTH, plot
from graphopt.report.sensitivity_tables import sensitivity

ERRORS = Sensitivity(
    source="net.onnx",
    metric="",
    baseline=None,
    importance="l2",
    samples=4,
    rates=(0.25, 0.5),
    groups=(
        GroupSensitivity("a<b", 8, (Point(0.25, 2, 0.1, 0.001), Point(0.5, 4, 0.2, 0.02))),
        GroupSensitivity("c", 4, (Point(0.25, 1, 0.05, 0.0), Point(0.5, 2, 0.1, None, fault="it breaks"))),
        GroupSensitivity("d", 4, (), "nobody reads it"),
    ),
    notes=("few data",),
)
SCORES = dataclasses.replace(
    ERRORS,
    metric="top-1",
    baseline=0.9,
    groups=(
        GroupSensitivity("a", 8, (Point(0.25, 2, 0.1, 0.1, 0.8, 0.1), Point(0.5, 4, 0.2, 0.2, 0.5, 0.4))),
    ),
)


def shown(found: Sensitivity) -> list[str]:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for each in sensitivity(found):
        console.print(each)
    return [line.rstrip() for line in console.export_text().splitlines()]


def lines(text: str) -> list[list[tuple[float, float]]]:
    """The points of each line of a drawing."""
    found = ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}polyline")
    return [
        [(float(x), float(y)) for x, y in (point.split(",") for point in line.get("points", "").split())]
        for line in found
    ]


def test_a_line_for_each_group_and_a_column_for_each_rate() -> None:
    table = [line.split() for line in shown(ERRORS)]
    assert table[1] == ["group", "units", "MACs", "saved", "25%", "50%"]
    assert table[2:5] == [
        ["a<b", "8", "20%", "0.001", "0.02"],
        ["c", "4", "10%", "0", "-"],
        ["d", "4", "-", "-"],
    ]


def test_what_is_broken_or_not_tried_is_told_with_the_reason() -> None:
    text = shown(ERRORS)
    assert "most sensitive at 50%: c; least: a<b" in text
    assert text[-3:] == ["note: c: it breaks", "note: d: nobody reads it", "note: few data"]


def test_a_metric_is_shown_with_its_value_of_the_whole_model() -> None:
    text = shown(SCORES)
    assert text[0].startswith("top-1") and text[0].endswith("0.90000")
    assert text[2].split()[-2:] == ["0.8000", "0.5000"]


def test_the_drawing_is_svg_with_a_line_for_each_group_that_was_tried() -> None:
    text = plot(ERRORS)
    drawn = lines(text)
    assert sorted(map(len, drawn)) == [1, 2]  # what is broken has no place
    (first, second) = next(line for line in drawn if len(line) == 2)
    assert first[0] == MARGIN + 0.25 * WIDTH and second[0] == MARGIN + 0.5 * WIDTH
    assert first[1] > second[1]  # more error stands higher
    assert "a&lt;b, 8 units: 25% 0.001, 50% 0.02" in text and "50% broken" in text


def test_lines_of_a_metric_begin_with_its_value_of_the_whole_model() -> None:
    (line,) = lines(plot(SCORES))
    assert line[0][0] == MARGIN and line[0][1] < line[1][1] < line[2][1]


def test_values_without_a_place_are_left_out() -> None:
    points = (Point(0.25, 2, 0.1, 0.1, math.inf, 0.0), Point(0.5, 4, 0.2, 0.2, 20.0, math.inf))
    found = dataclasses.replace(
        SCORES, metric="sqnr", baseline=math.inf, groups=(GroupSensitivity("a", 8, points),)
    )
    assert list(map(len, lines(plot(found)))) == [1]


def test_groups_beyond_the_legend_are_counted() -> None:
    points = (Point(0.25, 2, 0.1, 0.1), Point(0.5, 4, 0.2, 0.2))
    many = tuple(GroupSensitivity(f"w{index}", 8, points) for index in range(MOST_NAMES + 3))
    text = plot(dataclasses.replace(ERRORS, groups=many))
    assert "grey: 3 that matter less" in text and len(lines(text)) == MOST_NAMES + 3
