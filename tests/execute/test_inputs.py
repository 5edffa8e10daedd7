"""Inputs fit the model they are made for."""

from __future__ import annotations

import json
import time
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import ExecutionError, UsageError
from graphopt.execute import Session, make_inputs


def model(text: str, *, opsets: str = '"": 17', ir_version: int = 8) -> ir.Model:
    return ir.from_onnx_text(f"<ir_version: {ir_version}, opset_import: [{opsets}]>\n{text}")


def test_each_named_dimension_gets_two_sizes() -> None:
    sets = make_inputs(model("g (float[batch, length] x) => (float[batch, length] y) { y = Neg(x) }"))
    assert len(sets) == 2
    assert sets[0].bindings["batch"] != sets[1].bindings["batch"]
    assert sets[0].bindings["length"] != sets[1].bindings["length"]
    assert sets[0].values["x"].shape == tuple(sets[0].bindings.values())


def test_equal_names_are_equal_sizes() -> None:
    sets = make_inputs(model("g (float[N, T] a, float[T, N] b) => (float[N, N] y) { y = MatMul(a, b) }"))
    for one in sets:
        assert one.values["a"].shape == one.values["b"].shape[::-1]


@pytest.mark.parametrize("name", ["?", "-1", "unk", ""])
def test_placeholder_names_are_independent_dimensions(name: str) -> None:
    made = model("g (float[2, 3] a, float[3, 5] b) => (float[2, 5] y) { y = MatMul(a, b) }")
    for value in (*made.graph.inputs, *made.graph.outputs):
        value.shape = ir.Shape([name or None, name or None])
    sets = make_inputs(made)
    assert {one.values["a"].shape[1] == one.values["b"].shape[0] for one in sets} == {True}
    assert set(sets[0].bindings) == {"a[0]", "a[1]", "b[0]", "b[1]"}


def test_dimensions_named_by_shape_inference_alone_keep_their_kind() -> None:
    made = model("g (float[N, 6] x, float[1, M, 6] state) => (float[A, B, C] y) { y = Add(x, state) }")
    made.graph.inputs[0].shape = ir.Shape(["x_0", 6])
    made.graph.inputs[1].shape = ir.Shape([1, "state_1", 6])
    (one,) = make_inputs(made, representative=True)
    assert one.bindings == {"x[0]": 1, "state[1]": 1}


def test_sizes_a_reshape_demands_are_found() -> None:
    made = model(
        "g (float[N, T] x) => (float[A, B, C] y) { s = Constant<value_ints=[-1, 5, 48]>() y = Reshape(x, s) }"
    )
    for one in make_inputs(made):
        assert one.values["x"].size % 240 == 0


def test_the_height_a_text_recognizer_demands_is_found() -> None:
    made = model(
        """g (float[N, 3, H, W] x, float[8, 3, 3, 3] w) => (float[A, B, C] y) {
             a = Conv<strides=[4, 2], pads=[1, 1, 1, 1]>(x, w)
             s = Constant<value_ints=[0, 96, -1]>() y = Reshape(a, s) }"""
    )
    value = made.graph.inputs[1]
    value.const_value = ir.tensor(np.ones((8, 3, 3, 3), np.float32), name="w")
    made.graph.register_initializer(value)
    made.graph.inputs.remove(value)
    sets = make_inputs(made)
    assert all(Session(made).run(one.values)["y"].shape[1] == 96 for one in sets)


def test_given_shapes_are_kept_and_shared_through_names() -> None:
    made = model("g (float[N, T] a, float[N, T] b) => (float[N, T] y) { y = Add(a, b) }")
    for one in make_inputs(made, shapes={"a": [3, 9]}):
        assert one.values["a"].shape == one.values["b"].shape == (3, 9)


