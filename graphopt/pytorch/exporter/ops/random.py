"""Random numbers, drawn from PyTorch's own generator: `torch.manual_seed` governs them, not ONNX's seeds."""

from __future__ import annotations

import operator

import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.dtypes import torch_dtype
from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import random as functions


@translates("RandomNormal")
def random_normal(site: Site) -> fx.Node:
    shape, dtype = list(site.attribute("shape")), site.torch_type("dtype", ir.DataType.FLOAT)
    return _normal(site, site.call(torch.randn, shape, dtype=dtype))


@translates("RandomNormalLike")
def random_normal_like(site: Site) -> fx.Node:
    return _normal(site, site.call(torch.randn_like, site.tensor(0), dtype=_own_type(site)))


@translates("RandomUniform")
def random_uniform(site: Site) -> fx.Node:
    shape, dtype = list(site.attribute("shape")), site.torch_type("dtype", ir.DataType.FLOAT)
    return _uniform(site, site.call(torch.rand, shape, dtype=dtype))


@translates("RandomUniformLike")
def random_uniform_like(site: Site) -> fx.Node:
    return _uniform(site, site.call(torch.rand_like, site.tensor(0), dtype=_own_type(site)))


@translates("Bernoulli")
def bernoulli(site: Site) -> fx.Node:
    drawn = site.call(torch.bernoulli, site.tensor(0))
    dtype = site.torch_type("dtype")
    return drawn if dtype is None else site.method("to", drawn, dtype)


@translates("Multinomial")
def multinomial(site: Site) -> fx.Node:
    """The input holds unnormalized logarithms of probabilities."""
    probabilities = site.call(F.softmax, site.tensor(0), dim=-1)
    count = site.attribute("sample_size", 1)
    drawn = site.call(torch.multinomial, probabilities, count, replacement=True)
    return site.method("to", drawn, site.torch_type("dtype", ir.DataType.INT32))


@translates("Dropout")
def dropout(site: Site) -> list[fx.Node | None]:
    """Nothing is dropped unless the model says that it is being trained."""
    training = site.constant(2)
    x = site.tensor(0)
    if not site.has(2) or (training is not None and not training.any()):
        mask = site.call(torch.ones_like, x, dtype=torch.bool) if site.wants(1) else None
        return [x, mask]
    ratio = site.operand(1) if site.has(1) else 0.5
    pair = site.call(functions.dropout, x, ratio, site.tensor(2))
    return [site.item(pair, 0), site.item(pair, 1) if site.wants(1) else None]


def _normal(site: Site, drawn: fx.Node) -> fx.Node:
    scale, mean = site.attribute("scale", 1.0), site.attribute("mean", 0.0)
    scaled = drawn if scale == 1 else site.call(operator.mul, drawn, scale)
    return scaled if mean == 0 else site.call(operator.add, scaled, mean)


def _uniform(site: Site, drawn: fx.Node) -> fx.Node:
    low, high = site.attribute("low", 0.0), site.attribute("high", 1.0)
    scaled = drawn if high - low == 1 else site.call(operator.mul, drawn, high - low)
    return scaled if low == 0 else site.call(operator.add, scaled, low)


def _own_type(site: Site) -> torch.dtype | None:
    """The attribute's type; left out where it is the input's."""
    dtype = site.attribute("dtype")
    return None if not dtype or dtype == site.dtype(0) else torch_dtype(ir.DataType(dtype))
