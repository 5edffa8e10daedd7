"""onnxruntime's own operators (com.microsoft), which its optimizer and ours write for several others."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.ops.quantization import CONTRIB
from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.exporter.standard import as_standard
from graphopt.pytorch.functional import contrib as functions

_CONV_ATTRIBUTES = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
_SKIP_EPSILON = 1e-12


def _renamed(op_type: str) -> Callable[[Site], list[fx.Node | None]]:
    return lambda site: as_standard(site, op_type, range(len(site.node.inputs)))


for _name in ("GatherND", "Pad", "Range", "Trilu"):
    translates(_name, domain=CONTRIB)(_renamed(_name))


@translates("Inverse", domain=CONTRIB)
def inverse(site: Site) -> fx.Node:
    return site.call(torch.linalg.inv, site.tensor(0))


@translates("ExpandDims", domain=CONTRIB)
def expand_dims(site: Site) -> fx.Node:
    return site.call(torch.unsqueeze, site.tensor(0), site.number(1))


@translates("Unique", domain=CONTRIB)
def unique(site: Site) -> list[fx.Node | None]:
    found = as_standard(site, "Unique", [0], {"sorted": 0}, [0, 0, 1, 2])
    return [found[0], found[2], found[3]]


@translates("Gelu", domain=CONTRIB)
def gelu(site: Site) -> fx.Node:
    return site.call(F.gelu, site.tensor(0))


@translates("BiasGelu", domain=CONTRIB)
def bias_gelu(site: Site) -> fx.Node:
    return site.call(F.gelu, _sum(site, 0, 1))


@translates("FastGelu", domain=CONTRIB)
def fast_gelu(site: Site) -> fx.Node:
    return site.call(F.gelu, _sum(site, 0, 1), approximate="tanh")


@translates("QuickGelu", domain=CONTRIB)
def quick_gelu(site: Site) -> fx.Node:
    x, alpha = site.tensor(0), site.attribute("alpha", 1.702)
    if alpha == 1:
        return site.call(F.silu, x)
    return site.call(operator.mul, x, site.call(torch.sigmoid, site.call(operator.mul, x, alpha)))


@translates("BiasSplitGelu", domain=CONTRIB)
def bias_split_gelu(site: Site) -> fx.Node:
    halves = site.method("chunk", _sum(site, 0, 1), 2, dim=-1)
    return site.call(operator.mul, site.item(halves, 0), site.call(F.gelu, site.item(halves, 1)))


@translates("BiasAdd", domain=CONTRIB)
def bias_add(site: Site) -> fx.Node:
    return _sum(site, 0, 1, 2)


@translates("BiasDropout", domain=CONTRIB)
def bias_dropout(site: Site) -> fx.Node:
    if site.wants(1):
        site.refuse("its mask is used")
    return _sum(site, 0, 1, 2)


@translates("BiasSoftmax", domain=CONTRIB)
def bias_softmax(site: Site) -> fx.Node:
    return site.call(F.softmax, _sum(site, 0, 1), dim=site.attribute("axis", -1))


@translates("FusedConv", domain=CONTRIB)
def fused_conv(site: Site) -> fx.Node:
    (y,) = as_standard(site, "Conv", [0, 1, 2], _only(site, _CONV_ATTRIBUTES))
    assert y is not None
    if site.has(3):
        y = site.call(operator.add, y, site.tensor(3))
    return _activated(site, y, site.attribute("activation"), site.attribute("activation_params") or ())


@translates("FusedGemm", domain=CONTRIB)
def fused_gemm(site: Site) -> fx.Node:
    (y,) = as_standard(site, "Gemm", [0, 1, 2], _only(site, ("alpha", "beta", "transA", "transB")))
    assert y is not None
    names = ("activation_alpha", "activation_beta", "activation_gamma")
    parameters = [site.attribute(name) for name in names if site.attribute(name) is not None]
    return _activated(site, y, site.attribute("activation"), parameters)


@translates("FusedMatMul", "TransposeMatMul", domain=CONTRIB)
def fused_matmul(site: Site) -> fx.Node:
    a = _transposed(site, site.tensor(0), site.rank(0), "A")
    b = _transposed(site, site.tensor(1), site.rank(1), "B")
    y = site.call(torch.matmul, a, b)
    alpha = site.attribute("alpha", 1.0)
    return y if alpha == 1 else site.call(operator.mul, y, alpha)


@translates("SkipLayerNormalization", domain=CONTRIB)
def skip_layer_normalization(site: Site) -> list[fx.Node | None]:
    _refuse_statistics(site)
    total = _sum(site, 0, 4, 1)
    return [_layer_norm(site, total, 2, 3), None, None, total]


@translates("SkipSimplifiedLayerNormalization", domain=CONTRIB)
def skip_simplified_layer_normalization(site: Site) -> list[fx.Node | None]:
    _refuse_statistics(site)
    total = _sum(site, 0, 3, 1)
    return [_rms_norm(site, total, 2, _SKIP_EPSILON), None, None, total]


@translates("SimplifiedLayerNormalization")
@translates("SimplifiedLayerNormalization", domain=CONTRIB)
def simplified_layer_normalization(site: Site) -> fx.Node:
    """onnxruntime's RMSNormalization, over the last axis."""
    if site.wants(1):
        site.refuse("its statistics are used")
    if site.attribute("axis", -1) not in (-1, (site.rank(0) or 0) - 1):
        site.refuse("it is over several axes")
    return _rms_norm(site, site.tensor(0), 1, 1e-5)


