"""Uniform quantization of arrays: codes = round(x / scale) + zero point, nearest even, as ONNX defines it.

Reckoned in float32 whatever the input's type. +inf and -inf become the ends of the range, NaN becomes zero; a
range is found from finite values alone. Nothing here knows of graphs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from graphopt.errors import UsageError
from graphopt.quant.clipping import Grid, best_ranges
from graphopt.quant.groups import join, rows, shared_axes, split, spread
from graphopt.quant.scheme import Scheme

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
"""Smallest scale: the smallest float32 that is not denormal, which processors may flush to zero."""
LARGEST = float(np.finfo(np.float32).max) / 2
"""Farthest end of a range: twice as far, dequantizing a code might overflow."""
INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class Affine:
    """A scheme with the numbers of one tensor.

    Attributes:
        scheme: Type, codes and layout.
        scale: float32, finite, at least `SMALLEST_SCALE`; of shape `scheme.scale_shape(x.shape)`.
        zero_point: The code of zero, of the scheme's type, shaped as `scale`.
    """

    scheme: Scheme
    scale: Floats
    zero_point: Array

    def quantize(self, x: Array) -> Array:
        """Codes of `x`, any floating type, clamped to the scheme's codes; of its type and the shape of `x`.

        A QuantizeLinear clamps to the type alone: the two differ where a scheme leaves codes out.
        """
        x = np.asarray(x)
        exact = np.float64 if self.scheme.width > 24 else np.float32
        parts = split(_float32(x), self.scheme)
        with np.errstate(over="ignore"):
            codes = np.divide(parts, spread(self.scale, self.scheme, x.ndim), dtype=exact)
        codes = np.asarray(np.rint(codes))
        if codes.size and np.isnan(codes.min()):
            codes[np.isnan(codes)] = 0
        if self.zero_point.any():
            codes += spread(self.zero_point, self.scheme, x.ndim).astype(exact)
        np.clip(codes, self.scheme.low, self.scheme.high, out=codes)
        return join(_integers(codes, self.scheme), self.scheme, x.shape)

    def dequantize(self, codes: Array) -> Floats:
        """The float32 values that `codes` stand for."""
        codes = np.asarray(codes)
        x = np.array(split(codes, self.scheme).astype(np.float32, copy=True))
        if self.zero_point.any():
            x -= spread(self.zero_point, self.scheme, codes.ndim).astype(np.float32)
        x *= spread(self.scale, self.scheme, codes.ndim)
        return join(x, self.scheme, codes.shape)

    def fake(self, x: Array) -> Floats:
        """`x` rounded to what its codes stand for, float32."""
        return self.dequantize(self.quantize(x))

    @property
    def low(self) -> Floats:
        """The least value a code stands for, shaped as `scale`."""
        return np.asarray((self.scheme.low - self.zero_point.astype(np.float64)) * self.scale, np.float32)

    @property
    def high(self) -> Floats:
        """The greatest value a code stands for, shaped as `scale`."""
        return np.asarray((self.scheme.high - self.zero_point.astype(np.float64)) * self.scale, np.float32)

    def to_json(self) -> str:
        """All of it as a line of JSON, exactly; `from_json` reads it."""
        numbers = {"scale": self.scale.tolist(), "zero_point": self.zero_point.astype(int).tolist()}
        return json.dumps({"scheme": str(self.scheme), **numbers})

    @classmethod
    def from_json(cls, text: str) -> Affine:
        """Read what `to_json` writes.

        Raises:
            UsageError: If the text is none of it.
        """
        try:
            fields = json.loads(text)
            scheme = Scheme.parse(fields["scheme"])
            scale = np.array(fields["scale"], np.float32)
            zero_point = np.array(fields["zero_point"], np.int64).astype(scheme.dtype.numpy())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{text[:60]!r} is no scale and zero point: {error}") from error
        return cls(scheme, scale, zero_point)


def affine_for_range(low: npt.ArrayLike, high: npt.ArrayLike, scheme: Scheme) -> Affine:
    """Scale and zero point that cover `low` to `high`, to half a step at either end.

    The range is widened to hold zero, which has a code of its own, and cut at +-`LARGEST`. Where it is zero
    alone, any scale would do: it takes the least scale of its neighbours, in order that a bias added to it
    keeps its precision, and 1 where there are none.

    Args:
        low: Of the shape of the scale: () per tensor, 1-D per axis, an array's rank per block. NaN means 0.
        high: Likewise, nowhere below `low`.
        scheme: What to quantize to.

    Raises:
        UsageError: If the shapes fit neither each other nor the scheme, or a range ends before it begins.
    """
    lower, upper = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if lower.shape != upper.shape or (scheme.axis is None) != (lower.ndim == 0):
        raise UsageError(f"scheme {scheme}: ranges of shapes {lower.shape} and {upper.shape} do not fit it")
    if np.any(lower > upper):
        worst = int(np.argmax(lower > upper))
        raise UsageError(f"a range runs from {lower.flat[worst]:g} down to {upper.flat[worst]:g}")
    lower = np.asarray(np.clip(np.nan_to_num(lower, nan=0.0), -LARGEST, 0))
    upper = np.asarray(np.clip(np.nan_to_num(upper, nan=0.0), 0, LARGEST))
    scale = _scale(lower, upper, scheme)
    if scheme.symmetric:
        zero = np.full(scale.shape, scheme.middle, np.float64)
    else:
        zero = np.clip(np.rint(scheme.low - lower / scale), scheme.low, scheme.high)
    return Affine(scheme, scale, _integers(zero, scheme))


def affine_for(array: Array, scheme: Scheme, clip: Literal["minmax", "mse"] = "minmax") -> Affine:
    """Scale and zero point for the values of `array`.

    Args:
        array: Any floating type and shape, even empty.
        scheme: What to quantize to.
        clip: "minmax": every finite value is in the range. "mse": the range with the least squared error
            among some two dozen, per group; large values may be clamped.

    Raises:
        UsageError: If the array lacks the scheme's axis.
    """
    values = _float32(array)
    low, high = _extremes(values, scheme)
    if clip == "minmax" or not values.size:
        return affine_for_range(low, high, scheme)
    lows, highs = best_ranges(
        rows(_finite(values), scheme),
        low.ravel(),
        high.ravel(),
        grid_of(scheme),
        separate=not scheme.symmetric,
    )
    return affine_for_range(lows.reshape(low.shape), highs.reshape(low.shape), scheme)


class QuantizedBias(NamedTuple):
    """A bias as integer convolutions and matrix products add it.

    Attributes:
        codes: int32, one per channel.
        scale: float32, that of the input times that of the weight; of the weight's scale's shape.
        zero_point: int32 zeros, shaped as `scale`.
        weight: The weight's scale and zero point to use: those given, or wider ones.
    """

    codes: npt.NDArray[np.int32]
    scale: Floats
    zero_point: npt.NDArray[np.int32]
    weight: Affine


def bias_affine(input: Affine, weight: Affine, bias: Array, terms: int = 0) -> QuantizedBias:
    """Codes of a bias at the scale of the products it is added to.

    An int32 accumulator holds the bias and `terms` products, each at most max|x - zero point| *
    max|w - zero point|. The codes keep out of the room these may take, and within 2^30 anyhow, so the sum
    fits as long as the products' bound leaves 2^28: 58,000 terms of uint8 by symmetric int8. (Sums on the way
    may wrap around; only the last has to fit.) Where the bias is too large for that, and where the scales'
    product is denormal, the weight's scale is widened.

    Args:
        input: Of the activation, with one scale.
        weight: With one scale, or one per output channel; its zero points stay as they are.
        bias: [channels], NaN counts as 0.
        terms: Products summed into an element of the output: input channels of a group times kernel size.

    Raises:
        UsageError: If the scales' shapes do not fit.
    """
    bias = np.nan_to_num(np.asarray(bias, np.float64), nan=0.0, posinf=LARGEST, neginf=-LARGEST)
    if input.scale.ndim or weight.scale.shape not in ((), bias.shape):
        raise UsageError(
            f"a bias of shape {bias.shape} fits no scales of shapes {input.scale.shape} (input) and "
            f"{weight.scale.shape} (weight); expected one, and one or as many"
        )
    room = INT32_MAX - terms * _farthest_code(input) * _farthest_code(weight)
    limit = min(max(room, 1 << 28), 1 << 30)
    largest = np.abs(bias) if weight.scale.ndim else np.max(np.abs(bias), initial=0.0)
    least = np.maximum(largest / limit, SMALLEST_SCALE) / np.float64(input.scale)
    if np.any(weight.scale < least):
        # The next float32 above: neither it nor its product may be rounded to below what is needed.
        wider = np.nextafter(np.asarray(least, np.float32) * np.float32(1 + 2**-22), np.float32(np.inf))
        weight = replace(weight, scale=np.asarray(np.maximum(weight.scale, wider), np.float32))
    with np.errstate(over="ignore"):
        scale = np.asarray(np.minimum(input.scale * weight.scale, np.float32(LARGEST)), np.float32)
    codes = np.rint(bias / scale.astype(np.float64)).astype(np.int32)
    return QuantizedBias(codes, scale, np.zeros(scale.shape, np.int32), weight)


def grid_of(scheme: Scheme) -> Grid:
    """What a range means in a scheme: step, lowest and highest number of steps from zero."""

    def grid(low: Array, high: Array) -> tuple[Array, Array, Array]:
        affine = affine_for_range(low, high, replace(scheme, axis=0, block=None))
        zero = affine.zero_point.astype(np.float32)
        return affine.scale, scheme.low - zero, scheme.high - zero

    return grid


def _scale(low: Array, high: Array, scheme: Scheme) -> Floats:
    """The step between values, in float32."""
    if scheme.symmetric:
        width, steps = np.maximum(-low, high), scheme.high - scheme.middle
    else:
        width, steps = high - low, scheme.high - scheme.low
    scale = np.asarray(np.maximum(width / steps, SMALLEST_SCALE), np.float32)
    empty = width == 0
    if empty.any():
        scale = np.where(empty, np.min(scale, where=~empty, initial=np.inf), scale)
        scale = np.where(np.isinf(scale), 1, scale).astype(np.float32)
    return np.asarray(scale, np.float32)


def _float32(array: Array) -> Floats:
    """float32; what is too large for it is infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(array).astype(np.float32, copy=False)


def _finite(values: Floats) -> Floats:
    """`values` with zeros for what is not finite."""
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, np.float32(0))


def _extremes(values: Floats, scheme: Scheme) -> tuple[Array, Array]:
    """Least and greatest finite value of each group, and zero; shaped as a scale."""
    axes = shared_axes(scheme, values.ndim)
    parts = split(values, scheme)
    low, high = np.min(parts, axes, initial=0), np.max(parts, axes, initial=0)
    if np.isfinite(low).all() and np.isfinite(high).all():
        return low, high
    parts = _finite(parts)
    return np.min(parts, axes, initial=0), np.max(parts, axes, initial=0)


def _integers(codes: Array, scheme: Scheme) -> Array:
    """Whole numbers as the scheme's type. Narrow types come from int8: ml_dtypes converts floats slowly."""
    narrow = scheme.dtype.bitwidth < 8
    return (codes.astype(np.int8) if narrow else codes).astype(scheme.dtype.numpy())


def _farthest_code(affine: Affine) -> int:
    """How far a code can be from the zero point."""
    zero = affine.zero_point.astype(np.int64)
    return int(max(np.max(zero - affine.scheme.low), np.max(affine.scheme.high - zero)))
