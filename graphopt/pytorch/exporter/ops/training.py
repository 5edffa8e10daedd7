"""Steps of optimizers (ai.onnx.preview.training); Gradient has no form, PyTorch differentiates itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import training as functions

_DOMAIN = "ai.onnx.preview.training"


@translates("Adagrad", domain=_DOMAIN)
def adagrad(site: Site) -> list[fx.Node]:
    return _steps(site, functions.adagrad, 3, _numbers(site, "decay_factor", "epsilon", "norm_coefficient"))


@translates("Momentum", domain=_DOMAIN)
def momentum(site: Site) -> list[fx.Node]:
    numbers = _numbers(site, "alpha", "beta", "norm_coefficient")
    nesterov = site.attribute("mode") == "nesterov"
    return _steps(site, functions.momentum, 3, {**numbers, "nesterov": nesterov or None})


@translates("Adam", domain=_DOMAIN)
def adam(site: Site) -> list[fx.Node]:
    names = ("alpha", "beta", "epsilon", "norm_coefficient", "norm_coefficient_post")
    return _steps(site, functions.adam, 4, _numbers(site, *names))


def _numbers(site: Site, *names: str) -> dict[str, Any]:
    return {name: site.attribute(name) for name in names}


def _steps(site: Site, function: Callable[..., Any], kinds: int, numbers: dict[str, Any]) -> list[fx.Node]:
    """One call for each tensor; inputs and outputs are sorted by kind, then by tensor."""
    count = (len(site.node.inputs) - 2) // kinds
    rate, step = site.tensor(0), site.tensor(1)
    calls = []
    for index in range(count):
        tensors = [site.tensor(2 + kind * count + index) for kind in range(kinds)]
        calls.append(site.call(function, rate, step, *tensors, **numbers))
    return [site.item(call, kind) for kind in range(kinds - 1) for call in calls]
