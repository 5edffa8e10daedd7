"""Max and Min by a constant become Clip or Relu."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass

BITS = ("0", "48640", "16384", "64512")
"""0, -1.5, 2 and -inf in float16."""


@pytest.mark.parametrize("dtype", ["float", "float16", "double"])
@pytest.mark.parametrize(
    ("body", "ops"),
    [
        ("y = Max(x, zero)", ["Relu"]),
        ("y = Max(zero, x)", ["Relu"]),
        ("y = Max(x, low)", ["Clip"]),
        ("y = Min(high, x)", ["Clip"]),
        ("a = Max(x, low)  y = Min(a, high)", ["Clip"]),
        ("a = Min(x, high)  y = Max(low, a)", ["Clip"]),
        ("a = Max(x, zero)  y = Min(a, high)", ["Clip"]),
        ("y = Clip(x, zero)", ["Relu"]),
        ("a = Max(x, nothing)  y = Neg(a)", ["Neg"]),
    ],
)
def test_bounds(dtype: str, body: str, ops: list[str]) -> None:
    zero, low, high, nothing = BITS if dtype == "float16" else ("0.0", "-1.5", "2.0", "-inf")
    run = run_pass(
        f"""agraph ({dtype}[2,3] x) => ({dtype}[2,3] y) <
            {dtype} zero = {{{zero}}}, {dtype} low = {{{low}}}, {dtype}[1] high = {{{high}}},
            {dtype} nothing = {{{nothing}}}
        > {{ {body} }}""",
        "{bounds-to-clip,merge-clips}*",
    )
    assert run.ops == ops


def test_integers() -> None:
    run = run_pass("agraph (int64[4] x) => (int64[4] y) <int64 c = {1}> { y = Max(x, c) }", "bounds-to-clip")
    assert run.ops == ["Clip"]


def test_old_opsets() -> None:
    run = run_pass(
        "agraph (float[4] x) => (float[4] y) <float c = {1.0}> { y = Max(x, c) }", "bounds-to-clip", opset=10
    )
    assert run.ops == ["Clip"]


@pytest.mark.parametrize("text", ["float[2,1] c = {1.0, 1.0}", "float[1,3] c = {1.0, 1.0, 1.0}"])
def test_bounds_that_broadcast_stay(text: str) -> None:
    shape = "2,3" if "2,1" in text else "1,3"
    run = run_pass(
        f"agraph (float[3] x) => (float[{shape}] y) <{text}> {{ y = Max(x, c) }}", "bounds-to-clip"
    )
    assert run.refusals == {"bound-of-one-side: the constant may broadcast the other operand": 1}


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_bounds_that_are_no_numbers_stay(number: str) -> None:
    run = run_pass(
        f"agraph (float[3] x) => (float[3] y) <float c = {{{number}}}> {{ y = Max(x, c) }}", "bounds-to-clip"
    )
    assert not run.changes


@pytest.mark.parametrize("bounds", ["low", "zero, high", "low, high"])
def test_other_clips_stay(bounds: str) -> None:
    run = run_pass(
        f"""agraph (float[3] x) => (float[3] y) <
            float zero = {{0.0}}, float low = {{0.1}}, float high = {{6.0}}
        > {{ y = Clip(x, {bounds}) }}""",
        "bounds-to-clip",
    )
    assert not run.changes


def test_not_where_no_kernel_clips_such_numbers() -> None:
    run = run_pass(
        "g (double[3] x) => (double[3] y) <double c = {1.0}> { y = Max (x, c) }", "bounds-to-clip", opset=11
    )
    assert run.ops == ["Max"]
    (reason,) = run.refusals
    assert reason.endswith("onnxruntime has no Clip of DOUBLE at opset 11")


def in_a_map(dtype: str, body: str) -> str:
    return f"""g (seq({dtype}[2]) s) => (seq({dtype}[2]) r) <{dtype} c = {{0}}>
    {{ r = SequenceMap (s) <body = b ({dtype}[2] x) => ({dtype}[2] y) {{ {body} }}> }}"""


def test_nothing_that_is_a_function_within_a_function() -> None:
    """onnxruntime spells a Relu of half floats out at opset 18, and cannot in what it just spelled out."""
    run = run_pass(in_a_map("float16", "y = Max (x, c)"), "bounds-to-clip")
    assert run.ops == ["SequenceMap", "Max"]
    (reason,) = run.refusals
    assert reason.endswith("onnxruntime runs no Relu of FLOAT16 in a SequenceMap at opset 18")
    assert run_pass(in_a_map("float", "y = Max (x, c)"), "bounds-to-clip").ops == ["SequenceMap", "Relu"]
