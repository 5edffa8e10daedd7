"""Normalizations, with statistics given or computed."""

from __future__ import annotations

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import Unfit, recipe
from graphopt.testing.generate.recipes._parts import an_axis, has_attribute
from graphopt.testing.generate.recipes.convolution import image

EPSILONS = (1e-5, 1e-3, 0.5)


@recipe("BatchNormalization", weight=20)
def batch(b: Builder, op_type: str) -> None:
    """Statistics of any signs; the same constant in several places, and training now and then."""
    x = b.pick(rank=b.choices.weighted((4, 2, 3, 5), (5, 2, 2, 1)))
    scale, bias, mean = (b.floats([x.shape[1]], x.dtype) for _ in range(3))
    if b.choices.chance(0.2):
        bias = mean = scale
    training = has_attribute(b, op_type, "training_mode") and b.choices.chance(0.05)
    variance = b.floats([x.shape[1]], x.dtype, positive=True)
    if training:
        mean, variance = (b.state(each.array) for each in (mean, variance))
    mode, outputs = (1, 3) if training else (None, 1)
    operands = (x, scale, bias, mean, variance)
    b.op(op_type, *operands, outputs=outputs, epsilon=_epsilon(b), training_mode=mode)


@recipe("InstanceNormalization", weight=6)
def instance(b: Builder, op_type: str) -> None:
    """Statistics of each channel."""
    x = image(b)
    scale, bias = (b.floats([x.shape[1]], x.dtype) for _ in range(2))
    b.op(op_type, x, scale, bias, epsilon=_epsilon(b))


@recipe("LayerNormalization", weight=8)
def layer(b: Builder, op_type: str) -> None:
    """Over the last dimensions; with or without a bias, and statistics as outputs."""
    x, axis, scale = _scaled(b)
    bias = b.floats(scale.shape, x.dtype) if b.choices.chance(0.6) else None
    outputs = b.choices.weighted((1, 2, 3), (8, 1, 1))
    b.op(op_type, x, scale, bias, outputs=outputs, axis=axis, epsilon=_epsilon(b))


@recipe("RMSNormalization", weight=5)
def rms(b: Builder, op_type: str) -> None:
    """Over the last dimensions."""
    x, axis, scale = _scaled(b)
    b.op(op_type, x, scale, axis=axis, epsilon=_epsilon(b))


@recipe("GroupNormalization", weight=4)
def group(b: Builder, op_type: str) -> None:
    """Statistics of groups of channels."""
    x = image(b)
    groups = b.choices.choose([each for each in (1, 2, 3) if x.shape[1] % each == 0])
    scale, bias = (b.floats([x.shape[1]], x.dtype) for _ in range(2))
    b.op(op_type, x, scale, bias, num_groups=groups, epsilon=_epsilon(b))


@recipe("LRN", "LpNormalization", "MeanVarianceNormalization", weight=5)
def plain(b: Builder, op_type: str) -> None:
    """Those without parameters."""
    x = b.pick(rank=4)
    if op_type == "LRN":
        b.op(op_type, x, size=b.choices.choose((3, 1, 5)), alpha=0.1, bias=b.choices.choose((1.0, 2.0)))
    elif op_type == "LpNormalization":
        b.op(op_type, x, axis=an_axis(b, x.rank), p=b.choices.choose((2, 1)))
    else:
        b.op(op_type, x, axes=b.choices.choose(([0, 2], [0, 1, 2], [1])))


def _scaled(b: Builder) -> tuple[Known, int, Known]:
    x = b.pick(where=lambda v: v.rank > 0)
    axis = -1 if b.choices.chance(0.7) else an_axis(b, x.rank)
    normal = x.shape[axis:]
    if 0 in normal:
        raise Unfit("nothing to normalize")
    return x, axis, b.floats(normal, x.dtype)


def _epsilon(b: Builder) -> float | None:
    return b.choices.choose(EPSILONS) if b.choices.chance(0.5) else None