def test_a_partly_given_shape_leaves_the_rest_free() -> None:
    sets = make_inputs(model("g (float[N, T] x) => (float[N, T] y) { y = Neg(x) }"), shapes={"x": [-1, 9]})
    assert [one.values["x"].shape[1] for one in sets] == [9, 9]
    assert sets[0].values["x"].shape[0] != sets[1].values["x"].shape[0]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": [1]}, "'z'.*not an input"),
        ({"x": [1]}, "has 1 dimensions, expected 2"),
        ({"x": [1, 4]}, "fixed size 3 in axis 1, got 4"),
        ({"x": [2, 3], "w": [4]}, "dimension 'N' is given two sizes, 2 and 4"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes: dict[str, list[int]], message: str) -> None:
    made = model("g (float[N, 3] x, float[N] w) => (float[N, 3] y) { y = Neg(x) z = Neg(w) }")
    with pytest.raises(UsageError, match=message):
        make_inputs(made, shapes=shapes)


def test_a_shape_for_a_size_is_told_which_input_has_it() -> None:
    made = model("g (float[batch,3] x, float y) => (float[batch,3] z) { z = Add(x, y) }")
    with pytest.raises(UsageError) as error:
        make_inputs(made, shapes={"batch": [2]})
    assert error.value.hint == "the inputs are x [batch, 3], y []"


def test_indices_stay_inside_the_table_and_reach_its_rows() -> None:
    made = model("g (int64[N, T] x, float[7, 4] table) => (float[N, T, 4] y) { y = Gather(table, x) }")
    ids = np.concatenate([one.values["x"].ravel() for one in make_inputs(made)])
    assert ids.min() >= 0 and ids.max() < 7
    assert len(np.unique(ids)) > 2


@pytest.mark.parametrize("where", ["Where(mask, never, x)", "Where(kept, x, never)"])
def test_masks_that_hide_are_zeros_then_ones(where: str) -> None:
    made = model(
        f"""g (bool[N, T] mask, float[N, T] x) => (float[N, T] y) <float never = {{-inf}}> {{
             kept = Not(mask) z = {where} y = Softmax(z) }}"""
    )
    for one in make_inputs(made):
        mask = one.values["mask"].astype(int)
        assert (np.diff(mask, axis=1) >= 0).all()
        assert not mask[:, 0].any()


def test_masks_are_ones_then_zeros() -> None:
    made = model(
        """g (int64[N, T] attention_mask, float[N, T] x) => (float[N, T] y) {
             f = Cast<to=1>(attention_mask) o = Constant<value_float=1.0>() i = Sub(o, f)
             m = Constant<value_float=-10000.0>() b = Mul(i, m) y = Add(x, b) }"""
    )
    for one in make_inputs(made):
        mask = one.values["attention_mask"]
        assert set(np.unique(mask)) <= {0, 1}
        assert (np.diff(mask, axis=1) <= 0).all()
        assert mask[0].all()


def test_both_branches_of_a_comparison_are_reached() -> None:
    made = model(
        """g (float[N] x, int64 rate) => (float[N] y) {
             k = Constant<value_int=16000>() c = Equal(rate, k)
             y = If(c) <then_branch = a () => (float[N] p) { p = Neg(x) },
                        else_branch = b () => (float[N] q) { q = Abs(x) }> }"""
    )
    rates = [int(one.values["rate"]) for one in make_inputs(made)]
    assert 16000 in rates
    assert any(rate != 16000 for rate in rates)


def test_both_branches_of_a_bool_input_are_reached() -> None:
    made = model(
        """g (float[N] x, bool c) => (float[N] y) {
             y = If(c) <then_branch = a () => (float[N] p) { p = Neg(x) },
                        else_branch = b () => (float[N] q) { q = Abs(x) }> }"""
    )
    assert {bool(one.values["c"]) for one in make_inputs(made)} == {True, False}


def test_sizes_are_searched_again_for_each_branch() -> None:
    made = model(
        """g (float[T] x, int64 rate) => (float[A, B] y) {
             k = Constant<value_int=16000>() c = Equal(rate, k)
             s = Constant<value_ints=[-1, 9]>() t = Constant<value_ints=[-1, 11]>()
             y = If(c) <then_branch = a () => (float[A, B] p) { p = Reshape(x, s) },
                        else_branch = b () => (float[A, B] q) { q = Reshape(x, t) }> }"""
    )
    made.graph.inputs[0].shape = ir.Shape(["T"])
    lengths = {int(one.values["rate"]) == 16000: len(one.values["x"]) for one in make_inputs(made)}
    assert lengths[True] % 9 == 0
    assert lengths[False] % 11 == 0


