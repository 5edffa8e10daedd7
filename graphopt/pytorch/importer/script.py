"""`script.py:make_model`: run a user's script and call its function for a module and its example inputs.

What goes wrong in the script is told with the script's own line. Nothing is traced here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import sys
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from graphopt.errors import LoadError, UsageError

RETURNS = "(module, example_inputs), (module, example_inputs, dynamic_shapes) or an ExportedProgram"


@dataclasses.dataclass(frozen=True)
class Made:
    """What a script's function returned.

    Attributes:
        module: A module or an exported program.
        example_inputs: As `graphopt.trace` takes them; None with an exported program.
        dynamic_shapes: Likewise.
    """

    module: Any
    example_inputs: Any = None
    dynamic_shapes: Any = None


def make_from_script(script: Path, function: str) -> Made:
    """Run a script, with its folder on `sys.path`, and call a function of it without arguments.

    What the script prints goes to stderr: stdout is for results.

    Raises:
        LoadError: The script cannot be read, or it or the function raised; names the script's line.
        UsageError: There is no such function, it wants arguments, or it returned something else.
    """
    source = _read(script)
    with _on_path(script.parent), contextlib.redirect_stdout(sys.stderr):
        namespace = _run(script, source)
        make = namespace.get(function)
        if make is None:
            raise UsageError(
                f"{script} has no function {function!r}",
                hint=_listed(name for name, each in namespace.items() if _is_own(each, namespace)),
            )
        _check_callable(script, function, make)
        torch.manual_seed(0)  # random weights are the same in each command
        with _told_by_line(script, f"in {function}"):
            made = make()
    return _understood(script, function, made)


def _listed(names: Iterator[str] | list[str]) -> str:
    known = [name for name in names if not name.startswith("_")]
    if not known:
        return f"write a function that returns {RETURNS}"
    return f"its functions are {', '.join(known)}"


def _read(script: Path) -> bytes:
    try:
        return script.read_bytes()
    except OSError as error:
        raise LoadError(f"cannot read {script}: {error.strerror}") from error


def _run(script: Path, source: bytes) -> dict[str, Any]:
    """The names that a script defines. It runs as an import would, but leaves no compiled file behind."""
    name = script.stem if script.stem not in sys.modules else f"_script_{script.stem}"
    module = types.ModuleType(name)
    module.__file__ = str(script)
    sys.modules[name] = module  # dataclasses and pickling look their modules up there
    with _told_by_line(script, ""):
        exec(compile(source, str(script), "exec"), module.__dict__)
    return module.__dict__


@contextlib.contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(entry)


@contextlib.contextmanager
def _told_by_line(script: Path, where: str) -> Iterator[None]:
    """Turn whatever the script raises into an error that names its line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        if isinstance(error, SyntaxError):
            line, what = error.lineno, f"{type(error).__name__}: {error.msg}"
        else:
            frames = traceback.extract_tb(error.__traceback__)
            line = next((each.lineno for each in reversed(frames) if each.filename == str(script)), None)
            first_line = next(iter(str(error).strip().splitlines()), "")
            what = f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
        place = ", ".join(part for part in (str(script), f"line {line}" if line else "", where) if part)
        raise LoadError(f"{place}: {what}", hint="--debug shows the whole traceback") from error


def _check_callable(script: Path, function: str, make: Any) -> None:
    if not callable(make):
        raise UsageError(f"{function!r} in {script} is a {type(make).__name__}, expected a function")
    try:
        inspect.signature(make).bind()
    except TypeError as error:
        raise UsageError(f"{function} in {script} is called without arguments, but: {error}") from error
    except ValueError:
        return  # builtins may have no signature; calling tells


def _is_own(each: Any, namespace: dict[str, Any]) -> bool:
    return isinstance(each, types.FunctionType) and each.__globals__ is namespace


def _understood(script: Path, function: str, made: Any) -> Made:
    if isinstance(made, tuple) and len(made) in (2, 3):
        return Made(*made)
    if isinstance(made, torch.export.ExportedProgram):
        return Made(made)
    raise UsageError(
        f"{function} in {script} returned {_kind(made)}, expected {RETURNS}",
        hint="for example: return Net(), (torch.zeros(1, 3, 224, 224),)",
    )


def _kind(made: Any) -> str:
    return f"a tuple of {len(made)}" if isinstance(made, tuple) else type(made).__name__
