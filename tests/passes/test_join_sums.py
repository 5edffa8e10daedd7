"""join-sums: what is added in front of a normalization becomes one Sum; other Adds stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphopt.passes.ort.join_sums import JoinSums
from graphopt.testing import parse_model, run_pass

NORM = "y = LayerNormalization <axis = -1> (t, s)"


def model(body: str, *, out: str = "y", opset: int = 18) -> str:
    weights = "float[4] b = {0.5, -1.0, 2.0, 0.25}, float[4] s = {1.0, 2.0, 3.0, 4.0}"
    ports = "float[N,S,4] x, float[N,S,4] r, float[1,S,4] p"
    outputs = ", ".join(f"float[N,S,4] {name}" for name in out.split())
    header = f'<ir_version: 9, opset_import: ["": {opset}]>'
    return f"{header} g ({ports}) => ({outputs}) <{weights}> {{ {body} }}"


@pytest.mark.parametrize(
    ("body", "terms"),
    [
        (f"t = Add(x, r) {NORM}", ["x", "r"]),
        (f"a = Add(x, b) t = Add(a, r) {NORM}", ["x", "b", "r"]),
        (f"a = Add(b, x) t = Add(a, r) {NORM}", ["b", "x", "r"]),
        (f"a = Add(x, b) t = Add(r, a) {NORM}", ["r", "x", "b"]),
        (f"a = Add(x, r) t = Add(a, p) {NORM}", ["x", "r", "p"]),
        (f"a = Add(x, b) c = Add(r, p) t = Add(a, c) {NORM}", ["x", "b", "r", "p"]),
        (f"a = Add(x, b) c = Add(a, p) t = Add(c, r) {NORM}", ["x", "b", "p", "r"]),
        (f"a = Add(b, p) t = Add(a, r) {NORM}", ["a", "r"]),
    ],
)
def test_additions_of_one_shape_become_one_sum(body: str, terms: list[str]) -> None:
    run = run_pass(model(body), "join-sums")
    assert [value.name for value in run.node("Sum").inputs if value] == terms
    assert run.ops.count("Add") == (1 if "a" in terms else 0)


def test_a_sum_that_is_used_again_is_joined_where_that_saves_a_node() -> None:
    body = f"a = Add(x, b) t = Add(a, r) {NORM} z = Relu(t)"
    assert run_pass(model(body, out="y z"), "join-sums").ops == ["Sum", "LayerNormalization", "Relu"]
    assert run_pass(model(f"t = Add(x, r) {NORM} z = Relu(t)", out="y z"), "join-sums").changes == 0


def test_an_inner_addition_that_is_used_elsewhere_stays() -> None:
    body = f"a = Add(x, b) t = Add(a, r) {NORM} z = Relu(a)"
    run = run_pass(model(body, out="y z"), "join-sums")
    assert [value.name for value in run.node("Sum").inputs if value] == ["a", "r"]


def test_the_form_of_a_root_mean_square_joins_three_terms_alone() -> None:
    norm = "y = RMSNormalization <axis = -1> (t, s)"
    joined = run_pass(model(f"a = Add(x, b) t = Add(a, r) {norm}", opset=23), "join-sums")
    assert joined.ops == ["Sum", "RMSNormalization"]
    assert run_pass(model(f"t = Add(x, r) {norm}", opset=23), "join-sums").changes == 0


@pytest.mark.parametrize(
    "body",
    ["t = Add(x, r) y = Softmax(t)", f"t = Sub(x, r) {NORM}", "t = Add(x, r) y = LayerNormalization(r, t)"],
)
def test_other_additions_stay_without_a_word(body: str) -> None:
    run = run_pass(model(body), "join-sums", inputs=(), full_check=False)
    assert (run.changes, run.refusals) == (0, {})


def test_a_type_that_onnxruntime_has_no_sum_for_stays() -> None:
    text = f"g (float16[N,4] x, float16[N,4] r, float16[4] s) => (float16[N,4] y) {{ t = Add(x, r) {NORM} }}"
    run = run_pass(text, "join-sums", inputs=())
    assert run.refusals == {"add-before-norm: Sum takes float32 and float64 alone in onnxruntime": 1}


def test_a_target_where_it_does_not_pay_keeps_the_additions(tmp_path: Path) -> None:
    target = tmp_path / "other.toml"
    target.write_text(
        'name = "o"\ndescription = "o"\ndomains = [""]\n[times]\n"Sum.LayerNormalization" = 1.2\n'
    )
    run = run_pass(model(f"t = Add(x, r) {NORM}"), JoinSums(target=str(target)))
    assert run.changes == 0


def test_a_sum_says_what_it_was_made_of() -> None:
    model = parse_model(
        """agraph (float[2,4] a, float[2,4] b, float[2,4] c) => (float[2,4] y) <float[4] s = {1, 1, 1, 1}> {
            [first] t = Add(a, b)  [second] u = Add(t, c)  y = LayerNormalization(u, s)
        }"""
    )
    assert run_pass(model, "join-sums").node("Sum").metadata_props["graphopt.from"] == "first, second"
