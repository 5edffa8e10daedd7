"""The yardstick for ill-conditioned models: what rounding alone does to the original."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.execute import Oracle
from graphopt.execute.conditioning import rounding_noise
from graphopt.testing import parse_model


def cancelling(lines: str) -> ir.Model:
    """A model whose output is what rounding leaves of (s + 1000 - 1000) - s."""
    return parse_model(f"""g (float[64] x) => (float y) <float big = {{1000.0}}, float off = {{0.01}},
    float ulp = {{1.0000001}}> {{
        s = ReduceSum<keepdims = 0>(x) b = Add(s, big) c = Sub(b, big) {lines} }}""")


def test_a_well_conditioned_model_moves_by_a_few_units_in_the_last_place() -> None:
    model = parse_model("g (float[64] x) => (float[64] y) { y = Mul(x, x) }")
    x = np.linspace(1, 2, 64, dtype=np.float32)
    noise = rounding_noise(model, {"x": x}, {"y": x * x})
    assert 0 < noise["y"] < 2e-6


def test_a_difference_of_the_size_of_rounding_is_excused_and_named() -> None:
    original = cancelling("y = Sub(c, s)")
    rounded_otherwise = cancelling("t = Mul(s, ulp) d = Add(t, big) e = Sub(d, big) y = Sub(e, t)")
    result = Oracle(original).compare(rounded_otherwise)
    assert result.equal
    assert any("output 'y': differs by up to" in note for note in result.notes)


def test_a_real_difference_is_not_excused() -> None:
    result = Oracle(cancelling("y = Sub(c, s)")).compare(cancelling("d = Sub(c, s) y = Add(d, off)"))
    assert not result.equal


def test_a_tolerance_of_the_users_is_final() -> None:
    model = parse_model("g (float[4] x) => (float[4] y) { y = Exp(x) }")
    off = parse_model("g (float[4] x) => (float[4] y) <float f = {1.0000001}> { t = Exp(x) y = Mul(t, f) }")
    assert Oracle(model).compare(off).equal
    assert not Oracle(model, rtol=0.0, atol=0.0).compare(off).equal
