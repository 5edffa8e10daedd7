"""Every transformation, one file per pass, named as the pass is.

Importing this package collects them; `PASSES` is what the entry point `graphopt.passes` publishes.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from graphopt.pipeline import Pass


def _collect() -> tuple[type[Pass], ...]:
    found: dict[str, type[Pass]] = {}
    for info in pkgutil.walk_packages(__path__, f"{__name__}."):
        for _, member in inspect.getmembers(importlib.import_module(info.name), inspect.isclass):
            if issubclass(member, Pass) and member.__module__ == info.name and not inspect.isabstract(member):
                found[member.name] = member
    return tuple(found[name] for name in sorted(found))


PASSES = _collect()
