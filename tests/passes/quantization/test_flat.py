"""Ranges leave out what the readers of a value do not tell apart, and nothing else."""

from __future__ import annotations

import pytest

from graphopt.ir import infer_shapes
from graphopt.passes.quantization._flat import told_apart
from graphopt.testing import parse_model


def _kept(body: str, low: float = -20.0, high: float = 10.0, outputs: str = "float[4] y") -> list[float]:
    model = parse_model(f"agraph (float[4] x) => ({outputs}) {{ {body} }}", opset=20)
    infer_shapes(model)
    return [round(end, 1) for end in told_apart(model.graph.inputs[0], (low, high))]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = Relu(x)", [0.0, 10.0]),
        ("y = HardSwish(x)", [-3.0, 10.0]),
        ("y = HardSigmoid(x)", [-2.5, 2.5]),
        ("y = Tanh(x)", [-2.3, 2.0]),
        ("y = Gelu(x)", [-2.3, 10.0]),
        ('y = Gelu <approximate = "tanh"> (x)', [-2.3, 10.0]),
        ("s = Sigmoid(x) y = Mul(x, s)", [-5.1, 10.0]),
        ("s = Sigmoid(x) y = Mul(s, x)", [-5.1, 10.0]),
        ("y = Abs(x)", [-20.0, 10.0]),
        ("y = Identity(x)", [-20.0, 10.0]),
    ],
)
def test_flat_ends_are_left_out(body: str, expected: list[float]) -> None:
    assert _kept(body) == pytest.approx(expected, abs=0.11)


def test_a_range_within_is_kept() -> None:
    assert _kept("y = HardSwish(x)", -1.0, 2.0) == [-1.0, 2.0]
    assert _kept("y = Tanh(x)", -0.5, 0.0) == [-0.5, 0.0]


def test_all_readers_count() -> None:
    assert _kept("a = HardSwish(x) b = HardSigmoid(x) y = Add(a, b)") == [-3.0, 10.0]
    assert _kept("a = HardSwish(x) b = Neg(x) y = Add(a, b)") == [-20.0, 10.0]


def test_a_sigmoid_that_others_read_is_none_of_a_swish() -> None:
    low, high = _kept("s = Sigmoid(x) y = Mul(x, s)", outputs="float[4] y, float[4] s")
    assert (low, high) == pytest.approx((-5.1, 10.0), abs=0.6)
    low, _ = _kept("s = Sigmoid(x) t = Neg(x) y = Mul(t, s)")
    assert low == -20.0
