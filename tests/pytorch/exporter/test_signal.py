"""Fourier transforms, windows and mel filters."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.pytorch import to_fx
from graphopt.pytorch.functional import signal

HEADER = '<ir_version: 10, opset_import: ["" : 20]>\n'
RNG = np.random.default_rng(0)


def random(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("inverse", [0, 1])
@pytest.mark.parametrize("length", ["", "n"])
def test_dft(parts: int, inverse: int, length: str, agree: Any) -> None:
    text = (
        HEADER
        + f"""
    graph (float[2,7,3,{parts}] x) => (float[a,b,c,d] y) <int64 n = {{5}}, int64 axis = {{1}}> {{
        y = DFT<inverse = {inverse}>(x, {length}, axis)
    }}"""
    )
    agree(text, random(2, 7, 3, parts))


def test_half_a_spectrum(agree: Any) -> None:
    text = (
        HEADER
        + """
    graph (float[2,8,1] x) => (float[2,5,2] y) { y = DFT<onesided = 1>(x) }"""
    )
    agree(text, random(2, 8, 1))
    x = torch.randn(2, 8, 1)
    back = signal.dft(signal.dft(x, onesided=True), inverse=True, onesided=True)
    torch.testing.assert_close(back, x)


@pytest.mark.parametrize("onesided", [0, 1])
def test_stft(onesided: int, agree: Any) -> None:
    text = (
        HEADER
        + f"""
    graph (float[2,50,1] x, float[16] w) => (float[a,b,c,d] y) <int64 step = {{5}}> {{
        y = STFT<onesided = {onesided}>(x, step, w)
    }}"""
    )
    agree(text, random(2, 50, 1), random(16))


@pytest.mark.parametrize("name", ["HannWindow", "HammingWindow", "BlackmanWindow"])
@pytest.mark.parametrize("periodic", [0, 1])
def test_windows(name: str, periodic: int, agree: Any) -> None:
    text = (
        HEADER
        + f"""
    graph (int64 n) => (float[a] y) {{ y = {name}<periodic = {periodic}>(n) }}"""
    )
    agree(text, np.array(10))


def test_mel_weights(agree: Any) -> None:
    text = (
        HEADER
        + """
    graph (int64 rate) => (float[33,20] y)
    <int64 b = {20}, int64 n = {64}, float low = {20.0}, float high = {3900.0}> {
        y = MelWeightMatrix(b, n, rate, low, high)
    }"""
    )
    agree(text, np.array(8000))


def test_transforms_are_differentiated() -> None:
    x = torch.randn(1, 12, 1, dtype=torch.float64, requires_grad=True)
    window = torch.rand(4, dtype=torch.float64)
    torch.autograd.gradcheck(lambda x: signal.stft(x, 3, window), (x,))


def test_steps_of_an_optimizer() -> None:
    text = """
    <ir_version: 10, opset_import: ["" : 20, "ai.onnx.preview.training" : 1]>
    graph (float r, int64 t, float[3] x, float[3] g, float[3] v, float[3] h)
        => (float[3] y, float[3] vn, float[3] hn)
    {
        y, vn, hn = ai.onnx.preview.training.Adam<alpha = 0.9, beta = 0.99>(r, t, x, g, v, h)
    }"""
    module = to_fx(ir.from_onnx_text(text))
    x = torch.randn(3, requires_grad=True)
    x.grad = torch.randn(3)
    zeros = torch.zeros(3)
    y, mean, squares = module(torch.tensor(0.1), torch.tensor(1), x.detach().clone(), x.grad, zeros, zeros)
    torch.optim.Adam([x], lr=0.1, betas=(0.9, 0.99), eps=1e-4).step()
    torch.testing.assert_close(y, x.detach(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(mean, 0.1 * x.grad)
    torch.testing.assert_close(squares, 0.01 * x.grad**2)
