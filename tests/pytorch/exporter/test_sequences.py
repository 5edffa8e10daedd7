"""Sequences as lists and optional values, as onnxruntime has them; strings are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.errors import TranslationError
from graphopt.pytorch import to_fx

ORDINARY = {
    "at": "s = SequenceConstruct(x, z)  y = SequenceAt(s, i)",
    "inserted": "s = SequenceConstruct(x)  t = SequenceInsert(s, z, i)  y = ConcatFromSequence<axis = 0>(t)",
    "appended": "s = SequenceConstruct(x)  t = SequenceInsert(s, z)  y = ConcatFromSequence<axis = 1>(t)",
    "erased": "s = SequenceConstruct(x, z)  t = SequenceErase(s, i)  y = ConcatFromSequence<axis = 0>(t)",
    "empty": "s = SequenceEmpty<dtype = 1>()  t = SequenceInsert(s, z)  y = SequenceAt(t, i)",
    "split": "s = SplitToSequence<axis = 1>(x, two)  y = SequenceAt(s, i)",
    "split unevenly": "s = SplitToSequence<axis = 1>(x, parts)  y = SequenceAt(s, i)",
    "kept": "s = Identity(s0)  y = SequenceAt(s, i)",
}
CONSTANTS = "<int64 two = {2}, int64[2] parts = {1, 4}>"


def graph(body: str, output: str) -> str:
    if "s0" in body:
        body = "s0 = SequenceConstruct(x, z)  " + body
    inputs = "float[A,5] x, float[B,5] z, int64 i"
    return f'<ir_version: 10, opset_import: ["": 21]> g({inputs}) => ({output}) {CONSTANTS} {{ {body} }}'


@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.parametrize("place", [0, -1])
def test_sequences(agree: Any, name: str, place: int) -> None:
    x, z = (np.random.default_rng(seed).normal(size=(3, 5)).astype(np.float32) for seed in (0, 1))
    agree(graph(ORDINARY[name], "float[n,m] y"), x, z, np.array(place))


@pytest.mark.parametrize(
    ("body", "output"),
    [
        ("s = SequenceConstruct(x, z)  y = ConcatFromSequence<axis = 0, new_axis = 1>(s)", "float[n,m,k] y"),
        ("s = SplitToSequence<axis = 0, keepdims = 0>(x)  y = SequenceAt(s, i)", "float[n] y"),
        ("s = SequenceConstruct(x, z, x)  y = SequenceLength(s)", "int64 y"),
    ],
)
def test_results_of_other_ranks(agree: Any, body: str, output: str) -> None:
    x, z = (np.random.default_rng(seed).normal(size=(3, 5)).astype(np.float32) for seed in (0, 1))
    agree(graph(body, output), x, z, np.array(1))


def test_sequences_are_exported_and_differentiable(exports: Any) -> None:
    body = "s = SequenceConstruct(x, z)  t = SequenceInsert(s, z)  y = ConcatFromSequence<axis = 0>(t)"
    module = to_fx(ir.from_onnx_text(graph(body, "float[n,m] y")))
    examples = torch.randn(2, 5), torch.randn(3, 5), torch.tensor(0)
    exports(module, examples, ((0,), (0,), ()), (torch.randn(4, 5), torch.randn(1, 5), torch.tensor(0)))
    x = torch.randn(2, 5, requires_grad=True)
    module(x, *examples[1:]).sum().backward()
    assert x.grad is not None


def test_strings_are_refused_by_name() -> None:
    text = (
        '<ir_version: 10, opset_import: ["": 21]> g(string[N] x) => (string[N] y) { y = StringNormalizer(x) }'
    )
    with pytest.raises(TranslationError, match="StringNormalizer"):
        to_fx(ir.from_onnx_text(text))
