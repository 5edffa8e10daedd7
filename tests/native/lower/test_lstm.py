"""LSTM in whole programs."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.native import LoweringError, compile, reasons
from graphopt.testing import parse_model

from .conftest import Lower

SIZE, DEPTH = 3, 5


def model(directions: int, attributes: str, inputs: str, *, last: bool = False) -> str:
    def numbers(name: str, *shape: int) -> str:
        values = np.random.default_rng(len(name)).normal(0, 0.5, shape).round(3).reshape(-1)
        return f"float[{','.join(map(str, shape))}] {name} = {{{','.join(map(str, values))}}}"

    constants = ", ".join(
        (
            numbers("w", directions, 4 * SIZE, DEPTH),
            numbers("r", directions, 4 * SIZE, SIZE),
            numbers("b", directions, 8 * SIZE),
            numbers("p", directions, 3 * SIZE),
            numbers("h", directions, 2, SIZE),
            f"float[{directions},2,{SIZE}] o = {{{','.join(['0'] * directions * 2 * SIZE)}}}",
            "int32[2] n = {4, 4}",
        )
    )
    made, names = f"float[4,{directions},2,{SIZE}] y", "y"
    if last:
        made, names = f"{made}, float[{directions},2,{SIZE}] k", "y, k"
    return f"""<ir_version: 9, opset_import: ["" : 17]> g (float[4,2,{DEPTH}] x) => ({made}) <{constants}> {{
        {names} = LSTM<hidden_size = {SIZE}{attributes}>(x, {inputs}) }}"""


@pytest.mark.parametrize("inputs", ["w, r", "w, r, b", "w, r, b, , o, o", "w, r, b, , h, h"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_it_agrees_with_onnxruntime(direction: str, inputs: str, lower: Lower) -> None:
    count = 2 if direction == "bidirectional" else 1
    text = model(count, f', direction = "{direction}"', inputs, last=True)
    kinds = lower(text, step=1e-5)
    assert kinds == ["lstm", "slice", *(["slice", "concat"] if count == 2 else []), "reshape"]


def test_usual_activations_by_name(lower: Lower) -> None:
    named = ', activations = ["Sigmoid", "Tanh", "Tanh"]'
    assert lower(model(1, named, "w, r, b"), step=1e-5) == ["lstm"]


@pytest.mark.parametrize(
    ("attributes", "inputs", "said"),
    [
        (', activations = ["HardSigmoid", "Tanh", "Tanh"]', "w, r", "other activations"),
        (", clip = 3.0", "w, r", "clamped"),
        (", input_forget = 1", "w, r", "not the usual ones"),
        ("", "w, r, b, n", "sequences of lengths of their own"),
        ("", "w, r, b, , h", "only one of the two states"),
        ("", "w, r, b, , , , p", "peepholes"),
    ],
)
def test_what_is_refused(attributes: str, inputs: str, said: str) -> None:
    with pytest.raises(LoweringError, match=said):
        compile(parse_model(model(1, attributes, inputs)))


def test_regions_leave_it_to_onnxruntime() -> None:
    assert list(reasons(parse_model(model(1, "", "w, r, b"))).values()) == ["it is in float"]
