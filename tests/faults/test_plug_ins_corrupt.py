"""A plug-in whose pass corrupts the graph or its tensors: it is named or harmless, the original intact."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphopt
from graphopt.execute import Session
from graphopt.io import load, save
from graphopt.pipeline import FailedPassError, Pipeline
from graphopt.pipeline.kept import MANY_NODES
from graphopt.testing import parse_model

NAMED = {
    "DanglingInput": "reads 'nowhere', which is not defined before it",
    "Cycle": "reads 'y', which is not defined before it",
    "RemovesProducer": "reads 'a', which is not defined before it",
    "DropsOutputs": "the outputs are ['y'], expected ['y', 'z']",
    "AddsOutput": "the outputs are ['y', 'z', 'a'], expected ['y', 'z']",
    "AddsInput": "the inputs are ['x', 'c', 'another'], expected ['x', 'c']",
    "DropsInput": "reads 'x', which is not defined before it",
    "RenamesInterface": "the inputs are ['x_other', 'c_other'], expected ['x', 'c']",
    "UnknownOperator": "NoSuchOperator",
    "OddOpsets": "the opset of ai.onnx fell from 17 to 1",
    "NoOpsets": "which the model does not import",
    "OddIrVersion": "the IR version is 99, expected 8 to",
    "ChangesNumbers": "output 'y': ",
    "ChangesNumbersUncounted": "output 'y': ",
    "BreaksUncounted": "reads 'nowhere', which is not defined before it",
    "WrongTensors": "does not run",
    "NoTensors": "the initializer 'w' has no tensor",
    "NotATensor": "the initializer 'w' has no tensor",
    "DropsInitializers": "reads 'w', which is not defined before it",
    "ForeignCapture": "reads 'gone', which is not defined before it",
    "ReplacesGraph": "output 'y': ",
    "NoGraph": "AttributeError: 'NoneType' object has no attribute",
    "NodesThatAreNone": "TypeError: get_schema()",
    "OddAttributes": "ValueError: invalid literal",
}
"""What is said about each pass that leaves a graph that cannot be used."""

OVERWRITING = {"OverwritesTensors": "read-only", "OverwritesTensorsByForce": "cannot set WRITEABLE flag"}
"""The same about those that write to tensors which are in memory, and so shared with the original."""

HARMLESS = ["LiesAboutTypes", "ChangesTypesInPlace", "RenamesTensors", "ClearsMeta"]
"""These have no effect on what the model computes, nor on its interface."""


def in_memory(model: onnx.ModelProto) -> ir.Model:
    """The model over arrays that can be written to, as a user makes them."""
    made = ir.from_proto(model)
    for value in made.graph.initializers.values():
        assert value.const_value is not None
        value.const_value = ir.tensor(value.const_value.numpy().copy(), name=value.name)
    return made


def content(model: ir.Model) -> bytes:
    return bytes(ir.to_proto(model).SerializeToString(deterministic=True))


def outputs(model: ir.Model) -> list[np.ndarray[Any, Any]]:
    session = Session(model)
    x = np.arange(12, dtype=np.float32).reshape(3, 4) - 6
    return [array for c in (True, False) for array in session.run({"x": x, "c": np.array(c)}).values()]


def assert_same_and_intact(model: onnx.ModelProto, name: str, reason: str | None) -> None:
    given = in_memory(model)
    before, expected = content(given), outputs(given)
    result = graphopt.optimize(given, passes=f"dce,misbehaving.corrupting:{name},cse", measure=False)
    assert content(given) == before
    assert all(map(np.array_equal, outputs(result.model), expected))
    assert result.report.check is not None and result.report.check.equal
    reasons = [left.reason for left in result.report.left_out]
    assert (reasons == []) if reason is None else (len(reasons) == 1 and reason in reasons[0]), reasons


@pytest.mark.parametrize("name", [*NAMED, *OVERWRITING])
def test_left_out_and_named(plug_ins: Any, model: onnx.ModelProto, name: str) -> None:
    assert_same_and_intact(model, name, {**NAMED, **OVERWRITING}[name])


@pytest.mark.parametrize("name", HARMLESS)
def test_without_effect(plug_ins: Any, model: onnx.ModelProto, name: str) -> None:
    assert_same_and_intact(model, name, None)


def test_every_pass_of_the_plug_in_is_looked_at(plug_ins: Any) -> None:
    known = {*NAMED, *OVERWRITING, *HARMLESS, "Grows"}
    assert {found.__name__ for found in plug_ins.PASSES if "corrupting" in found.__module__} == known


@pytest.mark.parametrize("name", sorted(NAMED.keys() - {"ChangesNumbers", "ChangesNumbersUncounted"}))
def test_unchecked_the_structure_holds_all_the_same(plug_ins: Any, model: onnx.ModelProto, name: str) -> None:
    if name in ("UnknownOperator", "WrongTensors", "ReplacesGraph"):
        return  # in order as a graph: only running it tells
    result = graphopt.optimize(model, passes=f"misbehaving.corrupting:{name}", measure=False, check=False)
    (left_out,) = result.report.left_out
    assert NAMED[name] in left_out.reason
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)


def test_another_model_returned(plug_ins: Any, model: onnx.ModelProto) -> None:
    given = in_memory(model)
    result = graphopt.optimize(given, passes="misbehaving.returning:ReturnsOther", measure=False)
    assert [left.name for left in result.report.left_out] == ["misbehaving.returning:ReturnsOther"]
    assert all(map(np.array_equal, outputs(result.model), outputs(given)))


def test_growth_without_end(plug_ins: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten nodes of each one, ten rounds of it: that would be more nodes than fit into memory."""
    monkeypatch.setattr("graphopt.pipeline.kept.MANY_NODES", MANY_NODES // 100)
    model = parse_model("main (float[2] x) => (float[2] y) { a = Relu (x) b = Relu (a) y = Relu (b) }")
    with pytest.raises(FailedPassError, match=r"the graph grew from 3 to \d{4} nodes"):
        Pipeline.parse("{misbehaving.corrupting:Grows}*").run(model)


def test_what_is_beyond_the_graph_is_kept(plug_ins: Any, model: onnx.ModelProto) -> None:
    """A pass that clears what graphopt carries beside the graph loses no training information."""
    model.training_info.add().initialization.name = "start"
    result = graphopt.optimize(model, passes="misbehaving.corrupting:ClearsMeta", measure=False)
    assert "graphopt.training_info" in result.model.graph.meta


def test_tensors_are_the_user_s_own_again_afterwards(plug_ins: Any, model: onnx.ModelProto) -> None:
    given = in_memory(model)
    result = graphopt.optimize(given, passes="misbehaving.corrupting:RenamesTensors", measure=False)
    own = {id(value.const_value) for value in given.graph.initializers.values()}
    assert {id(value.const_value) for value in result.model.graph.initializers.values()} == own


def test_weights_in_files_are_never_written_to(plug_ins: Any, files: Any) -> None:
    before = files.contents()
    result = graphopt.optimize(files.model, passes="misbehaving.corrupting:OverwritesTensors", measure=False)
    assert [left.name for left in result.report.left_out] == ["overwrites-tensors"]
    assert files.contents() == before
    save(result.model, files.output)
    weight = load(files.output).graph.initializers["w"].const_value
    assert weight is not None and set(weight.numpy().tolist()) == {2.0}
