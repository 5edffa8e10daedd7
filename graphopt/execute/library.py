"""The library that teaches onnxruntime the operator `graphopt.Program`, which runs compiled regions."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

from graphopt.errors import ExecutionError

_NAMES = ("libgraphopt_onnxruntime.so", "graphopt_onnxruntime.dll")


@functools.cache
def library() -> str:
    """Path of the library, for `SessionOptions.register_custom_ops_library`.

    It needs nothing but onnxruntime 1.17 or newer: programs in other languages can load it as well.

    Raises:
        ExecutionError: It is not installed beside graphopt's extension.
    """
    extension = importlib.util.find_spec("graphopt._native")
    if extension is not None and extension.origin is not None:
        for name in _NAMES:
            path = Path(extension.origin).with_name(name)
            if path.is_file():
                return str(path)
    raise ExecutionError(
        "graphopt's library for onnxruntime is missing",
        hint="install graphopt again; from the root of its source tree: python -m pip install .",
    )


def register(options: Any) -> None:
    """Let the sessions of `onnxruntime.SessionOptions` run compiled regions.

    Raises:
        ExecutionError: The library is missing, or onnxruntime cannot load it.
    """
    path = library()
    try:
        options.register_custom_ops_library(path)
    except Exception as error:
        raise ExecutionError(f"onnxruntime could not load {path}: {error}") from error
