"""What looks at whole rows and axes: normalizations, softmax and reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.testing.programs.maker import INTEGERS, Maker, Recipe, Value, is_codes, made_codes, taking


def _row_coding(maker: Maker, value: Value) -> dict[str, Any]:
    """Of what takes codes or floats, and gives either."""
    attributes: dict[str, Any] = {}
    if is_codes(value):
        attributes |= {"x_scale": maker.scale(), "x_zero": maker.zero(value.type)}
    if maker.chance(0.5):
        attributes |= made_codes(maker)
    return attributes


@taking(lambda each: len(each.shape) > 0 and 0 not in each.shape)
def _softmax(maker: Maker, value: Value) -> None:
    attributes = _row_coding(maker, value)
    maker.step("softmax", [value], attributes, attributes.get("y_type", "f32"), value.shape)


@taking(lambda each: len(each.shape) > 0 and 0 not in each.shape)
def _layer_norm(maker: Maker, value: Value) -> None:
    columns = value.shape[-1:]
    attributes = _row_coding(maker, value)
    attributes |= {"gamma": maker.array("f32", columns), "beta": maker.array("f32", columns), "epsilon": 1e-5}
    attributes["centred"] = maker.below(2)
    maker.step("layer_norm", [value], attributes, attributes.get("y_type", "f32"), value.shape)


@taking(lambda each: len(each.shape) > 0 and 0 not in each.shape)
def _lrn(maker: Maker, value: Value) -> None:
    attributes = _row_coding(maker, value)
    attributes |= {"size": 1 + maker.below(9), "quarters": 1 + maker.below(4), "alpha": 1e-2, "bias": 1.0}
    maker.step("lrn", [value], attributes, attributes.get("y_type", "f32"), value.shape)


@taking(lambda each: is_codes(each) and len(each.shape) > 1 and 0 not in each.shape)
def _reduce_mean(maker: Maker, value: Value) -> None:
    axis = 1 + maker.below(len(value.shape) - 1)
    attributes = {"x_scale": maker.scale(), "x_zero": maker.zero(value.type), **made_codes(maker)}
    attributes |= {"axes": [axis], "keepdims": 1}
    shape = (*value.shape[:axis], 1, *value.shape[axis + 1 :])
    maker.step("reduce_mean", [value], attributes, attributes["y_type"], shape)


@taking(lambda each: len(each.shape) > 0 and 0 not in each.shape, ("f32", *INTEGERS))
def _reduce(maker: Maker, value: Value) -> None:
    axes = [axis for axis in range(len(value.shape)) if maker.chance(0.5)]
    op = str(maker.rng.choice(("sum", "sum_squares", "max", "min")))
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(value.shape))
    maker.step("reduce", [value], {"op": op, "axes": axes, "keepdims": 1}, value.type, shape)


def _recurrence(maker: Maker, value: Value, gates: int) -> tuple[dict[str, Any], tuple[int, ...]]:
    """What is common to them, of a value that is brought to three axes, and the dimensions they give."""
    length, batch, *rest = value.shape
    depth = int(np.prod(rest))
    maker.step("reshape", [value], {"dims": [0, 0, depth]}, "f32", (length, batch, depth))
    directions, size = 1 + maker.below(2), 1 + maker.below(5)
    attributes = {
        "weights": maker.array("f32", (directions, gates * size, depth)),
        "recurrence": maker.array("f32", (directions, gates * size, size)),
        "bias": maker.array("f32", (directions, gates * size)),
        "reverse": maker.below(2) if directions == 1 else 0,
    }
    return attributes, (length, directions, batch, size)


@taking(lambda each: each.type == "f32" and len(each.shape) == 4 and 0 not in each.shape)
def _lstm(maker: Maker, value: Value) -> None:
    attributes, (length, *shape) = _recurrence(maker, value, 4)
    attributes["keep"] = maker.below(2)
    maker.step("lstm", [maker.values[-1]], attributes, "f32", (length + attributes["keep"], *shape))


@taking(lambda each: each.type == "f32" and len(each.shape) == 4 and 0 not in each.shape)
def _gru(maker: Maker, value: Value) -> None:
    attributes, shape = _recurrence(maker, value, 3)
    if maker.chance(0.5):
        attributes["reset_bias"] = maker.array("f32", (shape[1], shape[3]))
    maker.step("gru", [maker.values[-1]], attributes, "f32", shape)


@taking(lambda each: len(each.shape) > 0, ("f32", *INTEGERS))
def _cumulate(maker: Maker, value: Value) -> None:
    attributes = {
        "axis": maker.below(len(value.shape)),
        "exclusive": maker.below(2),
        "reverse": maker.below(2),
    }
    maker.step("cumulate", [value], attributes, value.type, value.shape)


RECIPES: dict[str, Recipe] = {
    "cumulate": _cumulate,
    "gru": _gru,
    "layer_norm": _layer_norm,
    "lrn": _lrn,
    "lstm": _lstm,
    "reduce": _reduce,
    "reduce_mean": _reduce_mean,
    "softmax": _softmax,
}
