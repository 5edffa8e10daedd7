"""Taking elements by indices that may count from the end, counting them, and choosing boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.pytorch import to_fx
from graphopt.pytorch.functional import indexing


def graph(body: str, inputs: str, output: str = "float[d,e,f] y") -> str:
    return f'<ir_version: 10, opset_import: ["": 21]> g({inputs}) => ({output}) {{ {body} }}'


def array(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


INDICES = [np.array(-1), np.array([0, -2, 1]), np.array([[0, 1], [-1, 0]]), np.array([1, 0])]


@pytest.mark.parametrize("indices", INDICES, ids=["scalar", "row", "table", "natural"])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("constant", [("i",), ()])
def test_gather(agree: Any, exports: Any, indices: Any, axis: int, constant: tuple[str, ...]) -> None:
    dims = ",".join("IJ"[: indices.ndim])
    kind = f"int64[{dims}]" if dims else "int64"
    output = f"float[{','.join('abcd'[: 2 + indices.ndim])}] y"
    text = graph(f"y = Gather<axis = {axis}>(x, i)", f"float[A,B,C] x, {kind} i", output)
    module = agree(text, array(2, 3, 4), indices, constant=constant)
    if axis == 1 and constant:
        exports(module, (torch.randn(2, 3, 4),), ((0, 2),), (torch.randn(5, 3, 6),))


def test_rows_of_a_table_of_weights_are_an_embedding(agree: Any) -> None:
    text = graph("y = Gather(w, i)", "float[5,3] w, int64[N,M] i")
    module = agree(text, array(5, 3), np.array([[0, 4], [2, 2]]), constant=("w",))
    assert "torch.nn.functional.embedding(i, w)" in module.code
    assert isinstance(module.w, torch.nn.Parameter)


@pytest.mark.parametrize("dtype", ["float", "int64", "uint16", "bool"])
@pytest.mark.parametrize("axis", [0, -1])
def test_gather_elements(agree: Any, dtype: str, axis: int) -> None:
    text = graph(
        f"y = GatherElements<axis = {axis}>(x, i)", f"{dtype}[A,B] x, int64[C,D] i", f"{dtype}[C,D] y"
    )
    x = np.arange(12).reshape(3, 4).astype(ir.DataType[dtype.upper()].numpy())
    agree(text, x, np.array([[0, -1], [2, 1]]))


TUPLES = [(0, (2, 3)), (0, (4, 1)), (1, (2, 2)), (2, (2, 3, 1)), (0, (2, 2, 2)), (1, (2, 3, 1))]


@pytest.mark.parametrize(("batch", "shape"), TUPLES)
def test_gather_nd(agree: Any, batch: int, shape: tuple[int, ...]) -> None:
    indices = np.random.default_rng(1).integers(-2, 2, shape)
    rank = len(shape) - 1 + 3 - batch - shape[-1]
    text = graph(
        f"y = GatherND<batch_dims = {batch}>(x, i)",
        f"float[A,B,C] x, int64[{','.join('IJK'[: len(shape)])}] i",
        f"float[{','.join('defgh'[:rank])}] y",
    )
    module = agree(text, array(2, 3, 4), indices)
    x = torch.randn(2, 3, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: module(x, torch.from_numpy(indices)), x)


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("dtype", ["int64", "float"])
def test_one_hot(agree: Any, axis: int, dtype: str) -> None:
    text = graph(f"y = OneHot<axis = {axis}>(i, n, v)", f"{dtype}[A,B] i, int64 n, float[2] v")
    indices = np.array([[0, -1], [3, 9]]).astype(ir.DataType[dtype.upper()].numpy())
    agree(text, indices, np.array(4), np.array([0.5, 2], dtype=np.float32))


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_compress(agree: Any, axis: int | None) -> None:
    given, output = ("", "float[n] y") if axis is None else (f"<axis = {axis}>", "float[n,m] y")
    text = graph(f"y = Compress{given}(x, c)", "float[A,B] x, bool[N] c", output)
    agree(text, array(3, 4), np.array([True, False, True]))


def test_nonzero(agree: Any) -> None:
    agree(graph("y = NonZero(x)", "float[A,B] x", "int64[n,m] y"), np.eye(3, 4, dtype=np.float32))


@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize("is_sorted", [0, 1])
def test_unique(agree: Any, axis: int | None, is_sorted: int) -> None:
    given = f"<sorted = {is_sorted}" + (">" if axis is None else f", axis = {axis}>")
    outputs = f"{'float[n]' if axis is None else 'float[n,m]'} y, int64[p] i, int64[q] j, int64[r] k"
    rows = np.array([[2, 1], [1, 1], [2, 1], [0, 3]], dtype=np.float32)
    agree(graph(f"y, i, j, k = Unique{given}(x)", "float[A,B] x", outputs), rows)


@pytest.mark.parametrize("center", [0, 1])
@pytest.mark.parametrize("limits", [(10, 0.5, 0.3), (2, 0.1, 0.0), (0, 0.5, 0.0), (10, 1.0, 0.9)])
def test_non_max_suppression(agree: Any, center: int, limits: tuple[float, ...]) -> None:
    text = graph(
        f"y = NonMaxSuppression<center_point_box = {center}>(b, s, m, i, t)",
        "float[2,N,4] b, float[2,3,N] s, int64 m, float i, float t",
        "int64[n,3] y",
    )
    generator = np.random.default_rng(0)
    boxes = generator.uniform(0, 1, (2, 30, 4)).astype(np.float32)
    scores = generator.integers(0, 20, (2, 3, 30)).astype(np.float32) / 20
    numbers = np.int64(limits[0]), np.float32(limits[1]), np.float32(limits[2])
    agree(text, boxes, scores, *numbers)
    agree(text, boxes, scores, *numbers, constant=("m", "i", "t"))


def test_gather_can_be_learned_through() -> None:
    x = torch.randn(3, 4, dtype=torch.double, requires_grad=True)
    indices = torch.tensor([[0, -1], [-1, 2]])
    assert torch.autograd.gradcheck(lambda x: indexing.gather(x, indices, 1), x)


def test_a_known_index_selects() -> None:
    text = graph("i = Constant<value_int = -1>()  y = Gather(x, i)", "float[A,B] x", "float[B] y")
    assert "torch.select(x, 0, -1)" in to_fx(ir.from_onnx_text(text)).code