@pytest.mark.parametrize(
    ("text", "opsets"),
    [
        ("g (float[2, 3] x, int64[2] s) => (float[3, 2] y) { y = Reshape(x, s) }", '"": 17'),
        ("g (float[2, 3] x, int64[3] s) => (float[4, 2, 3] y) { y = Expand(x, s) }", '"": 17'),
        ("g (float[2, 3] x, int64[2] s) => (float[4, 9] y) { y = Tile(x, s) }", '"": 17'),
        ("g (float[2, 3] x, int64[1] k) => (float[2, 2] v, int64[2, 2] i) { v, i = TopK(x, k) }", '"": 17'),
        ("g (float[2, 1, 3] x, int64[1] a) => (float[2, 3] y) { y = Squeeze(x, a) }", '"": 17'),
        ("g (float[2, 3] x, int64[1] a) => (float[2, 1] y) { y = ReduceSum(x, a) }", '"": 17'),
        ("g (float[2, 3] x, int64[4] p) => (float[4, 3] y) { y = Pad(x, p) }", '"": 17'),
        ("g (float[4, 3] x, int64[2] s) => (float[2, 3] a, float[2, 3] b) { a, b = Split(x, s) }", '"": 17'),
        ("g (int64 a, int64 b, int64 c) => (int64[N] y) { y = Range(a, b, c) }", '"": 17'),
        ("g (int64[2] s) => (float[3, 4] y) { y = ConstantOfShape(s) }", '"": 17'),
        ("g (int64[N] a, int64[N] b) => (int64[N] y) { y = Div(a, b) }", '"": 17'),
        ("g (float[1, 1, 4, 4] x, float[4] s) => (float[1, 1, 8, 8] y) { y = Resize(x, , s) }", '"": 17'),
    ],
)
def test_parameters_get_values_that_run(text: str, opsets: str) -> None:
    made = model(text, opsets=opsets)
    for one in make_inputs(made):
        outputs = Session(made).run(one.values)
        for value in made.graph.outputs:
            if value.shape is not None and value.shape.is_static():
                assert outputs[value.name or ""].shape == tuple(value.shape.numpy())


def test_sequences_optionals_and_text() -> None:
    joined = make_inputs(model("g (seq(float[N]) s) => (float[M] y) { y = ConcatFromSequence<axis=0>(s) }"))
    assert len(joined[0].values["s"]) == 3
    absent = make_inputs(
        model("g (optional(float[N]) o) => (bool y) { y = OptionalHasElement(o) }", opsets='"": 18')
    )
    assert {one.values["o"] is None for one in absent} == {True, False}
    words = make_inputs(model("g (string[N] s) => (string[N] y) { y = Identity(s) }"))
    assert words[0].values["s"].dtype == object


@pytest.mark.parametrize("name", ["float16", "bfloat16", "double", "uint8", "int8", "bool", "int32"])
def test_every_type_is_made(name: str) -> None:
    made = model(f"g ({name}[N] x) => (float[N] y) {{ y = Cast<to=1>(x) }}")
    numpy_name = {"double": "float64"}.get(name, name)
    expected = np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(numpy_name)
    assert make_inputs(made)[0].values["x"].dtype == expected


def test_an_input_of_unknown_rank() -> None:
    made = model("g (float[A, B] x, float[5] w) => (float[C] y) { y = MatMul(x, w) }")
    made.graph.inputs[0].shape = None
    made.graph.inputs[1].shape = None
    assert make_inputs(made)[0].values["x"].ndim > 0


