"""How many bits a weight may have beside 8-bit activations: 7 where a processor's products of 8 saturate."""

from __future__ import annotations

from dataclasses import replace

from graphopt.cost import lacks_all
from graphopt.quant import Scheme
from graphopt.quant.rules import QuantizationRules


def narrowed(scheme: Scheme, rules: QuantizationRules | None, *, asked: bool = False) -> Scheme:
    """The scheme of weights, of 7 bits where that is asked for or the target says that the machine needs it.

    Args:
        scheme: Of 8 bits.
        rules: The target's; None if it has none.
        asked: Narrow it on any machine.
    """
    needed = rules is not None and lacks_all(rules.reduce_range_without)
    return replace(scheme, bits=7) if asked or needed else scheme
