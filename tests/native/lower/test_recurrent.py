"""LSTM and GRU in whole programs."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.errors import DataError
from graphopt.native import LoweringError, compile, reasons
from graphopt.testing import parse_model

from .conftest import Lower

SIZE, DEPTH = 3, 5
GATES = {"LSTM": 4, "GRU": 3}
STATE = f"float[{{0}},2,{SIZE}]"
MADE = {"y": f"float[4,{{0}},2,{SIZE}]", "k": STATE, "l": STATE}


def model(cell: str, directions: int, attributes: str, inputs: str, outputs: str = "y") -> str:
    def numbers(name: str, *shape: int) -> str:
        values = np.random.default_rng(len(name)).normal(0, 0.5, shape).round(3).reshape(-1)
        return f"float[{','.join(map(str, shape))}] {name} = {{{','.join(map(str, values))}}}"

    rows = GATES[cell] * SIZE
    constants = ", ".join(
        (
            numbers("w", directions, rows, DEPTH),
            numbers("r", directions, rows, SIZE),
            numbers("b", directions, 2 * rows),
            numbers("p", directions, 3 * SIZE),
            numbers("h", directions, 2, SIZE),
            f"float[{directions},2,{SIZE}] o = {{{','.join(['0'] * directions * 2 * SIZE)}}}",
            numbers("short", directions, rows),
            numbers("flat", rows, DEPTH),
            "int32[2] n = {4, 4}",
        )
    )
    made = ", ".join(f"{MADE[name].format(directions)} {name}" for name in outputs.split(", ") if name)
    return f"""<ir_version: 9, opset_import: ["" : 17]> g (float[4,2,{DEPTH}] x) => ({made}) <{constants}> {{
        {outputs} = {cell}<hidden_size = {SIZE}{attributes}>(x, {inputs}) }}"""


@pytest.mark.parametrize("inputs", ["w, r", "w, r, b", "w, r, b, , o, o", "w, r, b, , h, h"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_lstm_agrees_with_onnxruntime(direction: str, inputs: str, lower: Lower) -> None:
    count = 2 if direction == "bidirectional" else 1
    text = model("LSTM", count, f', direction = "{direction}"', inputs, "y, k")
    kinds = lower(text, step=1e-5)
    assert kinds == ["lstm", "slice", *(["slice", "concat"] if count == 2 else []), "reshape"]


@pytest.mark.parametrize("inputs", ["w, r", "w, r, b", "w, r, b, , o", "w, r, b, , h"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("behind", [0, 1])
def test_gru_agrees_with_onnxruntime(behind: int, direction: str, inputs: str, lower: Lower) -> None:
    count = 2 if direction == "bidirectional" else 1
    attributes = f', direction = "{direction}", linear_before_reset = {behind}'
    kinds = lower(model("GRU", count, attributes, inputs, "y, k"), step=1e-5)
    assert kinds == ["gru", "slice", *(["slice", "concat"] if count == 2 else []), "reshape"]


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("outputs", ["y, k, l", ", k, l", ", , l"])
def test_the_cells_of_an_lstm(direction: str, outputs: str, lower: Lower) -> None:
    count = 2 if direction == "bidirectional" else 1
    text = model("LSTM", count, f', direction = "{direction}"', "w, r, b, , h, h", outputs)
    assert lower(text, step=1e-5).count("lstm") == 1


def test_usual_activations_by_name(lower: Lower) -> None:
    named = ', activations = ["Sigmoid", "Tanh", "Tanh"]'
    assert lower(model("LSTM", 1, named, "w, r, b"), step=1e-5) == ["lstm"]
    named = ', activations = ["Sigmoid", "Tanh"]'
    assert lower(model("GRU", 1, named, "w, r, b"), step=1e-5) == ["gru"]


@pytest.mark.parametrize(
    ("cell", "attributes", "inputs", "said"),
    [
        ("LSTM", ', activations = ["HardSigmoid", "Tanh", "Tanh"]', "w, r", "other activations"),
        ("LSTM", ", clip = 3.0", "w, r", "clamped"),
        ("LSTM", ", input_forget = 1", "w, r", "not the usual ones"),
        ("LSTM", "", "w, r, b, n", "sequences of lengths of their own"),
        ("LSTM", "", "w, r, b, , h", "only one of the two states"),
        ("LSTM", "", "w, r, b, , , , p", "peepholes"),
        ("GRU", ', activations = ["Sigmoid", "Relu"]', "w, r", "other activations"),
        ("GRU", ", clip = 3.0", "w, r", "clamped"),
        ("GRU", "", "w, r, b, n", "sequences of lengths of their own"),
        ("LSTM", "", "flat, r", "weights of 2 axes"),
        ("GRU", "", "w, r, short", r"biases of shape \[1, 9\], not \[1, 18\]"),
    ],
)
def test_what_is_refused(cell: str, attributes: str, inputs: str, said: str) -> None:
    with pytest.raises(LoweringError, match=said):
        compile(parse_model(model(cell, 1, attributes, inputs)))


@pytest.mark.parametrize("cell", GATES)
def test_of_no_steps_there_is_no_last_one(cell: str) -> None:
    text = model(cell, 1, "", "w, r", "y, k").replace("float[4,2,5] x", "float[t,b,5] x")
    program = compile(
        parse_model(text.replace("[4,1,2,3] y", "[t,1,b,3] y").replace("[1,2,3] k", "[1,b,3] k"))
    )
    with pytest.raises(DataError, match="does not become"):
        program.run([np.zeros((0, 2, DEPTH), np.float32)])
    y, last = program.run([np.zeros((3, 0, DEPTH), np.float32)])
    assert y.shape == (3, 1, 0, SIZE) and last.shape == (1, 0, SIZE)


@pytest.mark.parametrize("cell", GATES)
def test_regions_leave_it_to_onnxruntime(cell: str) -> None:
    assert list(reasons(parse_model(model(cell, 1, "", "w, r, b"))).values()) == ["it is in float"]
