"""Activations: the functions between layers, in torch.nn.functional's terms where it has them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import activations as functions

_PLAIN: dict[str, Callable[..., Any]] = {
    "HardSwish": F.hardswish,
    "Mish": F.mish,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Tanh": torch.tanh,
}

_OF_ALPHA: dict[str, tuple[Callable[..., Any], float]] = {
    "Celu": (F.celu, 1.0),
    "Elu": (F.elu, 1.0),
    "LeakyRelu": (F.leaky_relu, 0.01),
}
"""Functions of one number, and its default."""

_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875
_SOFTMAX: dict[str, Callable[..., Any]] = {"Softmax": F.softmax, "LogSoftmax": F.log_softmax}


@translates(*_PLAIN)
def plain(site: Site) -> fx.Node:
    return site.call(_PLAIN[site.node.op_type], site.tensor(0))


@translates(*_OF_ALPHA)
def of_alpha(site: Site) -> fx.Node:
    function, default = _OF_ALPHA[site.node.op_type]
    return site.call(function, site.tensor(0), _short(site.attribute("alpha", default)))


@translates("Selu")
def selu(site: Site) -> fx.Node:
    alpha, gamma = site.attribute("alpha", _SELU_ALPHA), site.attribute("gamma", _SELU_GAMMA)
    if math.isclose(alpha, _SELU_ALPHA, rel_tol=1e-6) and math.isclose(gamma, _SELU_GAMMA, rel_tol=1e-6):
        return site.call(F.selu, site.tensor(0))
    return site.call(operator.mul, site.call(F.elu, site.tensor(0), _short(alpha)), _short(gamma))


@translates("Gelu")
def gelu(site: Site) -> fx.Node:
    approximate = site.attribute("approximate", "none")
    return site.call(F.gelu, site.tensor(0), approximate=None if approximate == "none" else approximate)


@translates("Swish")
def swish(site: Site) -> fx.Node:
    x, alpha = site.tensor(0), _short(site.attribute("alpha", 1.0))
    if alpha == 1:
        return site.call(F.silu, x)
    return site.call(operator.mul, x, site.call(torch.sigmoid, site.call(operator.mul, x, alpha)))


@translates("HardSigmoid")
def hard_sigmoid(site: Site) -> fx.Node:
    alpha, beta = site.attribute("alpha", 0.2), site.attribute("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return site.call(F.hardsigmoid, site.tensor(0))
    line = site.call(operator.mul, site.tensor(0), _short(alpha))
    return site.call(torch.clamp, site.call(operator.add, line, _short(beta)), min=0, max=1)


@translates("PRelu")
def prelu(site: Site) -> fx.Node:
    """`F.prelu` where there is one slope for each channel, or one for all."""
    slope, rank = site.shape(1), site.rank(0)
    dtype = site.dtype(0)
    if slope is None or rank is None or dtype is None or not dtype.is_floating_point():
        return site.call(functions.prelu, site.tensor(0), site.tensor(1))
    padded = [1] * (rank - len(slope)) + list(slope)
    if all(size == 1 for axis, size in enumerate(padded) if axis != 1):
        flat = site.tensor(1) if len(slope) == 1 else site.method("reshape", site.tensor(1), -1)
        return site.call(F.prelu, site.tensor(0), flat)
    return site.call(functions.prelu, site.tensor(0), site.tensor(1))


@translates("ThresholdedRelu")
def thresholded_relu(site: Site) -> fx.Node:
    return site.call(F.threshold, site.tensor(0), _short(site.attribute("alpha", 1.0)), 0)


@translates("Shrink")
def shrink(site: Site) -> fx.Node:
    threshold, bias = _short(site.attribute("lambd", 0.5)), _short(site.attribute("bias", 0.0))
    dtype = site.dtype(0)
    if dtype is not None and dtype.is_floating_point() and bias in (0, threshold):
        return site.call(F.softshrink if bias else F.hardshrink, site.tensor(0), threshold)
    return site.call(functions.shrink, site.tensor(0), threshold, bias)


@translates(*_SOFTMAX)
def softmax(site: Site) -> fx.Node:
    return site.call(_SOFTMAX[site.node.op_type], site.tensor(0), dim=_class_axis(site))


@translates("Hardmax")
def hardmax(site: Site) -> fx.Node:
    return site.call(functions.hardmax, site.tensor(0), _class_axis(site))


def _class_axis(site: Site) -> int:
    """The axis of classes; before version 13 it began a flattened block, the same only if it is the last."""
    axis: int = site.attribute("axis", -1 if site.opset() >= 13 else 1)
    if site.opset() < 13 and axis != -1 and axis + 1 != site.rank(0):
        site.refuse(f"{site.node.op_type} of opset {site.opset()} over several axes")
    return axis


def _short(number: float) -> float:
    """A float32 attribute as it was written: 0.1, not 0.10000000149011612."""
    short = float(f"{number:.7g}")
    return short if math.isclose(short, number, rel_tol=1e-7) else number
