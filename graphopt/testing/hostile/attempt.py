"""What is done with one hostile file: load, verify, optimize as the command line would, look at the result.

Runs inside a process that may die of it; it tells each stage as it begins.
"""

from __future__ import annotations

import io
import os
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx

from graphopt.compile import optimize
from graphopt.errors import GraphoptError
from graphopt.io import load
from graphopt.ir import verify
from graphopt.report.tables import optimization
from graphopt.testing.hostile.outcome import Kind
from graphopt.testing.hostile.sandbox import WriteWatch

Tell = Callable[[str], None]
Verdict = tuple[Kind, str, list[str]]
"""Outcome, detail, and the passes left out."""


def attempt(
    path: Path,
    output: Path,
    levels: Sequence[int],
    watch: WriteWatch,
    tell: Tell,
    check_timeout: float | None = None,
) -> Verdict:
    """Try one file at each level.

    Args:
        path: The hostile file.
        output: Where the optimized model goes, in a folder of its own.
        levels: Levels of `optimize`.
        watch: Notices what is written elsewhere.
        tell: Called with the name of each stage as it begins.
        check_timeout: Passed on to `optimize`.
    """
    left_out: list[str] = []
    before = _listing(path.parent)
    try:
        tell("load")
        model = load(path)
        tell("verify")
        verify(model)
        del model
        for level in levels:
            tell(f"-O{level}")
            result = optimize(path, level=level, output=output, measure=False, check_timeout=check_timeout)
            left_out += [f"{one.name}: {one.reason}" for one in result.report.left_out]
            _render(result.report)
            if reason := _reason_against(output):
                return Kind.BROKEN, reason, left_out
        verdict: Verdict = Kind.OK, "", left_out
    except GraphoptError as error:
        hint = f" | hint: {error.hint}" if error.hint else ""
        verdict = Kind.REFUSED, f"{type(error).__name__}: {error.message}{hint}", left_out
    except Exception as error:
        verdict = Kind.TRACEBACK, _place(error), left_out
    strays = [*watch.strays, *_unexpected(path, before, output)]
    return (Kind.STRAY, ", ".join(strays), left_out) if strays else verdict


def _render(report: object) -> None:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=120)
    for part in optimization(report, verbose=True):  # type: ignore[arg-type]
        console.print(part)


def _reason_against(output: Path) -> str:
    try:
        load(output)
    except GraphoptError as error:
        return error.message
    return "" if onnx.load_model(output, load_external_data=False).HasField("graph") else "no graph"


def _place(error: BaseException) -> str:
    """The exception and the innermost lines of ours that it passed through."""
    frames = list(traceback.extract_tb(error.__traceback__))
    ours = [
        frame
        for frame in frames
        if f"{os.sep}graphopt{os.sep}" in frame.filename or "passes" in frame.filename
    ]
    shown = [
        f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}"
        for frame in (*ours[-3:], frames[-1])
    ]
    text = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {text[:300]} [{' < '.join(reversed(shown))}]"


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything in and below a folder, links not followed."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            status = os.lstat(path)
            found[path] = (status.st_size, status.st_mtime_ns)
    return found


def _unexpected(path: Path, before: dict[str, tuple[int, int]], output: Path) -> list[str]:
    after = _listing(path.parent)
    changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    named = {output.name, f"{output.name}.data"}
    return [*changed, *(name for name in os.listdir(output.parent) if name not in named)]
