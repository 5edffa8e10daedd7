"""What only moves elements, and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.testing.programs.maker import (
    CODES,
    MOST_ELEMENTS,
    Maker,
    Recipe,
    Value,
    is_codes,
    is_image,
    made_codes,
    taking,
)


@taking(lambda each: len(each.shape) > 1)
def _concat(maker: Maker, value: Value) -> None:
    axis = len(value.shape) - 1 if maker.chance(0.7) else maker.below(len(value.shape))

    def fits(each: Value) -> bool:
        rest = (*value.shape[:axis], *value.shape[axis + 1 :])
        same = len(each.shape) == len(value.shape) and (*each.shape[:axis], *each.shape[axis + 1 :]) == rest
        return same and (each.type in CODES) == (value.type in CODES)

    parts = [value]
    for _ in range(maker.below(4)):
        parts.append(maker.pick(fits) or value)
    shape = (*value.shape[:axis], sum(part.shape[axis] for part in parts), *value.shape[axis + 1 :])
    if np.prod(shape) > MOST_ELEMENTS:
        return
    attributes: dict[str, Any] = {"axis": axis}
    if is_codes(value):
        result = made_codes(maker)
        if maker.chance(0.7):
            result["y_type"], result["y_zero"] = value.type, maker.zero(value.type)
        scales, zeros = [], []
        for part in parts:
            as_it_is = part.type == result["y_type"] and maker.chance(0.9)
            scales.append(result["y_scale"] if as_it_is else maker.scale())
            zeros.append(result["y_zero"] if as_it_is else maker.zero(part.type))
        attributes |= {**result, "scales": scales, "zeros": zeros}
    maker.step("concat", parts, attributes, attributes.get("y_type", value.type), shape)


@taking(lambda each: len(each.shape) > 1)
def _reshape(maker: Maker, value: Value) -> None:
    shape = value.shape
    if maker.chance(0.3):  # to sizes that are computed
        axes = list(range(len(shape)))[::-1]
        what = {"zeros": 1} if 0 in shape or maker.chance(0.5) else {}
        maker.step("reshape", [value, _sizes(maker, value, axes)], what, value.type, shape[::-1])
        return
    forms: list[tuple[list[int], tuple[int, ...]]] = [
        ([0, -1], (shape[0], int(np.prod(shape[1:])))),
        ([-1, shape[-1]], (int(np.prod(shape[:-1])), shape[-1])),
        ([0, 1, -1, shape[-1]], (shape[0], 1, int(np.prod(shape[1:-1])), shape[-1])),
    ]
    if 0 in shape:
        return
    dims, made = forms[maker.below(len(forms))]
    maker.step("reshape", [value], {"dims": dims}, value.type, made)


def _sizes(maker: Maker, value: Value, axes: list[int]) -> Value:
    """Sizes of a value, as a value."""
    maker.step("shape", [value], {"axes": axes}, "s64", (len(axes),))
    return maker.values[-1]


def _integer(maker: Maker, number: int, shape: tuple[int, ...] = ()) -> Value:
    return Value(maker.builder.constant(np.full(shape, number, np.int64)), "s64", shape)


@taking(lambda each: len(each.shape) > 0)
def _range(maker: Maker, value: Value) -> None:
    first, step = maker.below(5) - 2, int(maker.rng.choice((1, 2, -1)))
    end = value.shape[0]
    ends = [_integer(maker, first), _sizes(maker, value, [0]), _integer(maker, step)]
    maker.step("range", ends, {}, "s64", (len(range(first, end, step)),))


@taking(lambda each: len(each.shape) > 0)
def _shape(maker: Maker, value: Value) -> None:
    axes = [maker.below(len(value.shape)) for _ in range(1 + maker.below(4))]
    maker.step("shape", [value], {"axes": axes}, "s64", (len(axes),))


@taking(lambda each: len(each.shape) > 1 and each.shape[-1] > 1)
def _slice(maker: Maker, value: Value) -> None:
    axis = len(value.shape) - 1 if maker.chance(0.7) else maker.below(len(value.shape) - 1) + 1
    size = value.shape[axis]
    if size < 2:
        return
    if maker.chance(0.3):  # up to a size of another axis
        other = maker.below(len(value.shape))
        end = min(value.shape[other], size)
        shape = (*value.shape[:axis], max(end - 1, 0), *value.shape[axis + 1 :])
        ends = [_integer(maker, 1, (1,)), _sizes(maker, value, [other])]
        maker.step("slice", [value, *ends], {"axes": [axis]}, value.type, shape)
        return
    begin = maker.below(size - 1)
    end = begin + 1 + maker.below(size - begin)
    shape = (*value.shape[:axis], end - begin, *value.shape[axis + 1 :])
    attributes = {"starts": [begin], "ends": [end], "steps": [1], "axes": [axis]}
    maker.step("slice", [value], attributes, value.type, shape)


@taking(lambda each: len(each.shape) > 1)
def _transpose(maker: Maker, value: Value) -> None:
    order = [0, *(1 + maker.rng.permutation(len(value.shape) - 1)).tolist()]
    shape = tuple(value.shape[axis] for axis in order)
    maker.step("transpose", [value], {"perm": order}, value.type, shape)


@taking(lambda each: len(each.shape) > 1 and 0 not in each.shape)
def _gather(maker: Maker, value: Value) -> None:
    axis = 1 + maker.below(len(value.shape) - 1)
    size = value.shape[axis]
    indices = maker.rng.integers(-size, size, 1 + maker.below(4)).astype(np.int64)
    index = Value(maker.builder.constant(indices), "s64", indices.shape)
    shape = (*value.shape[:axis], len(indices), *value.shape[axis + 1 :])
    maker.step("gather", [value, index], {"axis": axis}, value.type, shape)


@taking(lambda each: len(each.shape) > 1 and 0 not in each.shape)
def _gather_elements(maker: Maker, value: Value) -> None:
    axis = 1 + maker.below(len(value.shape) - 1)
    size = value.shape[axis]
    shape = (1, *value.shape[1:axis], 1 + maker.below(4), *value.shape[axis + 1 :])
    indices = maker.rng.integers(-size, size, shape).astype(np.int64)
    index = Value(maker.builder.constant(indices), "s64", shape)
    maker.step("gather_elements", [value, index], {"axis": axis}, value.type, shape)


@taking(lambda each: len(each.shape) > 1 and 0 not in each.shape)
def _gather_nd(maker: Maker, value: Value) -> None:
    depth = 1 + maker.below(len(value.shape))
    shape = (1 + maker.below(3), 1 + maker.below(3))
    sizes = (1, *value.shape[1:depth])  # the first axis may be shorter another time
    places = np.stack([maker.rng.integers(-size, size, shape) for size in sizes], -1)
    index = Value(maker.builder.constant(places.astype(np.int64)), "s64", (*shape, depth))
    maker.step("gather_nd", [value, index], {"batch": 0}, value.type, (*shape, *value.shape[depth:]))


@taking(is_image)
def _pad(maker: Maker, value: Value) -> None:
    if 0 in value.shape or 4 * np.prod(value.shape) > MOST_ELEMENTS:
        return
    count, height, width, channels = value.shape
    attributes = {"pads": [0, 1, 0, 0, 0, 0, 2, 0], "mode": "constant", "value": maker.zero(value.type)}
    maker.step("pad", [value], attributes, value.type, (count, height + 1, width + 2, channels))


@taking(lambda each: len(each.shape) < 4 and 0 not in each.shape)
def _expand(maker: Maker, value: Value) -> None:
    if 3 * np.prod(value.shape) > MOST_ELEMENTS:
        return
    if len(value.shape) > 0 and maker.chance(0.3):  # a row, to sizes that are computed
        row = Value(maker.builder.constant(maker.array(value.type, value.shape[-1:])), value.type, ())
        sizes = _sizes(maker, value, list(range(len(value.shape))))
        maker.step("expand", [row, sizes], {}, value.type, value.shape)
        return
    count = 1 + maker.below(3)
    shape = (count, *value.shape)
    maker.step("expand", [value], {"dims": [count, *[-1] * len(value.shape)]}, value.type, shape)


RECIPES: dict[str, Recipe] = {
    "concat": _concat,
    "expand": _expand,
    "gather": _gather,
    "gather_elements": _gather_elements,
    "gather_nd": _gather_nd,
    "pad": _pad,
    "range": _range,
    "reshape": _reshape,
    "shape": _shape,
    "slice": _slice,
    "transpose": _transpose,
}
