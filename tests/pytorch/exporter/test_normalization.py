"""Normalizations: in each form ONNX has, back to ONNX, and gradients as PyTorch's modules have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.pytorch import to_fx, trace

HEADER = '<ir_version: 10, opset_import: ["": {opset}]>'


def numbers(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(list(shape)).standard_normal(shape).astype(dtype)


def norm(node: str, inputs: str, opset: int = 22) -> str:
    return f"{HEADER.format(opset=opset)} g({inputs}) => (float y) {{ y = {node} }}"


SAMPLES: dict[str, tuple[str, tuple[tuple[int, ...], ...]]] = {
    "InstanceNormalization(x, s, b)": (
        "float[N,4,H,W] x, float[4] s, float[4] b",
        ((2, 4, 5, 6), (4,), (4,)),
    ),
    "LayerNormalization(x, s, b)": ("float[N,L,4] x, float[4] s, float[4] b", ((2, 5, 4), (4,), (4,))),
    "LayerNormalization<axis=2>(x, s)": ("float[N,L,3,4] x, float[3,4] s", ((2, 5, 3, 4), (3, 4))),
    "LayerNormalization<axis=-2>(x, s)": ("float[N,L,3,4] x, float[1,4] s", ((2, 5, 3, 4), (1, 4))),
    "LRN<size=3,alpha=0.5,bias=1.5,beta=0.6>(x)": ("float[N,6,H,W] x", ((2, 6, 4, 5),)),
    "LpNormalization<axis=1>(x)": ("float[N,6,H] x", ((2, 6, 4),)),
    "LpNormalization<p=1>(x)": ("float[N,6,H] x", ((2, 6, 4),)),
    "MeanVarianceNormalization(x)": ("float[N,6,H,W] x", ((2, 6, 4, 5),)),
}


@pytest.mark.parametrize("node", SAMPLES)
def test_values_and_gradients(agree: Any, node: str) -> None:
    inputs, shapes = SAMPLES[node]
    module = agree(norm(node, inputs), *[numbers(*shape) for shape in shapes])
    operands = [torch.from_numpy(numbers(*shape)).double().requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(module, operands, fast_mode=True)


@pytest.mark.parametrize(
    ("node", "opset"),
    [("RMSNormalization(x, s)", 23), ("GroupNormalization<num_groups=2>(x, s, b)", 21)],
)
def test_newer_operators(agree: Any, node: str, opset: int) -> None:
    bias = ", float[4] b" if "b)" in node else ""
    inputs = f"float[N,4,4] x, float[4] s{bias}"
    agree(norm(node, inputs, opset), numbers(2, 4, 4), numbers(4), *([numbers(4)] if bias else []))


def test_one_scale_for_each_group(agree: Any) -> None:
    text = norm("GroupNormalization<num_groups=2>(x, s, b)", "float[N,4,H] x, float[2] s, float[2] b", 18)
    agree(text, numbers(2, 4, 5), numbers(2), numbers(2))


def test_an_even_window_reaches_further_on() -> None:
    x = torch.from_numpy(numbers(1, 5, 1, 1))
    y = to_fx(ir.from_onnx_text(norm("LRN<size=2,alpha=2.0,beta=1.0>(x)", "float[1,5,1,1] x")))(x)
    after = torch.cat([x[:, 1:], torch.zeros(1, 1, 1, 1)], 1)
    torch.testing.assert_close(y, x / (1 + x**2 + after**2))


@pytest.mark.parametrize("axis", [-1, 1])
def test_statistics_of_layers_are_outputs(agree: Any, axis: int) -> None:
    scale = (4,) if axis == -1 else (3, 4)
    outputs, names = "float y, float m, float d", "y, m, d"
    inputs = f"float[N,3,4] x, float{list(scale)} s"
    node = f"LayerNormalization<axis={axis}>(x, s)"
    text = f"{HEADER.format(opset=22)} g({inputs}) => ({outputs}) {{ {names} = {node} }}"
    agree(text, numbers(2, 3, 4), numbers(*scale))


def test_half_precision(agree: Any) -> None:
    inputs = "float16[N,5,8] x, float16[8] s, float16[8] b"
    text = f"{HEADER.format(opset=22)} g({inputs}) => (float16 y) {{ y = LayerNormalization(x, s, b) }}"
    agree(text, numbers(2, 5, 8, dtype="f2"), numbers(8, dtype="f2"), numbers(8, dtype="f2"))


BATCH = "float[N,4,H,W] x, float[4] s, float[4] b, float[4] m, float[4] v"


def test_batches_with_given_statistics(agree: Any) -> None:
    text = norm("BatchNormalization<epsilon=0.001>(x, s, b, m, v)", BATCH)
    operands = [numbers(2, 4, 3, 5), *[numbers(4) for _ in range(3)], abs(numbers(4)) + 0.5]
    module = agree(text, *operands, constant=("s", "b", "m", "v"))
    assert "batch_norm" in module.code
    assert {name for name, _ in module.named_parameters()} == {"s", "b"}
    assert {name for name, _ in module.named_buffers()} == {"m", "v"}


def test_gradients_reach_computed_statistics(agree: Any) -> None:
    operands = [numbers(2, 4, 3, 5), *[numbers(4) for _ in range(3)], abs(numbers(4)) + 0.5]
    module = agree(norm("BatchNormalization(x, s, b, m, v)", BATCH), *operands)
    inputs = [torch.from_numpy(each).double().requires_grad_() for each in operands]
    assert torch.autograd.gradcheck(module, inputs, fast_mode=True)


def test_batches_in_training(agree: Any) -> None:
    node = "BatchNormalization<training_mode=1,momentum=0.7>(x, s, b, m, v)"
    outputs = "float y, float mean, float variance"
    text = f"{HEADER.format(opset=22)} g({BATCH}) => ({outputs}) {{ y, mean, variance = {node} }}"
    operands = [numbers(2, 4, 3, 5), *[numbers(4) for _ in range(3)], abs(numbers(4)) + 0.5]
    module = agree(text, *operands)
    inputs = [torch.from_numpy(each).double().requires_grad_() for each in operands]
    assert torch.autograd.gradcheck(module, inputs, fast_mode=True)


def test_modules_come_back_as_the_same_operators_with_the_same_gradients() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.InstanceNorm2d(4, affine=True)
    ).eval()
    x = torch.randn(2, 3, 8, 9)
    traced = trace(net, (x,), ({0: "n", 2: "h", 3: "w"},))
    module = to_fx(traced)
    again = trace(module, (x,), ({0: "n", 2: "h", 3: "w"},))
    assert [node.op_type for node in again.graph] == [node.op_type for node in traced.graph]
    for each in (net, module):
        each(x).square().sum().backward()
    own = dict(net.named_parameters())
    assert own.keys() == dict(module.named_parameters()).keys()
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.grad, own[name].grad, rtol=1e-4, atol=1e-4)
