"""The oracle: what it calls equal, unequal, random, and not run."""

from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import ExecutionError
from graphopt.execute import InputSet, Oracle, check


def model(text: str, *, opsets: str = '"": 17') -> ir.Model:
    return ir.from_onnx_text(f"<ir_version: 8, opset_import: [{opsets}]>\n{text}")


NEG = "g (float[N] x) => (float[N] y) { y = Neg(x) }"


def test_a_model_equals_itself_exactly() -> None:
    result = check(model(NEG), model(NEG))
    assert (result.ran, result.equal, result.exact, result.reason) == (True, True, True, "")
    assert len(result.outputs) == len(result.input_sets) == 2


def test_another_function_is_a_negative_answer_with_the_output_and_the_inputs() -> None:
    result = check(model(NEG), model("g (float[N] x) => (float[N] y) { y = Abs(x) }"))
    assert (result.ran, result.equal) == (True, False)
    assert "output 'y'" in result.reason and "x float32[" in result.reason


def test_what_onnxruntime_dies_of_is_a_negative_answer() -> None:
    pool = "p = MaxPool <kernel_shape = [3,1], strides = [2,2], ceil_mode = 1> (x)"
    header = "g (float[1,2,1,3] x) => (float[1,2,h,w] y)"
    original = model(f"{header} {{ {pool} y = Neg(p) }}")
    oracle = Oracle(original, observe_shapes=True)
    assert oracle.shapes["p"][0] == (1, 2, 0, 2)
    norm = f"{header} <float[2] k = {{1, 1}}> {{ {pool} y = InstanceNormalization(p, k, k) }}"
    result = oracle.compare(model(norm))
    assert not result.equal and "onnxruntime cannot run InstanceNormalization of nothing" in result.reason


def test_rounding_is_equal_but_not_exact() -> None:
    other = model(
        """g (float[N] x) => (float[N] y) {
             c = Constant<value_float=3.0>() a = Div(x, c) b = Mul(a, c) y = Neg(b) }"""
    )
    assert check(model(NEG), other).equal
    assert not check(model(NEG), other).exact
    assert not check(model(NEG), other, exact=True).equal


def test_a_difference_in_one_branch_only_is_found() -> None:
    text = """g (float[N] x, int64 rate) => (float[N] y) {{
        k = Constant<value_int=16000>() c = Equal(rate, k)
        y = If(c) <then_branch = a () => (float[N] p) {{ p = {} }},
                   else_branch = b () => (float[N] q) {{ q = {} }}> }}"""
    original = model(text.format("Neg(x)", "Sin(x)"))
    assert check(original, model(text.format("Neg(x)", "Sin(x)"))).equal
    assert not check(original, model(text.format("Neg(x)", "Cos(x)"))).equal
    assert not check(original, model(text.format("Abs(x)", "Sin(x)"))).equal


def test_a_size_frozen_by_mistake_is_found() -> None:
    original = model(
        "g (float[N, 4] x) => (float[A, B] y) { s = Constant<value_ints=[-1, 2]>() y = Reshape(x, s) }"
    )
    frozen = model(
        "g (float[N, 4] x) => (float[A, B] y) { s = Constant<value_ints=[4, 2]>() y = Reshape(x, s) }"
    )
    result = check(original, frozen)
    assert (result.ran, result.equal) == (True, False)
    assert "does not run" in result.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("g (float[N] z) => (float[N] y) { y = Neg(z) }", "input 'x' is missing; input 'z' is new"),
        ("g (float[N] x) => (float[N] z) { z = Neg(x) }", "output 'y' is missing; output 'z' is new"),
        ("g (float[N] x) => (double[N] y) { y = Cast<to=11>(x) }", "output 'y' has type"),
        ("g (double[N] x) => (float[N] y) { y = Cast<to=1>(x) }", "input 'x' has type"),
    ],
)
def test_another_interface_is_a_negative_answer(text: str, reason: str) -> None:
    result = check(model(NEG), model(text))
    assert (result.ran, result.equal) == (True, False)
    assert reason in result.reason


def test_another_order_of_outputs_is_a_negative_answer() -> None:
    one = model("g (float[N] x) => (float[N] y, float[N] z) { y = Neg(x) z = Abs(x) }")
    other = model("g (float[N] x) => (float[N] z, float[N] y) { y = Neg(x) z = Abs(x) }")
    assert "another order" in check(one, other).reason


def test_nan_must_stay_nan() -> None:
    original = model("g (float[N] x) => (float[N] y) { z = Sub(x, x) y = Div(z, z) }")
    assert check(original, original).exact
    other = model("g (float[N] x) => (float[N] y) { y = Sub(x, x) }")
    assert "NaN" in check(original, other).reason


