"""fuse-hard-sigmoid: the spelled-out forms become the operator; what is nearly one stays, with a reason."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass

FORM = """g (float[2,3] x, float[2,3] g) => (float[2,3] y)
<float b = {{{b}}}, float low = {{{low}}}, float high = {{{high}}}, float d = {{{d}}}> {{
    s = Add(x, b) c = Clip(s, low, high) {end} }}"""


def form(end: str, b: str = "3.0", low: str = "0.0", high: str = "6.0", d: str = "6.0") -> str:
    return FORM.format(end=end, b=b, low=low, high=high, d=d)


@pytest.mark.parametrize(
    ("end", "ops"),
    [
        ("y = Div(c, d)", ["HardSigmoid"]),
        ("m = Mul(x, c) y = Div(m, d)", ["HardSigmoid", "Mul"]),
        ("m = Mul(c, g) y = Div(m, d)", ["HardSigmoid", "Mul"]),
    ],
)
def test_spelled_out_forms_become_the_operator(end: str, ops: list[str]) -> None:
    assert run_pass(form(end), "fuse-hard-sigmoid").ops == ops


def test_other_slopes_are_found_too() -> None:
    run = run_pass(form("y = Div(c, d)", b="1.0", high="4.0", d="4.0"), "fuse-hard-sigmoid")
    attributes = run.node("HardSigmoid").attributes
    assert (attributes["alpha"].as_float(), attributes["beta"].as_float()) == (0.25, 0.25)


@pytest.mark.parametrize(
    "changed",
    [{"low": "-1.0"}, {"d": "6.001"}, {"high": "5.0"}, {"high": "-6.0", "d": "-6.0", "low": "-9.0"}],
)
def test_near_misses_stay(changed: dict[str, str]) -> None:
    run = run_pass(form("y = Div(c, d)", **changed), "fuse-hard-sigmoid")
    assert run.changes == 0
    assert run.refusals == {"fuse-clip-into-hard-sigmoid: the bounds are not 0 and the divisor": 1}


def test_a_clip_that_is_used_elsewhere_stays() -> None:
    text = form("z = Neg(c) m = Mul(z, x) k = Div(c, d) y = Add(k, m)")
    assert run_pass(text, "fuse-hard-sigmoid").changes == 0


def test_a_constant_per_channel_stays() -> None:
    text = """g (float[2,3] x) => (float[2,3] y)
    <float[3] b = {3.0, 2.0, 1.0}, float low = {0.0}, float high = {6.0}>
    { s = Add(x, b) c = Clip(s, low, high) y = Div(c, high) }"""
    run = run_pass(text, "fuse-hard-sigmoid")
    assert run.refusals == {"fuse-clip-into-hard-sigmoid: a constant is not one value": 1}


def test_a_constant_of_higher_rank_stays() -> None:
    text = """g (float[3] x) => (float[1,3] y) <float[1,1] b = {3.0}, float low = {0.0}, float high = {6.0}>
    { s = Add(x, b) c = Clip(s, low, high) y = Div(c, high) }"""
    run = run_pass(text, "fuse-hard-sigmoid")
    assert run.refusals == {"fuse-clip-into-hard-sigmoid: a constant may give the result more dimensions": 1}


def test_other_precisions_stay() -> None:
    run = run_pass(form("y = Div(c, d)").replace("float", "double"), "fuse-hard-sigmoid")
    assert run.refusals == {"fuse-clip-into-hard-sigmoid: onnxruntime has HardSigmoid for float32 alone": 1}
