"""The table of translations: one function for each ONNX operator, filled by the files of `ops`.

A translator sees its node through a `Site` and says which PyTorch calls compute the same. Here is nothing
but the table.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import onnx_ir as ir

if TYPE_CHECKING:
    import torch.fx

    from graphopt.pytorch.exporter.site import Site
    from graphopt.pytorch.exporter.sizes import Sizes

Output: TypeAlias = "torch.fx.Node | Sizes | None"
"""What stands for one output: a tensor (or a list of them), sizes, or nothing where it is unused."""

Translator: TypeAlias = "Callable[[Site], Output | Sequence[Output]]"
"""Emits a node's calls; returns its output, or one entry for each output of the node."""

_TABLE: dict[tuple[str, str], Translator] = {}


def translates(*op_types: str, domain: str = "") -> Callable[[Translator], Translator]:
    """Enter a function into the table as the translation of operators of one domain.

    Raises:
        ValueError: An operator has a translation already.
    """

    def enter(translator: Translator) -> Translator:
        for op_type in op_types:
            if (domain, op_type) in _TABLE:
                raise ValueError(f"{domain}::{op_type} has two translations")
            _TABLE[domain, op_type] = translator
        return translator

    return enter


def translator_of(node: ir.Node) -> Translator | None:
    """The translation of a node's operator, or None."""
    return translations().get((node.domain, node.op_type))


@cache
def translations() -> dict[tuple[str, str], Translator]:
    """The whole table: (domain, operator) -> translator."""
    from graphopt.pytorch.exporter import ops

    for module in pkgutil.iter_modules(ops.__path__, f"{ops.__name__}."):
        importlib.import_module(module.name)
    return _TABLE
