"""Random operators, seeded and not: they must stay as many as there are."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.recipe import recipe

TYPES = (ir.DataType.FLOAT, ir.DataType.DOUBLE)


@recipe("RandomNormal", "RandomUniform", weight=2)
def of_shape(b: Builder, op_type: str) -> None:
    """Of a shape told."""
    seed = 3.0 if b.choices.chance(0.5) else None
    b.op(op_type, shape=b.shape(b.choices.choose((2, 1, 4))), dtype=int(b.choices.choose(TYPES)), seed=seed)


@recipe("RandomNormalLike", "RandomUniformLike", weight=3)
def like(b: Builder, op_type: str) -> None:
    """Of the shape of a value."""
    seed = 3.0 if b.choices.chance(0.5) else None
    x = b.pick("fi")
    b.op(op_type, x, dtype=int(b.choices.choose(TYPES)) if b.choices.chance(0.6) else None, seed=seed)


@recipe("Bernoulli", "Multinomial", weight=2)
def drawn(b: Builder, op_type: str) -> None:
    """By probabilities."""
    seed = 3.0 if b.choices.chance(0.5) else None
    if op_type == "Multinomial":
        b.op(op_type, b.pick(rank=2), sample_size=b.choices.choose((2, 1)), seed=seed)
    else:
        b.op(op_type, b.op("Sigmoid", b.pick()), seed=seed)
