"""Writing into a copy: indices from both ends, elements that are written more than once, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

REDUCTIONS = ("none", "add", "mul", "max", "min")


def graph(body: str, inputs: str, output: str, opset: int = 21) -> str:
    return f'<ir_version: 10, opset_import: ["": {opset}]> g({inputs}) => ({output}) {{ {body} }}'


def numbers(dtype: str, *shape: int) -> Any:
    return np.random.default_rng(0).integers(1, 9, shape).astype(ir.DataType[dtype.upper()].numpy())


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", ["float", "int64", "uint8"])
def test_scatter_elements(agree: Any, reduction: str, dtype: str) -> None:
    text = graph(
        f'y = ScatterElements<axis = 1, reduction = "{reduction}">(x, i, u)',
        f"{dtype}[A,B] x, int64[C,D] i, {dtype}[C,D] u",
        f"{dtype}[A,B] y",
    )
    indices = np.array([[0, 3, -2], [1, 0, 2]]) if reduction == "none" else np.array([[0, 0, -2], [1, -3, 1]])
    module = agree(text, numbers(dtype, 3, 4), indices, numbers(dtype, 2, 3))
    if dtype == "float":
        inputs = [torch.rand(3, 4, dtype=torch.double) + 1, torch.rand(2, 3, dtype=torch.double) + 1]
        chosen = torch.from_numpy(indices)
        assert torch.autograd.gradcheck(
            lambda x, u: module(x, chosen, u), [each.requires_grad_() for each in inputs]
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_scatter_nd(agree: Any, exports: Any, reduction: str, depth: int) -> None:
    rest = (2, 3, 4)[depth:]
    dims = "".join(f",{name}" for name in "PQR"[: len(rest)])
    text = graph(
        f'y = ScatterND<reduction = "{reduction}">(x, i, u)',
        f"float[A,B,C] x, int64[N,{depth}] i, float[N{dims}] u",
        "float[A,B,C] y",
    )
    indices = np.array([[1, -1, 0], [0, 2, 3], [1, -1, 0]])[: 2 if reduction == "none" else 3, :depth]
    module = agree(text, numbers("float", 2, 3, 4), indices, numbers("float", len(indices), *rest))
    x, other = torch.rand(2, 3, 4), torch.rand(2, 3, 4)
    given = torch.from_numpy(indices).contiguous(), torch.rand(len(indices), *rest)
    exports(module, (x, *given), ((0,), (), ()), (other.repeat(2, 1, 1), *given))


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_tensor_scatter(mode: str) -> None:
    """An operator of opset 24; the reference is a loop, as onnxruntime may not have it."""
    from graphopt.pytorch.functional.scatter import update_cache

    cache, updates = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 2, 4)
    starts = torch.tensor([1, 3 if mode == "linear" else 4])
    expected = cache.clone()
    for batch in range(2):
        for step in range(2):
            expected[batch, :, (starts[batch] + step) % 5] = updates[batch, :, step]
    assert torch.equal(update_cache(cache, updates, starts, is_circular=mode == "circular"), expected)
