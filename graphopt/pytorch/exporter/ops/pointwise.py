"""Operators that compute each element from the elements in its place."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site

# Operators of one input and no attributes that PyTorch has under the same meaning.
_UNARY: dict[str, Callable[..., Any]] = {
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "HardSwish": F.hardswish,
}

_BINARY: dict[str, Callable[..., Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
}


@translates(*_UNARY)
def unary(site: Site) -> fx.Node:
    return site.call(_UNARY[site.node.op_type], site.tensor(0))


@translates(*_BINARY)
def binary(site: Site) -> fx.Node:
    return site.call(_BINARY[site.node.op_type], site.operand(0), site.operand(1))
