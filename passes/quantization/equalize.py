"""Even out the weights of layers that follow each other: one divides a channel, the next multiplies it.

Cross-layer equalization (M. Nagel et al., 2019) between Convs, Gemms and MatMuls with no more than Relu,
pools and biases between them; chains, as around a depthwise Conv, until nothing changes. The factors are
powers of two: in float nothing changes. It needs no data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Changes, Names, Operator, constant
from graphopt.passes.quantization._channels import (
    Factor,
    Floats,
    Site,
    powers_of_two,
    scale,
    sites,
    weights_by_channel,
)
from graphopt.passes.quantization._products import PRODUCTS
from graphopt.pipeline import Pass
from graphopt.quant.rounding import cross_layer_scales, magnitudes

Array = np.ndarray[Any, np.dtype[Any]]

ROUNDS = 32
"""How often the layers of a chain are gone through, at most; the factors of the last are hardly any."""


@dataclass(frozen=True)
class Equalize(Pass):
    """Even out the weights of layers that follow each other.

    Attributes:
        least: The largest factor of a pair of layers must be as large; its inverse counts as much.
    """

    name: ClassVar[str] = "equalize"
    least: float = 2.0

    def roots(self) -> frozenset[Operator]:
        """Operators that multiply by weights."""
        return frozenset(("", op_type) for op_type in PRODUCTS)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        pairs = []
        for site in sites(model, changes):
            if not site.factors:
                changes.refuse(site.obstacle, site.value.name)
            elif _maker(site) is None:
                changes.refuse("no layer with weights makes it", site.value.name)
            else:
                pairs.append(site)
        names = Names(model)
        for _ in range(ROUNDS):
            before = changes.count
            for site in pairs:  # one after the other: factors of a pair are those that the next one meets
                if self._matters(scales := _scales(site)):
                    scale(model, names, site, scales)
                    changes.add("pair of layers")
            if changes.count == before:
                return

    def _matters(self, scales: Floats) -> bool:
        return bool(np.max(np.maximum(scales, 1 / scales)) >= max(self.least, 2.0))


def _maker(site: Site) -> Factor | None:
    """The weights of the layer that makes a value."""
    return next((each for each in site.factors if each.index == 1 and each.node.op_type in PRODUCTS), None)


def _scales(site: Site) -> Floats:
    """By what to divide the channels of a value."""
    maker = _maker(site)
    assert maker is not None
    produced = constant(maker.value)
    assert produced is not None
    consumed = [weights_by_channel(reader).max(axis=(1, 3)).reshape(site.channels) for reader in site.readers]
    return powers_of_two(cross_layer_scales(magnitudes(produced, maker.axis), np.max(consumed, axis=0)))
