"""Dropout: most often nothing, in training random."""

from __future__ import annotations

import numpy as np

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes._parts import has_attribute


@recipe("Dropout", weight=6)
def dropout(b: Builder, op_type: str) -> None:
    """Any ratio, also none given; a mask; a training mode that is told, and true at ratio 0 alone."""
    x = b.pick()
    outputs = b.choices.weighted((1, 2), (3, 1))
    if has_attribute(b, op_type, "ratio"):
        b.op(op_type, x, outputs=outputs, ratio=b.choices.choose((None, 0.5, 0.0)))
        return
    ratio = b.choices.choose((None, 0.5, 0.0))
    given: Known | None = None if ratio is None else b.constant(np.array(ratio, x.array.dtype))
    training: Known | None = None
    if b.choices.chance(0.5):
        training = b.constant(np.array(ratio == 0.0 and b.choices.chance(0.5)))
    b.op(op_type, x, given, training, outputs=outputs)