def test_a_check_that_cannot_run_is_never_a_pass() -> None:
    custom = model("g (float[N] x) => (float[N] y) { y = other.Magic(x) }", opsets='"": 17, "other": 1')
    result = check(custom, custom)
    assert (result.ran, result.equal) == (False, False)
    assert "Magic" in result.reason
    with pytest.raises(ExecutionError):
        Oracle(custom)


def test_random_outputs_are_compared_by_shape_and_said_so() -> None:
    original = model(
        "g (float[N] x) => (float[N] y, float[N] z) { r = RandomUniformLike(x) y = Add(x, r) z = Neg(x) }"
    )
    oracle = Oracle(original)
    assert oracle.nondeterministic == {"y"}
    result = oracle.compare(original)
    assert result.equal and result.exact
    assert any("'y' is random" in note for note in result.notes)
    other = model(
        "g (float[N] x) => (float[N] y, float[N] z) { r = RandomUniformLike(x) y = Add(x, r) z = Abs(x) }"
    )
    assert not oracle.compare(other).equal


def test_seeded_random_outputs_are_compared_by_value() -> None:
    text = "g (float[N] x) => (float[N] y) {{ r = RandomUniformLike<seed={}>(x) y = Add(x, r) }}"
    oracle = Oracle(model(text.format("1.0")))
    assert oracle.nondeterministic == frozenset()
    assert oracle.compare(model(text.format("1.0"))).equal
    assert not oracle.compare(model(text.format("2.0"))).equal


def test_random_numbers_inside_a_branch_are_seen() -> None:
    branch = model(
        """g (float[N] x, bool c) => (float[N] y) {
             y = If(c) <then_branch = a () => (float[N] p) { p = RandomUniformLike(x) },
                        else_branch = b () => (float[N] q) { q = Neg(x) }> }"""
    )
    assert Oracle(branch).nondeterministic == {"y"}


def test_the_oracle_observes_real_shapes() -> None:
    oracle = Oracle(
        model("g (float[batch, 4] x) => (float[A, B] y) { t = Transpose(x) y = Neg(t) }"), observe_shapes=True
    )
    sizes = [one.bindings["batch"] for one in oracle.input_sets]
    assert oracle.shapes["t"] == [(4, size) for size in sizes]


def test_given_inputs_are_used() -> None:
    given = [InputSet({"x": np.array([1, 2, 3], np.float32)})]
    result = check(model(NEG), model(NEG), inputs=given)
    assert result.equal
    assert [one.values["x"].tolist() for one in result.input_sets] == [[1, 2, 3]]


def test_an_argmax_that_differs_at_a_near_tie_is_unequal_and_explained() -> None:
    original = model("g (float[2, 3] x) => (int64[2] y) { y = ArgMax<axis=1, keepdims=0>(x) }")
    other = model(
        """g (float[2, 3] x) => (int64[2] y) {
             c = Constant<value_floats=[0.0, 0.00001, 0.0]>() s = Add(x, c)
             y = ArgMax<axis=1, keepdims=0>(s) }"""
    )
    near = np.array([[1.0, 0.999999, 0.0], [3.0, 1.0, 2.0]], np.float32)
    result = check(original, other, inputs=[InputSet({"x": near})])
    assert not result.equal
    assert any("1 of the 1 different indices are near-ties" in note for note in result.notes)


def test_half_precision_inside_loosens_the_default() -> None:
    half = model("g (float[N] x) => (float[N] y) { h = Cast<to=10>(x) y = Cast<to=1>(h) }")
    single = model("g (float[N] x) => (float[N] y) { y = Identity(x) }")
    result = check(half, single)
    assert result.equal
    assert any("half precision" in note for note in result.notes)
    assert not check(half, single, rtol=1e-4, atol=0.0).equal


def test_results_are_json() -> None:
    json.dumps(check(model(NEG), model(NEG)).to_dict(), allow_nan=False)
    (worst,) = check(model(NEG), model(NEG)).worst
    assert worst.name == "y"


def test_random_numbers_may_decide_sizes() -> None:
    """Of what is not zero among random numbers, there are now more and now fewer."""
    given = model(
        """g (float[1,2] x) => (int64[2,N] y) {
            d = Multinomial <sample_size = 64> (x) y = NonZero(d)
        }"""
    )
    oracle = Oracle(given)
    for _ in range(5):
        assert oracle.judge(oracle.run(given)).equal
    other = model(
        """g (float[1,2] x) => (int64[2,N] y) {
            d = Multinomial <sample_size = 64> (x) z = NonZero(d) y = Concat <axis = 1> (z, z)
        }"""
    )
    assert oracle.judge(oracle.run(other)).equal
    flat = model(
        """g (float[1,2] x) => (int64[N] y) <int64[1] whole = {-1}> {
            d = Multinomial <sample_size = 64> (x) z = NonZero(d) y = Reshape(z, whole)
        }"""
    )
    assert not oracle.judge(oracle.run(flat)).equal
