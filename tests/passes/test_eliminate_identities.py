"""eliminate-identities: every spelling of an identity goes, and nothing that only looks like one."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass

F = "float[N, 3, 4]"

APPLIES = [
    ("identity", "y = Identity(a)"),
    ("only-one", "y = Concat<axis = 1>(a)"),
    ("only-one", "y = Sum(a)"),
    ("only-one", "y = Mean(a)"),
    ("only-one", "y = Max(a)"),
    ("only-one", "y = Min(a)"),
    ("only-one", "y = Split<axis = 2, num_outputs = 1>(a)"),
    ("dropout", "y = Dropout(a)"),
    ("dropout", "r = Constant<value = float {0.5}>() t = Constant<value = bool {0}>() y = Dropout(a, r, t)"),
    ("cast-to-own-type", "y = Cast<to = 1>(a)"),
    ("cast-like-of-known-type", "y = CastLike(a, x)"),
    ("to-own-shape", "s = Constant<value_ints = [0, 3, 4]>() y = Reshape(a, s)"),
    ("to-own-shape", "s = Constant<value_ints = [-1, 3, 4]>() y = Reshape(a, s)"),
    ("to-own-shape", "s = Shape(a) y = Reshape(a, s)"),
    ("to-own-shape", "s = Constant<value_ints = [1, 3, 1]>() y = Expand(a, s)"),
    ("to-own-shape", "s = Constant<value_ints = [1, 1, 1]>() y = Tile(a, s)"),
    ("transpose-in-order", "y = Transpose<perm = [0, 1, 2]>(a)"),
    (
        "slice-of-everything",
        """b = Constant<value_ints = [0, 0]>() e = Constant<value_ints = [4, 9223372036854775807]>()
        i = Constant<value_ints = [2, 0]>() y = Slice(a, b, e, i)""",
    ),
    ("pad-of-nothing", "p = Constant<value_ints = [0, 0, 0, 0, 0, 0]>() y = Pad(a, p)"),
    ("resize-by-one", 's = Constant<value_floats = [1.0, 1.0, 1.0]>() y = Resize<mode = "linear">(a, , s)'),
    ("gather-in-order", "i = Constant<value_ints = [0, 1, 2]>() y = Gather<axis = 1>(a, i)"),
    ("reduction-over-no-axis", "y = ReduceMean<noop_with_empty_axes = 1>(a)"),
    (
        "reduction-over-no-axis",
        "e = Constant<value_ints: ints = []>() y = ReduceSum<noop_with_empty_axes = 1, keepdims = 0>(a, e)",
    ),
]


def wrapped(body: str, shape: str = F) -> str:
    """The body between two operators that stay, so that no identity touches the interface."""
    return f"g ({shape} x) => ({shape} z) {{ a = Neg(x) {body} z = Neg(y) }}"


@pytest.mark.parametrize(("rule", "body"), APPLIES)
def test_applies(rule: str, body: str) -> None:
    run = run_pass(wrapped(body), "eliminate-identities,dce")
    assert run.hits[rule] == 1
    assert run.ops == ["Neg", "Neg"]


REFUSED = [
    (
        "is or may be in training mode",
        "r = Constant<value = float {0.5}>() t = Constant<value = bool {1}>() y = Dropout(a, r, t)",
    ),
    (
        "a negative step reverses",
        """b = Constant<value_ints = [-1]>() e = Constant<value_ints = [-9223372036854775807]>()
        i = Constant<value_ints = [2]>() s = Constant<value_ints = [-1]>() y = Slice(a, b, e, i, s)""",
    ),
    ("it crops", """r = Constant<value_floats = [0.0, 0.0, 0.0, 0.5, 0.5, 0.5]>()
        s = Constant<value_floats = [1.0, 1.0, 1.0]>()
        y = Resize<mode = "linear", coordinate_transformation_mode = "tf_crop_and_resize">(a, r, s)"""),
    (
        "scales are not known to be 1",
        """s = Constant<value_floats = [1.0, 1.0, 1.2]>()
        y = Resize<coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">(a, , s)""",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "body"), REFUSED)
def test_refuses_and_says_why(reason: str, body: str) -> None:
    inputs = () if "Dropout" in body else None
    run = run_pass(wrapped(body), "eliminate-identities", inputs=inputs)
    assert run.changes == 0
    assert any(reason in found for found in run.refusals), run.refusals


UNTOUCHED = [
    "y = Transpose<perm = [0, 2, 1]>(a)",
    "y = Transpose(a)",
    "y = ReduceSum<keepdims = 1>(a)",
    "i = Constant<value_ints = [0, 2, 1]>() y = Gather<axis = 1>(a, i)",
    "i = Constant<value_ints = [0, 1]>() y = Gather<axis = 1>(a, i)",
    "p = Constant<value_ints = [0, 0, 1, 0, 0, -1]>() y = Pad(a, p)",
    "y = Cast<to = 11>(a)",
    "y = MaxPool<kernel_shape = [3], pads = [1, 1]>(a)",
    "y = MaxPool<kernel_shape = [1]>(a)",  # it drops NaN
    "y = AveragePool<kernel_shape = [1]>(a)",  # it makes 0.0 of -0.0
    "c = Constant<value = bool[4] {1, 1, 1, 1}>() y = Where(c, a, x)",  # onnxruntime makes 0.0 of -0.0
    "s = Constant<value_ints = [0, -1]>() y = Reshape(a, s)",
]


