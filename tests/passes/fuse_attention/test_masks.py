"""Masks of attention: added, chosen, guarded, causal."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.ir import attribute_float, attribute_int
from graphopt.passes.idioms._masks import is_causal
from graphopt.testing import run_pass

from .spelled import BATCH, COLUMNS, HEADS, MASK, ROWS, SCALE, attention, feeds, found

LOWEST = "-3.4028234663852886e38"
SEEN = (np.arange(COLUMNS) < np.arange(3, 3 + ROWS)[:, None]) & np.ones((BATCH, 1, ROWS, 1), np.bool_)


@pytest.mark.parametrize(
    ("declared", "mask", "value"),
    [
        ("float[B,1,S,T] mask", "z = Add(s, mask)", MASK),
        ("float[B,1,S,T] mask", "z = Add(mask, s)", MASK),
        ("float[1,1,S,T] mask", "z = Add(s, mask)", MASK[:1]),
        ("float[S,T] mask", "z = Add(s, mask)", MASK[0, 0]),
        ("float[1,S,T] mask", "z = Add(s, mask)", MASK[0]),
        ("float[B,1,1,T] mask", "z = Add(s, mask)", MASK[:, :, :1]),
        ("float[T] mask", "z = Add(s, mask)", MASK[0, 0, 0]),
        ("float[B,3,S,1] mask", "z = Add(s, mask)", np.ones((BATCH, HEADS, ROWS, 1), np.float32)),
        ("float[B,1,S,T] mask", "h = Mul(mask, scale) a = Add(s, h) z = Add(a, mask)", MASK),
        ("float[B,1,S,T] mask", "z = Sub(s, mask)", -MASK),
        ("bool[B,1,S,T] mask", f"z = Where(mask, s, {'low'})", SEEN),
        ("bool[B,1,S,T] mask", f"z = Where(mask, {'low'}, s)", ~SEEN),
        ("bool[B,1,S,T] mask", "n = Not(mask) z = Where(n, low, s)", SEEN),
        ("bool[B,1,S,T] mask", "z = Where(mask, s, never)", SEEN),
        ("bool[B,1,S,T] mask", "b = Where(mask, zero, never) z = Add(s, b)", SEEN),
        ("bool[B,1,S,T] mask", "b = Where(mask, zero, lowest) z = Add(s, b)", SEEN),
        (
            "int64[B,T] mask",
            """f = Cast <to = 1> (mask) u = Unsqueeze(f, axes) n = Sub(one, u) b = Mul(n, lowest)
            z = Add(s, b)""",
            SEEN[:, 0, 0].astype(np.int64),
        ),
    ],
)
def test_masks_of_all_kinds(declared: str, mask: str, value: Any) -> None:
    constants = (
        f", float zero = {{0.0}}, float one = {{1.0}}, float low = {{-1e9}}, float never = {{-inf}},"
        f" float lowest = {{{LOWEST}}}, int64[2] axes = {{1, 2}}"
    )
    run = run_pass(
        attention(mask=mask, inputs=f", {declared}", constants=constants),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=value),
    )
    node = found(run)
    assert len(node.inputs) == 4 and attribute_float(node, "scale", 0) == pytest.approx(SCALE)


@pytest.mark.parametrize(
    "views",
    [
        "e = Expand(lowest, square) b = Trilu <upper = 1> (e, k1)",
        "e = Expand(lowest, square) f = Mul(e, one) b = Trilu <upper = 1> (f, k1)",
        "e = Expand(line, square) f = Transpose <perm = [1,0]> (e) b = Min(f, one)",
        "e = Expand(line, square) b = Slice(e, k1v, k5v, k1v)",
        "e = ConstantOfShape <value = float[1] {-2}> (square) b = Trilu <upper = 1> (e, k1)",
    ],
)
def test_what_reads_the_shape_of_a_mask_finds_it_expanded(views: str) -> None:
    run = run_pass(
        attention(
            mask=f"{views} z = Add(s, b)",
            constants=f", float lowest = {{{LOWEST}}}, float one = {{1}}, int64[2] square = {{5, 5}},"
            f" float[5] line = {{{LOWEST}, 0, 0, 0, 0}}, int64 k1 = {{1}},"
            " int64[1] k1v = {0}, int64[1] k5v = {5}",
            dims=(1, 5, 5),
        ),
        "fuse-attention",
        opset=23,
    )
    run.node("Attention")


def test_a_scaled_mask_stays_scaled() -> None:
    run = run_pass(
        attention(
            scores="s = MatMul(qh, kt)",
            mask="a = Add(s, mask) z = Mul(a, scale)",
            inputs=", float[B,1,S,T] mask",
        ),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=np.random.default_rng(1).standard_normal(MASK.shape).astype(np.float32)),
    )
    assert attribute_float(found(run), "scale", 0) == pytest.approx(SCALE)


@pytest.mark.parametrize("guard", [True, False])
@pytest.mark.parametrize(
    "mask",
    [
        "b = Where(mask, zero, lowest) z = Add(s, b)",
        "e = Cast <to = 1> (mask) n = Sub(one, e) b = Mul(n, lowest) z = Add(s, b)",
        "z = Where(mask, s, lowest)",
        "z = Where(mask, s, low)",
        "e = Expand(fill, shape) b = Where(mask, zero, e) z = Add(s, b)",
    ],
)
def test_a_row_masked_wholly_by_finite_numbers_weighs_all_alike(mask: str, guard: bool) -> None:
    seen = SEEN.copy()
    seen[0, :, 2] = False
    guarded = "w0 = Softmax <axis = -1> (z) n0 = IsNaN(w0) w = Where(n0, zero, w0)"
    run = run_pass(
        attention(
            mask=mask,
            softmax=guarded if guard else "w = Softmax <axis = -1> (z)",
            inputs=", bool[B,1,S,T] mask",
            constants=f", float zero = {{0.0}}, float one = {{1.0}}, float low = {{-1e9}},"
            f" float lowest = {{{LOWEST}}}, float[1,1,1,1] fill = {{{LOWEST}}},"
            " int64[4] shape = {1, 1, 1, 1}",
        ),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=seen),
    )
    found(run)


def test_a_row_masked_wholly_by_infinity_is_zero_where_the_spelling_guards_it() -> None:
    seen = SEEN.copy()
    seen[0, :, 2] = False
    run = run_pass(
        attention(
            mask="b = Where(mask, zero, never) z = Add(s, b)",
            softmax="w0 = Softmax <axis = -1> (z) n0 = IsNaN(w0) w = Where(n0, zero, w0)",
            inputs=", bool[B,1,S,T] mask",
            constants=", float zero = {0.0}, float never = {-inf}",
        ),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=seen),
    )
    assert found(run).inputs[3].name == "mask"


@pytest.mark.parametrize(
    ("number", "step"), [("nan", "Add"), ("inf", "Add"), ("-inf", "Sub"), ("nan", "Sub")]
)
@pytest.mark.parametrize("constant", [False, True])
def test_a_mask_that_takes_all_weights_away_stays_guarded(number: str, step: str, constant: bool) -> None:
    """Attention has no number for such a row, where the guard has zeros."""
    mask = f"z = {step}(s, odd)" if constant else f"b = Where(mask, zero, odd) z = {step}(s, b)"
    run = run_pass(
        attention(
            mask=mask,
            softmax="w0 = Softmax <axis = -1> (z) n0 = IsNaN(w0) w = Where(n0, zero, w0)",
            inputs=", bool[B,1,S,T] mask",
            constants=f", float zero = {{0.0}}, float odd = {{{number}}}",
        ),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=SEEN),
    )
    assert "Attention" not in run.ops
    assert any("which a guard looks for" in reason for reason in run.refusals)


def test_a_mask_given_by_the_user_may_hold_the_lowest_float() -> None:
    mask = np.where(SEEN, 0, np.finfo(np.float32).min).astype(np.float32)
    mask[1, :, 1] = np.finfo(np.float32).min
    run = run_pass(
        attention(mask="z = Add(s, mask)", inputs=", float[B,1,S,T] mask"),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=mask),
    )
    assert "Max" in run.ops


@pytest.mark.parametrize("lowest", [False, True])
def test_a_given_mask_under_a_guard(lowest: bool) -> None:
    never = np.finfo(np.float32).min if lowest else -np.inf
    mask = np.where(SEEN, 0, never).astype(np.float32)
    mask[1, :, 1] = never
    run = run_pass(
        attention(
            mask="z = Add(s, mask)",
            softmax="w0 = Softmax <axis = -1> (z) n0 = IsNaN(w0) w = Where(n0, zero, w0)",
            inputs=", float[B,1,S,T] mask",
            constants=", float zero = {0.0}",
        ),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=mask),
    )
    found(run)


def test_a_mask_multiplied_with_minus_one() -> None:
    run = run_pass(
        attention(
            mask="n = Sub(mask, one) b = Mul(n, largest) z = Add(s, b)",
            inputs=", float[B,1,S,T] mask",
            constants=f", float one = {{1.0}}, float largest = {{{LOWEST[1:]}}}",
        ),
        "fuse-attention",
        opset=23,
        inputs=feeds(mask=np.zeros(MASK.shape, np.float32)),
    )
    found(run)


def test_a_constant_causal_mask_becomes_an_attribute() -> None:
    lower = ", ".join(["0, -1e9, -1e9", "0, 0, -1e9", "0, 0, 0"])
    run = run_pass(
        attention(
            mask="z = Add(s, causal)",
            constants=f", float[1,1,3,3] causal = {{{lower}}}",
            dims=("B", 3, 3),
        ),
        "fuse-attention",
        opset=23,
    )
    node = found(run)
    assert attribute_int(node, "is_causal", 0) == 1 and len(node.inputs) == 3


@pytest.mark.parametrize("yes", ["zero", "blank"])
def test_a_mask_chosen_from_constants_is_one(yes: str) -> None:
    run = run_pass(
        attention(
            mask=f"b = Where(tri, {yes}, never) z = Add(s, b)",
            constants=", bool[3,3] tri = {1, 0, 0, 1, 1, 0, 1, 1, 1}, float zero = {0},"
            " float[1,1] blank = {0}, float never = {-inf}",
            dims=("B", 3, 3),
        ),
        "fuse-attention",
        opset=23,
    )
    assert attribute_int(found(run), "is_causal", 0) == 1
    assert "Where" not in run.ops


def test_a_mask_that_hides_nothing_goes() -> None:
    run = run_pass(
        attention(
            mask="e = Expand(all, shape) b = Where(e, zero, low) z = Add(s, b)",
            constants=", bool[1,1,1,1] all = {1}, float zero = {0.0}, float low = {-1e9},"
            " int64[4] shape = {1, 1, 5, 7}",
            dims=("B", ROWS, COLUMNS),
        ),
        "fuse-attention",
        opset=23,
    )
    assert len(found(run).inputs) == 3


@pytest.mark.parametrize(
    ("mask", "causal"),
    [
        ([[1, 0, 0], [1, 1, 0], [1, 1, 1]], True),
        ([[0.0, -1e9, -1e4], [0.0, 0.0, -np.inf], [0.0, 0.0, 0.0]], True),
        ([[[[1, 0], [1, 1]]]], True),
        ([[1, 0, 0], [1, 1, 0]], False),
        ([[1, 0], [1, 1], [1, 1]], False),
        ([[[1, 0], [1, 1]], [[1, 0], [1, 1]]], False),
        ([[1, 1], [1, 1]], False),
        ([[1, 0], [0, 1]], False),
        ([[0.0, -10.0], [0.0, 0.0]], False),
        ([[1e-3, -1e9], [0.0, 0.0]], False),
        ([1], False),
    ],
)
def test_which_masks_are_causal(mask: Any, causal: bool) -> None:
    array = np.array(mask, np.float32)
    array = array if array.min() < 0 or 1e-3 in array else array.astype(np.bool_)
    value = ir.Value(name="mask", const_value=ir.Tensor(array), shape=ir.Shape(array.shape))
    ir.Graph([], [], nodes=[], initializers=[value])
    assert is_causal(value) == causal
