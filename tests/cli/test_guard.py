"""How commands end, whatever happens in them."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import typer

from graphopt.cli.guard import guarded
from graphopt.errors import LoadError


def exit_code(body: Callable[[], int], *, debug: bool = False) -> int:
    def command(debug: bool) -> int:
        return body()

    with pytest.raises(typer.Exit) as caught:
        guarded(command)(debug=debug)
    return caught.value.exit_code


def raising(error: BaseException) -> Callable[[], int]:
    def body() -> int:
        raise error

    return body


def test_the_code_a_command_returns() -> None:
    assert [exit_code(lambda: 0), exit_code(lambda: 1)] == [0, 1]


def test_a_deliberate_error_with_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(raising(LoadError("m.onnx is empty", hint="fetch it again"))) == 2
    assert capsys.readouterr() == ("", "error: m.onnx is empty\nhint: fetch it again\n")


def test_any_other_exception_is_one_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(raising(ZeroDivisionError("by zero\nand more"))) == 2
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[0]) == ("", "error: ZeroDivisionError: by zero")
    assert "--debug" in err and "Traceback" not in err


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(raising(LoadError("m.onnx is empty")), debug=True) == 2
    assert "Traceback" in capsys.readouterr().err


def test_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "")  # whoever ends the process says so


def test_warnings_of_libraries_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> int:
        warnings.warn_explicit("old", DeprecationWarning, "x.py", 1, module="numpy.core")
        warnings.warn_explicit("a plug-in is left out", UserWarning, "y.py", 1, module="graphopt.pipeline")
        return 0

    assert exit_code(body) == 0
    assert capsys.readouterr().err == "warning: a plug-in is left out\n"
