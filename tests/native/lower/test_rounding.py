"""Operators on codes give the very codes that onnxruntime gives: other roundings would grow downstream."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime
import pytest

from graphopt.native import compile
from graphopt.testing import parse_model

Array = npt.NDArray[Any]
TURNS = range(12)
EVERY = np.arange(256, dtype=np.uint8)
LEFT, RIGHT = (np.ascontiguousarray(each) for each in np.meshgrid(EVERY, EVERY, indexing="ij"))


class Draw:
    """Scales and zero points of one type of codes; scales are powers of two in half the turns, for ties."""

    def __init__(self, turn: int) -> None:
        self.rng = np.random.default_rng(turn)
        self.powers = turn % 4 < 2
        self.type = ("uint8", "int8")[turn % 2]

    def grid(self, name: str) -> str:
        """Initializers NAMEs and NAMEz."""
        exponent = float(self.rng.integers(-6, -3)) if self.powers else self.rng.uniform(-7, -3)
        info = np.iinfo(self.type)
        zero = self.rng.integers(info.min, info.max, endpoint=True)
        return f"float {name}s = {{{np.float32(2.0**exponent)!s}}}, {self.type} {name}z = {{{zero}}}"

    def codes(self, *shape: int) -> Array:
        return self.rng.integers(0, 255, shape, np.uint8, endpoint=True).view(self.type)


def same_codes(draw: Draw, body: str, inputs: dict[str, Array], y: Any, initializers: str) -> None:
    def port(name: str, shape: Any) -> str:
        return f"{draw.type}[{','.join(map(str, shape))}] {name}"

    ports = ", ".join(port(name, each.shape) for name, each in inputs.items())
    head = '<ir_version: 9, opset_import: ["" : 17, "com.microsoft" : 1]> g '
    model = parse_model(f"{head}({ports}) => ({port('y', y)}) <{initializers}> {{ {body} }}")
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    (expected,) = session.run(None, inputs)
    (found,) = compile(model).run(inputs)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("turn", TURNS)
def test_every_two_codes(op: str, turn: int) -> None:
    draw = Draw(turn)
    left, right = (each.view(draw.type) for each in (LEFT, RIGHT))
    grids = ", ".join(map(draw.grid, "aby"))
    body = f"y = com.microsoft.{op}(a, as, az, b, bs, bz, ys, yz)"
    same_codes(draw, body, {"a": left, "b": right}, left.shape, grids)
    row = EVERY.view(draw.type)
    same_codes(draw, body, {"a": left, "b": row}, left.shape, grids)
    same_codes(draw, body, {"a": row, "b": left}, left.shape, grids)
    column = row.reshape(256, 1).copy()
    same_codes(draw, body, {"a": right, "b": column}, left.shape, grids)
    same_codes(draw, body, {"a": column, "b": right}, left.shape, grids)


@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("turn", TURNS)
def test_a_table_of_one_operand(op: str, turn: int) -> None:
    draw = Draw(turn)
    grids = ", ".join((*map(draw.grid, "aby"), f"{draw.type} b = {{77}}"))
    codes = EVERY.view(draw.type)
    same_codes(draw, f"y = com.microsoft.{op}(a, as, az, b, bs, bz, ys, yz)", {"a": codes}, [256], grids)
    same_codes(draw, f"y = com.microsoft.{op}(b, bs, bz, a, as, az, ys, yz)", {"a": codes}, [256], grids)
    same_codes(draw, f"y = com.microsoft.{op}(a, as, az, a, as, az, ys, yz)", {"a": codes}, [256], grids)


@pytest.mark.parametrize("turn", TURNS)
def test_a_sum_in_a_convolution(turn: int) -> None:
    """In either place, of the Conv's result and of other codes."""
    draw = Draw(turn)
    rows = ", ".join(str(each) for each in draw.rng.integers(-127, 127, 16))
    weights = f"int8[4,4,1,1] w = {{{rows}}}, float ws = {{0.01}}, int8 wz = {{0}}"
    grids = ", ".join((*map(draw.grid, "acry"), weights))
    inputs = {"a": draw.codes(1, 4, 60, 50), "r": draw.codes(1, 4, 60, 50)}
    conv = "c = QLinearConv(a, as, az, w, ws, wz, cs, cz) "
    for sum_ in ("c, cs, cz, r, rs, rz", "r, rs, rz, c, cs, cz"):
        body = f"{conv} y = com.microsoft.QLinearAdd({sum_}, ys, yz)"
        same_codes(draw, body, inputs, (1, 4, 60, 50), grids)


@pytest.mark.parametrize(
    ("body", "x", "y"),
    [
        ("com.microsoft.QLinearSigmoid(x, xs, xz, ys, yz)", (256,), (256,)),
        ("com.microsoft.QLinearLeakyRelu<alpha = 0.2>(x, xs, xz, ys, yz)", (256,), (256,)),
        ("com.microsoft.QLinearGlobalAveragePool<channels_last = 0>(x, xs, xz, ys, yz)",
         (3, 40, 7, 9), (3, 40, 1, 1)),
        ("com.microsoft.QLinearAveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]>"
         "(x, xs, xz, ys, yz)", (2, 20, 15, 17), (2, 20, 8, 9)),
        ("com.microsoft.QLinearAveragePool<kernel_shape = [2, 2], strides = [2, 2]>(x, xs, xz, ys, yz)",
         (2, 20, 16, 18), (2, 20, 8, 9)),
        ("com.microsoft.QLinearSoftmax<axis = -1, opset = 17>(x, xs, xz, ys, yz)", (40, 33), (40, 33)),
        ("com.microsoft.QLinearConcat<axis = 1>(ys, yz, x, xs, xz, x, ys, yz)", (1, 256), (1, 512)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("turn", TURNS)
def test_operators_of_one_operand(body: str, x: tuple[int, ...], y: tuple[int, ...], turn: int) -> None:
    draw = Draw(turn)
    codes = EVERY.view(draw.type).reshape(x) if np.prod(x) == 256 else draw.codes(*x)
    same_codes(draw, f"y = {body}", {"x": codes}, y, f"{draw.grid('x')}, {draw.grid('y')}")


@pytest.mark.parametrize("turn", TURNS)
def test_products(turn: int) -> None:
    draw = Draw(turn)
    weights = f"{{{','.join(map(str, draw.rng.integers(-127, 127, 24 * 40)))}}}"
    bias = f"int32[24] bias = {{{','.join(map(str, draw.rng.integers(-9000, 9000, 24)))}}}"
    scales = ",".join(str(np.float32(each)) for each in draw.rng.uniform(0.001, 0.02, 24))
    scales = f"float[24] ws = {{{scales}}}"
    zeros = f"int8[24] wz = {{{','.join('0' * 24)}}}"
    grids = ", ".join((draw.grid("x"), draw.grid("y"), bias, scales, zeros))
    x = {"x": draw.codes(500, 40)}
    body = "y = QLinearMatMul(x, xs, xz, w, ws, wz, ys, yz)"
    same_codes(draw, body, x, (500, 24), f"{grids}, int8[40,24] w = {weights}")
    body = "y = com.microsoft.QGemm<transB = 1>(x, xs, xz, w, ws, wz, bias, ys, yz)"
    same_codes(draw, body, x, (500, 24), f"{grids}, int8[24,40] w = {weights}")
    body = "y = QLinearConv(x, xs, xz, w, ws, wz, ys, yz, bias)"
    x = {"x": draw.codes(1, 40, 20, 20)}
    same_codes(draw, body, x, (1, 24, 20, 20), f"{grids}, int8[24,40,1,1] w = {weights}")
