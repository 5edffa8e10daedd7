"""Random programs for graphopt's engine, with inputs: networks of its operators in every wiring.

Made for the engine's tests: values with several readers, parts of what is joined, chains that run in place,
views, outputs in the middle, values computed for nothing. Knows what each operator takes; computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from graphopt.native import Program, ProgramBuilder

Array: TypeAlias = npt.NDArray[Any]

_CODES = ("u8", "s8")
_DTYPES = {"u8": np.uint8, "s8": np.int8}
_MOST_ELEMENTS = 20_000


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
        return str(self.rng.choice(_CODES))

    def pick(self, fits: Callable[[Value], bool]) -> Value | None:
        """A value of codes or floats that fits, one of the newest more often."""
        fitting = [value for value in self.values if value.type in (*_CODES, "f32") and fits(value)]
        if not fitting:
            return None
        return fitting[-1 - min(int(self.rng.geometric(0.4)) - 1, len(fitting) - 1)]

    def array(self, kind: str, shape: tuple[int, ...]) -> Array:
        if kind == "f32":
            return self.rng.normal(0, 3, shape).astype(np.float32)
        info = np.iinfo(_DTYPES[kind])
        return self.rng.integers(info.min, info.max + 1, shape).astype(_DTYPES[kind])

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
        same = self.pick(lambda each: each.type == value.type and each.shape == value.shape)
        choice = self.below(4)
        if same is not None and choice < 2:
            return same
        shape = value.shape if choice == 2 else value.shape[-1:]
        return Value(self.builder.constant(self.array(value.type, shape)), value.type, shape)


Recipe: TypeAlias = "Callable[[Maker], bool]"


def _codes(value: Value) -> bool:
    return value.type in _CODES


def _images(value: Value) -> bool:
    return _codes(value) and len(value.shape) == 4


def _lookup(maker: Maker) -> bool:
    value = maker.pick(_codes)
    if value is None:
        return False
    made = maker.codes_type()
    maker.step("lookup", [value], {"table": maker.table(), "type": made}, made, value.shape)
    return True


def _decode(maker: Maker) -> bool:
    value = maker.pick(_codes)
    if value is None:
        return False
    table = maker.rng.standard_normal(256).astype(np.float32)
    maker.step("decode", [value], {"table": table}, "f32", value.shape)
    return True


def _result(maker: Maker) -> dict[str, Any]:
    made = maker.codes_type()
    return {"y_type": made, "y_scale": maker.scale(), "y_zero": maker.zero(made)}


def _combine(kind: str) -> Recipe:
    def recipe(maker: Maker) -> bool:
        value = maker.pick(_codes)
        if value is None:
            return False
        other = maker.operand(value)
        attributes: dict[str, Any] = {
            "a_scale": maker.scale(),
            "a_zero": maker.zero(value.type),
            "b_scale": maker.scale(),
            "b_zero": maker.zero(other.type),
            **_result(maker),
        }
        maker.step(kind, [value, other], attributes, attributes["y_type"], value.shape)
        return True

    return recipe


def _affine(maker: Maker) -> bool:
    value = maker.pick(lambda each: _codes(each) and len(each.shape) > 0 and each.shape[-1] > 0)
    if value is None:
        return False
    columns = value.shape[-1:]
    attributes: dict[str, Any] = {
        "x_type": value.type,
        "x_scale": maker.scale(),
        "x_zero": maker.zero(value.type),
        "scale": maker.array("f32", columns),
        # Half steps, where rounding is hardest.
        "shift": np.full(columns, 0.05, np.float32) if maker.chance(0.3) else maker.array("f32", columns),
        **_result(maker),
    }
    if maker.chance(0.3):
        attributes["scale"] = np.full(columns, 5, np.float32)
    if maker.chance(0.2):
        attributes |= {"table": maker.table(), "table_type": maker.codes_type()}
    maker.step("affine", [value], attributes, attributes.get("table_type", attributes["y_type"]), value.shape)
    return True


def _weights(maker: Maker, shape: tuple[int, ...], value: Value) -> dict[str, Any]:
    columns = shape[0]
    depth = int(np.prod(shape[1:]))
    return {
        "weights": maker.array("s8", shape),
        "weight_scale": maker.rng.uniform(0.2, 1.5, columns).astype(np.float32) / np.float32(30 * depth**0.5),
        "bias": maker.rng.integers(-500, 500, columns).astype(np.int32),
        "x_scale": maker.scale(),
        "x_zero": maker.zero(value.type),
    }


def _epilogue(maker: Maker, shape: tuple[int, ...]) -> tuple[dict[str, Any], list[Value]]:
    """Of a product or convolution with a result of this shape, and what is added to it."""
    attributes = _result(maker)
    if maker.chance(0.2):
        attributes |= {"table": maker.table(), "table_type": attributes["y_type"]}
    elif maker.chance(0.3):
        other = maker.pick(lambda each: _codes(each) and each.shape == shape)
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


def _made(attributes: dict[str, Any]) -> str:
    return str(attributes.get("sum_type", attributes["y_type"]))


def _gemm(maker: Maker) -> bool:
    value = maker.pick(lambda each: _codes(each) and len(each.shape) > 0)
    if value is None or value.shape[-1] == 0:
        return False
    columns = int(maker.rng.choice((1, 8, 10, value.shape[-1])))
    shape = (*value.shape[:-1], columns)
    attributes, more = _epilogue(maker, shape)
    attributes |= _weights(maker, (columns, value.shape[-1]), value)
    maker.step("gemm", [value, *more], attributes, _made(attributes), shape)
    return True


def _matmul_nbits(maker: Maker) -> bool:
    value = maker.pick(lambda each: each.type == "f32" and len(each.shape) > 0)
    if value is None or value.shape[-1] == 0:
        return False
    depth = value.shape[-1]
    columns = int(maker.rng.choice((1, 8, 10, depth)))
    bits, block = int(maker.rng.choice((4, 8))), int(maker.rng.choice((16, 32)))
    blocks = -(-depth // block)
    attributes: dict[str, Any] = {"bits": bits, "block": block, "depth": depth}
    attributes["weights"] = maker.rng.integers(0, 256, (columns, blocks, block * bits // 8), np.uint8)
    attributes["scales"] = maker.rng.uniform(0.2, 1.5, (columns, blocks)).astype(np.float32) / np.float32(
        1 << bits
    )
    if maker.chance(0.5):
        attributes["zeros"] = maker.rng.integers(0, 256, (columns, -(-blocks * bits // 8)), np.uint8)
    if maker.chance(0.5):
        attributes["bias"] = maker.array("f32", (columns,))
    maker.step("matmul_nbits", [value], attributes, "f32", (*value.shape[:-1], columns))
    return True


def _conv(maker: Maker) -> bool:
    value = maker.pick(_images)
    if value is None or 0 in value.shape:
        return False
    count, height, width, channels = value.shape
    kernel = int(maker.rng.choice((1, 3)))
    stride = int(maker.rng.choice((1, 1, 2)))
    pad = kernel // 2
    depthwise = maker.chance(0.4)
    groups = channels if depthwise else 1
    columns = channels if depthwise else int(maker.rng.choice((4, 8, channels)))
    shape = (
        count,
        (height + 2 * pad - kernel) // stride + 1,
        (width + 2 * pad - kernel) // stride + 1,
        columns,
    )
    attributes, more = _epilogue(maker, shape)
    attributes |= _weights(maker, (columns, kernel, kernel, channels // groups), value)
    attributes |= {"strides": [stride] * 2, "pads": [pad] * 4, "dilations": [1, 1], "groups": groups}
    maker.step("conv", [value, *more], attributes, _made(attributes), shape)
    return True


def _concat(maker: Maker) -> bool:
    value = maker.pick(lambda each: len(each.shape) > 1)
    if value is None:
        return False
    axis = len(value.shape) - 1 if maker.chance(0.7) else maker.below(len(value.shape))

    def fits(each: Value) -> bool:
        rest = (*value.shape[:axis], *value.shape[axis + 1 :])
        same = len(each.shape) == len(value.shape) and (*each.shape[:axis], *each.shape[axis + 1 :]) == rest
        return same and (each.type in _CODES) == (value.type in _CODES)

    parts = [value]
    for _ in range(maker.below(4)):
        parts.append(maker.pick(fits) or value)
    shape = (*value.shape[:axis], sum(part.shape[axis] for part in parts), *value.shape[axis + 1 :])
    if np.prod(shape) > _MOST_ELEMENTS:
        return False
    attributes: dict[str, Any] = {"axis": axis}
    if _codes(value):
        result = _result(maker)
        if maker.chance(0.7):
            result["y_type"], result["y_zero"] = value.type, maker.zero(value.type)
        scales, zeros = [], []
        for part in parts:
            as_it_is = part.type == result["y_type"] and maker.chance(0.9)
            scales.append(result["y_scale"] if as_it_is else maker.scale())
            zeros.append(result["y_zero"] if as_it_is else maker.zero(part.type))
        attributes |= {**result, "scales": scales, "zeros": zeros}
    maker.step("concat", parts, attributes, attributes.get("y_type", value.type), shape)
    return True


def _reshape(maker: Maker) -> bool:
    value = maker.pick(lambda each: len(each.shape) > 1)
    if value is None:
        return False
    shape = value.shape
    forms: list[tuple[list[int], tuple[int, ...]]] = [
        ([0, -1], (shape[0], int(np.prod(shape[1:])))),
        ([-1, shape[-1]], (int(np.prod(shape[:-1])), shape[-1])),
        ([0, 1, -1, shape[-1]], (shape[0], 1, int(np.prod(shape[1:-1])), shape[-1])),
    ]
    if 0 in shape:
        return False
    dims, made = forms[maker.below(len(forms))]
    maker.step("reshape", [value], {"dims": dims}, value.type, made)
    return True


def _shape(maker: Maker) -> bool:
    value = maker.pick(lambda each: len(each.shape) > 0)
    if value is None:
        return False
    axes = [maker.below(len(value.shape)) for _ in range(1 + maker.below(4))]
    maker.step("shape", [value], {"axes": axes}, "s64", (len(axes),))
    return True


def _slice(maker: Maker) -> bool:
    value = maker.pick(lambda each: len(each.shape) > 1 and each.shape[-1] > 1)
    if value is None:
        return False
    axis = len(value.shape) - 1 if maker.chance(0.7) else maker.below(len(value.shape) - 1) + 1
    size = value.shape[axis]
    if size < 2:
        return False
    begin = maker.below(size - 1)
    end = begin + 1 + maker.below(size - begin)
    shape = (*value.shape[:axis], end - begin, *value.shape[axis + 1 :])
    attributes = {"starts": [begin], "ends": [end], "steps": [1], "axes": [axis]}
    maker.step("slice", [value], attributes, value.type, shape)
    return True


def _transpose(maker: Maker) -> bool:
    value = maker.pick(lambda each: len(each.shape) > 1)
    if value is None:
        return False
    order = [0, *(1 + maker.rng.permutation(len(value.shape) - 1)).tolist()]
    shape = tuple(value.shape[axis] for axis in order)
    maker.step("transpose", [value], {"perm": order}, value.type, shape)
    return True


def _quantize(maker: Maker) -> bool:
    value = maker.pick(lambda each: each.type == "f32")
    if value is None:
        return False
    made = maker.codes_type()
    attributes = {"scale": maker.scale(), "zero": maker.zero(made), "type": made, "layout": "same"}
    maker.step("quantize", [value], attributes, made, value.shape)
    return True


def _dequantize(maker: Maker) -> bool:
    value = maker.pick(_codes)
    if value is None:
        return False
    attributes = {"scale": maker.scale(), "zero": maker.zero(value.type), "layout": "same"}
    maker.step("dequantize", [value], attributes, "f32", value.shape)
    return True


def _max_pool(maker: Maker) -> bool:
    value = maker.pick(_images)
    if value is None or 0 in value.shape:
        return False
    count, height, width, channels = value.shape
    attributes = {"kernel": [3, 3], "strides": [2, 2], "pads": [1] * 4, "dilations": [1, 1], "ceil": 0}
    shape = (count, (height - 1) // 2 + 1, (width - 1) // 2 + 1, channels)
    maker.step("max_pool", [value], attributes, value.type, shape)
    return True


def _global_average_pool(maker: Maker) -> bool:
    value = maker.pick(_images)
    if value is None or 0 in value.shape:
        return False
    attributes = {"x_scale": maker.scale(), "x_zero": maker.zero(value.type), **_result(maker)}
    shape = (value.shape[0], 1, 1, value.shape[-1])
    maker.step("global_average_pool", [value], attributes, attributes["y_type"], shape)
    return True


def _resize(maker: Maker) -> bool:
    value = maker.pick(_images)
    if value is None or 0 in value.shape or 4 * np.prod(value.shape) > _MOST_ELEMENTS:
        return False
    count, height, width, channels = value.shape
    attributes = {
        "mode": "nearest",
        "coordinates": "asymmetric",
        "nearest_mode": "floor",
        "scales": [2.0, 2.0],
    }
    maker.step("resize", [value], attributes, value.type, (count, 2 * height, 2 * width, channels))
    return True


def _unary(maker: Maker) -> bool:
    value = maker.pick(lambda each: each.type == "f32")
    if value is None:
        return False
    op = str(maker.rng.choice(("relu", "sigmoid", "tanh", "neg", "abs")))
    maker.step("unary", [value], {"op": op}, "f32", value.shape)
    return True


def _binary(maker: Maker) -> bool:
    value = maker.pick(lambda each: each.type == "f32")
    if value is None:
        return False
    op = str(maker.rng.choice(("add", "sub", "mul", "min", "max")))
    maker.step("binary", [value, maker.operand(value)], {"op": op}, "f32", value.shape)
    return True


def _average_pool(maker: Maker) -> bool:
    value = maker.pick(_images)
    if value is None or 0 in value.shape:
        return False
    count, height, width, channels = value.shape
    attributes = {"x_scale": maker.scale(), "x_zero": maker.zero(value.type), **_result(maker)}
    attributes |= {"kernel": [2, 2], "strides": [1, 1], "pads": [1, 0, 0, 1], "ceil": 0}
    attributes["count_include_pad"] = maker.below(2)
    maker.step("average_pool", [value], attributes, attributes["y_type"], (count, height, width, channels))
    return True


def _conv_transpose(maker: Maker) -> bool:
    value = maker.pick(_images)
    if value is None or 0 in value.shape or 8 * np.prod(value.shape) > _MOST_ELEMENTS:
        return False
    count, height, width, channels = value.shape
    columns = int(maker.rng.choice((2, channels)))
    shape = (count, 2 * height, 2 * width, columns)
    attributes, more = _epilogue(maker, shape)
    attributes |= _weights(maker, (columns, 2, 2, channels), value)
    attributes |= {"strides": [2, 2], "pads": [0] * 4, "dilations": [1, 1], "groups": 1}
    attributes["output_padding"] = [0, 0]
    maker.step("conv_transpose", [value, *more], attributes, _made(attributes), shape)
    return True


def _gather(maker: Maker) -> bool:
    value = maker.pick(lambda each: len(each.shape) > 1 and 0 not in each.shape)
    if value is None:
        return False
    axis = 1 + maker.below(len(value.shape) - 1)
    size = value.shape[axis]
    indices = maker.rng.integers(-size, size, 1 + maker.below(4)).astype(np.int64)
    index = Value(maker.builder.constant(indices), "s64", indices.shape)
    shape = (*value.shape[:axis], len(indices), *value.shape[axis + 1 :])
    maker.step("gather", [value, index], {"axis": axis}, value.type, shape)
    return True


def _row_coding(maker: Maker, value: Value) -> dict[str, Any]:
    """Of what takes codes or floats, and gives either."""
    attributes: dict[str, Any] = {}
    if _codes(value):
        attributes |= {"x_scale": maker.scale(), "x_zero": maker.zero(value.type)}
    if maker.chance(0.5):
        attributes |= _result(maker)
    return attributes


def _softmax(maker: Maker) -> bool:
    value = maker.pick(lambda each: len(each.shape) > 0 and 0 not in each.shape)
    if value is None:
        return False
    attributes = _row_coding(maker, value)
    maker.step("softmax", [value], attributes, attributes.get("y_type", "f32"), value.shape)
    return True


def _layer_norm(maker: Maker) -> bool:
    value = maker.pick(lambda each: len(each.shape) > 0 and 0 not in each.shape)
    if value is None:
        return False
    columns = value.shape[-1:]
    attributes = _row_coding(maker, value)
    attributes |= {"gamma": maker.array("f32", columns), "beta": maker.array("f32", columns), "epsilon": 1e-5}
    attributes["centred"] = maker.below(2)
    maker.step("layer_norm", [value], attributes, attributes.get("y_type", "f32"), value.shape)
    return True


def _lrn(maker: Maker) -> bool:
    value = maker.pick(lambda each: len(each.shape) > 0 and 0 not in each.shape)
    if value is None:
        return False
    attributes = _row_coding(maker, value)
    attributes |= {"size": 1 + maker.below(9), "quarters": 1 + maker.below(4), "alpha": 1e-2, "bias": 1.0}
    maker.step("lrn", [value], attributes, attributes.get("y_type", "f32"), value.shape)
    return True


def _reduce_mean(maker: Maker) -> bool:
    value = maker.pick(lambda each: _codes(each) and len(each.shape) > 1 and 0 not in each.shape)
    if value is None:
        return False
    axis = 1 + maker.below(len(value.shape) - 1)
    attributes = {"x_scale": maker.scale(), "x_zero": maker.zero(value.type), **_result(maker)}
    attributes |= {"axes": [axis], "keepdims": 1}
    shape = (*value.shape[:axis], 1, *value.shape[axis + 1 :])
    maker.step("reduce_mean", [value], attributes, attributes["y_type"], shape)
    return True


def _pad(maker: Maker) -> bool:
    value = maker.pick(_images)
    if value is None or 0 in value.shape or 4 * np.prod(value.shape) > _MOST_ELEMENTS:
        return False
    count, height, width, channels = value.shape
    attributes = {"pads": [0, 1, 0, 0, 0, 0, 2, 0], "mode": "constant", "value": maker.zero(value.type)}
    maker.step("pad", [value], attributes, value.type, (count, height + 1, width + 2, channels))
    return True


def _expand(maker: Maker) -> bool:
    value = maker.pick(lambda each: len(each.shape) < 4 and 0 not in each.shape)
    if value is None or 3 * np.prod(value.shape) > _MOST_ELEMENTS:
        return False
    count = 1 + maker.below(3)
    shape = (count, *value.shape)
    maker.step("expand", [value], {"dims": [count, *[-1] * len(value.shape)]}, value.type, shape)
    return True


def _compare(maker: Maker) -> bool:
    value = maker.pick(lambda _: True)
    if value is None:
        return False
    op = str(maker.rng.choice(("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")))
    maker.step("compare", [value, maker.operand(value)], {"op": op}, "bool", value.shape)
    return True


def _where(maker: Maker) -> bool:
    value = maker.pick(lambda _: True)
    if value is None:
        return False
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
    return True


def _reduce(maker: Maker) -> bool:
    value = maker.pick(lambda each: each.type == "f32" and len(each.shape) > 0 and 0 not in each.shape)
    if value is None:
        return False
    axes = [axis for axis in range(len(value.shape)) if maker.chance(0.5)]
    op = str(maker.rng.choice(("sum", "sum_squares", "max", "min")))
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(value.shape))
    maker.step("reduce", [value], {"op": op, "axes": axes, "keepdims": 1}, "f32", shape)
    return True


RECIPES: dict[str, Recipe] = {
    "add": _combine("add"),
    "affine": _affine,
    "average_pool": _average_pool,
    "binary": _binary,
    "compare": _compare,
    "concat": _concat,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "decode": _decode,
    "dequantize": _dequantize,
    "expand": _expand,
    "gather": _gather,
    "gemm": _gemm,
    "global_average_pool": _global_average_pool,
    "layer_norm": _layer_norm,
    "lookup": _lookup,
    "lrn": _lrn,
    "matmul_nbits": _matmul_nbits,
    "max_pool": _max_pool,
    "mul": _combine("mul"),
    "pad": _pad,
    "quantize": _quantize,
    "reduce": _reduce,
    "reduce_mean": _reduce_mean,
    "reshape": _reshape,
    "resize": _resize,
    "shape": _shape,
    "slice": _slice,
    "softmax": _softmax,
    "transpose": _transpose,
    "unary": _unary,
    "where": _where,
}


def random_program(seed: int, steps: int = 12) -> tuple[Program, list[Array]]:
    """Return a program of about so many steps, and inputs it takes.

    Args:
        seed: Programs of one seed are the same.
        steps: That are tried; the program has no more.
    """
    maker = Maker(np.random.default_rng(seed))
    count = 1 + maker.below(2)
    shape = (count, 1 + maker.below(6), 1 + maker.below(6), int(maker.rng.choice((1, 3, 4, 8, 16))))
    inputs = []
    for name, kind in (("x", maker.codes_type()), ("f", "f32")):
        number = maker.builder.input(name, kind, ["batch", *shape[1:]])
        maker.values.append(Value(number, kind, shape))
        inputs.append(maker.array(kind, shape))
    order = sorted(RECIPES)
    for _ in range(steps):
        RECIPES[order[maker.below(len(order))]](maker)
    made = maker.values[len(inputs) :]
    outputs = {made[-1].number} if made else set()
    outputs |= {value.number for value in maker.values if maker.chance(0.1)}
    for number in sorted(outputs):
        maker.builder.output(number, f"y{number}")
    return Program(maker.builder.build()), inputs
