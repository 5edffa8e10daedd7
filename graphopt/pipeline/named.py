"""Classes and functions named in text: `module:name`, or `path/to/file.py:name`, and back.

Both are looked for from the current folder, which is on the path while something is imported and not after. A
file that lies in a package is imported as a part of it, so that its relative imports work.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from graphopt.errors import UsageError
from graphopt.pipeline.guests import import_guest

_GIVEN: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
"""What was loaded from files -> the text that named it."""

_SUFFIX = ".py"
_PACKAGE = "__init__.py"
_FRESH_SECONDS = 30.0
_FRESH = """
import importlib.util, json, sys
sys.path.insert(0, sys.argv[1])
found = importlib.util.find_spec(sys.argv[2])
print(json.dumps(None if found is None else [found.origin, list(found.submodule_search_locations or [])]))
"""


def names_file(text: str) -> bool:
    """Whether a text is the path of a Python file that is there, a colon and a name, and no more."""
    place, colon, name = text.rpartition(":")
    return (
        bool(colon)
        and place.endswith(_SUFFIX)
        and name.replace(".", "").isidentifier()
        and os.path.isfile(place)
    )


def load_named(text: str, what: str = "pass", example: str = "Class") -> Any:
    """What a text names: `module:name` or `path/to/file.py:name`; the name may hold dots.

    Args:
        text: What names it.
        what: What it is meant to be, for messages.
        example: A name of such a thing, for messages.

    Raises:
        UsageError: It cannot be loaded.
    """
    place, _, name = text.rpartition(":")

    def load() -> Any:
        module = _of_file(Path(place)) if place.endswith(_SUFFIX) else _of_module(place)
        return functools.reduce(getattr, name.split("."), module)

    try:
        found = import_guest(load)
    except ImportError as error:
        raise UsageError(
            f"cannot load the {what} {text!r}: {error}",
            hint=f"write it as module:{example}, of a module that can be imported from here, "
            f"or as path/to/file.py:{example}",
        ) from error
    if place.endswith(_SUFFIX):
        with contextlib.suppress(TypeError):  # no class or function
            _GIVEN[found] = text
    return found


def text_of(found: type) -> str:
    """The text that a class was loaded by, or else its module and name."""
    return _GIVEN.get(found) or f"{found.__module__}:{found.__qualname__}"


def place_of(found: Any) -> str:
    """The text by which a new process that starts in the current folder finds a class or function.

    That is its module and name, or its file where its module cannot be imported there.
    """
    owner = found if hasattr(found, "__qualname__") else type(found)
    module, name = owner.__module__, owner.__qualname__
    try:
        file = Path(inspect.getfile(owner)).absolute()
        here = Path.cwd()
    except (OSError, TypeError):
        return f"{module}:{name}"
    if _is_importable(module, file, here):
        return f"{module}:{name}"
    return f"{file.relative_to(here) if file.is_relative_to(here) else file}:{name}"


def _of_module(name: str) -> ModuleType:
    with _on_path(Path.cwd()):
        return importlib.import_module(name)


def _of_file(path: Path) -> ModuleType:
    path = path.absolute()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {os.fspath(path)!r}")
    parts = [] if path.name == _PACKAGE else [path.stem]
    root = path.parent
    while (root / _PACKAGE).exists() and root != root.parent:
        parts.insert(0, root.name)
        root = root.parent
    with _on_path(root, Path.cwd()):
        if root != path.parent and _is_free(root / parts[0]):
            return importlib.import_module(".".join(parts))
        return _alone(path)


def _is_free(package: Path) -> bool:
    """Whether the name of a package is not that of another one that is loaded."""
    loaded = sys.modules.get(package.name)
    folders = [] if loaded is None else [os.path.realpath(each) for each in getattr(loaded, "__path__", ())]
    return loaded is None or os.path.realpath(package) in folders


def _alone(path: Path) -> ModuleType:
    """The module of a file in no package, or in one whose name another has; it is loaded once."""
    import hashlib

    name = f"{path.stem}_{hashlib.sha256(os.fspath(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        specification.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextlib.contextmanager
def _on_path(*folders: Path) -> Iterator[None]:
    entries = [os.fspath(folder) for folder in dict.fromkeys(folders)]
    importlib.invalidate_caches()
    sys.path[:0] = entries
    try:
        yield
    finally:
        for entry in entries:
            with contextlib.suppress(ValueError):  # what was imported took it away
                sys.path.remove(entry)


def _is_importable(module: str, file: Path, here: Path) -> bool:
    import sysconfig

    if module == "__main__":
        return False
    relative = Path(*module.split("."))
    forms = relative.with_name(relative.name + _SUFFIX), relative / _PACKAGE
    installed = (Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib"))
    if any(file == folder / form for folder in (here, *installed) for form in forms):
        return True
    top = sys.modules.get(module.partition(".")[0])
    if top is None:
        return False
    origin, folders = _found_afresh(top.__name__, here)
    if origin is None:  # a package without a file, in any number of folders
        return bool(folders) and folders == tuple(getattr(top, "__path__", ()))
    return origin == getattr(top, "__file__", None)


@functools.cache
def _found_afresh(name: str, here: Path) -> tuple[str | None, tuple[str, ...]]:
    """File and folders of a module in a process that starts in a folder: what was done to this one's path
    is not told to others."""
    try:
        ran = subprocess.run(
            [sys.executable, "-c", _FRESH, os.fspath(here), name],
            cwd=here, capture_output=True, stdin=subprocess.DEVNULL, timeout=_FRESH_SECONDS, check=True,
        )  # fmt: skip
        origin, folders = json.loads(ran.stdout.splitlines()[-1]) or (None, [])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None, ()
    return origin, tuple(folders)
