"""A program as far as it is made, and what its steps have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from graphopt.native import ProgramBuilder

Array: TypeAlias = npt.NDArray[Any]

CODES = ("u8", "s8")
INTEGERS = ("s32", "s64")
DTYPES: dict[str, type[np.integer[Any]]] = {"u8": np.uint8, "s8": np.int8, "s32": np.int32, "s64": np.int64}
MOST_ELEMENTS = 20_000


@dataclass(frozen=True)
class Value:
    """A value of the program: its number, element type and shape for the inputs at hand."""

    number: int
    type: str
    shape: tuple[int, ...]


@dataclass
class Maker:
    """A program as far as it is made."""

    rng: np.random.Generator
    builder: ProgramBuilder = field(default_factory=ProgramBuilder)
    values: list[Value] = field(default_factory=list)
    steps: int = 0

    def below(self, count: int) -> int:
        return int(self.rng.integers(0, count))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def scale(self) -> float:
        """Few different ones, so that values of one scale meet."""
        return float(self.rng.choice(np.array([0.05, 0.1, 0.02], np.float32)))

    def zero(self, kind: str) -> int:
        return int(self.rng.choice((0, 7, 128, 255) if kind == "u8" else (0, -3, -128, 127)))

    def codes_type(self) -> str:
        return str(self.rng.choice(CODES))

    def pick(self, fits: Callable[[Value], bool], types: Collection[str] = (*CODES, "f32")) -> Value | None:
        """A value of these types that fits, one of the newest more often."""
        fitting = [value for value in self.values if value.type in types and fits(value)]
        if not fitting:
            return None
        return fitting[-1 - min(int(self.rng.geometric(0.4)) - 1, len(fitting) - 1)]

    def array(self, kind: str, shape: tuple[int, ...]) -> Array:
        if kind == "f32":
            return self.rng.normal(0, 3, shape).astype(np.float32)
        info = np.iinfo(DTYPES[kind])
        if kind in INTEGERS:
            return self.rng.integers(info.min, info.max, shape, DTYPES[kind], endpoint=True)
        return self.rng.integers(info.min, info.max + 1, shape).astype(DTYPES[kind])

    def table(self) -> Array:
        return self.rng.integers(0, 256, 256, np.uint8)

    def step(
        self, kind: str, inputs: list[Value], attributes: dict[str, Any], made: str, shape: tuple[int, ...]
    ) -> None:
        name = f"{kind}_{self.steps}"
        (number,) = self.builder.step(kind, [value.number for value in inputs], attributes, 1, name)
        self.values.append(Value(number, made, shape))
        self.steps += 1

    def operand(self, value: Value) -> Value:
        """Something to add to a value: a value of its shape, a row, or a constant."""
        same = self.pick(lambda each: each.shape == value.shape, (value.type,))
        choice = self.below(4)
        if same is not None and choice < 2:
            return same
        shape = value.shape if choice == 2 else value.shape[-1:]
        return Value(self.builder.constant(self.array(value.type, shape)), value.type, shape)


Recipe: TypeAlias = "Callable[[Maker], None]"
"""Adds a step of its kind, if there is a value for it."""


def taking(
    fits: Callable[[Value], bool], types: Collection[str] = (*CODES, "f32")
) -> Callable[[Callable[[Maker, Value], None]], Recipe]:
    """The recipe of a step that takes a value of these types that fits."""

    def recipe_of(add: Callable[[Maker, Value], None]) -> Recipe:
        def recipe(maker: Maker) -> None:
            value = maker.pick(fits, types)
            if value is not None:
                add(maker, value)

        return recipe

    return recipe_of


def is_codes(value: Value) -> bool:
    """Whether a value holds codes."""
    return value.type in CODES


def is_image(value: Value) -> bool:
    """Whether it holds codes of images."""
    return is_codes(value) and len(value.shape) == 4


def made_codes(maker: Maker) -> dict[str, Any]:
    """The coding of what a step makes."""
    made = maker.codes_type()
    return {"y_type": made, "y_scale": maker.scale(), "y_zero": maker.zero(made)}


def weights(maker: Maker, shape: tuple[int, ...], value: Value) -> dict[str, Any]:
    """Weights of this shape for codes of a value, with biases."""
    columns = shape[0]
    depth = int(np.prod(shape[1:]))
    return {
        "weights": maker.array("s8", shape),
        "weight_scale": maker.rng.uniform(0.2, 1.5, columns).astype(np.float32) / np.float32(30 * depth**0.5),
        "bias": maker.rng.integers(-500, 500, columns).astype(np.int32),
        "x_scale": maker.scale(),
        "x_zero": maker.zero(value.type),
    }


def epilogue(maker: Maker, shape: tuple[int, ...]) -> tuple[dict[str, Any], list[Value]]:
    """Of a product or convolution with a result of this shape, and what is added to it."""
    attributes = made_codes(maker)
    if maker.chance(0.2):
        attributes |= {"table": maker.table(), "table_type": attributes["y_type"]}
    elif maker.chance(0.3):
        other = maker.pick(lambda each: is_codes(each) and each.shape == shape)
        if other is not None:
            made = maker.codes_type()
            attributes |= {
                "r_scale": maker.scale(),
                "r_zero": maker.zero(other.type),
                "sum_type": made,
                "sum_scale": maker.scale(),
                "sum_zero": maker.zero(made),
            }
            return attributes, [other]
    return attributes, []


def type_made(attributes: dict[str, Any]) -> str:
    """The type of what a step with an epilogue makes."""
    return str(attributes.get("sum_type", attributes["y_type"]))
