"""compile-programs: which regions become programs, and what is left around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import Session
from graphopt.ir import infer_shapes, nodes, saved_program, verify
from graphopt.native import Program
from graphopt.passes.native.compile_programs import CompilePrograms
from graphopt.pipeline.base import Outcome
from graphopt.testing import parse_model

NUMBERS = ", ".join(map(str, np.random.default_rng(0).integers(-50, 50, 16 * 16)))
HEAD = '<ir_version: 9, opset_import: ["" : 17]> g (uint8[N,16] x, float[N,16] f) => (float[N,16] y) '
CONSTANTS = "float s = {0.02}, uint8 z = {128}, float r = {0.01}, int8 v = {0}"
LAYER = """{n}d = DequantizeLinear({x}, s, z) {n}w = DequantizeLinear(w, r, v) [{n}] {n}m = MatMul({n}d, {n}w)
    {n} = QuantizeLinear({n}m, s, z) """


def layer(name: str, source: str) -> str:
    return LAYER.replace("{n}", name).replace("{x}", source)


def model(body: str) -> ir.Model:
    return parse_model(f"{HEAD} <{CONSTANTS}, int8[16,16] w = {{{NUMBERS}}}> {{ {body} }}")


def run(given: ir.Model, **options: Any) -> Outcome:
    """The pass on a model as a pipeline hands it over."""
    infer_shapes(given)
    outcome = CompilePrograms(**options).call(given)
    verify(given)
    return outcome


def kinds(made: ir.Model) -> list[str]:
    return [node.op_type for node in nodes(made)]


@pytest.fixture(autouse=True)
def _only_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs run no Tanh here, whatever they learn."""
    monkeypatch.setattr(
        "graphopt.native.compiled.reasons",
        lambda model: {node: "Tanh is not for this test" for node in model.graph if node.op_type == "Tanh"},
    )


TAIL = "t = DequantizeLinear(b, s, z) y = Tanh(t)"


def test_a_region_becomes_one_node_with_what_it_needs() -> None:
    made = run(model(layer("a", "x") + layer("b", "a") + TAIL))
    assert made.changes.hits == {"program": 1}
    program = next(node for node in made.model.graph if node.op_type == "Program")
    assert [value.name for value in program.inputs if value is not None] == ["x"]
    assert "w" not in made.model.graph.initializers
    assert [port.name for port in Program.from_bytes(saved_program(program)).inputs] == ["x"]


def test_a_second_run_changes_nothing() -> None:
    made = run(model(layer("b", "x") + TAIL)).model
    assert not run(made).changes.hits


def test_constants_that_others_read_stay() -> None:
    body = (
        layer("b", "x")
        + "t = DequantizeLinear(b, s, z) k = Tanh(bw) m = MatMul(f, k) n = Tanh(t) y = Sub(m, n)"
    )
    made = run(model(body))
    assert "Program" in kinds(made.model) and "w" in made.model.graph.initializers


def test_order_and_names_hold_where_nodes_lie_between() -> None:
    body = layer("a", "x") + "c = DequantizeLinear(a, s, z) h = Tanh(c) i = Tanh(f) " + layer("b", "a")
    made = run(model(body + "t = DequantizeLinear(b, s, z) u = Tanh(t) k = Add(h, i) y = Add(u, k)"))
    assert kinds(made.model).count("Program") == 1


def test_a_program_may_read_what_another_one_writes() -> None:
    body = layer("a", "x") + "c = DequantizeLinear(a, s, z) h = Tanh(c) hq = QuantizeLinear(h, s, z) "
    body += "hd = DequantizeLinear(hq, s, z) m = Add(c, hd) mq = QuantizeLinear(m, s, z) " + layer("b", "mq")
    made = run(model(body + TAIL))
    assert kinds(made.model).count("Program") == 2 and "Add" not in kinds(made.model)


def test_sizes_that_only_look_alike_stay_apart() -> None:
    text = """<ir_version: 9, opset_import: ["" : 17]>
    g (float[1,1,N,8] x, float[1,1,N,8] h) => (float[1,1,A,B] y)
    <float s = {0.02}, uint8 z = {128}, float r = {0.01}, int8 v = {0}, int8[1,1,2,2] w = {9, 9, 9, 9}> {
        a = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
        b = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (h)
        aq = QuantizeLinear(a, s, z) ad = DequantizeLinear(aq, s, z) wd = DequantizeLinear(w, r, v)
        bq = QuantizeLinear(b, s, z) bd = DequantizeLinear(bq, s, z)
        [c] c = Conv <pads = [0, 0, 1, 1]> (ad, wd)
        cq = QuantizeLinear(c, s, z) cd = DequantizeLinear(cq, s, z)
        [e] e = Conv <pads = [0, 0, 1, 1]> (bd, wd)
        eq = QuantizeLinear(e, s, z) ed = DequantizeLinear(eq, s, z)
        f = Concat <axis = 2> (cd, ed) fq = QuantizeLinear(f, s, z) y = DequantizeLinear(fq, s, z) }"""
    given = parse_model(text)
    before = Session(given, optimize=True)
    feed = {name: np.random.default_rng(0).random((1, 1, 7, 8), np.float32) for name in ("x", "h")}
    made = run(parse_model(text)).model
    assert "Program" in kinds(made)
    assert np.abs(Session(made).run(feed)["y"] - before.run(feed)["y"]).max() <= 0.021


def test_regions_to_be_kept_are_left() -> None:
    made = run(model(layer("b", "x") + TAIL), keep=("b",))
    assert not made.changes.hits and made.changes.refusals["it is to stay as it is"] == 1


def test_float_nodes_are_left_and_not_talked_about() -> None:
    made = run(model("m = Relu(f) y = Neg(m)"))
    assert not made.changes.hits and not made.changes.refusals


def test_why_a_node_stays_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "graphopt.native.compiled.reasons",
        lambda model: {node: "no" for node in model.graph if node.op_type == "MatMul"},
    )
    made = run(model(layer("b", "x") + TAIL))
    assert made.changes.refusals == {"no": 1} and made.changes.examples == {"no": ["b"]}