@translates("EmbedLayerNormalization", domain=CONTRIB)
def embed_layer_normalization(site: Site) -> list[fx.Node | None]:
    ids = site.tensor(0)
    words = site.call(F.embedding, ids, site.tensor(2))
    if site.has(8):
        places = site.call(F.embedding, site.tensor(8), site.tensor(3))
    else:
        places = site.call(operator.getitem, site.tensor(3), slice(None, site.size(ids, 1)))
    total = site.call(operator.add, words, places)
    if site.has(1):
        segments = site.call(F.embedding, site.tensor(1), site.tensor(4))
        total = site.call(operator.add, total, segments)
    mask_index = None
    if site.wants(1):
        mask_index = site.call(functions.mask_index, ids, site.optional(7))
    return [_layer_norm(site, total, 5, 6), mask_index, total]


def _sum(site: Site, *indices: int) -> fx.Node:
    """The sum of those inputs that are given."""
    total, *others = (site.tensor(index) for index in indices if site.has(index))
    for other in others:
        total = site.call(operator.add, total, other)
    return total


def _refuse_statistics(site: Site) -> None:
    if site.wants(1) or site.wants(2):
        site.refuse("its mean or deviation is used")


def _layer_norm(site: Site, x: fx.Node, scale: int, bias: int) -> fx.Node:
    epsilon = site.attribute("epsilon", _SKIP_EPSILON)
    return site.call(
        F.layer_norm, x, _width(site, scale), site.tensor(scale), site.optional(bias), eps=epsilon
    )


def _rms_norm(site: Site, x: fx.Node, scale: int, epsilon: float) -> fx.Node:
    return site.call(
        F.rms_norm, x, _width(site, scale), site.tensor(scale), eps=site.attribute("epsilon", epsilon)
    )


def _width(site: Site, scale: int) -> tuple[Any, ...]:
    return site.shape(scale) or (site.size(site.tensor(scale), 0),)


def _transposed(site: Site, x: fx.Node, rank: int | None, side: str) -> fx.Node:
    """An operand of FusedMatMul: its batch moved next to its columns, then the last two axes swapped."""
    if site.attribute(f"transBatch{side}", 0):
        if rank is None:
            site.refuse("the rank of an operand is not known")
        x = site.call(torch.movedim, x, 0, rank - 2)
    return site.method("transpose", x, -1, -2) if site.attribute(f"trans{side}", 0) and rank != 1 else x


def _only(site: Site, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: site.attribute(name) for name in names if site.attribute(name) is not None}


_ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "Elu": F.elu,
    "Gelu": F.gelu,
    "HardSigmoid": functions.hard_sigmoid,
    "HardSwish": F.hardswish,
    "LeakyRelu": F.leaky_relu,
    "Clip": torch.clamp,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Tanh": torch.tanh,
}


def _activated(site: Site, y: fx.Node, activation: str | None, parameters: Any) -> fx.Node:
    if not activation:
        return y
    if activation not in _ACTIVATIONS:
        site.refuse(f"its activation {activation} is not known")
    return site.call(_ACTIVATIONS[activation], y, *parameters)
