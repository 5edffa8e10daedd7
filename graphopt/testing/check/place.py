"""Where in the code of a pass's author an error was raised: not in graphopt, nor in what it stands on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import onnx_ir as ir

from graphopt.testing.check.subject import Subject

_NOT_THEIRS = {"graphopt", "onnx_ir", *sys.stdlib_module_names}
_INSTALLED = {"site-packages", "dist-packages"}


def raised(error: BaseException) -> BaseException:
    """What a pass raised, out of what `onnx_ir` wraps it in."""
    if isinstance(error, ir.passes.PassError) and error.__cause__ is not None:
        return error.__cause__
    return error


def place_of(error: BaseException, subject: Subject) -> str:
    """The last line of theirs on the way to an error: `file.py:12, in function`; "" where there is none."""
    theirs = list(_frames(error.__traceback__, _packages(subject)))
    if not theirs:
        return ""
    code, here = theirs[-1].tb_frame.f_code, Path.cwd()
    file = Path(code.co_filename)
    near = os.path.relpath(file, here) if file.is_relative_to(here) else file
    return f"{near}:{theirs[-1].tb_lineno}, in {code.co_name}"


def from_theirs(error: BaseException, subject: Subject) -> BaseException:
    """The same error, its traceback without what leads to their code."""
    first = next(_frames(error.__traceback__, _packages(subject)), None)
    return error if first is None else error.with_traceback(first)


def _frames(found: TracebackType | None, packages: set[str]) -> Iterator[TracebackType]:
    while found is not None:
        package = _package(found.tb_frame.f_globals.get("__name__", ""))
        installed = not _INSTALLED.isdisjoint(Path(found.tb_frame.f_code.co_filename).parts)
        if package not in _NOT_THEIRS and (not installed or package in packages):
            yield found
        found = found.tb_next


def _packages(subject: Subject) -> set[str]:
    """The packages that the passes come from: theirs even where they are installed."""
    if subject.pipeline is None:
        return {_package(getattr(subject.function, "__module__", None) or "")}
    return {_package(type(each).__module__) for each in subject.pipeline.passes()}


def _package(module: str) -> str:
    return module.partition(".")[0]
