"""Pools: padding, last windows, indices and counts as onnxruntime has them, at sizes that vary."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.pytorch import to_fx

HEADER = '<ir_version: 10, opset_import: ["": 22]>'
SIZES = (2, 3, 9, 12), (3, 3, 11, 8)

WINDOWS = [
    "kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,1]",
    "kernel_shape=[3,2],strides=[2,2],pads=[1,0,0,1]",
    "kernel_shape=[3,3],strides=[2,2],ceil_mode=1",
    "kernel_shape=[3,3],strides=[2,2],ceil_mode=1,pads=[0,0,1,1]",
    'kernel_shape=[3,3],strides=[2,2],auto_pad="SAME_UPPER"',
    'kernel_shape=[3,3],strides=[2,3],auto_pad="SAME_LOWER"',
]

DILATED = "kernel_shape=[2,2],dilations=[2,3],pads=[1,1,1,1]"


def numbers(*shape: int, dtype: Any = np.float32) -> Any:
    return (np.random.default_rng(list(shape)).standard_normal(shape) * 30).astype(dtype)


def pool(node: str, dtype: str = "float") -> str:
    return f"{HEADER} g({dtype}[N,3,H,W] x) => ({dtype}[A,B,C,D] y) {{ y = {node}(x) }}"


def pools(op: str, windows: list[str]) -> str:
    """A model of one pool over each window."""
    outputs = ", ".join(f"float y{index}" for index in range(len(windows)))
    nodes = "\n".join(f"y{index} = {op}{window}>(x)" for index, window in enumerate(windows))
    return f"{HEADER} g(float[N,3,H,W] x) => ({outputs}) {{ {nodes} }}"


@pytest.mark.parametrize(
    "op", ["MaxPool<", "AveragePool<", "AveragePool<count_include_pad=1,", "LpPool<p=3,"]
)
def test_windows(agree: Any, op: str) -> None:
    text = pools(op, WINDOWS if op.startswith("Lp") else [*WINDOWS, DILATED])
    for size in SIZES:
        agree(text, numbers(*size))


@pytest.mark.parametrize("op", ["MaxPool<", "AveragePool<"])
def test_windows_of_dynamic_sizes_come_back(come_back: Any, op: str) -> None:
    come_back(pools(op, [WINDOWS[0], WINDOWS[3], WINDOWS[4]]), *[[numbers(*size)] for size in SIZES])


@pytest.mark.parametrize(
    ("dtype", "array"), [("int8", "i1"), ("uint8", "u1"), ("float16", "f2"), ("double", "f8")]
)
def test_types(agree: Any, dtype: str, array: str) -> None:
    agree(
        pool("MaxPool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,1]>", dtype),
        numbers(2, 3, 7, 7, dtype=array),
    )


def indices(order: int, windows: list[str]) -> str:
    outputs = ", ".join(f"float y{index}, int64 i{index}" for index in range(len(windows)))
    nodes = "\n".join(
        f"y{index}, i{index} = MaxPool<{window},storage_order={order}>(x)"
        for index, window in enumerate(windows)
    )
    return f"{HEADER} g(float[N,3,H,W] x) => ({outputs}) {{ {nodes} }}"


@pytest.mark.parametrize("order", [0, 1])
def test_indices(agree: Any, order: int) -> None:
    agree(indices(order, WINDOWS), numbers(*SIZES[0]))


def test_indices_come_back(come_back: Any) -> None:
    come_back(indices(1, [WINDOWS[1]]), *[[numbers(*size)] for size in SIZES])


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(("kernel", "sizes"), [("[3]", (8,)), ("[2,2,2]", (4, 5, 6))])
def test_one_and_three_dimensions(agree: Any, op: str, kernel: str, sizes: tuple[int, ...]) -> None:
    names = ",".join("DHW"[: len(sizes)])
    text = f"{HEADER} g(float[N,2,{names}] x) => (float y) {{ y = {op}<kernel_shape={kernel}>(x) }}"
    agree(text, numbers(2, 2, *sizes))


def test_one_dynamic_dimension_comes_back(come_back: Any) -> None:
    text = f"{HEADER} g(float[N,2,L] x) => (float y) {{ y = MaxPool<kernel_shape=[3]>(x) }}"
    come_back(text, [numbers(2, 2, 8)], [numbers(3, 2, 11)])


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global(agree: Any, op: str) -> None:
    agree(pool(op), numbers(*SIZES[0]))


def test_global_norm() -> None:
    x = torch.from_numpy(numbers(2, 3, 4, 5))
    y = to_fx(ir.from_onnx_text(pool("GlobalLpPool<p=3>")))(x)
    torch.testing.assert_close(y, x.abs().pow(3).sum((2, 3), keepdim=True).pow(1 / 3))


def test_unpooling(agree: Any) -> None:
    text = f"""{HEADER} g(float[N,2,H,W] x) => (float[A,B,C,D] y) {{
        v, i = MaxPool<kernel_shape=[2,2],strides=[2,2]>(x)
        y = MaxUnpool<kernel_shape=[2,2],strides=[2,2]>(v, i)
    }}"""
    agree(text, numbers(2, 2, 8, 6))


@pytest.mark.parametrize("op", ["MaxPool<", "AveragePool<", "LpPool<"])
def test_gradients(op: str) -> None:
    module = to_fx(ir.from_onnx_text(pool(f"{op}{WINDOWS[1]}>"))).double()
    x = torch.from_numpy(numbers(1, 3, 4, 5)).double().requires_grad_()
    assert torch.autograd.gradcheck(module, x, fast_mode=True)
