"""What is done element by element: tables, sums, functions, relations and choices."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.testing.programs.maker import (
    CODES,
    INTEGERS,
    Maker,
    Recipe,
    Value,
    is_codes,
    made_codes,
    taking,
)


@taking(is_codes)
def _lookup(maker: Maker, value: Value) -> None:
    made = maker.codes_type()
    maker.step("lookup", [value], {"table": maker.table(), "type": made}, made, value.shape)


@taking(is_codes)
def _decode(maker: Maker, value: Value) -> None:
    table = maker.rng.standard_normal(256).astype(np.float32)
    maker.step("decode", [value], {"table": table}, "f32", value.shape)


def _combine(kind: str) -> Recipe:
    @taking(is_codes)
    def recipe(maker: Maker, value: Value) -> None:
        other = maker.operand(value)
        attributes: dict[str, Any] = {
            "a_scale": maker.scale(),
            "a_zero": maker.zero(value.type),
            "b_scale": maker.scale(),
            "b_zero": maker.zero(other.type),
            **made_codes(maker),
        }
        maker.step(kind, [value, other], attributes, attributes["y_type"], value.shape)

    return recipe


@taking(lambda each: is_codes(each) and len(each.shape) > 0 and each.shape[-1] > 0)
def _affine(maker: Maker, value: Value) -> None:
    columns = value.shape[-1:]
    attributes: dict[str, Any] = {
        "x_type": value.type,
        "x_scale": maker.scale(),
        "x_zero": maker.zero(value.type),
        "scale": maker.array("f32", columns),
        # Half steps, where rounding is hardest.
        "shift": np.full(columns, 0.05, np.float32) if maker.chance(0.3) else maker.array("f32", columns),
        **made_codes(maker),
    }
    if maker.chance(0.3):
        attributes["scale"] = np.full(columns, 5, np.float32)
    if maker.chance(0.2):
        attributes |= {"table": maker.table(), "table_type": maker.codes_type()}
    maker.step("affine", [value], attributes, attributes.get("table_type", attributes["y_type"]), value.shape)


@taking(lambda each: each.type == "f32")
def _quantize(maker: Maker, value: Value) -> None:
    made = maker.codes_type()
    attributes = {"scale": maker.scale(), "zero": maker.zero(made), "type": made, "layout": "same"}
    maker.step("quantize", [value], attributes, made, value.shape)


@taking(is_codes)
def _dequantize(maker: Maker, value: Value) -> None:
    attributes = {"scale": maker.scale(), "zero": maker.zero(value.type), "layout": "same"}
    maker.step("dequantize", [value], attributes, "f32", value.shape)


@taking(lambda each: each.type == "f32")
def _unary(maker: Maker, value: Value) -> None:
    op = str(maker.rng.choice(("relu", "sigmoid", "tanh", "neg", "abs")))
    maker.step("unary", [value], {"op": op}, "f32", value.shape)


@taking(lambda _: True, ("f32", *INTEGERS))
def _binary(maker: Maker, value: Value) -> None:
    op = str(maker.rng.choice(("add", "sub", "mul", "min", "max", *["div"] * (value.type in INTEGERS))))
    maker.step("binary", [value, maker.operand(value)], {"op": op}, value.type, value.shape)


@taking(lambda _: True, ("f32", "bool", *CODES, *INTEGERS))
def _cast(maker: Maker, value: Value) -> None:
    made = str(maker.rng.choice(("f32", "bool", *CODES, *INTEGERS)))
    maker.step("cast", [value], {"type": made}, made, value.shape)


@taking(lambda _: True)
def _compare(maker: Maker, value: Value) -> None:
    op = str(maker.rng.choice(("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")))
    maker.step("compare", [value, maker.operand(value)], {"op": op}, "bool", value.shape)


@taking(lambda _: True)
def _where(maker: Maker, value: Value) -> None:
    shape = value.shape if maker.chance(0.5) else value.shape[-1:]
    fitting = [each for each in maker.values if each.type == "bool" and each.shape == value.shape]
    if fitting:
        condition = fitting[-1]
    else:
        condition = Value(maker.builder.constant(maker.rng.random(shape) < 0.5), "bool", shape)
    parts = [value, maker.operand(value)]
    if maker.chance(0.5):
        parts.reverse()
    maker.step("where", [condition, *parts], {}, value.type, value.shape)


RECIPES: dict[str, Recipe] = {
    "add": _combine("add"),
    "affine": _affine,
    "binary": _binary,
    "cast": _cast,
    "compare": _compare,
    "decode": _decode,
    "dequantize": _dequantize,
    "lookup": _lookup,
    "mul": _combine("mul"),
    "quantize": _quantize,
    "unary": _unary,
    "where": _where,
}
