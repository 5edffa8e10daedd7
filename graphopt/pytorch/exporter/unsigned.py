"""uint16, uint32 and uint64: PyTorch holds them but hardly computes with them, so int64 does it for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import onnx_ir as ir
import torch
from torch import fx

from graphopt.pytorch.exporter.dtypes import torch_dtype
from graphopt.pytorch.exporter.registry import Translator
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import unsigned as functions

UNSIGNED = frozenset({ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64})


def widening(*, ordered: bool = False) -> Callable[[Translator], Translator]:
    """Let a translator work on int64 where its operands are unsigned and wider than 8 bits.

    Sums, differences, products and bits come out right for all of uint64, as int64 wraps in the same way. An
    operator that only compares says `ordered`: uint64 is then mapped to int64 in the same order.
    """

    def widen(translator: Translator) -> Translator:
        @wraps(translator)
        def translate(site: Site) -> Any:
            if not any(site.dtype(index) in UNSIGNED for index in range(len(site.node.inputs))):
                return translator(site)
            wide = _WideSite(site, ordered)
            outputs = translator(wide)
            if not isinstance(outputs, (list, tuple)):
                return wide.narrow(outputs, 0)
            return [wide.narrow(output, index) for index, output in enumerate(outputs)]

        return translate

    return widen


class _WideSite(Site):
    """A site whose wider unsigned operands are int64."""

    def __init__(self, site: Site, ordered: bool) -> None:
        super().__init__(site.emitter, site.node)
        self._ordered = ordered

    def tensor(self, index: int) -> fx.Node:
        dtype = self.dtype(index)
        if dtype == ir.DataType.UINT64 and self._ordered:
            return self.call(functions.as_ordered, super().tensor(index))
        if dtype in UNSIGNED:
            return self.method("to", super().tensor(index), torch.int64)
        return super().tensor(index)

    def narrow(self, output: Any, index: int) -> Any:
        """The output in the type that the graph gives it."""
        dtype = self.node.outputs[index].dtype
        if dtype not in UNSIGNED or output is None:
            return output
        if dtype == ir.DataType.UINT64 and self._ordered:
            return self.call(functions.from_ordered, output)
        return self.method("to", output, torch_dtype(dtype))
