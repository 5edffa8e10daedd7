"""Numbers as people read them."""

from __future__ import annotations

import pytest

from graphopt.report.units import (
    amount,
    change,
    duration,
    enumerated,
    listed,
    plural,
    ratio,
    shorten,
    significant,
    size,
    small,
)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (1, "1"),
        (999, "999"),
        (1000, "1.00 k"),
        (999_499, "999 k"),
        (999_500, "1.00 M"),
        (1.5e18, "1500 P"),
    ],
)
def test_amount(number: float, text: str) -> None:
    assert amount(number) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (140, "140 B"), (4_745_517, "4.75 MB")])
def test_size(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (2, "2.00 s"),
        (0.0585, "58.5 ms"),
        (0.9999, "1.00 s"),
        (2e-6, "2.00 us"),
        (3e-9, "3.00 ns"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (1, "1.00"),
        (9.996, "10.0"),
        (123.4, "123"),
        (0.01234, "0.0123"),
        (-2.5, "-2.50"),
        (float("inf"), "inf"),
    ],
)
def test_significant(number: float, text: str) -> None:
    assert significant(number) == text


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [(100, 60, "-40%"), (3, 4, "+33%"), (1000, 999, "-<1%"), (5, 5, ""), (0, 5, "")],
)
def test_change(before: float, after: float, text: str) -> None:
    assert change(before, after) == text


def test_ratio_and_small() -> None:
    assert ratio(1.2) == "1.20x"
    assert [small(0), small(1.234e-7), small(0.031)] == ["0", "1.2e-07", "0.031"]


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [(1, "node", "1 node"), (2, "node", "2 nodes"), (2, "pass", "2 passes"), (2, "body", "2 bodies")],
)
def test_plural(count: int, noun: str, text: str) -> None:
    assert plural(count, noun) == text


def test_shorten_keeps_both_ends() -> None:
    assert shorten("short", 10) == "short"
    assert shorten("/model/encoder/layer.0/MatMul", 20) == "/mode...yer.0/MatMul"


def test_listed() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_enumerated() -> None:
    assert [enumerated("abc"[:count]) for count in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
