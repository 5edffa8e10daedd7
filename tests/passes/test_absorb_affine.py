"""Weights take up scales and shifts that stand some nodes away, as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphopt.ir import count_nodes
from graphopt.testing import PassRun, run_pass

Weights = Callable[..., str]
CONV = {"w": (4, 4, 3, 3), "b": (4,)}
NORM = {"gamma": (4,), "beta": (4,), "mean": (4,), "positive_var": (4,)}
CONSTANTS = "float low = {-1.0}, float high = {2.0}, int64[8] pad = {0,0,1,1,0,0,1,1}"
SIZES = "float[4] twice = {1,1,2,2}, int64[1] two = {2}, int64[1] zero = {0}"


def _graph(weights: Weights, body: str, outputs: str = "float[n,c,h,w] y", **shapes: tuple[int, ...]) -> str:
    text = weights(**{**CONV, **NORM, **shapes})
    return f"agraph (float[1,4,6,6] x) => ({outputs}) {text[:-1]}, {CONSTANTS}, {SIZES}> {{ {body} }}"


@pytest.mark.parametrize(
    "between",
    [
        "Relu(p)",
        "LeakyRelu <alpha = 0.3> (p)",
        "MaxPool <kernel_shape = [3,3], pads = [1,1,1,1]> (p)",
        "AveragePool <kernel_shape = [3,3], pads = [1,1,1,1], count_include_pad = 1> (p)",
        "AveragePool <kernel_shape = [3,3], pads = [1,1,1,1]> (p)",
        "Transpose <perm = [0,1,3,2]> (p)",
        "Pad(p, pad)",
        'Pad <mode = "reflect"> (p, pad)',
        "Resize(p, , twice)",
        'Resize <mode = "linear"> (p, , twice)',
        'Resize <mode = "cubic"> (p, , twice)',
        "Clip(p, low, high)",
        "Clip(p, , high)",
        "Slice(p, zero, two, zero)",
        "Identity(p)",
        "Neg(p)",
        "Add(p, positive_c)",
        "Sub(p, positive_c)",
        "Sub(positive_c, p)",
        "Mul(p, positive_c)",
        "Div(p, positive_c)",
        "BatchNormalization(p, gamma, beta, mean, positive_var)",
    ],
)
@pytest.mark.parametrize("forwards", [True, False])
def test_a_positive_scale_passes(weights: Weights, between: str, forwards: bool) -> None:
    """From before an operator into the Conv behind it, and from behind it into the Conv before it."""
    if forwards:
        body = f'p = Mul(x, positive_s)  q = {between}  y = Conv <auto_pad = "SAME_UPPER"> (q, w, b)'
    else:
        body = f'p = Conv <auto_pad = "SAME_UPPER"> (x, w, b)  q = {between}  y = Mul(q, positive_s)'
    run = run_pass(_graph(weights, body, positive_s=(), positive_c=()), "absorb-affine,dce")
    assert count_nodes(run.model) <= 2


@pytest.mark.parametrize(
    ("between", "passes"),
    [
        ("MaxPool <kernel_shape = [3,3], pads = [1,1,1,1]> (p)", True),
        ("GlobalMaxPool(p)", True),
        ("GlobalAveragePool(p)", True),
        ("AveragePool <kernel_shape = [3,3], pads = [1,1,1,1]> (p)", True),
        ("AveragePool <kernel_shape = [3,3], count_include_pad = 1> (p)", True),
        ("AveragePool <kernel_shape = [3,3], pads = [1,1,1,1], count_include_pad = 1> (p)", False),
        ("Resize(p, , twice)", True),
        ('Resize <mode = "linear"> (p, , twice)', True),
        ("Clip(p, low, high)", True),
        ("Slice(p, zero, two, zero)", True),
        ("Relu(p)", False),
        ("Pad(p, pad)", False),
        ("Sigmoid(p)", False),
    ],
)
@pytest.mark.parametrize("forwards", [True, False])
def test_a_shift_passes_less(weights: Weights, between: str, passes: bool, forwards: bool) -> None:
    if forwards:
        body = f"p = Add(x, s)  q = {between}  y = Conv(q, v, b)"
    else:
        body = f"p = Conv(x, v, b)  q = {between}  y = Add(q, s)"
    run = run_pass(_graph(weights, body, s=(), v=(4, 4, 1, 1)), "absorb-affine")
    assert ("Add" not in run.ops) == passes


@pytest.mark.parametrize("between", ["Relu(p)", "Clip(p, low, high)", "MaxPool <kernel_shape = [2,2]> (p)"])
@pytest.mark.parametrize("forwards", [True, False])
def test_a_negative_scale_does_not_pass_what_bends(weights: Weights, between: str, forwards: bool) -> None:
    first, last = (
        ("p = Mul(x, minus)", "y = Conv(q, w)") if forwards else ("p = Conv(x, w)", "y = Mul(q, minus)")
    )
    text = _graph(weights, f"{first}  q = {between}  {last}").replace(
        "float low", "float minus = {-2.0}, float low"
    )
    run = run_pass(text, "absorb-affine")
    assert not run.changes


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (4, 1, 1)])
@pytest.mark.parametrize(
    "between",
    [
        "Relu(p)",
        "MaxPool <kernel_shape = [2,2]> (p)",
        "GlobalAveragePool(p)",
        "Add(p, c)",
        "BatchNormalization(p, gamma, beta, mean, positive_var)",
    ],
)
@pytest.mark.parametrize("forwards", [True, False])
def test_a_scale_per_channel_passes(
    weights: Weights, shape: tuple[int, ...], between: str, forwards: bool
) -> None:
    if forwards:
        body = f"p = Mul(x, positive_s)  q = {between}  y = Conv(q, v, b)"
    else:
        body = f"p = Conv(x, v, b)  q = {between}  y = Mul(q, positive_s)"
    run = run_pass(_graph(weights, body, positive_s=shape, v=(4, 4, 1, 1), c=(4, 1, 1)), "absorb-affine")
    assert "Mul" not in run.ops


@pytest.mark.parametrize("shape", [(6,), (6, 1), (1, 1, 6, 6)])
@pytest.mark.parametrize(
    "between", ["Relu(p)", "MaxPool <kernel_shape = [1,1]> (p)", "Transpose <perm = [0,1,3,2]> (p)"]
)
def test_a_scale_per_place_stays(weights: Weights, shape: tuple[int, ...], between: str) -> None:
    body = f"p = Mul(x, positive_s)  q = {between}  y = Conv(q, w, b)"
    assert not run_pass(_graph(weights, body, positive_s=shape), "absorb-affine").changes


def test_a_scale_per_channel_follows_a_transpose(weights: Weights) -> None:
    body = "p = Mul(x, s)  q = Transpose <perm = [0,2,3,1]> (p)  y = MatMul(q, m)"
    run = run_pass(_graph(weights, body, s=(4, 1, 1), m=(4, 3)), "absorb-affine")
    assert run.ops == ["Transpose", "MatMul"]
    body = "p = Transpose <perm = [0,3,1,2]> (x)  q = Transpose <perm = [0,2,3,1]> (p)  r = MatMul(q, m)"
    body = f"{body}  t = Transpose <perm = [0,3,1,2]> (r)  y = Mul(t, s)"
    run = run_pass(
        _graph(weights, body, s=(3, 1, 1), m=(6, 3)).replace("[1,4,6,6] x", "[1,6,4,6] x"), "absorb-affine"
    )
    assert "Mul" not in run.ops


def test_every_reader_takes_up_the_scale(weights: Weights) -> None:
    body = """p = Mul(x, s)  a = GlobalAveragePool(p)  c = Conv(a, v)  d = Sigmoid(c)
              e = Mul(p, d)  f = Conv(e, w, b)  g = Conv(p, w)  y = Add(f, g)  z = Shape(p)"""
    run = run_pass(
        _graph(weights, body, outputs="float[n,c,h,w] y, int64[r] z", s=(), v=(4, 4, 1, 1)), "absorb-affine"
    )
    assert run.ops.count("Mul") == 1
    assert run.hits == {"scale into what reads the value": 1}


@pytest.mark.parametrize("reader", ["z = Sigmoid(p)", "z = Identity(p)", "z = Mul(p, p)", "z = Mul(p, x)"])
def test_one_reader_that_cannot_keeps_it_whole(weights: Weights, reader: str) -> None:
    body = f"p = Mul(x, s)  a = Conv(p, w)  y = Relu(a)  {reader}"
    run = run_pass(_graph(weights, body, outputs="float[n,c,h,w] y, float[n,d,i,j] z", s=()), "absorb-affine")
    assert not run.changes


def test_two_paths_to_one_product_are_not_one(weights: Weights) -> None:
    body = "p = Mul(x, s)  a = Abs(x)  q = Identity(p)  r = Mul(p, q)  y = Conv(r, w)"
    assert not run_pass(_graph(weights, body, s=()), "absorb-affine").changes
    body = "a = Conv(x, w)  q = Mul(a, a)  y = Mul(q, s)"
    assert not run_pass(_graph(weights, body, s=()), "absorb-affine").changes


def test_a_scale_before_a_padded_conv_passes_the_bias_between(weights: Weights) -> None:
    body = "p = Mul(x, s)  q = Add(p, t)  y = Conv <pads = [1,1,1,1]> (q, w)"
    run = run_pass(_graph(weights, body, s=(), t=()), "absorb-affine")
    assert run.ops == ["Add", "Conv"]
    assert run.refusals == {"shift: a bias before a padded Conv does not fold": 1}


def test_both_operands_of_a_sum_take_up_the_scale(weights: Weights) -> None:
    body = "a = Conv(x, w)  c = Conv(x, w, b)  r = Relu(c)  d = Add(a, r)  y = Mul(d, positive_s)"
    run = run_pass(_graph(weights, body, positive_s=(4, 1, 1)), "absorb-affine")
    assert run.ops == ["Conv", "Conv", "Relu", "Add"]


def test_one_operand_of_a_product_takes_up_the_scale(weights: Weights) -> None:
    body = 'a = Sigmoid(x)  c = Conv <auto_pad = "SAME_UPPER"> (x, w)  d = Mul(a, c)  y = Mul(d, s)'
    run = run_pass(_graph(weights, body, s=()), "absorb-affine")
    assert sorted(run.ops) == ["Conv", "Mul", "Sigmoid"]


def test_concat(weights: Weights) -> None:
    body = "a = Conv(x, w)  c = Conv(x, v)  d = Concat <axis = 1> (a, c)  e = Mul(d, s)  y = Add(e, t)"
    run = run_pass(_graph(weights, body, v=(2, 4, 3, 3), s=(6, 1, 1), t=(6, 1, 1)), "absorb-affine")
    assert run.ops == ["Conv", "Conv", "Concat"]
    body = "a = Mul(x, s)  c = Concat <axis = 1> (x, a)  y = Conv(c, v)"
    run = run_pass(_graph(weights, body, v=(2, 8, 3, 3), s=(4, 1, 1)), "absorb-affine")
    assert run.ops == ["Concat", "Conv"]


@pytest.mark.parametrize("op", ["Mul", "Add"])
def test_each_part_of_a_split_takes_up_its_own(weights: Weights, op: str) -> None:
    text = f"""agraph (float[1,4,5,5] x) => (float[1,2,5,5] y, float[1,3,5,5] z)
        {weights(positive_c=(4, 1, 1), w=(2, 2, 1, 1), v=(3, 2, 1, 1))} {{
            a = {op}(x, positive_c)  l, r = Split<axis = 1, num_outputs = 2>(a)
            y = Conv(l, w)  z = Conv(r, v)
        }}"""
    run = run_pass(text, "absorb-affine")
    assert run.ops == ["Split", "Conv", "Conv"]


def test_constants_that_would_become_a_product_of_two_stay(weights: Weights) -> None:
    """One per channel and one per column: as one they are channels times columns."""
    text = f"""agraph (float[1,4,5,5] x) => (float[1,4,5,5] y) {weights(positive_c=(4, 1, 1), d=(5,))} {{
        a = Mul(x, positive_c)  b = Relu(a)  y = Mul(b, d)
    }}"""
    run = run_pass(text, "absorb-affine")
    assert run.changes == 0 and run.refusals["scale: a constant would grow"] == 1


def test_the_scale_of_a_query_goes_into_its_projection(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[2,5,8] x, float[2,2,4,5] k) => (float[2,2,5,5] y)
        {weights(w=(8, 8), b=(8,), s=())[:-1]}, int64[4] heads = {{2, 5, 2, 4}}> {{
            a = MatMul(x, w)  q = Add(a, b)  r = Reshape(q, heads)  t = Transpose <perm = [0,2,1,3]> (r)
            u = Mul(t, s)  m = MatMul(u, k)  y = Softmax(m)
        }}""",
        "absorb-affine",
    )
    assert "Mul" not in run.ops


