"""Operators that write into a copy of a tensor."""

from __future__ import annotations

import numpy as np
import torch
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.exporter.unsigned import widening
from graphopt.pytorch.functional import scatter as functions


@translates("ScatterElements", "Scatter")
@widening()
def scatter_elements(site: Site) -> fx.Node:
    axis, reduction, constant = (
        site.attribute("axis", 0),
        site.attribute("reduction", "none"),
        site.constant(1),
    )
    operands = site.tensor(0), site.tensor(1), site.tensor(2)
    if constant is None or constant.dtype != np.int64 or not (constant >= 0).all() or reduction != "none":
        kind = None if reduction == "none" else reduction
        return site.call(functions.scatter_elements, *operands, axis, reduction=kind)
    x, indices, updates = operands
    return site.call(torch.scatter, x, axis, indices, updates)


@translates("ScatterND")
@widening()
def scatter_nd(site: Site) -> fx.Node:
    reduction = site.attribute("reduction", "none")
    kind = None if reduction == "none" else reduction
    return site.call(functions.scatter_nd, site.tensor(0), site.tensor(1), site.tensor(2), reduction=kind)


@translates("TensorScatter")
@widening()
def tensor_scatter(site: Site) -> fx.Node:
    axis, mode = site.attribute("axis", -2), site.attribute("mode", "linear")
    return site.call(
        functions.update_cache,
        site.tensor(0),
        site.tensor(1),
        site.optional(2),
        axis=None if axis == -2 else axis,
        is_circular=mode == "circular" or None,
    )
