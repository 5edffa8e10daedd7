"""Losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site

# What PyTorch leaves out where nothing is said; ONNX then leaves nothing out, but has no negative classes.
_TORCH_IGNORES = -100


@translates("NegativeLogLikelihoodLoss")
def negative_log_likelihood_loss(site: Site) -> fx.Node:
    return _loss(site, F.nll_loss)


@translates("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy_loss(site: Site) -> list[fx.Node]:
    results = [_loss(site, F.cross_entropy)]
    if site.wants(1):
        results.append(site.call(torch.log_softmax, site.tensor(0), 1))
    return results


def _loss(site: Site, function: Callable[..., Any]) -> fx.Node:
    ignored = site.attribute("ignore_index", _TORCH_IGNORES)
    return site.call(
        function,
        site.tensor(0),
        site.method("long", site.tensor(1)),
        weight=site.optional(2),
        ignore_index=None if ignored == _TORCH_IGNORES else ignored,
        reduction=site.attribute("reduction"),
    )
