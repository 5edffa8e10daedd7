"""`graphopt.native.Session`: an InferenceSession whose quantized regions are programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from graphopt.compile import optimize
from graphopt.errors import ExecutionError, LoadError, UsageError
from graphopt.io import save, to_proto
from graphopt.native import Session, compile, library
from graphopt.testing import parse_model

RNG = np.random.default_rng(0)
NUMBERS = ", ".join(map(str, RNG.integers(-50, 50, 32 * 32)))
CONSTANTS = "float s = {0.02}, uint8 z = {128}, float r = {0.01}, int8 v = {0}"
CODES = RNG.integers(0, 256, (5, 32), np.uint8)


def network() -> ir.Model:
    """A product on codes, behind and before float operators."""
    return parse_model(f"""<ir_version: 9, opset_import: ["" : 17]>
    g (uint8[N,32] x) => (uint8[N,32] y, int64[2] n) <{CONSTANTS}, int8[32,32] w = {{{NUMBERS}}}> {{
        a = DequantizeLinear(x, s, z) b = DequantizeLinear(w, r, v) [product] c = MatMul(a, b)
        y = QuantizeLinear(c, s, z) n = Shape(y) }}""")


def test_every_form_of_a_model_runs_and_stays_as_it_was(tmp_path: Path) -> None:
    model = network()
    save(model, tmp_path / "model.onnx")
    proto = to_proto(model)
    before = proto.SerializeToString()
    expected = onnxruntime.InferenceSession(before).run(None, {"x": CODES})
    for form in (model, proto, before, tmp_path / "model.onnx", str(tmp_path / "model.onnx")):
        session = Session(form)
        assert (session.programs, session.refusals) == (1, {})
        y, n = session.run(None, {"x": CODES})
        assert np.abs(y.astype(int) - expected[0]).max() <= 1 and list(n) == [5, 32]
    assert to_proto(model).SerializeToString() == before
    assert [node.op_type for node in model.graph].count("Program") == 0


def test_a_library_that_is_registered_already_is_not_registered_again() -> None:
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(library())
    for _ in range(2):
        assert Session(network(), options).programs == 1


def test_every_form_of_a_model_is_compiled(tmp_path: Path) -> None:
    model = network()
    shape = model.graph.outputs.pop().producer()
    assert shape is not None
    model.graph.remove(shape, safe=True)  # a Shape is no step of a program
    save(model, tmp_path / "model.onnx")
    proto = to_proto(model)
    for form in (
        model,
        proto,
        proto.SerializeToString(),
        tmp_path / "model.onnx",
        str(tmp_path / "model.onnx"),
    ):
        assert compile(form).inputs[0].name == "x"
    with pytest.raises(LoadError, match="not an ONNX model"):
        compile(b"no model")


def test_it_has_the_face_of_an_inference_session() -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = Session(network(), sess_options=options, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["x"]
    assert session.get_providers() == ["CPUExecutionProvider"]
    (n,) = session.run(["n"], {"x": CODES}, onnxruntime.RunOptions())
    assert list(n) == [5, 32]


def test_a_model_of_programs_is_not_compiled_again(tmp_path: Path) -> None:
    optimize(network(), target="native", measure=False, output=tmp_path / "native.onnx")
    session = Session(tmp_path / "native.onnx")
    assert session.programs == 1
    assert session.run(["y"], {"x": CODES})[0].shape == (5, 32)


def test_a_float_model_runs_in_onnxruntime_alone() -> None:
    session = Session(parse_model("g (float[N] x) => (float[N] y) { y = Neg(x) }"))
    assert (session.programs, session.refusals) == (0, {})
    assert session.run(None, {"x": np.array([1, 2], np.float32)})[0].tolist() == [-1, -2]


def test_what_no_program_runs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "graphopt.native.compiled.reasons",
        lambda model: {node: "no" for node in model.graph if node.op_type == "MatMul"},
    )
    session = Session(network())
    assert (session.programs, session.refusals) == (0, {"no": ["product"]})
    assert session.run(["n"], {"x": CODES})[0].tolist() == [5, 32]


def test_what_is_no_model_is_an_error() -> None:
    with pytest.raises(LoadError, match="not an ONNX model"):
        Session(b"no model")
    with pytest.raises(LoadError, match="cannot read"):
        Session("nowhere.onnx")
    with pytest.raises(ExecutionError, match="could not load the model"):
        Session(parse_model("g (float[N] x) => (float[N] y) { y = unknown.Op(x) }"))


def test_options_of_another_type_are_refused() -> None:
    with pytest.raises(UsageError, match=r"options are a dict, expected an onnxruntime\.SessionOptions"):
        Session(network(), {"x": CODES})


def test_nodes_without_a_name_are_told_by_what_they_write() -> None:
    model = parse_model(f"""<ir_version: 9, opset_import: ["" : 17]>
    g (uint8[N,4] x, float[4,3] w) => (float[N,3] y) <{CONSTANTS}> {{
        a = DequantizeLinear(x, s, z) y = MatMul(a, w) }}""")
    assert Session(model).refusals == {
        "it reads floats: no DequantizeLinear of one scale stands before it": ["the MatMul that writes 'y'"]
    }


def test_a_convolution_in_float_is_said_to_be_one() -> None:
    model = parse_model(f"""<ir_version: 9, opset_import: ["" : 17]>
    g (uint8[1,1,4,4] x) => (float[1,1,4,4] y) <{CONSTANTS}, float[1,1,1,1] w = {{0.5}}> {{
        a = DequantizeLinear(x, s, z) [layer] y = Conv(a, w) }}""")
    assert Session(model).refusals == {"it is in float: its weights are not quantized": ["layer"]}
