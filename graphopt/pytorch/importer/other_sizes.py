"""The example inputs at other sizes: each dimension that may vary a little larger, if the module takes that.

A graph that was captured at one size is to hold at every size; only a run at another one shows that it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
from torch.utils import _pytree as pytree

from graphopt.pytorch.importer.capture import Captured
from graphopt.pytorch.importer.eager import EagerRun, run_eagerly
from graphopt.pytorch.signature import Signature

Dims = dict[str, list[tuple[int, int]]]
"""Leaf and axis of the dimensions of each name."""


@dataclass(frozen=True)
class OtherSizes:
    """A run of the module at other sizes than the example's.

    Attributes:
        run: What it did.
        args: The positional arguments.
        kwargs: The named arguments.
        sizes: The sizes by name, as text.
    """

    run: EagerRun
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    sizes: str


def run_at_other_sizes(model: ir.Model, signature: Signature, captured: Captured) -> OtherSizes | None:
    """Run the module with each dynamic dimension one larger, or else twice as large.

    Returns:
        The run; None if nothing is dynamic, a dimension depends on others, or the module refuses both.
    """
    leaves, structure = pytree.tree_flatten((captured.args, captured.kwargs))
    dims = _dynamic(model, signature, leaves)
    for grow in (_one_more, _twice) if dims else ():
        grown = _grown(leaves, dims, grow)
        args, kwargs = pytree.tree_unflatten(grown, structure)
        try:
            with without_fast_path():
                run = run_eagerly(captured.module, args, kwargs)
        except Exception:
            continue
        sizes = ", ".join(f"{name}={grown[where[0][0]].shape[where[0][1]]}" for name, where in dims.items())
        return OtherSizes(run, args, kwargs, sizes)
    return None


def _dynamic(model: ir.Model, signature: Signature, leaves: Sequence[Any]) -> Dims:
    """The dimensions that vary freely; none at all if one is an expression of others."""
    shapes = {value.name: value.shape for value in model.graph.inputs}
    dims: Dims = {}
    for index, leaf in enumerate(signature.inputs):
        shape = shapes.get(leaf.name) if leaf.name is not None else None
        if shape is None or not isinstance(leaves[index], torch.Tensor):
            continue
        for axis, dim in enumerate(shape):
            if isinstance(dim, int):
                continue
            name = str(dim.value)
            if not name.isidentifier() or not leaves[index].shape[axis]:
                return {}
            dims.setdefault(name, []).append((index, axis))
    return dims


def _grown(leaves: Sequence[Any], dims: Dims, grow: Callable[[torch.Tensor, int], torch.Tensor]) -> list[Any]:
    grown = list(leaves)
    for places in dims.values():
        for index, axis in places:
            grown[index] = grow(grown[index].detach(), axis)
    return grown


def _one_more(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    return torch.cat([tensor, tensor.narrow(axis, 0, 1)], axis)


def _twice(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    return torch.cat([tensor, tensor], axis)


@contextmanager
def without_fast_path() -> Iterator[None]:
    """Without PyTorch's fast path of attention, which gives other numbers where a mask hides a position."""
    paths = getattr(torch.backends, "mha", None)
    if paths is None or not paths.get_fastpath_enabled():
        yield
        return
    paths.set_fastpath_enabled(False)
    try:
        yield
    finally:
        paths.set_fastpath_enabled(True)