@pytest.mark.parametrize("body", UNTOUCHED)
def test_leaves_alone(body: str) -> None:
    text = f"g ({F} x) => ({'double' if 'Cast' in body else 'float'}[A] z) {{ a = Neg(x) {body} v = Neg(y) " \
        "s1 = Constant<value_ints = [-1]>() z = Reshape(v, s1) }"  # fmt: skip
    run = run_pass(text, "eliminate-identities")
    assert run.changes == 0


def test_reductions_of_size_one_are_identities_only_where_f_of_one_element_is_it() -> None:
    text = """g (float[N, 1] x) => (float[N, 1] y) {
        axes = Constant<value_ints = [1]>()
        a = ReduceMin(x, axes) b = ReduceMax(a, axes) c = ReduceProd(b, axes) d = ReduceSumSquare(c, axes)
        e = ReduceL2(d, axes) f = ReduceMean(e, axes) y = ReduceLogSumExp(f, axes)
    }"""
    run = run_pass(text, "eliminate-identities")
    assert run.ops == ["ReduceSumSquare", "ReduceL2", "ReduceMean", "ReduceLogSumExp"]


def test_a_reduction_that_drops_dimensions_of_size_one_is_a_squeeze() -> None:
    text = """g (float[N, 1, M] x) => (float[A, B] z) <int64[1] k = {1}> {
        y = ReduceMax<keepdims = 0>(x, k) z = Neg(y)
    }"""
    assert run_pass(text, "eliminate-identities").ops == ["Squeeze", "Neg"]
    other = text.replace("float[N, 1, M]", "float[N, 3, M]")
    assert run_pass(other, "eliminate-identities").ops == ["ReduceMax", "Neg"]


def test_an_expand_that_grows_at_run_time_stays() -> None:
    text = """g (float[N, 4] x, float[M, 1] l) => (float[K, 4] z) {
        s = Shape(l) y = Expand(x, s) z = Neg(y)
    }"""
    run = run_pass(text, "eliminate-identities", inputs=())
    assert "Expand" in run.ops


def test_cast_like_to_another_type_becomes_a_cast() -> None:
    text = "g (float[N] x, float16[M] l) => (float16[N] y) { a = Neg(l) y = CastLike(x, a) }"
    run = run_pass(text, "eliminate-identities,dce")
    assert run.ops == ["Cast"]


def test_dropout_whose_mask_is_used_stays() -> None:
    text = "g (float[N] x) => (float[N] z, bool[N] m) { y, m = Dropout(x) z = Neg(y) }"
    run = run_pass(text, "eliminate-identities")
    assert run.ops == ["Dropout", "Neg"]
    assert run.refusals["dropout: a further output is in use"] == 1


def test_old_dropout_forms() -> None:
    text = "g (float[N] x) => (float[N] z) { y, m = Dropout<ratio = 0.3>(x) z = Neg(y) }"
    assert run_pass(text, "eliminate-identities", opset=7).ops == ["Neg"]
    assert run_pass(text, "eliminate-identities", opset=10).ops == ["Neg"]


def test_an_identity_between_input_and_output_stays() -> None:
    run = run_pass("g (float[N] x) => (float[N] y) { y = Identity(x) }", "eliminate-identities")
    assert run.ops == ["Identity"]


def test_an_output_keeps_its_name() -> None:
    run = run_pass("g (float[N] x) => (float[N] y) { a = Neg(x) y = Identity(a) }", "eliminate-identities")
    assert run.ops == ["Neg"] and run.model.graph.outputs[0].name == "y"


def test_two_outputs_of_one_value_keep_one_identity() -> None:
    run = run_pass(
        "g (float[N] x) => (float[N] y, float[N] z) { a = Neg(x) y = Identity(a) z = Identity(a) }",
        "eliminate-identities",
    )
    assert run.ops == ["Neg", "Identity"]


def test_branches_that_hand_an_outer_value_on_keep_their_identity() -> None:
    text = """g (bool c, float[N] x) => (float[N] y) {
        a = Neg(x)
        y = If(c) <
            then_branch = t () => (float[N] u) { u = Identity(a) },
            else_branch = e () => (float[N] v) { w = Identity(a) v = Abs(w) }
        >
    }"""
    run = run_pass(text, "eliminate-identities")
    assert sorted(run.ops) == ["Abs", "Identity", "If", "Neg"]


def test_what_takes_the_place_of_an_output_takes_its_type() -> None:
    run = run_pass(
        """
        g (float[2] x) => (float[2] y) {
            v = Loop <body = b (int64 i, bool c, float[2] a) => (bool d, float[2] z)
                { d = Less (i, i) z = Neg (a) }> ("", "", x)
            y = Identity (v)
        }
        """,
        "eliminate-identities",
    )
    assert run.ops == ["Loop", "Less", "Neg"]
    assert run.model.graph.outputs[0].dtype is not None
