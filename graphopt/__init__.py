"""An ahead-of-time optimizing compiler for neural-network graphs.

The package root only names the public interface; each name is loaded from its module when first used,
so that `import graphopt` stays fast. No module of the package imports from here.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import types
from typing import TYPE_CHECKING, Any

# Run from the root of a checkout, this folder comes before the installed package, which holds the extension.
__path__ = pkgutil.extend_path(__path__, __name__)

if TYPE_CHECKING:
    from graphopt import errors, passes
    from graphopt.compile import Result, optimize
    from graphopt.compile.api import bench, check, compress, cost, sensitivity
    from graphopt.errors import GraphoptError
    from graphopt.io import load, save
    from graphopt.pipeline import Pass, Pipeline
    from graphopt.pytorch import to_fx, trace

    __version__: str

__all__ = [
    "GraphoptError",
    "Pass",
    "Pipeline",
    "Result",
    "bench",
    "check",
    "compress",
    "cost",
    "errors",
    "load",
    "optimize",
    "passes",
    "save",
    "sensitivity",
    "to_fx",
    "trace",
]

# Public name -> (module, attribute); no attribute: the module itself.
_PUBLIC: dict[str, tuple[str, str | None]] = {
    "GraphoptError": ("graphopt.errors", "GraphoptError"),
    "Pass": ("graphopt.pipeline", "Pass"),
    "Pipeline": ("graphopt.pipeline", "Pipeline"),
    "Result": ("graphopt.compile", "Result"),
    "bench": ("graphopt.compile.api", "bench"),
    "check": ("graphopt.compile.api", "check"),
    "compress": ("graphopt.compile.api", "compress"),
    "cost": ("graphopt.compile.api", "cost"),
    "errors": ("graphopt.errors", None),
    "load": ("graphopt.io", "load"),
    "optimize": ("graphopt.compile", "optimize"),
    "passes": ("graphopt.passes", None),
    "save": ("graphopt.io", "save"),
    "sensitivity": ("graphopt.compile.api", "sensitivity"),
    "to_fx": ("graphopt.pytorch", "to_fx"),
    "trace": ("graphopt.pytorch", "trace"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = importlib.import_module("importlib.metadata").version("graphopt")
    elif name in _PUBLIC:
        module_name, attribute = _PUBLIC[name]
        module = importlib.import_module(module_name)
        value = module if attribute is None else getattr(module, attribute)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_PUBLIC, "__version__"])


class _Root(types.ModuleType):
    """Keeps the import of a submodule from hiding the public function of the same name, as `cost` is both."""

    def __setattr__(self, name: str, value: Any) -> None:
        _, attribute = _PUBLIC.get(name, (None, None))
        if attribute is None or not isinstance(value, types.ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Root