def test_a_shift_passes_a_matmul_into_the_bias_behind_it(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[2,5,8] x) => (float[2,5,3] y) {weights(w=(8, 3), b=(3,), s=(8,), t=(8,))} {{
            n = Mul(x, s)  a = Add(n, t)  m = MatMul(a, w)  y = Add(m, b)
        }}""",
        "absorb-affine",
    )
    assert run.ops == ["MatMul", "Add"]


def test_an_embedding_table_takes_up_a_scale() -> None:
    run = run_pass(
        """agraph (int64[3] i) => (float[3,2] y) <float[4,2] table = {1,2,3,4,5,6,7,8}, float s = {2.5}> {
            a = Gather(table, i)  y = Mul(a, s)
        }""",
        "absorb-affine",
        inputs=[{"i": np.array([0, 3, 1])}],
    )
    assert run.ops == ["Gather"]


def test_layer_normalization_takes_up_what_follows(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[2,5,8] x) => (float[2,5,8] y) {weights(g=(8,), h=(8,), s=(8,), t=(8,))} {{
            a = LayerNormalization(x, g, h)  n = Mul(a, s)  y = Add(n, t)
        }}""",
        "absorb-affine",
    )
    assert run.ops == ["LayerNormalization"]


def test_bodies_of_control_flow_are_not_crossed(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (bool k, float[1,2,3,3] x) => (float[1,2,3,3] y) {weights(w=(2, 2, 1, 1), s=())} {{
            p = Mul(x, s)
            y = If (k) <
                then_branch = t () => (float[1,2,3,3] p2) {{ a = Conv(p, w)  c = Relu(a)  p2 = Mul(c, s) }},
                else_branch = e () => (float[1,2,3,3] q) {{ q = Conv(x, w) }}
            >
        }}""",
        "absorb-affine",
        inputs=(),
    )
    assert "scale: it is read in a body of control flow" in run.refusals


@pytest.mark.parametrize("shape", [(2, 4, 1, 1), (1, 1, 4, 1, 1)])
def test_a_constant_that_broadcasts_the_value_stays(weights: Weights, shape: tuple[int, ...]) -> None:
    dims = ",".join("abcde"[: len(shape)])
    text = _graph(
        weights,
        "a = Conv(x, w)  c = Relu(a)  y = Mul(c, positive_s)",
        outputs=f"float[{dims}] y",
        positive_s=shape,
    )
    assert not run_pass(text, "absorb-affine").changes


def test_a_graph_output_stays_what_it_is(weights: Weights) -> None:
    body = "a = Conv(x, w)  z = Relu(a)  y = Mul(z, positive_s)"
    text = _graph(weights, body, outputs="float[n,c,h,w] y, float[n,c,h,w] z", positive_s=())
    assert not run_pass(text, "absorb-affine").changes


def test_a_scale_that_keeps_float16_small_stays() -> None:
    """The numbers are the bits of 0.001 and 1."""
    text = """agraph (float16[1,1,4,4] x) => (float16[n,c,h,w] y) {
        s = Constant <value = float16 {5145}> ()  w = Constant <value = float16[1,1,1,1] {15360}> ()
        p = Mul(x, s)  q = BETWEEN  y = Conv(q, w) }"""
    assert not run_pass(text.replace("BETWEEN", "Mul(p, x)"), "absorb-affine", inputs=()).changes
    run = run_pass(text.replace("BETWEEN", "Relu(p)"), "absorb-affine", inputs=())
    assert run.ops == ["Relu", "Conv"]


STEPS = {
    "Conv": "Conv({v}, w1)",
    "Padded": "Conv <pads = [1,1,1,1]> ({v}, w)",
    "Relu": "Relu({v})",
    "Neg": "Neg({v})",
    "Pool": "MaxPool <kernel_shape = [3,3], pads = [1,1,1,1]> ({v})",
    "Average": "AveragePool <kernel_shape = [3,3], pads = [1,1,1,1]> ({v})",
    "Clip": "Clip({v}, low, high)",
    "Norm": "BatchNormalization({v}, gamma, beta, mean, positive_var)",
    "Mul": "Mul({v}, s)",
    "MulChannel": "Mul({v}, positive_c)",
    "Add": "Add({v}, t)",
    "AddChannel": "Add({v}, u)",
    "Sub": "Sub(t, {v})",
    "Div": "Div({v}, positive_c)",
    "Sum": "Add({v}, {o})",
    "Product": "Mul({v}, {o})",
    "Difference": "Sub({v}, {o})",
    "Turn": "Transpose <perm = [0,1,3,2]> ({v})",
}
OUTPUT = "float[n,c,h,w] y"
SMALL = {"w1": (4, 4, 1, 1), "s": (), "t": (), "u": (4, 1, 1), "positive_c": (4, 1, 1)}


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 2), st.integers(0, 4)),
        min_size=3,
        max_size=9,
    )
)
def test_any_graph_keeps_its_numbers(
    weights: Weights, assert_close: Callable[[PassRun], None], steps: list[tuple[str, int, int]]
) -> None:
    """Each step reads one of the last values, and a second one if it takes two."""
    values = ["x"]
    lines = []
    for index, (step, near, far) in enumerate(steps):
        value, other = values[-1 - min(near, index)], values[-1 - min(far, index)]
        lines.append(f"v{index} = {STEPS[step].format(v=value, o=other)}")
        values.append(f"v{index}")
    body = "  ".join([*lines, f"y = Abs({values[-1]})"])
    passes = "{absorb-affine,merge-affine,fuse-conv,join-convs,dce}*"
    assert_close(run_pass(_graph(weights, body, OUTPUT, **SMALL), passes, inputs=()))


@pytest.mark.parametrize(("convs", "absorbed"), [(2, 1), (3, 0)])
def test_copies_of_a_shared_weight_do_not_grow_the_file(weights: Weights, convs: int, absorbed: int) -> None:
    """Of 64 KiB: one more is fine, two are not."""
    parts = [f"c{index}" for index in range(convs)]
    body = " ".join(f"{part} = Conv(x, w)" for part in parts)
    run = run_pass(
        f"""agraph (float[1,64,6,6] x) => (float[n,c,h,w] y)
        {weights(w=(64, 64, 2, 2), v=(64 * convs, 1, 1))} {{
            {body}  p = Concat <axis = 1> ({", ".join(parts)})  y = Mul(p, v)
        }}""",
        "absorb-affine",
    )
    assert run.changes == absorbed


def test_constants_are_left_to_be_folded() -> None:
    run = run_pass("g () => (float y) { c = Constant <value = float {1.5}> () y = Neg (c) }", "absorb-affine")
    assert run.changes == 0
