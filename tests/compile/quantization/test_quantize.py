"""`graphopt.optimize(quantize=...)`: what is emitted, what is said of it, and what is taken back."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import graphopt
from graphopt.compile.quantization import Int8, WeightInt8
from graphopt.execute import Session
from graphopt.passes.quantization.round_weights import RoundWeights

RNG = np.random.default_rng(5)
SAMPLES = [{"x": RNG.normal(size=(1, 16, 28, 28)).astype(np.float32)} for _ in range(16)]


WEIGHTS = {"w1": (64, 16, 3, 3), "w2": (64, 64, 3, 3), "b": (64,), "w3": (64, 10), "b3": (10,)}


def network() -> ir.Model:
    """Three Convs, wide enough to gain by int8, and a classifier."""
    weights = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in WEIGHTS.items())
    model = ir.from_onnx_text(
        f"""<ir_version: 8, opset_import: ["" : 17]> g (float[1,16,28,28] x, {weights}) => (float[1,10] y) {{
            [first] a = Conv <pads = [1,1,1,1]> (x, w1, b)  ar = Relu(a)
            [second] c = Conv <pads = [1,1,1,1]> (ar, w2, b)  cr = Relu(c)
            [third] d = Conv <pads = [1,1,1,1]> (cr, w2, b)  s = Add(d, ar)  e = Relu(s)
            p = GlobalAveragePool(e)  f = Flatten(p)
            [last] y = Gemm(f, w3, b3)
        }}"""
    )
    rng = np.random.default_rng(1)
    for value in [value for value in model.graph.inputs if value.name in WEIGHTS]:
        shape = WEIGHTS[value.name or ""]
        array = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        value.const_value = ir.tensor(array.astype(np.float32), name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return model


def quantized(**options: Any) -> graphopt.Result:
    return graphopt.optimize(network(), **{"calibration": SAMPLES, "measure": False, **options})


def test_int8_computes_on_codes_and_says_how_far_it_is_off() -> None:
    result = quantized(quantize="int8")
    ops = Counter(node.op_type for node in result.model.graph)
    assert ops["QuantizeLinear"] and ops["DequantizeLinear"]
    account = result.report.quantization
    assert account is not None and (account.scheme, account.metric) == ("int8", "cosine")
    assert account.value is not None and account.value > 0.99 and account.sqnr["y"] > 20
    assert {layer.runs_in for layer in account.layers} >= {"int8"}
    assert all(layer.reason for layer in account.layers if layer.runs_in == "float")
    assert all(layer.sqnr is not None and layer.sqnr > 15 for layer in account.layers)
    assert result.report.to_dict()["quantization"]["scheme"] == "int8"
    assert result.report.after.parameter_bytes < 0.3 * result.report.before.parameter_bytes


def test_ranges_are_not_left_in_the_model() -> None:
    model = quantized(quantize="int8").model
    values = [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]
    assert not [value.name for value in values if "graphopt.range" in value.metadata_props]


def test_a_scheme_may_have_options_of_its_own() -> None:
    result = quantized(quantize=Int8(observer="minmax"))
    assert "calibrate{observer=minmax}" in result.report.pipeline


def test_passes_of_ones_own_may_quantize() -> None:
    passes = "-O2,quantize-weights{bits=8,block=16}"
    result = graphopt.optimize(network(), passes=passes, measure=False)
    assert result.report.quantization is not None and result.report.quantization.scheme == "pipeline"
    with pytest.raises(graphopt.errors.UsageError, match="the passes quantize too"):
        quantized(quantize=WeightInt8(), passes=passes)


def test_where_there_is_nothing_to_quantize_the_float_model_is_emitted() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[2,8] x) => (float[2,8] y) { y = Relu(x) }'
    )
    result = graphopt.optimize(model, quantize="int8", calibration=[np.ones((2, 8), np.float32)])
    assert [node.op_type for node in result.model.graph] == ["Relu"]
    assert any("nothing to quantize" in note for note in result.report.notes)
    assert result.report.quantization is None


def test_layers_stay_in_float_as_far_as_accuracy_needs() -> None:
    def outputs(run: Any) -> np.ndarray[Any, Any]:
        return np.concatenate([run(values)["y"] for values in SAMPLES[:4]])

    exact = outputs(Session(network()).run)

    def closeness(run: Any) -> float:
        return -float(np.abs(outputs(run) - exact).max())

    loose = quantized(quantize="int8", metric=closeness).report.quantization
    assert loose is not None and loose.drop is not None and loose.metric == "own metric"
    strict = quantized(quantize="int8", metric=closeness, max_drop=0.15 * loose.drop).report.quantization
    assert strict is not None and strict.drop is not None and strict.drop <= 0.15 * loose.drop
    assert "accuracy needs it in float" in [layer.reason for layer in strict.layers]
    assert all(layer.sensitivity is not None for layer in strict.layers if layer.runs_in == "int8")


def test_what_no_mixture_makes_accurate_stays_in_float_and_is_told() -> None:
    result = quantized(quantize="int8", metric="cosine", max_drop=0.0)
    assert result.report.quantization is None
    assert any("int8 is not accurate enough" in note for note in result.report.notes)
    assert not any(node.op_type == "QuantizeLinear" for node in result.model.graph)


def test_the_best_found_in_time_is_emitted() -> None:
    result = quantized(quantize="int8", time_budget=0.0, measure=True)
    assert any("the search took all its time" in note for note in result.report.notes)
    assert any(note == "round-weights was left out for lack of time" for note in result.report.notes)


def test_what_only_helps_is_left_out_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise ZeroDivisionError("of its own making")

    monkeypatch.setattr(RoundWeights, "apply", fails)
    result = quantized(quantize="int8")
    assert result.report.quantization is not None
    assert any(note.startswith("round-weights was left out: ") for note in result.report.notes)