def test_inputs_with_defaults_are_left_out() -> None:
    made = model("g (float[N] x, float[1] w) => (float[N] y) { y = Mul(x, w) }", ir_version=3, opsets='"": 7')
    value = made.graph.inputs[1]
    value.const_value = ir.tensor(np.ones(1, np.float32), name="w")
    made.graph.register_initializer(value)
    one = make_inputs(made)[0]
    assert list(one.values) == ["x"]
    assert "1 inputs with defaults were left at them" in one.notes


def test_the_same_seed_gives_the_same_numbers() -> None:
    made = model("g (float[N, T] x) => (float[N, T] y) { y = Neg(x) }")
    first, second, other = make_inputs(made), make_inputs(made), make_inputs(made, seed=1)
    assert all(np.array_equal(a.values["x"], b.values["x"]) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0].values["x"], other[0].values["x"])


def test_the_number_of_sets_can_be_given() -> None:
    made = model("g (float[2] x) => (float[2] y) { y = Neg(x) }")
    assert [len(make_inputs(made, count=count)) for count in (1, 3)] == [1, 3]


def test_a_model_that_never_runs_is_an_error_that_names_the_node() -> None:
    made = model(
        """g (float[N] x) => (float[A, B] y) {
             s = Constant<value_ints=[0, 0, 7]>() y = Reshape<allowzero=1>(x, s) }"""
    )
    with pytest.raises(ExecutionError, match=r"no input sizes .*Reshape"):
        make_inputs(made)


def test_a_model_no_runtime_loads_gets_untried_inputs_and_a_note() -> None:
    made = model("g (float[N, 3] x) => (float[N] y) { y = other.Magic(x) }", opsets='"": 17, "other": 1')
    (one,) = make_inputs(made)
    assert one.values["x"].shape[1] == 3
    assert "not tried" in one.notes[0]


def test_representative_inputs_are_larger() -> None:
    made = model("g (float[N, 3, H, W] x) => (float[N, 3, H, W] y) { y = Neg(x) }")
    (one,) = make_inputs(made, representative=True)
    assert one.values["x"].shape[0] == 1
    assert one.values["x"].shape[2] > make_inputs(made)[0].values["x"].shape[2]


def test_representative_sizes_depend_on_the_work_not_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "g (float[N, 3, H, W] x) => (float[N, 3, H, W] y) { y = Neg(x) }"
    (quick,) = make_inputs(model(text), representative=True)
    run = Session.run_observed

    def slowly(self: Session, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
        time.sleep(0.05)
        return run(self, values)

    monkeypatch.setattr(Session, "run_observed", slowly)
    (slow,) = make_inputs(model(text), representative=True)
    assert slow.bindings == quick.bindings


def test_much_work_makes_representative_inputs_smaller() -> None:
    one = model(
        "g (float[length, 3000] x, float[3000, 3000] w) => (float[length, 3000] y) { y = MatMul(x, w) }"
    )
    steps = " ".join(f"a{i + 1} = MatMul(a{i}, w)" for i in range(4))
    many = model(
        "g (float[length, 3000] x, float[3000, 3000] w) => (float[length, 3000] a4) { a0 = Neg(x) "
        + steps
        + " }"
    )
    (small,), (large,) = (make_inputs(made, representative=True) for made in (many, one))
    assert small.bindings["length"] < large.bindings["length"]


def test_sets_describe_themselves_as_json() -> None:
    one = make_inputs(model("g (float[N] x) => (float[N] y) { y = Neg(x) }"))[0]
    assert one.description == f"x float32[{one.bindings['N']}]"
    json.dumps(one.to_dict(), allow_nan=False)


@pytest.mark.parametrize("kind", ["float", "uint8"])
def test_images_are_shown_pictures(kind: str) -> None:
    made = model(f"g ({kind}[N, H, W, 3] x) => (float[N, H, W, 3] y) {{ y = Cast<to=1>(x) }}")
    array = make_inputs(made)[0].values["x"].astype(np.float32)
    steps = np.abs(np.diff(array, axis=2)) / np.ptp(array)
    assert np.median(steps) < 0.05 < 0.4 < steps.max(), "areas, and edges between them"
