"""Reading from the graph what an input must be."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.execute.usage import Usage, downsampling, size_hints, trace


def model(text: str, opsets: str = '"": 17') -> ir.Model:
    return ir.from_onnx_text(f"<ir_version: 8, opset_import: [{opsets}]>\n{text}")


def usage(text: str, name: str = "x", opsets: str = '"": 17') -> Usage:
    made = model(text, opsets)
    return trace(made, next(value for value in made.graph.inputs if value.name == name))


@pytest.mark.parametrize(
    "body",
    [
        "y = Gather(table, x)",
        "i = Cast<to=6>(x) y = Gather(table, i)",
        "s = Constant<value_ints=[-1]>() i = Reshape(x, s) y = Gather(table, i)",
        "a = Constant<value_ints=[0]>() i = Unsqueeze(x, a) j = Identity(i) y = Gather(table, j)",
        "c = Constant<value_int=0>() i = Add(x, c) y = Gather(table, i)",
    ],
)
def test_an_index_is_bounded_by_its_table(body: str) -> None:
    assert usage(f"g (int64[N] x, float[11, 4] table) => (float[A, B] y) {{ {body} }}").limit == 11


def test_an_offset_lowers_the_bound() -> None:
    text = """g (int64[N] x, float[11, 4] t) => (float[A, B] y) {
        c = Constant<value_int=2>() i = Add(x, c) y = Gather(t, i) }"""
    assert usage(text).limit == 9


def test_the_smallest_table_counts() -> None:
    text = """g (int64[N] x, float[11, 4] t, float[5, 4] u) => (float[A, B] y) {
        a = Gather(t, x) b = Gather(u, x) y = Add(a, b) }"""
    assert usage(text).limit == 5


def test_an_index_inside_a_branch_a_loop_body_and_a_function() -> None:
    branch = """g (int64[N] x, bool c, float[11, 4] t) => (float[A, B] y) {
        y = If(c) <then_branch = a () => (float[A, B] p) { p = Gather(t, x) },
                   else_branch = b () => (float[A, B] q) { q = Gather(t, x) }> }"""
    assert usage(branch).limit == 11
    function = """g (int64[N] x, float[11, 4] t) => (float[A, B] y) { y = my.pick(t, x) }
        <domain: "my", opset_import: ["": 17]> pick (t, i) => (y) { y = Gather(t, i) }"""
    assert usage(function, opsets='"": 17, "my": 1').limit is not None


def test_a_table_is_no_index() -> None:
    assert usage("g (float[11, 4] x, int64[N] i) => (float[A, B] y) { y = Gather(x, i) }").limit is None


@pytest.mark.parametrize(
    "body",
    [
        "n = Constant<value_float=1.0>() f = Cast<to=1>(x) i = Sub(n, f) y = Mul(i, i)",
        "b = Cast<to=9>(x) f = Cast<to=1>(b) y = Neg(f)",
        "f = Cast<to=1>(x) m = Constant<value_float=-10000.0>() y = Mul(f, m)",
        "z = Constant<value_int=0>() e = Equal(x, z) y = Where(e, w, w)",
    ],
)
def test_masks_are_recognized(body: str) -> None:
    assert usage(f"g (int64[N] x, float[N] w) => (float[N] y) {{ {body} }}").mask


def test_a_mask_is_recognized_by_name_as_a_last_resort() -> None:
    assert usage(
        "g (int64[N] attention_mask) => (int64[N] y) { y = Neg(attention_mask) }", "attention_mask"
    ).mask
    assert not usage("g (int64[N] x) => (int64[N] y) { y = Neg(x) }").mask


def test_a_scalar_that_chooses_a_branch() -> None:
    found = usage(
        """g (int64 x, float[N] w) => (float[N] y) {
             k = Constant<value_int=16000>() c = Equal(x, k)
             y = If(c) <then_branch = a () => (float[N] p) { p = Neg(w) },
                        else_branch = b () => (float[N] q) { q = Abs(w) }> }"""
    )
    assert (found.decides, found.constants) == (True, [16000.0])


def test_divisors_and_positive_operands() -> None:
    assert usage("g (int64[N] x, int64[N] a) => (int64[N] y) { y = Div(a, x) }").nonzero
    assert usage("g (float[N] x) => (float[N] y) { y = Log(x) }").positive


def test_parameters_are_noted_with_their_node() -> None:
    found = usage("g (float[N] a, int64[2] x) => (float[A, B] y) { y = Reshape(a, x) }")
    assert [(node.op_type, position) for node, position in found.operands] == [("Reshape", 1)]


def test_downsampling_multiplies_strides_per_axis() -> None:
    made = model(
        """g (float[N, 3, H, W] x, float[3, 3, 1, 1] w) => (float[A, B, C, D] y) {
             a = Conv<strides=[2, 1]>(x, w) b = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(a)
             y = Conv<strides=[2, 2]>(b, w) }"""
    )
    assert downsampling(made) == (8, 4)


def test_downsampling_sees_branches_and_signals() -> None:
    made = model(
        """g (float[N, 3, T] x, bool c, float[3, 3, 1] w) => (float[A, B, C] y) {
             y = If(c) <then_branch = a () => (float[A, B, C] p) { p = Conv<strides=[4]>(x, w) },
                        else_branch = b () => (float[A, B, C] q) { q = Identity(x) }> }"""
    )
    assert downsampling(made) == (1, 4)


def test_sizes_that_constants_speak_of() -> None:
    made = model(
        """g (float[N] x) => (float[A, B] y) {
             s = Constant<value_ints=[-1, 5, 48]>() a = Reshape(x, s)
             p = Constant<value_ints=[3, 4]>() y, z = Split<axis=1>(a, p) }"""
    )
    assert size_hints(made) == (240, 5, 48, 7)


def test_a_number_compared_with_texts_is_compared_with_nothing() -> None:
    made = usage('g (int64[2] x) => (bool[2] y) <string[2] w = {"a", "b"}> { y = Equal(x, w) }')
    assert made.constants == []
