"""Calls of functions are followed as deep and as often as is sensible."""

from __future__ import annotations

import onnx.parser
import pytest

from graphopt.errors import ModelError
from graphopt.io import load

DOMAIN = '<domain: "local", opset_import: ["" : 17, "local" : 1]>'


def model(*functions: str, call: str = "y = local.f0(x)") -> onnx.ModelProto:
    header = (
        f'<ir_version: 8, opset_import: ["" : 17, "local" : 1]> g (float[2] x) => (float[2] y) {{ {call} }}'
    )
    text = " ".join([header, *(f"{DOMAIN} {function}" for function in functions)])
    proto: onnx.ModelProto = onnx.parser.parse_model(text)
    return proto


def doubling(depth: int, width: int = 2) -> list[str]:
    found = []
    for level in range(depth):
        called = "Neg" if level + 1 == depth else f"local.f{level + 1}"
        calls = " ".join(f"t{index + 1} = {called}(t{index})" for index in range(width))
        found.append(f"f{level} (t0) => (t{width}) {{ {calls} }}")
    return found


def test_functions_that_double_a_few_times() -> None:
    load(model(*doubling(8)))


def test_functions_that_double_without_measure() -> None:
    with pytest.raises(ModelError, match="would grow to 1073741824 nodes when they are inlined"):
        load(model(*doubling(30)))


def test_a_deep_chain() -> None:
    load(model(*doubling(100, 1)))
    with pytest.raises(ModelError, match="call each other 101 deep, from 'f0' on"):
        load(model(*doubling(101, 1)))


def test_more_inputs_than_the_function_has() -> None:
    with pytest.raises(ModelError, match="has 2 inputs, and its function 1"):
        load(model("f0 (a) => (b) { b = Neg(a) }", call="y = local.f0(x, x)"))


def test_more_outputs_than_the_function_has() -> None:
    with pytest.raises(ModelError, match="has 2 outputs, and its function 1"):
        load(model("f0 (a) => (b) { b = Neg(a) }", call="y, z = local.f0(x)"))


def test_fewer_inputs_than_the_function_has() -> None:
    load(model("f0 (a, low) => (b) { b = Clip(a, low) }"))
