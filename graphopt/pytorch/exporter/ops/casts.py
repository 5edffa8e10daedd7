"""Changes of element type: of values (Cast, CastLike) and of their bits (BitCast)."""

from __future__ import annotations

import onnx_ir as ir
from torch import fx

from graphopt.pytorch.exporter.dtypes import torch_dtype
from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site


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
    return site.method("to", site.tensor(0), torch_dtype(to))
