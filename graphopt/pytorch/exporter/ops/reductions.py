"""Reductions over axes, places of extremes, running totals, and the largest elements."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import torch
from torch import fx

from graphopt.pytorch.exporter.dtypes import torch_dtype
from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.exporter.unsigned import UNSIGNED, widening
from graphopt.pytorch.functional import reductions as functions


@translates("ReduceSum", "ReduceL1", "ReduceSumSquare")
@widening()
def reduce_sum(site: Site) -> fx.Node:
    """The sum of elements, or of their magnitudes or squares."""
    kind = site.node.op_type
    x = site.tensor(0)
    if kind == "ReduceL1":
        x = site.call(torch.abs, x)
    if kind == "ReduceSumSquare":
        x = site.call(torch.square, x)
    axes = _axes(site)
    if axes == []:
        return x
    return site.call(torch.sum, x, **_dims(site, axes), dtype=_integer_type(site))


@translates("ReduceMean")
@widening()
def reduce_mean(site: Site) -> fx.Node:
    axes = _axes(site)
    if axes == []:
        return site.tensor(0)
    return site.call(torch.mean if _is_float(site) else functions.mean, site.tensor(0), **_dims(site, axes))


@translates("ReduceL2")
@widening()
def reduce_l2(site: Site) -> fx.Node:
    axes = _axes(site)
    if axes == []:
        return site.call(torch.abs, site.tensor(0))
    function = torch.linalg.vector_norm if _is_float(site) else functions.length
    return site.call(function, site.tensor(0), **_dims(site, axes))


@translates("ReduceLogSum")
@widening()
def reduce_log_sum(site: Site) -> fx.Node:
    axes, x = _axes(site), site.tensor(0)
    if axes == []:
        return site.call(torch.log, x)
    if not _is_float(site):
        return site.call(functions.log_sum, x, **_dims(site, axes))
    return site.call(torch.log, site.call(torch.sum, x, **_dims(site, axes)))


@translates("ReduceLogSumExp")
@widening()
def reduce_log_sum_exp(site: Site) -> fx.Node:
    axes = _axes(site)
    if axes == []:
        return site.tensor(0)
    is_plain = _is_float(site) and isinstance(axes, list)
    function = torch.logsumexp if is_plain else functions.log_sum_exp
    return site.call(function, site.tensor(0), **_dims(site, axes))


@translates("ReduceProd")
@widening()
def reduce_prod(site: Site) -> fx.Node:
    axes = _axes(site)
    if axes == []:
        return site.tensor(0)
    if isinstance(axes, list) and len(axes) == 1:
        dims = {"dim": axes[0], "keepdim": _keeps(site)}
        return site.call(torch.prod, site.tensor(0), **dims, dtype=_integer_type(site))
    return site.call(functions.product, site.tensor(0), **_dims(site, axes))


@translates("ReduceMax", "ReduceMin")
@widening(ordered=True)
def reduce_extreme(site: Site) -> fx.Node:
    axes, largest = _axes(site), site.node.op_type == "ReduceMax"
    if axes == []:
        return site.tensor(0)
    dims = _dims(site, axes)
    shape = site.shape(0)
    if shape is not None and 0 in shape:
        return site.call(functions.extreme_of_none, site.tensor(0), largest, **dims)
    return site.call(torch.amax if largest else torch.amin, site.tensor(0), **dims)


@translates("ArgMax", "ArgMin")
@widening(ordered=True)
def arg_extreme(site: Site) -> fx.Node:
    largest = site.node.op_type == "ArgMax"
    dims = {"dim": site.attribute("axis", 0), "keepdim": _keeps(site)}
    if site.attribute("select_last_index", 0):
        return site.call(functions.last_place, site.tensor(0), largest, **dims)
    return site.call(torch.argmax if largest else torch.argmin, site.tensor(0), **dims)


@translates("CumSum", "CumProd")
@widening()
def cumulative(site: Site) -> fx.Node:
    is_sum = site.node.op_type == "CumSum"
    kinds = {"exclusive": site.attribute("exclusive", 0), "reverse": site.attribute("reverse", 0)}
    given = {kind: True for kind, holds in kinds.items() if holds}
    dim = site.number(1)
    if given:
        return site.call(
            functions.running_sum if is_sum else functions.running_product, site.tensor(0), dim, **given
        )
    return site.call(
        torch.cumsum if is_sum else torch.cumprod, site.tensor(0), dim, dtype=_integer_type(site)
    )


@translates("TopK")
def top_k(site: Site) -> list[fx.Node]:
    """Of equal elements the earlier comes first."""
    count = site.number(1, "k")
    axis, largest = site.attribute("axis", -1), bool(site.attribute("largest", 1))
    wide = site.dtype(0) if site.dtype(0) in UNSIGNED else None
    x = site.method("to", site.tensor(0), torch.int64) if wide else site.tensor(0)
    pair = site.call(functions.top, x, count, axis, largest=None if largest else False)
    values = site.item(pair, 0)
    return [site.method("to", values, torch_dtype(wide)) if wide else values, site.item(pair, 1)]


def _axes(site: Site) -> list[Any] | fx.Node | None:
    """The axes to reduce: a list, empty where nothing is reduced; None for all; or a node that is a list."""
    axes = site.ints(1, "axes")
    if axes is not None and axes != []:
        return axes
    if site.attribute("noop_with_empty_axes", 0):
        return []
    rank = site.rank(0)
    return None if rank is None or rank == 0 else list(range(rank))


def _dims(site: Site, axes: list[Any] | fx.Node | None) -> dict[str, Any]:
    if isinstance(axes, fx.Node) and site.attribute("noop_with_empty_axes", 0):
        site.refuse("the number of axes is not known, and without any nothing is to be reduced")
    return {"dim": [] if axes is None else axes, "keepdim": _keeps(site)}


def _is_float(site: Site) -> bool:
    dtype = site.dtype(0)
    return dtype is not None and dtype.is_floating_point()


def _keeps(site: Site) -> bool:
    return bool(site.attribute("keepdims", 1))


def _integer_type(site: Site) -> torch.dtype | None:
    """The type to sum in, where PyTorch would take a wider one: that of the input."""
    dtype = site.dtype(0)
    if dtype is None or not dtype.is_integer() or dtype in UNSIGNED or dtype == ir.DataType.INT64:
        return None
    return torch_dtype(dtype)
