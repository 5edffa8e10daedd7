"""Unseeded random operators draw as often after as before; seeded ones are numbers like others."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.testing import PassFailure, check_pass, parse_model
from graphopt.testing.check.draws import different_draws

TWO = "g (float[4] x) => (float[4] y) { a = RandomNormalLike(x) b = RandomNormalLike(x) y = Sub(a, b) }"
ONE = "g (float[4] x) => (float[4] y) { a = RandomNormalLike(x) y = Mul(a, x) }"
NONE = "g (float[4] x) => (float[4] y) { y = Sub(x, x) }"


def becomes(text: str) -> Any:
    """A function that puts another model in the place of the one it is given."""
    return lambda model: parse_model(text)


@pytest.mark.parametrize(("before", "after"), [(TWO, ONE), (ONE, TWO), (ONE, NONE), (NONE, ONE)])
def test_merged_copied_and_lost(before: str, after: str) -> None:
    with pytest.raises(PassFailure, match=r"RandomNormalLike: \d drew before, \d drew after") as caught:
        check_pass(becomes(after), before)
    assert caught.value.property == "numbers"


def test_other_attributes_are_another_kind() -> None:
    with pytest.raises(PassFailure, match="unseeded RandomNormalLike"):
        check_pass(becomes(ONE.replace("Like(x)", "Like<scale=2.0>(x)")), ONE)


def test_random_outputs_are_compared_by_type_and_shape() -> None:
    assert "numbers" in check_pass("dce", TWO).checked
    longer = TWO.replace("y = Sub(a, b)", "c = Sub(a, b) y = Concat<axis=0>(c, c)").replace(
        "float[4] y", "float[8] y"
    )
    with pytest.raises(PassFailure):
        check_pass(becomes(longer), TWO)


def test_seeded_numbers_must_be_the_same() -> None:
    seeded = TWO.replace("Like(x)", "Like<seed=1.0>(x)")
    assert "numbers" in check_pass("dce", seeded).checked
    with pytest.raises(PassFailure, match="output 'y'"):
        check_pass(becomes(seeded.replace("Sub", "Add")), seeded)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # What is read for its shape alone, or masked, or not at all, draws for nobody.
        (
            "a = RandomNormalLike(x) s = Shape(a) y = Expand(x, s)",
            "s = Shape(x) y = Expand(x, s)",
        ),
        (
            "f = Constant<value = bool[4] {0, 0, 0, 0}>() a = RandomNormalLike(x) y = Where(f, a, x)",
            "y = Identity(x)",
        ),
        ("a = RandomNormalLike(x) y = Identity(x)", "y = Identity(x)"),
        # A Loop of known course, written out.
        (
            """n = Constant<value = int64 {2}>() t = Constant<value = bool {1}>()
            y = Loop(n, t, x) <body = b (int64 i, bool c, float[4] v) => (bool d, float[4] w)
                { d = Identity(c) r = RandomNormalLike(v) w = Add(v, r) }>""",
            "r = RandomNormalLike(x) v = Add(x, r) q = RandomNormalLike(v) y = Add(v, q)",
        ),
        # An If whose condition is known, but not to who looks at the graph alone.
        (
            """t = Constant<value = bool {0}>() n = Not(t)
            y = If(n) <then_branch = p () => (float[4] u) { r = RandomNormalLike(x) u = Add(x, r) },
                       else_branch = q () => (float[4] v) { v = Identity(x) }>""",
            "r = RandomNormalLike(x) y = Add(x, r)",
        ),
    ],
)
def test_what_may_differ(before: str, after: str) -> None:
    frame = "g (float[4] x) => (float[4] y) {{ {} }}"
    check_pass(becomes(frame.format(after)), frame.format(before))


def test_a_branch_that_always_draws() -> None:
    text = """g (float[4] x) => (float[4] y) {{
        t = Constant<value = bool {{{}}}>()
        y = If(t) <then_branch = p () => (float[4] u) {{ u = RandomNormalLike(x) }},
                   else_branch = q () => (float[4] v) {{ v = Identity(x) }}> }}"""
    inlined = "g (float[4] x) => (float[4] y) { y = RandomNormalLike(x) }"
    check_pass(becomes(inlined), text.format(1))
    with pytest.raises(PassFailure):
        check_pass(becomes(inlined), text.format(0))


def test_training_dropouts_draw() -> None:
    text = (
        """g (float[4] x) => (float[4] y) <float r = {{0.5}}, bool t = {{{}}}> {{ y = Dropout(x, r, t) }}"""
    )
    check_pass("eliminate-identities", text.format(0))
    with pytest.raises(PassFailure, match="Dropout"):
        check_pass(becomes("g (float[4] x) => (float[4] y) { y = Identity(x) }"), text.format(1))


def test_where_nobody_can_run_the_graph_is_believed() -> None:
    assert "2 drew before, 1 drew after" in different_draws(parse_model(TWO), parse_model(ONE), ())
    assert not different_draws(parse_model(NONE), parse_model(NONE), ())


def test_functions_are_looked_into() -> None:
    text = """<ir_version: 9, opset_import: ["" : 18, "f" : 1]>
        g (float[4] x) => (float[4] y) { y = f.noise(x) }
        <domain: "f", opset_import: ["" : 18]> noise (a) => (b) { r = RandomNormalLike(a) b = Add(a, r) }"""
    model = ir.from_onnx_text(text)
    assert check_pass("inline", model).changes


def test_a_function_may_draw_as_often_as_it_is_called() -> None:
    text = """<ir_version: 9, opset_import: ["" : 18, "f" : 1]>
        g (float[4] x) => (float[4] y) <bool t = {1}> { y = f.noise(x, t) }
        <domain: "f", opset_import: ["" : 18]> noise (a, c) => (b) { b = Dropout(a, "", c) }"""
    inlined = "g (float[4] x) => (float[4] y) <bool t = {1}> { y = Dropout(x, , t) }"
    assert different_draws(ir.from_onnx_text(text), parse_model(inlined), ()) == ""


def test_a_dropout_that_a_default_turns_off_draws_nothing_once_it_is_frozen() -> None:
    text = """g (bool t, float[4] x) => (bool[4] m) <bool t = {0}> { y, m = Dropout(x, , t) }"""
    assert check_pass("freeze-initializers,eliminate-identities", text).changes


UNKNOWN = """<ir_version: 9, opset_import: ["" : 18, "f" : 1]>
    g (float[64] x) => (float[64] y) {{ t = f.flag() y = Dropout(x, , t) }}
    <domain: "f", opset_import: ["" : 18]> flag () => (t) {{ t = Constant <value = bool {{{}}}>() }}"""
"""A Dropout of which the graph does not tell whether it is in training mode."""


def test_a_dropout_that_turns_out_to_be_off_need_not_have_drawn() -> None:
    assert check_pass("inline,eliminate-identities", UNKNOWN.format(0)).changes == 2
    off = parse_model("g (float[64] x) => (float[64] y) { y = Identity(x) }")
    assert different_draws(ir.from_onnx_text(UNKNOWN.format(0)), off, ()) == ""


def test_a_dropout_that_turns_out_to_be_on_draws_after_as_well() -> None:
    assert check_pass("inline", UNKNOWN.format(1)).changes
    with pytest.raises(PassFailure, match="unseeded Dropout: 1 drew before, 0 drew after"):
        check_pass(becomes("g (float[64] x) => (float[64] y) { y = Identity(x) }"), UNKNOWN.format(1))
    twice = "t = Constant <value = bool {1}>() a = Dropout(x, , t) b = Dropout(a, , t)"
    with pytest.raises(PassFailure, match="unseeded Dropout: 0 to 1 drew before, 2 drew after"):
        check_pass(
            becomes(f"g (float[64] x) => (float[64] y) {{ {twice} y = Identity(b) }}"), UNKNOWN.format(1)
        )


@pytest.mark.parametrize("given", [False, True])
def test_a_flag_given_by_the_caller_is_tried_as_given(given: bool) -> None:
    text = "g (float[64] x, bool t) => (float[64] y) { y = Dropout(x, , t) }"
    gone = "g (float[64] x, bool t) => (float[64] y) { y = Identity(x) }"
    inputs = [{"x": np.ones(64, np.float32), "t": np.array(given)}]
    if given:
        with pytest.raises(PassFailure, match="unseeded Dropout"):
            check_pass(becomes(gone), text, inputs=inputs)
    else:
        check_pass(becomes(gone), text, inputs=inputs)
