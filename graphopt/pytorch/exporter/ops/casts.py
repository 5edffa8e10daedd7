"""Changes of element type: of values (Cast, CastLike) and of their bits (BitCast)."""

from __future__ import annotations

import onnx_ir as ir
from torch import fx

from graphopt.pytorch.exporter.dtypes import torch_dtype
from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import casts as functions

_SIGNED_SHORT = frozenset({ir.DataType.INT4, ir.DataType.INT2})
_SHORT = _SIGNED_SHORT | {ir.DataType.UINT4, ir.DataType.UINT2}


@translates("Cast")
def cast(site: Site) -> fx.Node:
    return _cast(site, ir.DataType(site.attribute("to")))


@translates("CastLike")
def cast_like(site: Site) -> fx.Node:
    dtype = site.dtype(1)
    if dtype is None:
        return site.method("type_as", site.tensor(0), site.tensor(1))
    return _cast(site, dtype)


@translates("BitCast")
def bit_cast(site: Site) -> fx.Node:
    return site.method("view", site.tensor(0), site.torch_type("to"))


def _cast(site: Site, to: ir.DataType) -> fx.Node:
    x, dtype = site.tensor(0), torch_dtype(to)
    if to in _SHORT:
        return site.call(functions.to_short_integer, x, to.bitwidth, to in _SIGNED_SHORT)
    if to.bitwidth == 8 and to.is_floating_point():
        return site.call(
            functions.to_float8, x, dtype, saturate=None if site.attribute("saturate", 1) else False
        )
    return site.method("to", x, dtype)
