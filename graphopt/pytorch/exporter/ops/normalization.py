"""Normalizations: over batches, instances, groups, trailing dimensions and neighbouring channels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import normalization as functions

_EPSILON = 1e-5


@translates("BatchNormalization")
def batch_normalization(site: Site) -> fx.Node | list[fx.Node]:
    x, scale, bias, mean, variance = [site.tensor(index) for index in range(5)]
    epsilon = site.attribute("epsilon", _EPSILON)
    if not site.attribute("training_mode", 0):
        if site.constant(3) is None or site.constant(4) is None:
            return site.call(functions.batch_norm, x, mean, variance, scale, bias, epsilon=epsilon)
        return site.call(F.batch_norm, x, mean, variance, scale, bias, eps=epsilon)
    momentum = site.attribute("momentum", 0.9)
    results = site.call(
        functions.batch_norm_training, x, mean, variance, scale, bias, epsilon=epsilon, momentum=momentum
    )
    return [site.item(results, index) for index in range(3)]


@translates("InstanceNormalization")
def instance_normalization(site: Site) -> fx.Node:
    epsilon = site.attribute("epsilon", _EPSILON)
    return site.call(F.instance_norm, site.tensor(0), weight=site.tensor(1), bias=site.tensor(2), eps=epsilon)


@translates("LayerNormalization")
def layer_normalization(site: Site) -> fx.Node | list[fx.Node]:
    x, scale, bias = site.tensor(0), site.tensor(1), site.optional(2)
    epsilon = site.attribute("epsilon", _EPSILON)
    shape = _normalized_shape(site)
    if shape is not None and not site.wants(1) and not site.wants(2) and _has_shape(site, 2, shape):
        return site.call(F.layer_norm, x, shape, scale, bias, eps=epsilon)
    axis = site.attribute("axis", -1)
    results = site.call(functions.layer_norm, x, scale, bias, axis=axis, epsilon=epsilon)
    return [site.item(results, index) for index in range(len(site.node.outputs))]


@translates("RMSNormalization")
def rms_normalization(site: Site) -> fx.Node:
    x, scale = site.tensor(0), site.tensor(1)
    epsilon = site.attribute("epsilon", _EPSILON)
    shape = _normalized_shape(site)
    if shape is not None and site.dtype(0) == site.dtype(1):
        return site.call(F.rms_norm, x, shape, scale, eps=epsilon)
    return site.call(functions.rms_norm, x, scale, axis=site.attribute("axis", -1), epsilon=epsilon)


@translates("GroupNormalization")
def group_normalization(site: Site) -> fx.Node:
    """Before version 21 there is one scale for each group, since then one for each channel."""
    groups = site.attribute("num_groups")
    epsilon = site.attribute("epsilon", _EPSILON)
    arguments = (site.tensor(0), groups, site.tensor(1), site.tensor(2))
    if site.opset() >= 21:
        return site.call(F.group_norm, *arguments, eps=epsilon)
    return site.call(functions.group_norm_by_group, *arguments, epsilon=epsilon)


@translates("LRN")
def local_response_normalization(site: Site) -> fx.Node:
    size = site.attribute("size")
    # PyTorch's window of an even size reaches further back, ONNX's further on.
    function = F.local_response_norm if size % 2 else functions.local_response_norm
    return site.call(
        function,
        site.tensor(0),
        size,
        alpha=site.attribute("alpha", 1e-4),
        beta=site.attribute("beta", 0.75),
        k=site.attribute("bias", 1.0),
    )


@translates("LpNormalization")
def lp_normalization(site: Site) -> fx.Node:
    return site.call(
        F.normalize, site.tensor(0), p=float(site.attribute("p", 2)), dim=site.attribute("axis", -1)
    )


@translates("MeanVarianceNormalization")
def mean_variance_normalization(site: Site) -> fx.Node:
    axes = tuple(site.attribute("axes", (0, 2, 3)))
    return site.call(functions.mean_variance_norm, site.tensor(0), axes)


def _normalized_shape(site: Site) -> tuple[int, ...] | None:
    """The sizes that are normalized together, if they are those of the scale."""
    rank, scale = site.rank(0), site.shape(1)
    axis = site.attribute("axis", -1)
    if scale is None or (rank is None and axis >= 0):
        return None
    count = -axis if axis < 0 else _checked(rank) - axis
    if len(scale) != count:
        return None
    shape = site.node.inputs[0].shape if site.node.inputs[0] is not None else None
    known = None if shape is None else [shape[index] for index in range(-count, 0)]
    # A scale of one element along a longer dimension is broadcast, which PyTorch does not do.
    if any(size == 1 and (known is None or known[i] != 1) for i, size in enumerate(scale)):
        return None
    return scale


def _has_shape(site: Site, index: int, shape: tuple[int, ...]) -> bool:
    return not site.has(index) or site.shape(index) == shape


def _checked(rank: int | None) -> int:
    assert rank is not None
    return rank
