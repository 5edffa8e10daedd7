"""Arithmetic of sizes: Python integers in the code, symbols for torch.export, onnxruntime's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.pytorch import to_fx

# Each takes float[N,C,W] x and gives y, as exporters write shapes.
IDIOMS = {
    "gathered": """
        s = Shape(x)  n = Gather(s, zero)  n1 = Unsqueeze(n, axis)  wanted = Concat<axis = 0>(n1, rest)
        y = Reshape(x, wanted)""",
    "started": "n = Shape<start = 0, end = 1>(x)  wanted = Concat<axis = 0>(n, rest)  y = Reshape(x, wanted)",
    "expanded": """
        s = Shape(x)  hidden = Equal(s, rest3)  all = ConstantOfShape<value = int64[1] {1}>(three)
        kept = Where(hidden, all, s)  row = ReduceMax<keepdims = 1>(x)  y = Expand(row, kept)""",
    "ranged": """
        s = Shape(x)  w = Gather(s, two)  steps = Range(zero, w, one)  floats = Cast<to = 1>(steps)
        y = Add(x, floats)""",
    "halved": """
        s = Shape(x)  w = Gather(s, twos)  half = Div(w, twos)  top = Mul(half, twos)
        y = Slice(x, axis, half, twos)  z = Slice(x, half, top, twos)""",
    "counted": "n = Size(x)  f = Cast<to = 1>(n)  mean = Div(x, f)  y = Identity(mean)",
    "multiplied": """
        s = Shape(x)  head = Slice(s, axis, twos)  rows = ReduceProd<keepdims = 1>(head)
        last = Slice(s, twos, threes)  wanted = Concat<axis = 0>(rows, last)  y = Reshape(x, wanted)""",
    "bounded": """
        s = Shape(x)  w = Gather(s, twos)  m = Min(w, threes)  y = Slice(x, axis, m, twos)
        more = Max(w, threes)  pads = Sub(more, w)
        nothing = Concat<axis = 0>(axis, axis, axis, axis, axis, pads)
        z = Pad(x, nothing)""",
    "scaled": """
        s = Shape(x)  f = Cast<to = 1>(s)  g = Mul(f, factor)  h = Floor(g)  i = Cast<to = 7>(h)
        c = Ceil(g)  j = Cast<to = 7>(c)  y = ConstantOfShape(i)  z = ConstantOfShape(j)""",
    "doubled": """
        s = Shape(x)  f = Cast<to = 1>(s)  g = Mul(f, whole)  h = Floor(g)  i = Cast<to = 7>(h)
        y = ConstantOfShape(i)""",
    "rooted": "s = Shape(x)  w = Gather(s, two)  f = Cast<to = 1>(w)  r = Sqrt(f)  y = Div(x, r)",
    "padded": """
        s = Shape(x)  w = Gather(s, twos)  odd = Mod(w, twos)
        zeros = ConstantOfShape<value = int64[1] {0}>(five)
        pads = Concat<axis = 0>(zeros, odd)  y = Pad(x, pads)""",
    "turned": """
        zeros = ConstantOfShape<value = int64[1] {0}>(four)  s = Shape(x)
        w = Gather(s, twos)  odd = Mod(w, twos)
        back = Concat<axis = 0>(axis, odd, zeros)  pairs = Reshape(back, pairing)  rows = Transpose(pairs)
        flipped = Slice(rows, minus, far, ones, minus)  flat = Reshape(flipped, minus)  y = Pad(x, flat)""",
    "numbered": """
        n = Shape<start = 2>(x)  filled = ConstantOfShape<value = int64[1] {1}>(n)  places = NonZero(filled)
        row = Squeeze(places, axis)  f = Cast<to = 1>(row)  y = Add(x, f)""",
}
CONSTANTS = """<int64 zero = {0}, int64 one = {1}, int64 two = {2}, int64[1] axis = {0}, int64[1] twos = {2},
    int64[1] threes = {3}, int64[2] rest = {-1, 2}, int64[3] rest3 = {-1, -1, -1}, int64[1] three = {3},
    int64[1] five = {5}, int64[1] four = {4}, int64[2] pairing = {-1, 2}, int64[1] minus = {-1},
    int64[1] far = {-9}, int64[1] ones = {1}, float[1] factor = {0.7}, float[1] whole = {2.0}>"""


def idiom(body: str, inputs: str = "float[N,C,W] x") -> str:
    outputs = ["y", "z"] if " z = " in body else ["y"]
    results = ", ".join(f"float[{','.join(name * (i + 1) for i in range(3))}] {name}" for name in outputs)
    if "rest)" in body or "rows, last" in body:
        rank = 3 if "rest)" in body else 2
        results = f"float[{','.join('abc'[:rank])}] y"
    return f'<ir_version: 10, opset_import: ["": 21]> g({inputs}) => ({results}) {CONSTANTS} {{ {body} }}'


def volume(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", IDIOMS)
def test_sizes_follow_the_input(agree: Any, exports: Any, name: str) -> None:
    for shape in [(2, 3, 4), (1, 5, 10), (7, 1, 2)]:
        module = agree(idiom(IDIOMS[name]), volume(*shape))
    x, other = torch.randn(3, 4, 6), torch.randn(5, 4, 8)
    exports(module, (x,), ((0, 2),), (other,))


def test_sizes_are_integers_in_the_code() -> None:
    code = to_fx(ir.from_onnx_text(idiom(IDIOMS["gathered"]))).code
    assert "x.reshape(size, -1, 2)" in code
    assert "tensor(" not in code


@pytest.mark.parametrize(
    ("name", "absent"),
    [("doubled", "floor"), ("expanded", "choose"), ("numbered", "nonzero"), ("started", "Unsqueeze")],
)
def test_what_is_plain_takes_no_call(name: str, absent: str) -> None:
    assert absent not in to_fx(ir.from_onnx_text(idiom(IDIOMS[name]))).code


def test_static_sizes_are_numbers() -> None:
    code = to_fx(ir.from_onnx_text(idiom(IDIOMS["gathered"], "float[2,3,4] x"))).code
    assert "x.reshape(2, -1, 2)" in code


def test_a_scale_is_rounded_as_float32() -> None:
    """0.1 as float32 is more than 0.1, but 100 times it is 10 as float32."""
    text = idiom(IDIOMS["scaled"]).replace("{0.7}", "{0.1}")
    module = to_fx(ir.from_onnx_text(text))
    y, z = module(torch.zeros(10, 100, 70))
    assert tuple(y.shape) == tuple(z.shape) == (1, 10, 7)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_a_size_that_is_data_keeps_its_type(agree: Any, dtype: str) -> None:
    number = {"int32": 6, "int64": 7}[dtype]
    agree(
        f'<ir_version: 10, opset_import: ["": 21]> g(float[N,M] x) => ({dtype}[2] y, bool[2] z) '
        f"<int64[1] three = {{3}}> {{ s = Shape(x) y = Cast<to = {number}>(s) z = Greater(s, three) }}",
        volume(2, 5),
    )


def test_sizes_of_a_tensor_of_unknown_rank(agree: Any) -> None:
    agree(
        """<ir_version: 10, opset_import: ["": 21]>
        g(float[N,M] x, int64[K] shape) => (float[a,b] y, int64 rank)
        <int64[1] first = {0}, int64[1] minus = {-1}> {
          other = Reshape(x, shape)  s = Shape(other)  n = Gather(s, first)  rank = Size(s)
          wanted = Concat<axis = 0>(n, minus)  y = Reshape(other, wanted)
        }""",
        volume(4, 6),
        np.array([3, 2, 2, 2]),
    )


def test_a_choice_by_size_leaves_one_branch_where_it_is_known() -> None:
    module = to_fx(
        ir.from_onnx_text(
            """<ir_version: 10, opset_import: ["": 21]> g(float[N,1] x) => (float[N] y)
            <int64 one = {1}, int64[1] axis = {1}> {
              s = Shape(x)  n = Gather(s, one)  single = Equal(n, one)
              y = If(single) <then_branch = a () => (float[N] p) { p = Squeeze(x, axis) },
                              else_branch = b () => (float[N,1] q) { q = Identity(x) }>
            }"""
        )
    )
    assert "branch" not in module.code
    assert tuple(module(torch.zeros(3, 1)).shape) == (3,)
