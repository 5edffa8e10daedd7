"""Matrix products, Gemm in all its forms, Einsum, determinants, and random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.pytorch import to_fx

HEADER = '<ir_version: 10, opset_import: ["": 22]>'
NUMPY = {"float": "f4", "double": "f8", "int32": "i4", "uint32": "u4", "uint64": "u8", "float16": "f2"}


def numbers(shape: tuple[int, ...], dtype: str = "float") -> Any:
    return np.random.default_rng(sum(shape)).uniform(1, 5, shape).astype(NUMPY[dtype])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 5)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((4,), (4,)),
        ((2, 3, 4), (4, 5)),
        ((2, 1, 3, 4), (5, 4, 2)),
    ],
)
@pytest.mark.parametrize("dtype", ["float", "int32", "uint64"])
def test_matrix_products(agree: Any, a: tuple[int, ...], b: tuple[int, ...], dtype: str) -> None:
    text = f"{HEADER} g({dtype}{list(a)} a, {dtype}{list(b)} b) => ({dtype} y) {{ y = MatMul(a, b) }}"
    agree(text, numbers(a, dtype), numbers(b, dtype))


@pytest.mark.parametrize("left", [0, 1])
@pytest.mark.parametrize("right", [0, 1])
@pytest.mark.parametrize("bias", [None, (5,), (1, 5), (3, 5), (3, 1), (1,), ()])
def test_gemm(agree: Any, left: int, right: int, bias: tuple[int, ...] | None) -> None:
    a, b = numbers((4, 3) if left else (3, 4)), numbers((5, 4) if right else (4, 5))
    given = "a, b" if bias is None else "a, b, c"
    extra = "" if bias is None else f", float{list(bias)} c"
    for scales in ("", ",alpha=0.5,beta=2.0", ",beta=0.0"):
        text = f"""{HEADER} g (float{list(a.shape)} a, float{list(b.shape)} b{extra}) => (float[3,5] y) {{
            y = Gemm<transA={left},transB={right}{scales}>({given})
        }}"""
        arrays = [a, b] if bias is None else [a, b, numbers(bias)]
        agree(text, *arrays)
        agree(text, *arrays, constant=("b",) if bias is None else ("b", "c"))


def test_a_layer_is_spoken_as_a_linear_layer() -> None:
    text = f"""{HEADER} g (float[N,4] x) => (float[N,2] y)
    <float[2,4] weight = {{1, 2, 3, 4, 5, 6, 7, 8}}, float[2] bias = {{1, 2}}> {{
        y = Gemm<transB=1>(x, weight, bias)
    }}"""
    module = to_fx(ir.from_onnx_text(text))
    assert "torch._C._nn.linear(x, weight, bias)" in module.code
    assert sorted(name for name, _ in module.named_parameters()) == ["bias", "weight"]


@pytest.mark.parametrize("dtype", ["int32", "uint32", "float16", "double"])
def test_gemm_of_other_types(agree: Any, dtype: str) -> None:
    text = f"""{HEADER} g ({dtype}[3,4] a, {dtype}[5,4] b, {dtype}[5] c) => ({dtype}[3,5] y) {{
        y = Gemm<transB=1>(a, b, c)
    }}"""
    agree(text, numbers((3, 4), dtype), numbers((5, 4), dtype), numbers((5,), dtype))


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(3, 4), (4, 5)]),
        ("bhid,bhjd->bhij", [(1, 2, 3, 4), (1, 2, 5, 4)]),
        ("...ij->...ji", [(2, 3, 4)]),
        ("ii->i", [(3, 3)]),
        ("ii", [(3, 3)]),
        ("i j, j k", [(3, 4), (4, 5)]),
        ("i,j", [(3,), (4,)]),
        ("ij->", [(3, 4)]),
    ],
)
@pytest.mark.parametrize("dtype", ["float", "int32"])
def test_einsum(agree: Any, equation: str, shapes: list[tuple[int, ...]], dtype: str) -> None:
    names = [f"x{index}" for index in range(len(shapes))]
    given = ", ".join(f"{dtype}{list(shape)} {name}" for name, shape in zip(names, shapes, strict=True))
    text = f'{HEADER} g({given}) => ({dtype} y) {{ y = Einsum<equation="{equation}">({", ".join(names)}) }}'
    agree(text, *[numbers(shape, dtype) for shape in shapes])


@pytest.mark.parametrize("dtype", ["float", "float16"])
def test_determinants(agree: Any, dtype: str) -> None:
    array = np.random.default_rng(0).standard_normal((2, 3, 3)).astype(NUMPY[dtype])
    agree(f"{HEADER} g ({dtype}[N,3,3] x) => ({dtype}[N] y) {{ y = Det(x) }}", array)


@pytest.mark.parametrize(
    ("node", "shapes"),
    [
        ("MatMul(a, b)", [(2, 3, 4), (4, 5)]),
        ("Gemm<transA=1, alpha=0.5, beta=2.0>(a, b, c)", [(4, 3), (4, 5), (1, 5)]),
        ("Gemm<transB=1>(a, b, c)", [(3, 4), (5, 4), (5,)]),
        ('Einsum<equation="bij,bjk->bik">(a, b)', [(2, 3, 4), (2, 4, 5)]),
        ("Det(a)", [(2, 3, 3)]),
    ],
)
def test_gradients(node: str, shapes: list[tuple[int, ...]]) -> None:
    given = ", ".join(f"double{list(shape)} {name}" for name, shape in zip("abc", shapes, strict=False))
    module = to_fx(ir.from_onnx_text(f"{HEADER} g({given}) => (double y) {{ y = {node} }}"))
    tensors = [torch.from_numpy(numbers(shape, "double")).requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(module, tensors, fast_mode=True)


def drawn(node: str, *tensors: torch.Tensor, inputs: str = "", output: str = "float") -> torch.Tensor:
    torch.manual_seed(0)
    module = to_fx(ir.from_onnx_text(f"{HEADER} g({inputs}) => ({output} y) {{ y = {node} }}"))
    result: torch.Tensor = module(*tensors)
    return result


def test_normal_and_uniform_numbers_have_their_distribution() -> None:
    normal = drawn("RandomNormal<shape=[100, 100], mean=3.0, scale=2.0>()")
    assert normal.shape == (100, 100) and normal.dtype == torch.float32
    assert abs(normal.mean() - 3) < 0.1 and abs(normal.std() - 2) < 0.1
    uniform = drawn("RandomUniform<shape=[10000], low=2.0, high=5.0, dtype=11>()", output="double")
    assert uniform.dtype == torch.float64 and uniform.min() >= 2 and uniform.max() < 5
    assert abs(uniform.mean() - 3.5) < 0.1


def test_numbers_like_others_take_their_shape_and_a_type() -> None:
    like = torch.zeros(50, 70, dtype=torch.int32)
    found = drawn("RandomNormalLike<dtype=10>(x)", like, inputs="int32[N,M] x", output="float16[N,M]")
    assert found.shape == like.shape and found.dtype == torch.float16
    found = drawn("RandomUniformLike(x)", like.double(), inputs="double[N,M] x", output="double[N,M]")
    assert found.shape == like.shape and found.dtype == torch.float64 and 0 <= found.min() <= found.max() < 1


def test_bernoulli_and_multinomial_follow_the_probabilities() -> None:
    found = drawn("Bernoulli<dtype=9>(x)", torch.full((10000,), 0.3), inputs="float[N] x", output="bool[N]")
    assert found.dtype == torch.bool and abs(found.float().mean() - 0.3) < 0.02
    logarithms = torch.log(torch.tensor([[0.1, 0.2, 0.7]])) + 5
    found = drawn("Multinomial<sample_size=10000>(x)", logarithms, inputs="float[N,3] x", output="int32[N,K]")
    assert found.dtype == torch.int32 and found.shape == (1, 10000)
    assert (torch.bincount(found[0]) / 10000 - torch.tensor([0.1, 0.2, 0.7])).abs().max() < 0.02


DROPOUT = (
    HEADER
    + """ g (float[N] x, bool training) => (float[N] y, bool[N] kept)
<float ratio = {0.25}> { y, kept = Dropout(x, ratio, training) }"""
)


def test_dropout_drops_only_while_training() -> None:
    module, x = to_fx(ir.from_onnx_text(DROPOUT)), torch.ones(10000, requires_grad=True)
    torch.manual_seed(0)
    y, kept = module(x, torch.tensor(True))
    assert abs(kept.float().mean() - 0.75) < 0.02
    torch.testing.assert_close(y, torch.where(kept, x / 0.75, 0))
    y.sum().backward()
    torch.testing.assert_close(x.grad, kept / 0.75)
    y, kept = module(x, torch.tensor(False))
    assert torch.equal(y, x) and kept.all()
    plain = to_fx(ir.from_onnx_text(DROPOUT.replace(", bool training", "").replace(", training)", ")")))
    assert torch.equal(plain(x)[0], x) and plain(x)[1].all()
