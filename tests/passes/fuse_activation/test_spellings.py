"""Every activation is found in every spelling, whatever is around it."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import pytest

from graphopt.testing import run_pass

from .spelled import (
    SPELLINGS,
    Node,
    Spelling,
    as_written,
    divided,
    found,
    in_type,
    read,
    run_all,
    subtracted,
    swapped,
    write,
)

IDIOMS = pytest.mark.parametrize("idiom", SPELLINGS)


@IDIOMS
@pytest.mark.parametrize("variant", [as_written, swapped, divided, subtracted])
def test_every_spelling_is_found(idiom: str, variant: Callable[[Spelling], Spelling], eager: str) -> None:
    run = run_all(idiom, write([variant(read(body)) for body in SPELLINGS[idiom]]), eager)
    assert set(run.ops) <= {idiom.partition(" ")[0], "Mul", "Div"}


@IDIOMS
@pytest.mark.parametrize("dims", ["[1]", "[4,3]"])
def test_constants_may_repeat_one_value(idiom: str, dims: str, eager: str) -> None:
    run_all(idiom, write([read(body) for body in SPELLINGS[idiom]], dims=dims), eager)


@IDIOMS
def test_a_constant_factor_does_not_hide_it(idiom: str, eager: str) -> None:
    model = write([read(body) for body in SPELLINGS[idiom]], scale=0.37)
    run = run_pass(model, eager)
    assert idiom.partition(" ")[0] in run.ops
    assert set(run.ops) <= {idiom.partition(" ")[0], "Mul", "Sigmoid"}


@pytest.mark.parametrize("idiom", [name for name in SPELLINGS if name != "Celu"])
def test_half_precision(idiom: str, eager: str) -> None:
    run_all(idiom, in_type(write([read(body) for body in SPELLINGS[idiom]]), "float16"), eager)


@pytest.mark.parametrize("idiom", ["Relu", "Clip", "Abs", "Sigmoid", "Tanh", "Swish"])
def test_double_precision(idiom: str) -> None:
    bodies = [read(body) for body in SPELLINGS[idiom]]
    runs_in_double = [
        body for body in bodies if not {"HardSigmoid", "PRelu", "LeakyRelu"} & {node.op_type for node in body}
    ]
    model = write(runs_in_double)
    run = run_pass(in_type(model, "double"), "fuse-activation")
    assert set(found(run).values()) == {idiom}
    assert len(found(run)) == len(model.graph.outputs)


@IDIOMS
def test_casts_to_a_wider_type_and_back_belong_to_it(idiom: str, eager: str) -> None:
    body = read(SPELLINGS[idiom][0])
    inner = [
        node._replace(operands=["wide" if each == "x" else each for each in node.operands]) for node in body
    ]
    inner[-1] = inner[-1]._replace(result="narrow")
    widened = [Node("wide", "Cast", "<to = 1>", ["x"]), *inner, Node("y", "Cast", "<to = 10>", ["narrow"])]
    model = write([widened])
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.dtype = ir.DataType.FLOAT16
    run = run_pass(model, eager, rtol=1e-2)
    if idiom == "Celu":
        assert run.refusals == {"fuse-activation: Celu: ONNX has no Celu for float16": 1}
    else:
        assert run.ops == [idiom.partition(" ")[0]]


def test_values_used_elsewhere_stay_beside_it() -> None:
    text = """g (float[2,3] x) => (float[2,3] y, float[2,3] s)
        <float three = {3}, float zero = {0}, float six = {6}> {
        s = Add(x, three) c = Clip(s, zero, six) m = Mul(x, c) y = Div(m, six) }"""
    assert run_pass(text, "fuse-activation").ops == ["Add", "HardSwish"]


@pytest.mark.parametrize("end", ["y = Div(m, six)", "y = Mul(m, sixth)", "y = Mul(sixth, m)"])
def test_a_factor_behind_a_gate_belongs_to_it(end: str) -> None:
    text = f"""g (float[2,3] x, float[2,3] v) => (float[2,3] y)
        <float three = {{3}}, float zero = {{0}}, float six = {{6}}, float sixth = {{0.16666667}}> {{
        s = Add(x, three) c = Clip(s, zero, six) m = Mul(c, v) {end} }}"""
    assert run_pass(text, "fuse-activation").ops == ["HardSigmoid", "Mul"]


def test_a_gate_of_other_numbers_keeps_what_is_left_of_its_factor() -> None:
    text = """g (float[2,3] x, float[2,3] v) => (float[2,3] y)
        <float three = {3}, float zero = {0}, float six = {6}, float five = {5}> {
        s = Add(x, three) c = Clip(s, zero, six) m = Mul(c, v) y = Div(m, five) }"""
    assert run_pass(text, "fuse-activation").ops == ["HardSigmoid", "Mul", "Mul"]


def test_bodies_of_control_flow_read_outer_values() -> None:
    text = """g (bool c, float[2,3] x) => (float[2,3] y) {
        y = If (c) <
            then_branch = t () => (float[2,3] a) { n = Neg(x) e = Exp(n) one = Constant <value_float = 1.0> ()
                s = Add(e, one) a = Reciprocal(s) },
            else_branch = f () => (float[2,3] b) { b = Neg(x) }
        > }"""
    assert run_pass(text, "fuse-activation").ops == ["If", "Sigmoid", "Neg"]
