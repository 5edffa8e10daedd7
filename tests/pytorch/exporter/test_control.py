"""If, Loop and Scan: as onnxruntime runs them, differentiable, and kept by torch.export where it can."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.errors import TranslationError
from graphopt.pytorch import to_fx

HEADER = '<ir_version: 10, opset_import: ["": 21]> g'
LOOP = """({count}, float[4] x) => (float[4] y, float[k,4] seen) <float two = {{2.0}}, bool yes = {{1}}> {{
  y, seen = Loop(n, yes, x) <body = s (int64 i, bool go, float[4] a) => (bool on, float[4] b, float[4] c) {{
    on = {on}  b = Mul(a, two)  f = Cast<to = 1>(i)  c = Add(b, f)
  }}>
}}"""
ALWAYS, UNTIL = "Identity(go)", "Less(peak, limit)"
UNTIL_LOOP = """(float[4] x, bool go) => (float[4] y) <float two = {2.0}, float limit = {50.0}> {
  y = Loop(, go, x) <body = step (int64 i, bool on, float[4] a) => (bool more, float[4] b) {
    b = Mul(a, two)  peak = ReduceMax<keepdims = 0>(b)  more = Less(peak, limit)
  }>
}"""
SCAN = """(float[2] s, float[T,2] x) => (float[2] y, float[a,b] z) {
  y, z = Scan(s, x) <num_scan_inputs = 1, scan_input_directions = [1], scan_output_axes = [1],
    body = step (float[2] a, float[2] r) => (float[2] b, float[2] c) {
      b = Add(a, r)  t = Tanh(b)  c = Mul(t, r)
    }>
}"""
IF = """(float[N,4] x, bool yes) => (float[N,4] y) <float[4] w = {1, 2, 3, 4}> {
  y = If(yes) <then_branch = a () => (float[N,4] p) { p = Mul(x, w) },
               else_branch = b () => (float[N,4] q) { q = Identity(x) }>
}"""


def vector(*numbers: float) -> Any:
    return np.array(numbers, dtype=np.float32)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_loop_runs_as_often_as_it_is_told(agree: Any, count: int) -> None:
    text = HEADER + LOOP.format(count="int64 n", on=ALWAYS)
    agree(text, np.int64(count), vector(1, -2, 3, 0.5))
    agree(text, np.int64(count), vector(1, -2, 3, 0.5), constant=("n",))


@pytest.mark.parametrize("begin", [True, False])
def test_a_loop_runs_until_its_body_says(agree: Any, begin: bool) -> None:
    module = agree(HEADER + UNTIL_LOOP, vector(1, -2, 3, 0.5), np.bool_(begin))
    x = torch.ones(4, requires_grad=True)
    module(x, torch.tensor(begin)).sum().backward()
    assert x.grad is not None and bool((x.grad >= 1).all())


def test_a_loop_of_a_known_count_is_unrolled_by_export(exports: Any) -> None:
    model = ir.from_onnx_text(
        (HEADER + LOOP.format(count="int64 n", on=ALWAYS)).replace("float[4]", "float[N]")
    )
    value = model.graph.inputs.pop(0)
    value.const_value = ir.tensor(np.int64(3), name="n")
    model.graph.initializers.add(value)
    exports(to_fx(model), (torch.randn(4),), ((0,),), (torch.randn(6),))


def test_a_loop_that_collects_as_much_as_data_says_is_not_exported() -> None:
    module = to_fx(ir.from_onnx_text(HEADER + LOOP.format(count="int64 n", on=ALWAYS)))
    with pytest.raises(TranslationError, match="a Loop that runs as often as data"):
        torch.export.export(module, (torch.tensor(3), torch.randn(4)), strict=False)


def test_a_loop_that_data_ends_is_exported() -> None:
    module = to_fx(ir.from_onnx_text(HEADER + UNTIL_LOOP))
    program = torch.export.export(module, (torch.ones(4), torch.tensor(True)), strict=False)
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])
    torch.testing.assert_close(program.module()(x, torch.tensor(True)), module(x, torch.tensor(True)))


@pytest.mark.parametrize("steps", [1, 4])
def test_a_scan_runs_over_rows(agree: Any, steps: int) -> None:
    rows = np.random.default_rng(0).normal(size=(steps, 2)).astype(np.float32)
    module = agree(HEADER + SCAN, vector(0.5, -1), rows)
    inputs = torch.randn(2, dtype=torch.double), torch.randn(steps, 2, dtype=torch.double)
    assert torch.autograd.gradcheck(module, [x.requires_grad_() for x in inputs])


@pytest.mark.parametrize("yes", [True, False])
def test_an_if_on_data_keeps_both_branches(agree: Any, exports: Any, yes: bool) -> None:
    module = agree(HEADER + IF, np.ones((3, 4), dtype=np.float32), np.bool_(yes))
    other = torch.randn(5, 4), torch.tensor(yes)
    exports(module, (torch.randn(3, 4), torch.tensor(True)), ((0,), ()), other)


def test_a_branch_has_the_constants_that_it_alone_uses() -> None:
    module = to_fx(ir.from_onnx_text(HEADER + IF))
    assert [name for name, _ in module.named_parameters()] == ["then.w"]


def test_branches_of_different_ranks_are_not_exported() -> None:
    text = IF.replace("q = Identity(x)", "q = ReduceMax<keepdims = 0>(x)").replace(
        "(float[N,4] q)", "(float q)"
    )
    module = to_fx(ir.from_onnx_text(HEADER + text.replace("=> (float[N,4] y)", "=> (float y)")))
    assert module(torch.ones(3, 4), torch.tensor(False)).shape == ()
    with pytest.raises(TranslationError, match="an If that depends on data cannot be traced"):
        torch.export.export(module, (torch.ones(3, 4), torch.tensor(True)), strict=False)


def test_bodies_are_nested() -> None:
    text = """(float[N,4] x, bool yes, bool no) => (float[N,4] y) <float[4] w = {1, 2, 3, 4}> {
      h = Relu(x)
      y = If(yes) <then_branch = a () => (float[N,4] p) {
          p = If(no) <then_branch = c () => (float[N,4] r) { r = Mul(h, w) },
                      else_branch = d () => (float[N,4] t) { t = Add(h, x) }> },
        else_branch = b () => (float[N,4] q) { q = Mul(x, w) }>
    }"""
    module = to_fx(ir.from_onnx_text(HEADER + text))
    x, w = torch.randn(2, 4), torch.tensor([1.0, 2, 3, 4])
    for yes, no, expected in [(1, 1, torch.relu(x) * w), (1, 0, torch.relu(x) + x), (0, 1, x * w)]:
        assert torch.equal(module(x, torch.tensor(bool(yes)), torch.tensor(bool(no))), expected)
