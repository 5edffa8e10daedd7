"""What cannot be traced is told by the user's line, with a remedy; the cause is kept."""
# mypy: allow-subclassing-any

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import graphopt
from graphopt.errors import TraceError

HERE = "test_failures.py"


class Runs(nn.Module):
    """A module whose forward is a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def failure(module: nn.Module, *args: Any) -> TraceError:
    with pytest.raises(TraceError) as caught:
        graphopt.trace(module, args)
    return caught.value


def branches(x: Tensor) -> Tensor:
    if x.sum() > 0:
        return x
    return -x


def loops(x: Tensor) -> Tensor:
    while x.sum() < 10:
        x = x + 1
    return x


def counts(x: Tensor) -> Tensor:
    for _ in range(int(x[0])):
        x = x + 1
    return x


def sizes(x: Tensor) -> Tensor:
    kept = x[x > 0]
    if kept.shape[0] > 3:
        kept = kept * 2
    return kept


@pytest.mark.parametrize(
    ("function", "line", "problem", "remedy"),
    [
        (branches, "if x.sum() > 0:", "branches on the values of a tensor", "torch.where"),
        (loops, "while x.sum() < 10:", "loops until the values of a tensor say stop", "torch.while_loop"),
        (counts, "for _ in range(int(x[0])):", "takes a number out of a tensor", "torch._check"),
        (sizes, "if kept.shape[0] > 3:", "a size that only the data decides", "torch._check(y.shape[0] > 3)"),
    ],
)
def test_what_depends_on_data(function: Callable[..., Any], line: str, problem: str, remedy: str) -> None:
    error = failure(Runs(function), torch.ones(4))
    assert f"Runs cannot be traced: `{line}` " in error.message and problem in error.message
    assert f"{HERE}:" in error.message and f", in {function.__name__})" in error.message
    assert error.hint is not None and remedy in error.hint
    assert error.__cause__ is not None


def takes_numpy(x: Tensor) -> Tensor:
    return torch.from_numpy(np.tanh(x.numpy()))


def test_what_only_an_analysis_of_the_code_can_take() -> None:
    assert len(graphopt.trace(Runs(takes_numpy), torch.ones(4)).graph.outputs) == 1


def test_a_forward_that_fails_by_itself() -> None:
    error = failure(nn.Linear(3, 2), torch.ones(4, 5))
    assert "its forward fails on the example inputs: RuntimeError: mat1 and mat2" in error.message
    assert isinstance(error.__cause__, RuntimeError)


def test_too_few_arguments() -> None:
    error = failure(nn.Bilinear(2, 2, 1), torch.ones(1, 2))
    assert "Bilinear.forward(input1: torch.Tensor, input2: torch.Tensor)" in error.message
    assert "(<Tensor>): missing a required argument: 'input2'" in error.message


class Opaque:
    def __init__(self, value: Tensor) -> None:
        self.value = value


def test_objects_that_torch_cannot_see_into() -> None:
    error = failure(Runs(lambda x: Opaque(x)), torch.ones(2))
    assert error.message == "a result of Runs is a Opaque, whose tensors torch cannot see"
    error = failure(Runs(lambda x: x.value), Opaque(torch.ones(2)))
    assert error.message == "an argument of Runs is a Opaque, whose tensors torch cannot see"


def test_no_tensor_among_the_results() -> None:
    assert "returns no tensor" in failure(Runs(lambda x: 3), torch.ones(2)).message


class Unknown(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        first = torch.linalg.svd(x)[1]
        second = torch.cummax(x, 0)[0]
        return first + second + torch.special.i0(x)


def test_every_operator_without_a_translation_is_named_with_its_line_and_a_remedy() -> None:
    error = failure(Unknown(), torch.randn(3, 3))
    first, *operators = error.message.splitlines()
    assert first == "Unknown cannot be translated: 3 operators have no ONNX form"
    start = Unknown.forward.__code__.co_firstlineno
    for number, (line, name) in enumerate(
        zip(operators, ("aten._linalg_svd", "aten.cummax", "prims.bessel_i0"), strict=True), start + 1
    ):
        assert line.strip().startswith(name) and f"{HERE}:{number}, in forward)" in line
    assert error.hint is not None and "masked_fill" in error.hint
    assert "custom_translation_table={torch.ops.aten._linalg_svd.default: function}" in error.hint
