"""Which passes are installed: everything in the entry-point group `graphopt.passes`.

The built-in passes come through the same door as those of third parties. An entry is a pass class (ours or
an `onnx_ir` one), or a collection of them. A broken plug-in is left out and named, never fatal.
"""

from __future__ import annotations

import functools
import importlib.metadata
import warnings
from collections.abc import Iterable, Mapping

import onnx_ir as ir

from graphopt.pipeline.base import Pass
from graphopt.pipeline.blame import described
from graphopt.pipeline.guests import import_guest

GROUP = "graphopt.passes"
OWN = "graphopt"


@functools.cache
def default_catalog() -> Mapping[str, type[ir.passes.PassBase]]:
    """Pass name -> class of every installed pass, sorted by name."""
    catalog: dict[str, type[ir.passes.PassBase]] = {}
    for entry in _entries():
        try:
            classes = import_guest(lambda entry=entry: _classes(entry))  # type: ignore[misc]
        except ImportError as error:  # a plug-in that does not even import must not stop the others
            warnings.warn(f"the plug-in {entry.name!r} ({entry.value}) is left out: {error}", stacklevel=2)
            continue
        for found in classes:
            name = _name(found, entry.name)
            if catalog.setdefault(name, found) is not found:
                warnings.warn(
                    f"the pass {name!r} of the plug-in {entry.name!r} is left out: "
                    f"there is one of that name in {catalog[name].__module__}",
                    stacklevel=2,
                )
    return dict(sorted(catalog.items()))


def _entries() -> list[importlib.metadata.EntryPoint]:
    """What is installed in the group, our own first: no plug-in takes the place of a built-in pass."""
    try:
        found = list(importlib.metadata.entry_points(group=GROUP))
    except Exception as error:  # one damaged package must not hide all others
        warnings.warn(f"plug-ins are left out, since a package is damaged: {described(error)}", stacklevel=3)
        found = [each for each in importlib.metadata.distribution(OWN).entry_points if each.group == GROUP]
    return sorted(found, key=lambda entry: (entry.module.partition(".")[0] != OWN, entry.name))


def _classes(entry: importlib.metadata.EntryPoint) -> list[type[ir.passes.PassBase]]:
    loaded = entry.load()
    return list(_members([loaded] if isinstance(loaded, type) else loaded))


def _members(loaded: Iterable[object]) -> Iterable[type[ir.passes.PassBase]]:
    for found in loaded:
        if not (isinstance(found, type) and issubclass(found, ir.passes.PassBase)):
            raise TypeError(f"{found!r} is not a pass class")
        yield found


def _name(found: type[ir.passes.PassBase], entry: str) -> str:
    return found.name if issubclass(found, Pass) else entry
