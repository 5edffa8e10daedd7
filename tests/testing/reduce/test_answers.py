"""Answers that survive the process."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest

from graphopt.errors import UsageError
from graphopt.ir import nodes
from graphopt.testing import parse_model
from graphopt.testing.reduce import reduce

TEXT = "m (float[2] x) => (float[2] y) { a = Relu(x) b = Neg(a) c = Exp(b) y = Abs(c) }"


def test_what_was_asked_is_not_asked_again(tmp_path: Path) -> None:
    asked: list[int] = []

    def holds(model: ir.Model) -> bool:
        asked.append(1)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return any(node.op_type == "Neg" for node in nodes(model))

    state = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        reduce(parse_model(TEXT), holds, state=state)
    first = len(asked)
    resumed = reduce(parse_model(TEXT), holds, state=state)
    again = len(asked) - first
    asked[:] = [1] * 4
    whole = reduce(parse_model(TEXT), holds)
    assert ir.to_proto(resumed) == ir.to_proto(whole)
    assert again == len(asked) - 4 - (first - 1)
    asked[:] = [1] * 4
    reduce(parse_model(TEXT), holds, state=state)
    assert len(asked) == 4


def test_answers_about_another_model_are_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    reduce(parse_model(TEXT), lambda model: True, state=state)
    with pytest.raises(UsageError, match="belongs to another model"):
        reduce(parse_model(TEXT.replace("Relu", "Tanh")), lambda model: True, state=state)


def test_other_weights_make_another_model(tmp_path: Path) -> None:
    state = tmp_path / "state"
    text = "m (float[300] x) => (float[300] y) <float[300] w = {%s}> { y = Add(x, w) }"
    ones, twos = (parse_model(text % ", ".join([number] * 300)) for number in "12")
    reduce(ones, lambda model: True, state=state)
    with pytest.raises(UsageError, match="belongs to another model"):
        reduce(twos, lambda model: True, state=state)
