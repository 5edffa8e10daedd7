"""Operators that take elements by their indices."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import indexing


@translates("Gather")
def gather(site: Site) -> fx.Node:
    """A known index selects; a table of weights is an embedding; anything else may count from the end."""
    x, axis, known, constant = site.tensor(0), site.attribute("axis", 0), site.sizes(1), site.constant(1)
    if known is not None and known.shape == ():
        return site.call(torch.select, x, axis, known.items[0])
    natural = constant is not None and constant.size > 0 and constant.min() >= 0
    if natural and constant is not None and constant.ndim == 1:
        return site.call(torch.index_select, x, axis, site.tensor(1))
    is_table = site.constant(0) is not None and site.rank(0) == 2 and axis in (0, -2)
    if is_table and (natural or constant is None):
        return site.call(F.embedding, site.tensor(1), x)
    return site.call(indexing.gather, x, site.tensor(1), axis)
