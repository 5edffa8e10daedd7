"""Grids, regions of interest and losses as onnxruntime computes them, and differentiable."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.errors import TranslationError
from graphopt.pytorch import to_fx

HEADER = '<ir_version: 10, opset_import: ["": 20]>'


def numbers(*shape: int, low: float = -1, high: float = 1) -> Any:
    return np.random.default_rng(list(shape)).uniform(low, high, shape).astype(np.float32)


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_grids(agree: Any, mode: str) -> None:
    forms = [(padding, corners) for padding in ("zeros", "border", "reflection") for corners in (0, 1)]
    nodes = "\n".join(
        f"{padding}{corners} = GridSample"
        f'<mode="{mode}",padding_mode="{padding}",align_corners={corners}>(x, grid)'
        for padding, corners in forms
    )
    outputs = ", ".join(f"float {padding}{corners}" for padding, corners in forms)
    text = f"{HEADER} g(float[N,2,H,W] x, float[N,P,Q,2] grid) => ({outputs}) {{ {nodes} }}"
    agree(text, numbers(2, 2, 6, 8), numbers(2, 4, 5, 2, low=-1.4, high=1.4))


def test_grids_in_volumes(agree: Any) -> None:
    text = f"{HEADER} g(float[N,2,D,H,W] x, float[N,P,Q,R,3] grid) => (float y) {{ y = GridSample(x, grid) }}"
    agree(text, numbers(2, 2, 4, 5, 6), numbers(2, 3, 4, 2, 3, low=-1.2, high=1.2))


def test_cubic_volumes_are_refused() -> None:
    text = f"""{HEADER} g(float[1,2,3,3,3] x, float[1,2,2,2,3] grid) => (float y) {{
        y = GridSample<mode="cubic">(x, grid)
    }}"""
    with pytest.raises(TranslationError, match="cubic interpolation of volumes"):
        to_fx(ir.from_onnx_text(text))


@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize(("theta", "size"), [("2,3", "2, 3, 5, 6"), ("3,4", "2, 3, 5, 6, 4")])
def test_affine_grids(agree: Any, corners: int, theta: str, size: str) -> None:
    rank = size.count(",") + 1
    node = f"AffineGrid<align_corners={corners}>(theta, size)"
    given = f"int64[{rank}] size = {{{size}}}"
    text = f"{HEADER} g(float[N,{theta}] theta) => (float grid) <{given}> {{ grid = {node} }}"
    agree(text, numbers(2, *(int(n) for n in theta.split(","))))


def regions(count: int) -> Any:
    corners = numbers(count, 2, low=0, high=12)
    return np.concatenate([corners, corners + numbers(count, 2, low=0.5, high=9)], axis=1)


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_aligned_regions(agree: Any, mode: str) -> None:
    size = f'mode="{mode}",output_height=2,output_width=3,spatial_scale=0.5'
    forms = {
        f"y{ratio}_{corner}": f'sampling_ratio={ratio},coordinate_transformation_mode="{corner}"'
        for ratio in (0, 2)
        for corner in ("half_pixel", "output_half_pixel")
    }
    nodes = "\n".join(f"{name} = RoiAlign<{size},{form}>(x, rois, images)" for name, form in forms.items())
    outputs = ", ".join(f"float {name}" for name in forms)
    inputs = "float[N,2,H,W] x, float[R,4] rois, int64[R] images"
    text = f"{HEADER} g({inputs}) => ({outputs}) {{ {nodes} }}"
    module = agree(text, numbers(2, 2, 6, 8), regions(3), np.array([0, 1, 1]))
    x = torch.from_numpy(numbers(2, 2, 6, 8)).double().requires_grad_()
    rois = torch.from_numpy(regions(3)).double()
    assert torch.autograd.gradcheck(lambda x: module(x, rois, torch.tensor([0, 1, 1])), x, fast_mode=True)


def test_aligned_regions_of_any_number_come_back(come_back: Any) -> None:
    node = "RoiAlign<sampling_ratio=2,output_height=2,output_width=3,spatial_scale=0.5>(x, rois, images)"
    inputs = "float[N,2,H,W] x, float[R,4] rois, int64[R] images"
    text = f"{HEADER} g({inputs}) => (float y) {{ y = {node} }}"
    first = [numbers(2, 2, 6, 8), regions(3), np.array([0, 1, 1])]
    come_back(text, first, [numbers(3, 2, 7, 5), regions(4), np.array([2, 0, 1, 1])])


def test_pooled_regions() -> None:
    """Which onnxruntime does not run: cells of whole elements, the outermost ones included."""
    text = f"""{HEADER} g(float[N,2,H,W] x, float[R,5] rois) => (float y) {{
        y = MaxRoiPool<pooled_shape=[2,2]>(x, rois)
    }}"""
    x = torch.arange(48.0).reshape(1, 2, 4, 6)
    y = to_fx(ir.from_onnx_text(text))(x, torch.tensor([[0.0, 1, 0, 4, 3], [0, 5, 3, 9, 9]]))
    assert y[0, 0].tolist() == [[8, 10], [20, 22]]
    assert y[1, 1].tolist() == [[47, 0], [0, 0]]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("ignored", ["", ",ignore_index=1"])
def test_losses(agree: Any, reduction: str, ignored: str) -> None:
    text = f"""{HEADER} g(float[N,4,H] x, int64[N,H] t, float[4] w) => (float a, float b, float c) {{
        a = NegativeLogLikelihoodLoss<reduction="{reduction}"{ignored}>(x, t, w)
        b, c = SoftmaxCrossEntropyLoss<reduction="{reduction}"{ignored}>(x, t, w)
    }}"""
    labels = np.random.default_rng(0).integers(0, 4, (2, 5))
    agree(text, numbers(2, 4, 5), labels, numbers(4, low=0.5))
