"""torch's table of translations, made once in a process instead of once in every trace (0.4 s of each).

torch has no public way to hand the table to its exporter; where the class that makes it is not the known one,
the exporter makes its own.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch

_TABLES: dict[Any, Any] = {}


@contextlib.contextmanager
def kept_table(replaced: Collection[Callable[..., Any]]) -> Iterator[None]:
    """Let `torch.onnx.export` take a copy of the table it made before.

    Args:
        replaced: Operators with a translation of ours. The table's own is left out: PyTorch 2.6 takes it
            where ours has no annotations.
    """
    left_out = {each.name() if isinstance(each, torch._ops.OpOverload) else each for each in replaced}
    left_out.update(replaced)
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry

        make = ONNXRegistry.__dict__["from_torchlib"]
    except (ImportError, KeyError):
        yield
        return

    def from_torchlib(cls: Any, opset_version: int | None = None) -> Any:
        if opset_version not in _TABLES:
            options = {} if opset_version is None else {"opset_version": opset_version}
            _TABLES[opset_version] = make.__get__(None, cls)(**options)
        table = copy.copy(_TABLES[opset_version])
        kept = {target: found for target, found in table.functions.items() if target not in left_out}
        table.functions = {target: list(found) for target, found in kept.items()}
        return table

    ONNXRegistry.from_torchlib = classmethod(from_torchlib)
    try:
        yield
    finally:
        ONNXRegistry.from_torchlib = make
