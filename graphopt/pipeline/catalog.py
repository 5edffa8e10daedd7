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

GROUP = "graphopt.passes"


@functools.cache
def default_catalog() -> Mapping[str, type[ir.passes.PassBase]]:
    """Pass name -> class of every installed pass, sorted by name."""
    catalog: dict[str, type[ir.passes.PassBase]] = {}
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            loaded = entry.load()
            classes = [loaded] if isinstance(loaded, type) else list(_members(loaded))
            for found in classes:
                catalog[_name(found, entry.name)] = found
        except Exception as error:  # a plug-in that does not even import must not stop the others
            warnings.warn(f"the plug-in {entry.name!r} ({entry.value}) is left out: {error}", stacklevel=2)
    return dict(sorted(catalog.items()))


def _members(loaded: Iterable[object]) -> Iterable[type[ir.passes.PassBase]]:
    for found in loaded:
        if not (isinstance(found, type) and issubclass(found, ir.passes.PassBase)):
            raise TypeError(f"{found!r} is not a pass class")
        yield found


def _name(found: type[ir.passes.PassBase], entry: str) -> str:
    return found.name if issubclass(found, Pass) else entry
