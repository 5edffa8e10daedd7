"""Output goes where it belongs and is readable everywhere."""

from __future__ import annotations

import io
import json
import sys

import pytest
from rich.console import Console
from rich.text import Text

from graphopt.cli.console import json_text, make_safe, progress, show, tell, tell_labelled
from graphopt.report.layout import columns, shortened


def test_data_and_messages_keep_apart(capsys: pytest.CaptureFixture[str]) -> None:
    show("data", Text("more"))
    tell("message")
    tell_labelled("hint", "try it", "cyan")
    assert capsys.readouterr() == ("data\nmore\n", "message\nhint: try it\n")


def test_nothing_is_wrapped_or_padded_for_a_program(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    table = columns("name", ">count")
    table.add_row("a[bold]b", "1")
    show("word " * 100, table)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [("word " * 100).rstrip(), "name      count", "a[bold]b      1"]


def test_names_are_shortened_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    table = columns("name", "more")
    table.add_row(shortened("a" * 200), shortened("b"))
    show(table)
    assert capsys.readouterr().out.splitlines()[1] == "a" * 200 + "  b"
    terminal = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=80)
    with terminal.capture() as captured:
        terminal.print(table)
    assert captured.get().splitlines()[1].rstrip() == "a" * 11 + "..." + "a" * 22 + "  b"


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("working") as say:
        say("still working")
    assert capsys.readouterr() == ("", "")


def test_json_has_no_nan() -> None:
    assert json.loads(json_text({"a": [float("nan"), 1.5], 2: (float("inf"),)})) == {
        "a": [None, 1.5],
        "2": [None],
    }


def test_characters_that_the_terminal_lacks_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    make_safe(stream)
    show("caf\u00e9", Text("x" * 3))
    assert buffer.getvalue() == b"caf\\xe9\nxxx\n"
