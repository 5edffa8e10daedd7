"""to-half: what half floats hold is computed in them; what they do not, and why, stays float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import UsageError
from graphopt.execute import Session
from graphopt.ir import infer_shapes
from graphopt.passes.quantization.to_half import ToHalf
from graphopt.quant import sqnr_db
from graphopt.testing import PassRun, check_pass, check_pass_on_models, parse_model

RANDOM = np.random.default_rng(0)
PORTS = "(float[2,8] x, float[8,8] w) => (float[2,8] y)"
X = RANDOM.normal(size=(2, 8)).astype(np.float32)


def model(text: str, opset: int = 17, **ranges: str) -> ir.Model:
    """A model in which the input w is a normally distributed constant, and ranges were observed."""
    made = parse_model(text, opset=opset)
    for value in [each for each in made.graph.inputs if each.name == "w"]:
        made.graph.inputs.remove(value)
        dims = tuple(int(dim) for dim in value.shape or ())  # type: ignore[arg-type]
        value.const_value = ir.tensor(RANDOM.normal(size=dims).astype(np.float32), name="w")
        made.graph.initializers.add(value)
    for node in made.graph:
        for output in node.outputs:
            if output.name in ranges:
                output.metadata_props["graphopt.range"] = ranges[output.name]
    return made


def run(given: ir.Model, **options: Any) -> PassRun:
    return check_pass(ToHalf(**{"least": 1, **options}), given)


def accuracy(result: PassRun, **feed: Any) -> float:
    before, after = (Session(each).run(feed) for each in (result.before, result.model))
    return min(sqnr_db(before[name], after[name]) for name in before)


def test_it_computes_in_halves_between_two_casts() -> None:
    result = run(model(f"g {PORTS} {{ a = MatMul(x, w) b = Relu(a) y = Tanh(b) }}"))
    assert result.ops == ["Cast", "MatMul", "Relu", "Tanh", "Cast"]
    assert result.hits == {"computes in half floats": 3}
    assert accuracy(result, x=X) > 55


def test_interfaces_may_be_of_halves() -> None:
    given = model(f"g {PORTS} {{ a = MatMul(x, w) y = Relu(a) }}")
    infer_shapes(given)
    assert ToHalf(keep_io=False).call(given).changes.hits == {"computes in half floats": 2}
    assert [node.op_type for node in given.graph] == ["MatMul", "Relu"]
    assert {value.dtype for value in (*given.graph.inputs, *given.graph.outputs)} == {ir.DataType.FLOAT16}
    assert Session(given).run({"x": X.astype(np.float16)})["y"].dtype == np.float16


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("a = MatMul(x, w) y = Add(a, mask)", "its numbers may leave the range of float16"),
        ("m = Mul(x, mask) a = MatMul(x, w) y = Sub(a, m)", "its numbers may leave the range of float16"),
        ("a = MatMul(x, w) y = Add(a, tiny)", "a constant of it is nothing in float16"),
        ("a = MatMul(x, w) y = Exp(a)", "an Exp loses too much"),
    ],
)
def test_what_halves_do_not_hold_stays(body: str, reason: str) -> None:
    constants = "<float mask = {-1e9}, float tiny = {1e-9}>"
    result = run(model(f"g {PORTS} {constants} {{ {body} }}"))
    assert reason in result.refusals and result.hits["computes in half floats"] == 1


def test_a_mask_counts_up_to_the_softmax() -> None:
    text = f"""g {PORTS} <float mask = {{-1e9}}> {{
        a = MatMul(x, w) b = Add(a, mask) c = Softmax(b) d = MatMul(c, w) y = Neg(d) }}"""
    result = run(model(text))
    assert result.refusals["its numbers may leave the range of float16"] == 2
    assert result.ops == ["Cast", "MatMul", "Cast", "Add", "Softmax", "Cast", "MatMul", "Neg", "Cast"]


def test_bfloat16_holds_large_numbers_and_few_kernels() -> None:
    text = f"g {PORTS} <float mask = {{-1e9}}> {{ a = MatMul(x, w) y = Add(a, mask) }}"
    result = run(model(text), dtype="bfloat16")
    assert "its numbers may leave the range of bfloat16" not in result.refusals
    assert result.hits["stored as half floats"] == 2 and result.ops == ["Cast", "Cast", "MatMul", "Add"]


def test_observed_ranges_count() -> None:
    text = f"g {PORTS} {{ a = MatMul(x, w) b = Mul(a, a) c = Sigmoid(b) y = MatMul(c, w) }}"
    result = run(model(text, b="0.0 40000.0"))
    assert result.refusals == {"its numbers may leave the range of float16": 2}
    assert run(model(text, b="0.0 30.0")).hits == {"computes in half floats": 4}


def test_an_epsilon_may_be_nothing_but_in_normalizations_that_compute_in_float() -> None:
    text = """g (float[1,2,4] x, float[1,2,4] w) => (float[1,2,4] y) <float[4] s = {1, 1, 1, 1}> {
        a = Mul(x, w) y = %s<epsilon = 1e-12>(a, s%s) }"""
    assert run(model(text % ("LayerNormalization", ""))).hits["computes in half floats"] == 2
    narrow = text.replace("float[4] s = {1, 1, 1, 1}", "float[2] s = {1, 1}")
    assert (
        "its epsilon is nothing in float16" in run(model(narrow % ("InstanceNormalization", ", s"))).refusals
    )


def test_light_nodes_between_float32_are_not_worth_casts() -> None:
    text = f"g {PORTS} {{ a = Exp(x) b = Transpose<perm = [0, 1]>(a) c = Relu(b) y = Log(c) }}"
    result = run(model(text))
    assert result.refusals["between nodes of float32, it would take more Casts"] == 2
    assert "Cast" not in result.ops


def test_whole_numbers_are_cast_once() -> None:
    text = """g (int64[2,8] n, float[8,8] w) => (float[2,8] y) {
        x = Cast<to = 1>(n) a = MatMul(x, w) y = Relu(a) }"""
    result = run(model(text))
    assert result.ops == ["Cast", "MatMul", "Relu", "Cast"]


def test_weights_of_bodies_and_for_onnxruntime_are_stored() -> None:
    text = """g (bool c, float[2,8] x, float[8,8] w) => (float[2,8] y) {
        y = If(c) < then_branch = t () => (float[2,8] a) { a = MatMul(x, w) },
                    else_branch = e () => (float[2,8] b) { d = MatMul(x, w) b = Neg(d) } >
    }"""
    result = run(model(text))
    assert result.hits == {"stored as half floats": 1}
    assert result.refusals == {"it has bodies, which stay float32": 1}
    plain = run(model(f"g {PORTS} {{ y = MatMul(x, w) }}"), target="ort-cpu")
    assert plain.ops == ["Cast", "MatMul"] and plain.hits == {"stored as half floats": 1}


def test_scales_of_codes_stay() -> None:
    text = """g (int8[2] x) => (float[2] y) <float[2] s = {0.1, 0.2}> {
        y = DequantizeLinear<axis = 0>(x, s) }"""
    assert "the scales of codes stay float32" in run(model(text)).refusals


def test_nodes_to_keep_stay() -> None:
    given = model(f"g {PORTS} {{ a = MatMul(x, w) y = Relu(a) }}")
    assert run(given, keep=("a",)).refusals["it is to stay float32"] == 1


def test_old_opsets_have_no_bfloat16() -> None:
    result = run(model(f"g {PORTS} {{ y = MatMul(x, w) }}", 12), dtype="bfloat16")
    assert set(result.refusals) == {"bfloat16 needs opset 13, and the model is at 12"}
    with pytest.raises(UsageError, match="float8"):
        ToHalf(dtype="float8")


@pytest.mark.parametrize("options", [{}, {"dtype": "bfloat16"}, {"target": "ort-cpu"}])
def test_generated_models_survive(options: dict[str, Any]) -> None:
    assert check_pass_on_models(ToHalf(least=1, **options), examples=25, seed=len(options) * 500).changed


def test_functions_of_the_standard_with_constants_of_float32_stay() -> None:
    text = """g (float[1,2,4,4] x, float[1,2,4,4] w) => (float[1,2,4,4] y) {
        a = Mul(x, w) y = MeanVarianceNormalization(a) }"""
    assert "a MeanVarianceNormalization loses too much" in run(model(text)).refusals


def test_what_says_a_type_stays_float32() -> None:
    text = """g (float[2,8] x, float[8,8] w) => (float[2,8] y, float[2,8] z) {
        a = MatMul(x, w) y = Relu(a) n = Cast<to = 7>(x) z = CastLike(n, a) }"""
    assert run(model(text)).ops.count("CastLike") == 1


def test_scatters_that_reduce_stay() -> None:
    text = """g (float[4] x, int64[2] i, float[2] u) => (float[4] y) {
        a = Mul(x, x) y = ScatterElements<axis = 0, reduction = "mul">(a, i, u) }"""
    inputs = [{"x": np.ones(4, np.float32), "i": np.array([0, 1]), "u": np.ones(2, np.float32)}]
    result = check_pass(ToHalf(least=1), model(text), inputs=inputs)
    assert "onnxruntime runs no ScatterElements of float16" in result.refusals
