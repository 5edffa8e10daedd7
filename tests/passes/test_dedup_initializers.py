"""dedup-initializers: one of equal tensors, in every scope, compared bit by bit."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir

from graphopt.ir import graphs
from graphopt.pipeline import Pipeline
from graphopt.testing import parse_model, run_pass


def names(model: ir.Model) -> list[str]:
    return [name for graph in graphs(model) for name in graph.initializers]


def test_equal_tensors_are_one() -> None:
    text = """g (float[2] x) => (float[2] y)
        <float[2] a = {1, 2}, float[2] b = {1, 2}, float[2] c = {2, 1}> {
        p = Add(x, a) q = Mul(p, b) y = Sub(q, c)
    }"""
    run = run_pass(text, "dedup-initializers")
    assert names(run.model) == ["a", "c"]
    assert run.hits == {"equal initializer": 1}


def test_dtype_shape_and_sign_of_zero_count() -> None:
    text = """g (float[2] x) => (float[A, B] y)
        <float[2] a = {0, 0}, float[1, 2] b = {0, 0}, int32[2] c = {0, 0}, float[2] d = {1, 1}> {
        p = Add(x, a) q = Add(p, b) r = Cast<to = 1>(c) s = Add(q, r) y = Add(s, d)
    }"""
    model = parse_model(text)
    value = model.graph.initializers["d"]
    value.const_value = ir.tensor(np.array([-0.0, -0.0], np.float32), name="d")
    assert run_pass(model, "dedup-initializers").changes == 0


def test_tied_weights_of_two_branches_move_to_the_main_graph() -> None:
    text = """g (bool c, float[2] x) => (float[2] y) {
        y = If(c) <
            then_branch = t () => (float[2] u) <float[2] w = {1, 2}> { u = Add(x, w) },
            else_branch = e () => (float[2] v) <float[2] w = {1, 2}> { v = Sub(x, w) }
        >
    }"""
    run = run_pass(text, "dedup-initializers")
    assert len(names(run.model)) == 1 and len(run.model.graph.initializers) == 1


def test_a_body_uses_the_main_graph_s() -> None:
    text = """g (bool c, float[2] x) => (float[2] y) <float[2] a = {1, 2}> {
        z = If(c) <
            then_branch = t () => (float[2] u) <float[2] w = {1, 2}> { u = Add(x, w) },
            else_branch = e () => (float[2] v) { v = Neg(x) }
        >
        y = Add(z, a)
    }"""
    run = run_pass(text, "dedup-initializers")
    assert names(run.model) == ["a"]


def test_defaults_of_inputs_and_outputs_are_left_alone() -> None:
    text = """g (float[2] x, float[2] a) => (float[2] y, float[2] b)
        <float[2] a = {1, 2}, float[2] b = {1, 2}, float[2] c = {1, 2}> {
        p = Add(x, a) y = Add(p, c)
    }"""
    assert run_pass(text, "dedup-initializers").changes == 0


def test_min_bytes() -> None:
    text = """g (float[2] x) => (float[2] y) <float[2] a = {1, 2}, float[2] b = {1, 2}> {
        p = Add(x, a) y = Mul(p, b)
    }"""
    assert run_pass(text, "dedup-initializers{min_bytes=9}").changes == 0
    assert run_pass(text, "dedup-initializers{min_bytes=8}").changes == 1


def test_external_tensors(tmp_path: Path) -> None:
    text = """g (float[400] x) => (float[400] y) <float a = {1}, float b = {1}, float c = {1}> {
        p = Add(x, a) q = Add(p, b) y = Mul(q, c)
    }"""
    model = parse_model(text)
    for name, last in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        value = model.graph.initializers[name]
        array = np.ones(400, np.float32)
        array[-1] = last
        value.const_value, value.shape = ir.tensor(array, name=name), ir.Shape((400,))
    ir.save(model, tmp_path / "m.onnx", external_data="m.data", size_threshold_bytes=0)
    result = Pipeline.parse("dedup-initializers").run(ir.load(tmp_path / "m.onnx"))
    assert names(result.model) == ["a", "c"]
    onnx.checker.check_model(tmp_path / "m.onnx")


def test_strings_and_low_bits() -> None:
    text = """g (float[4] x) => (float[4] y) <float a = {1}, float b = {1}, float c = {1}, float d = {1}> {
        y = Neg(x)
    }"""
    model = parse_model(text, opset=21, ir_version=10)
    for name in "abcd":
        value = model.graph.initializers[name]
        if name in "ab":
            value.const_value = ir.StringTensor([b"ab", b"c"], shape=ir.Shape((2,)), name=name)
        else:
            value.const_value = ir.tensor(np.array([1, 2, 3], ml_dtypes.int4), name=name)
        value.shape, value.dtype = ir.Shape(value.const_value.shape.numpy()), value.const_value.dtype
    assert run_pass(model, "dedup-initializers").changes == 2


def test_running_statistics_that_training_overwrites_stay_by_themselves() -> None:
    text = """
    g (float[2,2] x) => (float[2,2] y, float[2] mean, float[2] var)
    <float[2] s = {0, 0}, float[2] b = {0, 0}, float[2] m = {0, 0}, float[2] v = {0, 0}>
    { y, mean, var = BatchNormalization <training_mode = 1> (x, s, b, m, v) }
    """
    run = run_pass(text, "dedup-initializers")
    assert names(run.model) == ["s", "m", "v"]
