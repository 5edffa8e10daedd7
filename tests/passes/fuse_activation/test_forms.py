"""Operators that an activation is written with: as opset, type and the time of the runtime have it."""

from __future__ import annotations

import re

import pytest

from graphopt.compile.levels import FULL
from graphopt.execute.session import Session
from graphopt.ir import WANTED_OPSET_KEY, infer_shapes
from graphopt.pipeline import Pipeline
from graphopt.testing import parse_model, run_pass

from .spelled import SPELLINGS, in_type, read, write


def test_speed_comes_before_the_number_of_nodes() -> None:
    run = run_pass(write([read(SPELLINGS["Swish"][0]), read(SPELLINGS["Swish"][1])]), "fuse-activation")
    assert run.ops == ["Sigmoid", "Mul", "Sigmoid", "Mul"]
    (reason,) = run.refusals
    assert re.fullmatch(
        r"fuse-activation: Swish kept as 2 nodes: the operator takes [\d.]+x the time here", reason
    )
    remarks = {each.node: each.remark for record in run.records for each in record.findings}
    assert all("the time here" in remark for remark in remarks.values())
    assert len(remarks) == 2


def test_a_spelling_with_a_slow_operator_gives_way_to_another() -> None:
    assert run_pass(write([read(SPELLINGS["Selu"][1])]), "fuse-activation").ops == ["Selu"]


@pytest.mark.parametrize(
    ("idiom", "opset", "ops"),
    [
        ("HardSwish", 13, ["HardSigmoid", "Mul"]),
        ("HardSwish", 14, ["HardSwish"]),
        ("Mish", 17, ["Softplus", "Tanh", "Mul"]),
        ("Swish", 13, ["Sigmoid", "Mul"]),
        ("Softsign", 11, ["Softsign"]),
        ("LeakyRelu", 11, ["LeakyRelu"]),
    ],
)
def test_settling_takes_the_best_form_of_the_opset(idiom: str, opset: int, ops: list[str]) -> None:
    for body in SPELLINGS[idiom][1:3]:
        assert run_pass(write([read(body)], opset=opset), "fuse-activation{settle=true}").ops == ops


def test_a_newer_operator_is_asked_for_before_settling() -> None:
    model = write([read(SPELLINGS["HardSwish"][0])], opset=13)
    infer_shapes(model)
    (record,) = Pipeline.parse("fuse-activation").run(model).records
    assert record.refusals == {"fuse-activation: HardSwish: needs opset 14, and the model is at 13": 1}
    assert model.meta[WANTED_OPSET_KEY] == {14: ["HardSwish"]}


@pytest.mark.parametrize("idiom", ["HardSwish", "Gelu", "Gelu (tanh)", "Softsign"])
def test_level_2_raises_the_opset_and_leaves_one_operator(idiom: str) -> None:
    for body in SPELLINGS[idiom][:4]:
        assert run_pass(write([read(body)], opset=12), FULL).ops == [idiom.partition(" ")[0]]


def test_a_factor_behind_what_waits_for_an_opset_is_no_gate() -> None:
    model = write([read(SPELLINGS["HardSwish"][0])], opset=13)
    infer_shapes(model)
    (record,) = Pipeline.parse("fuse-activation").run(model).records
    assert record.changes == 0


def test_a_form_that_no_opset_asked_for_can_have_is_named() -> None:
    run = run_pass(write([read(SPELLINGS["Gelu"][0])], opset=13), "fuse-activation{settle=true}")
    assert run.refusals == {"fuse-activation: Gelu: needs opset 20, and the model is at 13": 1}


@pytest.mark.parametrize("opset", [13, 18, 22, 24])
@pytest.mark.parametrize("name", ["float16", "double"])
def test_onnxruntime_runs_what_is_written(name: str, opset: int, eager: str) -> None:
    for idiom in SPELLINGS:
        model = in_type(write([read(SPELLINGS[idiom][1])], opset=opset), name)
        infer_shapes(model)
        (record,) = Pipeline.parse(eager.replace("}", ",settle=true}")).run(model).records
        if record.changes:
            Session(model, fallback=False)


def test_brain_floats_get_what_the_standard_has() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]> g (bfloat16[3] x) => (bfloat16[3] y) {
        n = Neg(x) e = Exp(n) one = Constant <value_float = 1.0> () o = Cast <to = 16> (one)
        a = Add(e, o) y = Reciprocal(a) }"""
    model = parse_model(text)
    infer_shapes(model)
    Pipeline.parse("fold,fuse-activation").run(model)
    assert [node.op_type for node in model.graph if node.op_type != "Constant"] == ["Sigmoid"]
