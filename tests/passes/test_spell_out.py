"""spell-out: operators that are slower than simpler ones are written in those, where a target says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from graphopt.passes.ort.spell_out import SpellOut
from graphopt.testing import run_pass

Weights = Callable[..., str]


def model(body: str, dtype: str = "float") -> str:
    return f"g ({dtype}[N,4] x) => ({dtype}[N,4] y) {{ {body} }}"


@pytest.mark.parametrize(
    ("body", "opset", "ops"),
    [
        ("y = Swish(x)", 24, ["Sigmoid", "Mul"]),
        ("y = Swish <alpha = 1.5> (x)", 24, ["Mul", "Sigmoid", "Mul"]),
        ("y = Elu(x)", 18, ["Min", "Exp", "Sub", "Relu", "Add"]),
        ("y = Elu <alpha = 0.5> (x)", 18, ["Min", "Exp", "Sub", "Mul", "Relu", "Add"]),
        ("y = Mish(x)", 18, ["Min", "Exp", "Add", "Mul", "Add", "Div", "Mul"]),
        ("s = Softplus(x) t = Tanh(s) y = Mul(t, x)", 17, ["Min", "Exp", "Add", "Mul", "Add", "Div", "Mul"]),
    ],
)
def test_slow_activations_are_spelled_out(body: str, opset: int, ops: list[str]) -> None:
    wide = np.linspace(-120, 120, 4000, dtype=np.float32).reshape(-1, 4)
    near = np.linspace(-1e-3, 1e-3, 400, dtype=np.float32).reshape(-1, 4)
    run = run_pass(model(body), "spell-out", opset=opset, inputs=[{"x": wide}, {"x": near}])
    assert run.ops == ops


def test_groups_are_normalized_as_channels(weights: Weights) -> None:
    text = f"""g (float[2,6,3,5] x) => (float[2,6,3,5] y) {weights(s=(6,), b=(6,))} {{
        y = GroupNormalization <num_groups = 3, epsilon = 0.01> (x, s, b) }}"""
    run = run_pass(text, "spell-out,fold", opset=21)
    assert run.ops == ["Reshape", "InstanceNormalization", "Reshape", "Mul", "Add"]


def test_groups_of_unknown_shape_stay(weights: Weights) -> None:
    text = f"""g (float[N,6,3,5] x) => (float[N,6,3,5] y) {weights(s=(6,), b=(6,))} {{
        y = GroupNormalization <num_groups = 3> (x, s, b) }}"""
    assert run_pass(text, "spell-out", opset=21).changes == 0


@pytest.mark.parametrize(
    ("attributes", "roots"),
    [
        ("size = 5", ["Sqrt", "Sqrt", "Mul"]),
        ("size = 3, alpha = 0.7, bias = 2.0, beta = 0.25", ["Sqrt", "Sqrt"]),
        ("size = 1, alpha = 0.7, beta = 0.5", ["Sqrt"]),
        ("size = 7, alpha = 3.0, beta = 1.0, bias = 0.5", []),
    ],
)
@pytest.mark.parametrize("shape", ["N,6,4,5", "2,3,7", "1,8,2,3,2", "0,6,2,2"])
def test_responses_are_divided_by_roots_of_pooled_squares(
    slow_lrn: SpellOut, attributes: str, roots: list[str], shape: str
) -> None:
    text = f"g (float[{shape}] x) => (float[{shape}] y) {{ y = LRN <{attributes}> (x) }}"
    run = run_pass(text, slow_lrn)
    assert run.ops == ["Mul", "Reshape", "AveragePool", "Reshape", "Mul", "Add", *roots, "Div"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("g (float[1,6,H,5] x) => (float[1,6,H,5] y) { y = LRN <size = 5> (x) }", "the sizes of what is"),
        ("g (float[1,6,4,5] x) => (float[1,6,4,5] y) { y = LRN <size = 5, beta = 0.6> (x) }", "its power is"),
    ],
)
def test_responses_stay_with_a_reason(slow_lrn: SpellOut, text: str, reason: str) -> None:
    (found,) = run_pass(text, slow_lrn).refusals
    assert reason in found


@pytest.fixture
def slow_lrn(tmp_path: Path) -> SpellOut:
    """Of a target where LRN takes longer than its spelling."""
    target = tmp_path / "slow.toml"
    target.write_text('name = "o"\ndescription = "o"\ndomains = [""]\n[times]\nLRN = 4.0\n')
    return SpellOut(target=str(target))


SKIP = '<ir_version: 10, opset_import: ["": {opset}, "com.microsoft": 1]> g '
PORTS = "(float[N,S,4] x, float[N,S,4] r) => (float[N,S,4] y"


@pytest.mark.parametrize(
    ("node", "out", "terms"),
    [
        ("y = com.microsoft.SkipLayerNormalization(x, r, s, b)", ")", "xr"),
        ("y = com.microsoft.SkipLayerNormalization(x, r, s)", ")", "xr"),
        ("y = com.microsoft.SkipLayerNormalization <epsilon = 0.1> (x, r, s, b, c)", ")", "xcr"),
        ("y, , , z = com.microsoft.SkipLayerNormalization(x, r, s, b)", ", float[N,S,4] z)", "xr"),
        ("y = com.microsoft.SkipSimplifiedLayerNormalization(x, r, s)", ")", "xr"),
        ("y, , , z = com.microsoft.SkipSimplifiedLayerNormalization(x, r, s, c)", ", float[N,S,4] z)", "xcr"),
    ],
)
def test_a_skip_and_its_normalization_become_two_operators(
    weights: Weights, node: str, out: str, terms: str
) -> None:
    text = f"{SKIP.format(opset=23)}{PORTS}{out} {weights(s=(4,), b=(4,), c=(4,))} {{ {node} }}"
    run = run_pass(text, "spell-out", full_check=False)
    norm = "RMSNormalization" if "Simplified" in node else "LayerNormalization"
    assert sorted(run.ops) == sorted(["Sum", norm])
    expected = [term if term != "z" else "z" for term in terms]
    assert [value.name for value in run.node("Sum").inputs if value] == expected


@pytest.mark.parametrize(
    ("node", "out", "opset", "reason"),
    [
        (
            "y = com.microsoft.SkipLayerNormalization(x, r, s)",
            ")",
            16,
            "needs opset 17, and the model is at 16",
        ),
        (
            "y, z = com.microsoft.SkipLayerNormalization(x, r, s)",
            ", float[N,S,1] z)",
            17,
            "its mean or deviation is used as well",
        ),
    ],
)
def test_a_skip_stays_with_a_reason(weights: Weights, node: str, out: str, opset: int, reason: str) -> None:
    text = f"{SKIP.format(opset=opset)}{PORTS}{out} {weights(s=(4,))} {{ {node} }}"
    run = run_pass(text, "spell-out", inputs=(), full_check=False)
    assert run.refusals == {f"skip-layer-normalization: {reason}": 1}


def test_other_types_stay() -> None:
    run = run_pass(model("y = Elu(x)", "double"), "spell-out", inputs=())
    reason = "elu: the operator is not known to be in float32, for which times were measured"
    assert run.refusals == {reason: 1}


def test_operators_that_pay_on_the_target_stay(tmp_path: Path) -> None:
    target = tmp_path / "other.toml"
    target.write_text('name = "o"\ndescription = "o"\ndomains = [""]\n[times]\nElu = 1.2\nMish = 1.0\n')
    spell_out = SpellOut(target=str(target))
    assert run_pass(model("y = Mish(x)"), spell_out).changes == 0
    assert run_pass(model("y = Elu(x)"), spell_out).changes == 1


def test_long_spellings_can_be_ruled_out() -> None:
    assert run_pass(model("y = Mish(x)"), "spell-out{most=3}").changes == 0
    assert run_pass(model("y = Swish(x)"), "spell-out{most=3}", opset=24).changes == 1


@pytest.mark.parametrize(
    ("body", "rule"), [("y = Elu(x)", "elu"), ("s = Softplus(x) t = Tanh(s) y = Mul(x, t)", "mish")]
)
@pytest.mark.parametrize("opset", [7, 8])
def test_min_and_max_broadcast_since_opset_8(opset: int, body: str, rule: str) -> None:
    run = run_pass(model(body), "spell-out", opset=opset)
    reason = f"{rule}: Min broadcasts since opset 8, and the model is at {opset}"
    assert run.refusals == ({} if opset == 8 else {reason: 1})
    assert run.changes == (opset == 8)
