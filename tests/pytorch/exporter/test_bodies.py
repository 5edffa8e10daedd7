"""Operators without a translation become the body that the standard gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.errors import TranslationError
from graphopt.pytorch import to_fx
from graphopt.pytorch.exporter import registry

HEADER = '<ir_version: 10, opset_import: ["" : {opset}]>\n'
RNG = np.random.default_rng(0)


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that takes an operator's translation away for one test."""
    return lambda op_type: monkeypatch.delitem(registry.translations(), ("", op_type))


CASES = [
    ("Celu", "<alpha = 0.7>(x)"),
    ("HardSwish", "(x)"),
    ("LogSoftmax", "<axis = 0>(x)"),
    ("MeanVarianceNormalization", "<axes = [0, 1]>(x)"),
    ("Mish", "(x)"),
    ("Shrink", "<lambd = 0.2, bias = 0.1>(x)"),
    ("ThresholdedRelu", "(x)"),
]


@pytest.mark.parametrize(("op_type", "arguments"), CASES)
def test_bodies_that_are_fixed_or_made_for_the_node(
    op_type: str, arguments: str, forget: Any, agree: Any
) -> None:
    forget(op_type)
    text = f"graph (float[3,n] x) => (float[3,n] y) {{ y = {op_type}{arguments} }}"
    agree(HEADER.format(opset=18) + text, RNG.standard_normal((3, 5)).astype(np.float32))


def test_bodies_of_bodies(forget: Any, agree: Any) -> None:
    """LayerNormalization's body casts as CastLike does, which has a body too."""
    forget("LayerNormalization")
    forget("Swish")
    text = (
        HEADER.format(opset=17)
        + """
    graph (float[3,4] x, float[4] s, float[4] b) => (float[3,4] y) { y = LayerNormalization(x, s, b) }"""
    )
    agree(text, *(RNG.standard_normal(shape).astype(np.float32) for shape in ((3, 4), (4,), (4,))))


def test_a_body_inside_a_branch(forget: Any) -> None:
    forget("Celu")
    text = (
        HEADER.format(opset=18)
        + """
    graph (bool c, float[n] x) => (float[m] y) {
        y = If(c) <then_branch = t () => (float[m] a) { a = Celu(x) },
                   else_branch = e () => (float[m] b) { b = Relu(x) }>
    }"""
    )
    module = to_fx(ir.from_onnx_text(text))
    x = torch.tensor([-1.0, 2.0])
    torch.testing.assert_close(module(torch.tensor(True), x), torch.celu(x))
    torch.testing.assert_close(module(torch.tensor(False), x), torch.relu(x))


def test_what_is_missing_after_expansion_is_named(forget: Any) -> None:
    """A body whose own operators have no translation tells of those."""
    forget("Mish")
    forget("Tanh")
    text = "graph (float[3] x) => (float[3] y) { y = Mish(x) }"
    with pytest.raises(TranslationError, match="no translation to PyTorch for Tanh"):
        to_fx(ir.from_onnx_text(HEADER.format(opset=18) + text))


def test_the_model_stays_as_it_is(forget: Any) -> None:
    forget("Mish")
    text = "graph (float[3] x) => (float[3] y) { y = Mish(x) }"
    model = ir.from_onnx_text(HEADER.format(opset=18) + text)
    to_fx(model)
    assert [node.op_type for node in model.graph] == ["Mish"]
    assert not model.functions
