"""`graphopt.optimize(quantize=...)`: what is emitted, what is said of it, and what is taken back."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import graphopt
from graphopt.compile.quantization import Int8, WeightInt8
from graphopt.compile.quantization.account import _stored
from graphopt.compile.quantization.accuracy import Evaluation, Scores
from graphopt.execute import Session
from graphopt.passes.quantization.round_weights import RoundWeights
from graphopt.testing import parse_model

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
    with pytest.raises(graphopt.errors.UsageError, match="so are passes that lose accuracy on their own"):
        quantized(quantize=WeightInt8(), passes=passes)


def test_ranges_of_inputs_and_outputs_reach_passes_of_ones_own(tmp_path: Path) -> None:
    data = tmp_path / "x.npz"
    np.savez(data, x=np.concatenate([sample["x"] for sample in SAMPLES]))
    passes = f"-O2,calibrate{{data={data}}},quantize-static{{everywhere=true}}"
    result = graphopt.optimize(network(), passes=passes, calibration=SAMPLES, measure=False)
    assert "no range was observed" not in str(result.report.to_dict())


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


def layers_of(result: graphopt.Result) -> dict[str, tuple[str, str]]:
    account = result.report.quantization
    assert account is not None
    return {layer.name: (layer.runs_in, layer.reason) for layer in account.layers}


def perceptron(opset: int = 17) -> ir.Model:
    """Two layers, of which only a later opset has codes of 4 bits."""
    model = ir.from_onnx_text(
        f"""<ir_version: 8, opset_import: ["" : {opset}]>
        g (float[N,64] x, float[64,512] w1, float[512,64] w2) => (float[N,64] y) {{
            [up] a = MatMul(x, w1)  r = Relu(a)  [down] y = Gemm(r, w2)
        }}"""
    )
    for value in list(model.graph.inputs)[1:]:
        assert value.shape is not None
        array = np.random.default_rng(2).normal(size=value.shape.numpy()).astype(np.float32)
        value.const_value = ir.tensor(array, name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return model


def test_what_a_raised_opset_settled_is_no_reason() -> None:
    result = graphopt.optimize(perceptron(), quantize="weight-int4", measure=False)
    assert result.model.opset_imports[""] == 21
    assert not [reason for _, reason in layers_of(result).values() if "opset" in reason]
    assert {layer.weights for layer in result.report.quantization.layers} == {"int4"}  # type: ignore[union-attr]


def test_convs_keep_8_bits_and_it_is_said() -> None:
    layers = layers_of(quantized(quantize="weight-int4", calibration=None))
    assert layers["second"][1] == (
        "weights of int8, decoded when the model is loaded; it sums too few products for 4 bits"
    )


def test_when_weights_are_decoded_is_told_by_what_decodes_them() -> None:
    model = ir.from_onnx_text(
        """<ir_version: 8, opset_import: ["" : 17]> g (float[1,2] x) => (float[1,2] y, float[1,2] z)
        <int8[2,2] w = {1, 2, 3, 4}, float s = {0.5}> {
            d = DequantizeLinear(w, s)  [each_run] y = MatMul(x, d)
            c = Cast <to = 1> (w)  m = Mul(c, s)  [at_load] z = MatMul(x, m)
        }"""
    )
    told = {node.name: _stored(node, WeightInt8()) for node in model.graph if node.op_type == "MatMul"}
    assert told == {
        "each_run": "weights of int8, decoded at every run",
        "at_load": "weights of int8, decoded when the model is loaded",
    }


def test_what_computes_in_half_floats_is_not_in_float() -> None:
    layers = layers_of(quantized(quantize="fp16", calibration=None))
    assert set(layers.values()) == {("float16", "")}


def test_what_was_measured_is_not_said_not_to_be() -> None:
    unchanged = graphopt.optimize(perceptron(), quantize="weight-int8")
    assert unchanged.report.bench is not None
    assert not [note for note in unchanged.report.notes if "not measured" in note]


def test_why_nothing_was_found_to_quantize_is_said() -> None:
    def note(body: str) -> str:
        model = ir.from_onnx_text(
            f"""<ir_version: 8, opset_import: ["" : 17]>
            g (float[2,2] x) => (float[2,2] y) <float one = {{1}}> {{ {body} }}"""
        )
        data = [np.ones((2, 2), np.float32)] * 2
        report = graphopt.optimize(model, quantize="int8", calibration=data, measure=False).report
        (found,) = [note for note in report.notes if "nothing to quantize" in note]
        return found

    assert note("y = Tan(x)").endswith(
        "it has no Conv, Gemm, MatMul or other node that does most of the work of a network"
    )
    branch = "b = MatMul(x, x)"
    loop = (
        f"c = Less(s, one)  y = If(c) <then_branch = t () => (float[2,2] b) {{ {branch} }}, "
        "else_branch = e () => (float[2,2] n) { n = Neg(x) }>"
    )
    assert note(f"s = ReduceSum <keepdims = 0> (x)  {loop}").endswith(
        "1 node (MatMul) is in bodies of If, Loop or Scan, or in functions"
    )
    done = "q = QuantizeLinear(x, one)  d = DequantizeLinear(q, one)  y = MatMul(d, d)"
    assert "quantized already" in note(done)


def test_the_report_says_how_many_samples_were_held_out() -> None:
    some = quantized(quantize="int8").report.quantization
    assert some is not None and (some.samples, some.of_samples, some.held_out) == (4, 4, True)
    few = quantized(quantize="int8", calibration=SAMPLES[:2]).report.quantization
    assert few is not None and (few.samples, few.calibrated_on, few.held_out) == (2, True, False)
    many = quantized(quantize="int8", calibration=SAMPLES * 10).report.quantization
    assert many is not None and (many.samples, many.of_samples) == (32, 40)


def test_what_does_not_run_is_not_called_inaccurate(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Scores("cosine", math.nan, math.inf, {}, 0, "it does not run: no kernel")
    monkeypatch.setattr(Evaluation, "score", lambda *_: broken)
    result = quantized(quantize="weight-int8", calibration=None)
    assert result.report.quantization is None
    assert (
        "what weight-int8 makes of the model cannot be used: it does not run: no kernel"
        in result.report.notes
    )


@pytest.mark.parametrize(
    ("target", "skip", "left"), [("native", ["compile-programs"], 0), ("portable", [], 1)]
)
def test_attention_stays_in_parts_where_only_these_run_on_codes(
    target: str, skip: list[str], left: int
) -> None:
    rng = np.random.default_rng(0)
    numbers = ", ".join(f"{number:.4f}" for number in rng.standard_normal(128 * 128) / 8)
    model = parse_model(f"""<ir_version: 10, opset_import: ["" : 23]> g
        (float[1,128,128] x) => (float[1,128,128] y)
        <float[128,128] w = {{{numbers}}}, int64[4] heads = {{1,128,4,32}}, int64[3] rows = {{1,128,128}},
         float r = {{0.1767767}}> {{
        p = MatMul(x, w) h = Reshape(p, heads) q = Transpose<perm = [0,2,1,3]>(h)
        k = Transpose<perm = [0,2,3,1]>(h) s = MatMul(q, k) t = Mul(s, r) u = Softmax(t)
        v = MatMul(u, q) m = Transpose<perm = [0,2,1,3]>(v) n = Reshape(m, rows) y = MatMul(n, w) }}""")
    data = [{"x": rng.standard_normal((1, 128, 128)).astype(np.float32)} for _ in range(8)]
    result = graphopt.optimize(
        model, quantize="int8", calibration=data, target=target, measure=False, skip=skip
    )
    made = [node.op_type for node in result.model.graph]
    assert made.count("Attention") == left
    assert "QuantizeLinear" in made


def test_unmeasured_codes_keep_counts_of_channels_that_kernels_take() -> None:
    rng = np.random.default_rng(2)
    weight = rng.normal(size=(48, 16, 3, 3)).astype(np.float32) / 12
    weight[5] = 0
    model = parse_model(
        """g (float[1,16,28,28] x, float[48,16,3,3] w, float[48,48,3,3] v) => (float[1,48,26,26] y) {
            a = Conv <pads = [1,1,1,1]> (x, w)  b = Relu(a)  c = Conv <pads = [1,1,1,1]> (b, v)
            y = MaxPool <kernel_shape = [3,3]> (c) }"""
    )
    for value, array in zip(
        model.graph.inputs[1:],
        (weight, rng.normal(size=(48, 48, 3, 3)).astype(np.float32) / 20),
        strict=True,
    ):
        value.const_value = ir.tensor(array, name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)

    def channels(**options: Any) -> set[int]:
        made = graphopt.optimize(model.clone(), measure=False, **options).model
        return {value.shape[0] for value in made.graph.initializers.values() if len(value.shape or ()) == 4}

    assert channels() == {47, 48}
    assert channels(quantize="int8", calibration=SAMPLES) == {48}
