"""Example inputs whose dynamic dimensions are larger than 1, where a module takes such.

A tensor of size 1 is contiguous in every order, and torch.export concludes from an example what holds for it:
a graph captured at size 1 may be wrong at any other. Nothing here changes the examples given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from graphopt.pytorch.importer.dimensions import Dimension
from graphopt.pytorch.importer.eager import run_eagerly

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Places = list[tuple[int, int]]
"""Leaf and axis of each dimension that has one name."""


def enlarged(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], asked: Sequence[Dimension]
) -> Arguments | None:
    """The example with dynamic dimensions of size 1 repeated to size 2, as many as the module runs with.

    Dimensions of one name grow together. None if there is nothing to enlarge, or the module refuses it all.
    """
    leaves, structure = pytree.tree_flatten((tuple(args), dict(kwargs)))
    groups = _groups(leaves, asked)
    for chosen in [groups] if len(groups) < 2 else [groups, *([group] for group in groups)]:
        grown: Arguments = pytree.tree_unflatten(_repeated(leaves, chosen), structure)
        if chosen and _runs(module, grown):
            return grown
    return None


def _groups(leaves: Sequence[Any], asked: Sequence[Dimension]) -> list[Places]:
    derived = {dimension.name for dimension in asked if dimension.root}
    groups: dict[Any, Places] = {}
    for dimension in asked:
        tensor = leaves[dimension.leaf]
        if not isinstance(tensor, torch.Tensor) or tensor.shape[dimension.axis] != 1:
            continue
        if dimension.name in derived and dimension.name:
            continue
        place = (dimension.leaf, dimension.axis)
        groups.setdefault(dimension.name or place, []).append(place)
    return list(groups.values())


def _repeated(leaves: Sequence[Any], groups: Sequence[Places]) -> list[Any]:
    grown = list(leaves)
    for group in groups:
        for leaf, axis in group:
            grown[leaf] = torch.cat([grown[leaf], grown[leaf]], axis).detach()
    return grown


def _runs(module: torch.nn.Module, arguments: Arguments) -> bool:
    try:
        run_eagerly(module, *arguments)
    except Exception:
        return False
    return True
