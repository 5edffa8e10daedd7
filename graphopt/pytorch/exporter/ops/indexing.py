"""Operators that take elements by their indices."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.exporter.sizes import Sizes
from graphopt.pytorch.exporter.unsigned import widening
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


@translates("GatherElements")
@widening()
def gather_elements(site: Site) -> fx.Node:
    x, axis, constant = site.tensor(0), site.attribute("axis", 0), site.constant(1)
    if constant is not None and constant.dtype == np.int64 and (constant >= 0).all():
        return site.call(torch.gather, x, axis, site.tensor(1))
    return site.call(indexing.gather_elements, x, site.tensor(1), axis)


@translates("GatherND")
def gather_nd(site: Site) -> fx.Node:
    batch = site.attribute("batch_dims", 0)
    return site.call(indexing.gather_nd, site.tensor(0), site.tensor(1), batch_dims=batch or None)


@translates("OneHot")
def one_hot(site: Site) -> fx.Node:
    axis = site.attribute("axis", -1)
    return site.call(
        indexing.one_hot, site.tensor(0), site.number(1), site.tensor(2), axis=None if axis == -1 else axis
    )


@translates("NonZero")
@widening()
def nonzero(site: Site) -> fx.Node:
    """Where it only counts, as older exporters wrote `arange`, its length is a size."""
    value = site.node.inputs[0]
    filled = None if value is None else value.producer()
    if filled is not None and filled.op_type == "ConstantOfShape" and site.rank(0) == 1:
        count = site.emitter.find(filled.inputs[0]) if filled.inputs[0] is not None else None
        fill = filled.attributes.get("value")
        if isinstance(count, Sizes) and fill is not None and fill.as_tensor().numpy().all():
            return site.call(torch.unsqueeze, site.call(torch.arange, *count.items), 0)
    return site.method("t", site.call(torch.nonzero, site.tensor(0)))


@translates("Compress")
def compress(site: Site) -> fx.Node:
    return site.call(indexing.compress, site.tensor(0), site.tensor(1), axis=site.attribute("axis"))


@translates("Unique")
@widening(ordered=True)
def unique(site: Site) -> list[fx.Node]:
    is_sorted = bool(site.attribute("sorted", 1))
    results = site.call(
        indexing.unique,
        site.tensor(0),
        axis=site.attribute("axis"),
        is_sorted=None if is_sorted else False,
    )
    return [site.item(results, index) for index in range(len(site.node.outputs))]


@translates("NonMaxSuppression")
def non_max_suppression(site: Site) -> fx.Node:
    return site.call(
        indexing.non_max_suppression,
        site.tensor(0),
        site.tensor(1),
        site.number(2, default=0),
        site.number(3, default=0.0),
        score_threshold=site.number(4),
        is_centered=bool(site.attribute("center_point_box", 0)) or None,
    )
