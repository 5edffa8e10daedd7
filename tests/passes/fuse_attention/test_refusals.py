"""What is nearly attention stays, with a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from graphopt.passes.idioms.fuse_attention import FuseAttention
from graphopt.testing import run_pass

from .spelled import attention, found

ADDED = {"weighting": "c0 = MatMul(w, vh) c = Mul(c0, r)"}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            {"softmax": "w = Softmax <axis = 2> (z)"},
            "attention: the softmax runs over axis 2, not the last one",
        ),
        (
            {"mask": "z = Where(seen, s, few)"},
            "attention: the value of the mask, -100, leaves weight on what is masked",
        ),
        (
            {"mask": "z = Where(seen, s, uneven)"},
            "attention: scores are replaced by more than one number",
        ),
        (
            {"scores": "p = MatMul(qh, kt) s = Mul(p, uneven)"},
            "attention: the scores are scaled by more than one number",
        ),
        ({"scores": "p = MatMul(qh, kt) s = Mul(p, negative)"}, "attention: the scale -1 is not positive"),
        (
            {"mask": "z = Add(s, larger)"},
            "attention: the mask may have more rows, heads or batches than the scores",
        ),
        (
            {"mask": "z = Where(taller, s, low)"},
            "attention: the mask may have more rows, heads or batches than the scores",
        ),
        (
            {"scores": "p = MatMul(qh, kt) s = Relu(p)", "mask": "h = Shape(p) z = Identity(s)"},
            "",
        ),
        (
            {"scores": "p = MatMul(qh, kt) a = Add(p, row) t = Tanh(a) s = Mul(t, scale)"},
            "attention: a mask is added before the scores are capped",
        ),
        (
            {"keys": "kh = Reshape(k4, square)", "scores": "p = MatMul(qh, kh) s = Mul(p, scale)"},
            "attention: the keys are not transposed",
        ),
        ({"weighting": "v0 = Identity(vh) c0 = MatMul(w, v0) c = Mul(c0, w4)"}, "elsewhere"),
        (
            {"weighting": "f = Cast <to = 1> (seen) w5 = Mul(f, w) c = MatMul(w5, vh)"},
            "attention: a mask or factor is laid over the weights, behind the softmax",
        ),
        (
            {"softmax": "w = Sigmoid(z)"},
            "attention: the weights come from a Sigmoid, not from a softmax",
        ),
        (
            {"scores": "p = MatMul(qh, kt) a = Where(seen, p, low) t = Tanh(a) s = Mul(t, scale)"},
            "attention: a mask is laid over the scores before they are capped",
        ),
        (
            {"scores": "p = MatMul(qh, kt) a = Tanh(p) t = Tanh(a) s = Mul(t, scale)"},
            "attention: the scores pass Tanh, and are not scaled back by a positive bound",
        ),
        (
            {"scores": "p = MatMul(qh, kt) t = Tanh(p) s = Mul(t, negative)"},
            "attention: the scores pass Tanh, and are not scaled back by a positive bound",
        ),
        (
            {"scores": "p = MatMul(qh, kt) s = Mul(p, scale) r = ReduceMax <keepdims = 1> (s)", **ADDED},
            "attention: its scores or weights are used elsewhere too",
        ),
        (
            {"softmax": "w0 = Softmax(z) w = Cast <to = 1> (w0) r = ReduceMax <keepdims = 1> (w0)", **ADDED},
            "attention: its scores or weights are used elsewhere too",
        ),
        (
            {"softmax": "w0 = Softmax(z) w = Identity(w0) r = ReduceMax <keepdims = 1> (w)", **ADDED},
            "attention: its scores or weights are used elsewhere too",
        ),
        (
            {"scores": "p = MatMul(qh, kt) d = Cast <to = 11> (p) s = Cast <to = 1> (d)"},
            "attention: the scores are cast to DOUBLE",
        ),
    ],
)
def test_near_misses(changed: dict[str, str], reason: str) -> None:
    if "w4" in changed.get("weighting", ""):
        changed["weighting"] = "r = ReduceMax <keepdims = 1> (w) c0 = MatMul(w, vh) c = Mul(c0, r)"
    text = attention(
        inputs=", bool[1,1,5,5] seen, bool[2,1,5,5] taller",
        constants=", float few = {-100}, float low = {-1e9}, float negative = {-1}, float[5] uneven ="
        " {-1e9, -2e9, -3e9, -4e9, -5e9}, float[2,1,1,1] larger = {0, 1}, float[1,1,1,5] row ="
        " {0, 0, 0, 0, 1}, int64[4] square = {0, 3, 4, 5}",
        dims=(1, 5, 5),
        **changed,
    )
    run = run_pass(text, "fuse-attention", opset=23)
    assert run.changes == 0
    assert not reason or [each for each in run.refusals if reason in each], run.refusals


def test_an_older_opset_is_refused_and_raised() -> None:
    text = attention()
    kept = run_pass(text, "fuse-attention", opset=18)
    assert kept.changes == 0 and "needs opset 23" in next(iter(kept.refusals))
    raised = run_pass(text, "{fuse-attention,raise-opset}*", opset=18)
    found(raised)


def test_a_target_may_keep_the_spelling(tmp_path: Path) -> None:
    target = tmp_path / "slow.toml"
    target.write_text(
        'name = "slow"\ndescription = "one"\ndomains = [""]\n[times]\nAttention = 2.0\n', "utf-8"
    )
    assert run_pass(attention(), FuseAttention(target=str(target)), opset=23).changes == 0


def test_types_that_onnxruntime_has_no_attention_for() -> None:
    text = re.sub(r"\bfloat\b", "bfloat16", attention(scores="s = MatMul(qh, kt)"))
    text = re.sub(r"(scale|root|divisor) = \{[^}]*\}", r"\1 = {16128}", text)
    run = run_pass(text, "fuse-attention", opset=23, inputs=())
    assert run.refusals == {"fuse-attention: attention: onnxruntime has no Attention for BFLOAT16": 1}


def test_products_of_three_letters() -> None:
    """Without heads the rows are the second letter of three, and not the third."""
    run = run_pass(
        """agraph (float[B,S,4] q, float[B,T,4] k, float[B,T,4] v) => (float[B,S,4] y) <float scale = {0.5}> {
            p = Einsum <equation = "bqd,bkd->bqk"> (q, k)  s = Mul(p, scale)  w = Softmax <axis = -1> (s)
            y = Einsum <equation = "bqk,bkd->bqd"> (w, v)
        }""",
        "fuse-attention,dce",
        opset=23,
    )
    assert "Attention" in run.ops and "Einsum" not in run.ops
