"""Outputs that depend on what the standard does not define need not agree; all others do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphopt.ir import infer_shapes
from graphopt.testing import PassFailure, check_pass, parse_model
from graphopt.testing.check.undefined import averages_nothing, is_undefined

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("body", "numbers", "undefined"),
    [
        ("y = Cast<to=6>(x)", [2.0**31 - 128, -(2.0**31), -0.5, 7.25], False),
        ("y = Cast<to=6>(x)", [2.0**31, 0, 0, 0], True),
        ("y = Cast<to=6>(x)", [NAN, 0, 0, 0], True),
        ("y = Cast<to=2>(x)", [-0.5, 255.5, 0, 0], False),
        ("y = Cast<to=2>(x)", [-1, 0, 0, 0], True),
        # Integers wrap; but what begins as a float may be cast at once.
        ("a = Cast<to=7>(x)  y = Cast<to=3>(a)", [100, -100, 0, 0], False),
        ("a = Cast<to=7>(x)  y = Cast<to=3>(a)", [1000, 0, 0, 0], True),
        ("a = Cast<to=7>(x)  b = Abs(a)  y = Cast<to=3>(b)", [1000, 0, 0, 0], False),
        ("a = Cast<to=11>(x)  y = Cast<to=6>(a)", [INF, 0, 0, 0], True),
        ("a = Cast<to=7>(x)  b = Shape(a)  y = Identity(x)", [NAN, 0, 0, 0], False),
        ("r = Reshape(x, grid)  p = MaxPool<kernel_shape=[2]>(r)  y = Neg(p)", [1, INF, 0, 0], False),
        ("r = Reshape(x, grid)  p = MaxPool<kernel_shape=[2]>(r)  y = Neg(p)", [1, NAN, 0, 0], True),
        # What is masked with -1e4 is meant to be below all scores.
        ("y = Softmax(x)", [-1e4, -1e6, -1e30, -3e4], True),
        ("y = Softmax(x)", [-1e4, -1e6, -1e20, -9e3], False),
        ("y = Softmax(x)", [-1e9, -1e9, -1e9, -1.5e9], False),
        ("y = Softmax(x)", [-INF, -INF, -1e4, -1e4], False),
        ("s = Where(c, x, low)  y = Softmax(s)", [1e30, 0, 0, 0], True),
        ("s = Where(c, x, low)  y = Softmax(s)", [1e20, 0, 0, 0], False),
        # In a body, odd numbers anywhere count.
        ("""y = If(c) <then_branch = t () => (int32[4] u) { u = Cast<to=6>(x) },
                       else_branch = e () => (int32[4] v) { v = Cast<to=6>(c) }>""", [NAN, 0, 0, 0], True),
        ("""y = If(c) <then_branch = t () => (int32[4] u) { u = Cast<to=6>(x) },
                       else_branch = e () => (int32[4] v) { v = Cast<to=6>(c) }>""", [1, 0, 0, 0], False),
    ],
)  # fmt: skip
def test_what_is_undefined(body: str, numbers: list[float], undefined: bool) -> None:
    model = parse_model(
        f"g (float[4] x, bool c) => (y) <int64[3] grid = {{1, 1, 4}}, float low = {{-10000}}> {{ {body} }}"
    )
    infer_shapes(model)
    inputs = {"x": np.array(numbers, np.float32), "c": np.array(True)}
    assert is_undefined(model, "y", inputs) == undefined


@pytest.mark.parametrize(("number", "undefined"), [(1.0, False), (NAN, True)])
def test_functions_are_looked_into(number: float, undefined: bool) -> None:
    model = parse_model("""<ir_version: 9, opset_import: ["" : 18, "f" : 1]>
        g (float[1] x) => (int32[1] y) { y = f.whole(x) }
        <domain: "f", opset_import: ["" : 18]> whole (a) => (b) { b = Cast<to=6>(a) }""")
    infer_shapes(model)
    assert is_undefined(model, "y", {"x": np.array([number], np.float32)}) == undefined


def becomes(text: str) -> Any:
    """A function that puts another model in the place of the one it is given."""
    return lambda model: parse_model(text)


PAIR = "g (float[4] x) => (int32[4] y) {{ {} }}"
CHAIN = "a = Cast<to=7>(x)  b = Cast<to=12>(a)  y = Cast<to=6>(b)"


def test_casts_of_nan_may_be_merged_and_others_are_looked_at() -> None:
    inputs = [{"x": np.array([NAN, 100.5, 200.5, 300.5], np.float32)}]
    check_pass("merge-casts", PAIR.format(CHAIN), inputs=inputs)
    wrong = "a = Neg(x)  y = Cast<to=6>(a)"
    with pytest.raises(PassFailure, match="output 'y'"):
        check_pass(becomes(PAIR.format(wrong)), PAIR.format(CHAIN), inputs=inputs)


def test_a_max_pool_without_its_indices_may_see_nan_otherwise() -> None:
    text = "g (float[1,1,4,3] x) => (float[1,1,2,2] y) { y, i = MaxPool <kernel_shape = [3, 2]> (x) }"
    x = np.arange(12, dtype=np.float32).reshape(1, 1, 4, 3)
    x[0, 0, 0, 1] = NAN
    assert check_pass("dce", text, inputs=[{"x": x}]).changes == 1


@pytest.mark.parametrize(("height", "empty"), [(2, False), (0, True)])
def test_means_of_nothing_are_seen(height: int, empty: bool) -> None:
    model = parse_model(
        "g (float[1,1,h,1] x) => (float[1,1,1,1] y) { a = Neg(x) y = ReduceMean <axes = [2, 3]> (a) }",
        opset=13,
    )
    infer_shapes(model)
    inputs = {"x": np.ones((1, 1, height, 1), np.float32)}
    assert averages_nothing(model, inputs) == empty
    run = check_pass("reduce-mean-to-pool", model, inputs=[inputs])
    assert ("numbers" in run.unchecked) == empty


def test_norms_of_nothing_are_not_run() -> None:
    """onnxruntime ends the process in an InstanceNormalization of nothing."""
    text = """g (float[1,2,1,3] x) => (float[1,2,h,w] y) <float e = {1e-6}, float two = {2}> {
        p = MaxPool <kernel_shape = [3,1], strides = [2,2], ceil_mode = 1> (x)
        m = ReduceMean <axes = [-2,-1]> (p)  s = Sub(p, m)  q = Pow(s, two)
        v = ReduceMean <axes = [-2,-1]> (q)  a = Add(v, e)  r = Sqrt(a)  y = Div(s, r) }"""
    model = parse_model(text, opset=17)
    infer_shapes(model)
    run = check_pass("fuse-norm", model, inputs=[{"x": np.ones((1, 2, 1, 3), np.float32)}])
    assert run.changes and "numbers" in run.unchecked
