"""Shapes, joining, parting, padding: any bounds, any rank, dynamic sizes."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.pytorch import to_fx


def graph(
    body: str, inputs: str = "float[A,B,C] x", output: str = "float[d,e,f] y", constants: str = ""
) -> str:
    given = f"<{constants}>" if constants else ""
    return f'<ir_version: 10, opset_import: ["": 21]> g({inputs}) => ({output}) {given} {{ {body} }}'


def array(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("step", [1, 2, -1, -3])
@pytest.mark.parametrize("constant", [("s", "e", "a", "t"), ()])
def test_slices_of_any_bounds(agree: Any, step: int, constant: tuple[str, ...]) -> None:
    text = graph("y = Slice(x, s, e, a, t)", "float[A,B,C] x, int64[1] s, int64[1] e, int64[1] a, int64[1] t")
    for start, end in product([0, 1, -2, -9, 9], [0, 2, -1, -9, 9, 2**63 - 1, -(2**63) + 1]):
        numbers = [np.array([number]) for number in (start, end, -2, step)]
        agree(text, array(2, 5, 3), *numbers, constant=constant)


@pytest.mark.parametrize("axis", [-3, -1, 0, 1, 2, 3])
def test_flatten_at_any_axis(agree: Any, exports: Any, axis: int) -> None:
    module = agree(graph(f"y = Flatten<axis = {axis}>(x)", output="float[d,e] y"), array(2, 3, 4))
    exports(module, (torch.randn(2, 3, 4),), ((0, 1, 2),), (torch.randn(5, 6, 7),))


@pytest.mark.parametrize(
    "wanted", [[1], [4, 1, 1], [2, 1, 3, 4], [1, 3, 1], [2, 1, 1, 1, 4]], ids=lambda wanted: str(len(wanted))
)
@pytest.mark.parametrize("constant", [("s",), ()])
def test_expand_goes_both_ways(agree: Any, wanted: list[int], constant: tuple[str, ...]) -> None:
    rank = max(3, len(wanted))
    output = f"float[{','.join('defgh'[:rank])}] y"
    text = graph("y = Expand(x, s)", f"float[A,3,C] x, int64[{len(wanted)}] s", output)
    agree(text, array(1, 3, 4), np.array(wanted), constant=constant)


MODES = ("constant", "edge", "reflect", "wrap")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pads", [[0, 0, 1, 0, 0, 2], [0, 1, 0, 0, 2, 3], [1, 0, 2, 0, 1, 0]])
@pytest.mark.parametrize("constant", [("p",), ()])
def test_padding_of_every_mode(
    agree: Any, exports: Any, mode: str, pads: list[int], constant: tuple[str, ...]
) -> None:
    text = graph(f'y = Pad<mode = "{mode}">(x, p)', "float[A,B,C] x, int64[6] p")
    module = agree(text, array(3, 4, 5), np.array(pads), constant=constant)
    if constant and pads[1]:
        exports(module, (torch.randn(3, 4, 5),), ((0, 1, 2),), (torch.randn(6, 5, 7),))


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool", "double"])
def test_padding_of_any_type_by_a_value_and_by_less(agree: Any, dtype: str) -> None:
    value = "true" if dtype == "bool" else "3"
    text = graph(
        "y = Pad(x, p, v, a)",
        f"{dtype}[A,B] x, {dtype} v",
        f"{dtype}[d,e] y",
        "int64[2] p = {-1, 2}, int64[1] a = {-1}",
    )
    x = np.arange(8).reshape(2, 4).astype(ir.DataType[dtype.upper()].numpy())
    agree(text, x, np.array(value == "true" or 3, dtype=x.dtype))
    agree(text, x, np.array(value == "true" or 3, dtype=x.dtype), constant=("v",))


SPLITS = [
    ("y, z = Split<axis = 1, num_outputs = 2>(x)", ""),
    ("y, z = Split<axis = -1>(x, n)", "int64[2] n = {1, 3}"),
    ("y, z = Split<axis = 1>(x, n)", "int64[2] n = {0, 5}"),
]


@pytest.mark.parametrize(("body", "constants"), SPLITS)
@pytest.mark.parametrize("dims", ["A,B,C", "2,5,4"])
def test_parts(agree: Any, exports: Any, body: str, constants: str, dims: str) -> None:
    outputs = "float[a,b,c] y, float[d,e,f] z"
    module = agree(graph(body, f"float[{dims}] x", outputs, constants), array(2, 5, 4))
    if dims == "A,B,C":
        exports(module, (torch.randn(2, 5, 4),), ((0,),), (torch.randn(3, 5, 4),))


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        ("y = Transpose(x)", ""),
        ("y = Transpose<perm = [1, 2, 0]>(x)", ""),
        ("t = Unsqueeze(x, a)  y = Squeeze(t, a)", "int64[2] a = {-1, 0}"),
        ("y = Concat<axis = -2>(x, x)", ""),
        ("y = Tile(x, n)", "int64[3] n = {2, 1, 3}"),
        ("y = Trilu(x)", ""),
        ("y = Trilu<upper = 0>(x, k)", "int64 k = {1}"),
        ("y = Reshape<allowzero = 0>(x, s)", "int64[3] s = {0, -1, 1}"),
        ("y = ReverseSequence<batch_axis = 1, time_axis = 0>(x, n)", "int64[3] n = {1, 2, 2}"),
        ("s = Shape(x)  y = ConstantOfShape<value = float[1] {2.5}>(s)", ""),
    ],
)
def test_other_places(agree: Any, exports: Any, body: str, constants: str) -> None:
    module = agree(graph(body, constants=constants), array(2, 3, 4))
    exports(module, (torch.randn(2, 3, 4),), ((2,),), (torch.randn(2, 3, 7),))


@pytest.mark.parametrize("dtype", ["float", "double", "int16", "int32", "int64"])
@pytest.mark.parametrize("bounds", [(0, 5, 1), (2, 11, 3), (7, -2, -2), (3, 3, 1)])
@pytest.mark.parametrize("constant", [("a", "b", "c"), ()])
def test_range(agree: Any, dtype: str, bounds: tuple[int, ...], constant: tuple[str, ...]) -> None:
    text = graph("y = Range(a, b, c)", f"{dtype} a, {dtype} b, {dtype} c", f"{dtype}[n] y")
    kind = ir.DataType[dtype.upper()].numpy()
    agree(text, *[np.array(bound, dtype=kind) for bound in bounds], constant=constant)


def test_eye_like(agree: Any) -> None:
    agree(graph("y = EyeLike<k = 1, dtype = 7>(x)", "float[A,B] x", "int64[A,B] y"), array(3, 4))


def test_plain_code() -> None:
    def code(body: str, constants: str = "") -> str:
        return str(to_fx(ir.from_onnx_text(graph(body, constants=constants))).code)

    assert "torch.transpose(x, 1, 2)" in code("y = Transpose<perm = [0, 2, 1]>(x)")
    assert "torch.cat([x, x], -1)" in code("y = Concat<axis = -1>(x, x)")
    assert "x[(slice(None, None, None), slice(1, None, None))]" in code(
        "y = Slice(x, s, e, a)",
        "int64[1] s = {1}, int64[1] e = {9223372036854775807}, int64[1] a = {1}",
    )
