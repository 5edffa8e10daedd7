"""Symbolic dimensions: exact evaluation, bindings, and defaults that are stated."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.cost.dims import Dims, evaluate
from graphopt.errors import UsageError


def model(inputs: str) -> ir.Model:
    name = inputs.rsplit(" ", 1)[1]
    text = f'<ir_version: 8, opset_import: ["" : 17]> g ({inputs}) => (float y) {{ y = Size({name}) }}'
    return ir.from_onnx_text(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("floor(H/2 - 1/2) + 1", 4),
        ("floor(floor(H/2 - 1/2)/2) + 1", 2),
        ("2*H + 1", 15),
        ("Max(0, floor(H/64) - 1)", 0),
        ("H//2 % 2", 1),
        ("H**2", 49),
        ("p.0.H + H", 12),
        ("H/2", None),
        ("-H", None),
        ("missing + 1", None),
        ("H/0", None),
        ("H +", None),
        ("__import__", None),
        ("open(H)", None),
        ("9**9**9", None),
    ],
)
def test_evaluate_is_exact_and_safe(text: str, value: int | None) -> None:
    assert evaluate(text, {"H": 7, "p.0.H": 5}) == value


def test_agrees_with_the_evaluation_of_onnx_ir() -> None:
    dim = ir.SymbolicDim("H")
    expression = 4 * (((dim - 1) // 2 + 1) // 3) + dim % 5
    for size in range(1, 40):
        assert evaluate(expression.value or "", {"H": size}) == expression.evaluate({"H": size})


def test_image_sizes_are_assumed_and_stated() -> None:
    found = model("float[N,C,H,W] x")
    dims = Dims(found)
    assert dims.shape(found.graph.inputs[0]) == (1, 3, 224, 224)
    assert dims.assumed == {"N": 1, "C": 3, "H": 224, "W": 224}


def test_bindings_and_input_shapes_replace_assumptions() -> None:
    found = model("int64[batch,length] x")
    assert Dims(found, {"length": 16}).assumed == {"batch": 1}
    bound = Dims(found, shapes={"x": (2, 16)})
    assert bound.assumed == {}
    other = ir.Value(name="v", shape=ir.Shape([ir.SymbolicDim("batch*length"), 3]))
    assert bound.shape(other) == (32, 3)


def test_dimensions_without_a_name_are_listed_by_place() -> None:
    found = model("float[N,4] x")
    found.graph.inputs[0].shape = ir.Shape([None, 4])
    assert Dims(found).assumed == {"x[0]": 1}


def test_sizes_that_do_not_follow_from_the_inputs_are_guessed_and_stated() -> None:
    dims = Dims(model("float[4] x"))
    value = ir.Value(name="v", shape=ir.Shape([ir.SymbolicDim("_d0 + 1"), None]))
    assert dims.shape(value) == (2, 1)
    assert (dims.assumed, dims.guessed) == ({}, {"_d0": 1, "v[1]": 1})


def test_shapes_that_contradict_the_model_are_refused() -> None:
    with pytest.raises(UsageError, match="input 'x' has shape"):
        Dims(model("float[N,3] x"), shapes={"x": (1, 4)})
    with pytest.raises(UsageError, match="bound to -1"):
        Dims(model("float[N,3] x"), {"N": -1})
