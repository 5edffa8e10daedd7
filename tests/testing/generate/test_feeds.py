"""Inputs that a model was not grown with are only given to it where onnxruntime survives them."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest

from graphopt.testing.generate.feeds import _dies_of_nothing, _has_branches_of_unlike_ranks, _joins_fit

MODEL = onnx.parser.parse_model(
    """<ir_version: 8, opset_import: ["" : 18]> g (float[N,2] x, float[M,K] z) => (float[A,B] y)
    <float[1,2] c = {1, 2}> { n = Neg(z) y = Concat <axis = 0> (x, c, n) }"""
)


@pytest.mark.parametrize(("shape", "fits"), [((3, 2), True), ((0, 2), True), ((0, 3), False)])
def test_empty_operands_must_fit_as_well(shape: tuple[int, int], fits: bool) -> None:
    feed = {"x": np.ones((2, 2), np.float32), "z": np.ones(shape, np.float32)}
    assert _joins_fit(MODEL, feed) == fits


NORMALIZED = "InstanceNormalization(small, ones, ones)"


@pytest.mark.parametrize(
    ("node", "length", "dies"),
    [
        (NORMALIZED, 2, False),
        (NORMALIZED, 1, True),
        ("Unique(small)", 1, True),
        ("Softmax(small)", 1, False),
        ("ReduceMean <keepdims = 1> (small)", 1, True),
        ("local.Part(small, ones)", 2, True),
        (f"If(c) <then_branch = t () => (float[?] u) {{ u = {NORMALIZED} }},"
         " else_branch = e () => (float[?] v) { v = Neg(small) }>", 2, True),
    ],
)  # fmt: skip
def test_kernels_that_die_of_nothing_get_something(node: str, length: int, dies: bool) -> None:
    part = """<domain: "local", opset_import: ["" : 18]>
        Part (a, s) => (b) { b = InstanceNormalization(a, s, s) }"""
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18, "local" : 1]> g (float[1,2,N] x, bool c) => (y)
        <float[2] ones = {{1, 1}}, float[3] half = {{1, 1, 0.5}}>
        {{ small = Resize(x, , half) y = {node} }} {part if "local" in node else ""}"""
    )
    feed = {"x": np.ones((1, 2, length), np.float32), "c": np.array(False)}
    assert _dies_of_nothing(model, feed) == dies


@pytest.mark.parametrize(("declared", "unlike"), [("2", False), ("2,1", True)])
def test_branches_of_unlike_ranks_are_known(declared: str, unlike: bool) -> None:
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]> g (bool c, float[2] a, float[{declared}] b) => (y) {{
            s = If(c) <then_branch = t () => (float[2] u) {{ u = Neg(a) }},
                       else_branch = e () => (float[{declared}] v) {{ v = Neg(b) }}>
            y = Einsum <equation = "i->i"> (s)
        }}"""
    )
    assert _has_branches_of_unlike_ranks(model) == unlike
