"""Totals of whole models: parameters, control flow, live ranges, and everything that was not counted."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import onnx.backend.test
import onnx_ir as ir
import pytest

from graphopt.cost import MachineRates, ModelCost, estimate
from graphopt.ir import infer_shapes

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'
LIGHT = Path(onnx.backend.test.__file__).parent / "data" / "light"


def estimated(text: str, **options: object) -> ModelCost:
    model = ir.from_onnx_text(f"{HEADER} {text}")
    infer_shapes(model)
    return estimate(model, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "macs", "params"),
    [
        ("resnet50", 4.089e9, 25.61e6),  # He et al. 2016 with BatchNormalization statistics
        ("vgg19", 19.63e9, 143.67e6),  # Simonyan and Zisserman 2015, table 2
        ("densenet121", 2.834e9, 8.15e6),  # Huang et al. 2017
        ("squeezenet", 0.349e9, 1.235e6),  # SqueezeNet 1.1: Iandola et al. 2016
    ],
)
def test_published_networks(name: str, macs: float, params: float) -> None:
    model = ir.load(LIGHT / f"light_{name}.onnx")
    infer_shapes(model)
    found = estimate(model)
    assert found.complete and not found.assumed
    assert found.macs == pytest.approx(macs, rel=2e-3)
    assert found.params == pytest.approx(params, rel=2e-3)
    assert found.generated.elements > 0.99 * found.params  # the weights of these files are made at run time


def test_shared_weights_count_once_and_shape_constants_do_not() -> None:
    found = estimated("""
        g (float[2,4] x) => (float[8] y)
        <float[4,4] w = {1,0,0,0,0,1,0,0,0,0,1,0,0,0,0,1}, int64[1] s = {8}> {
            a = MatMul(x, w)
            b = MatMul(a, w)
            y = Reshape(b, s)
        }""")
    assert [node.params for node in found.nodes] == [16, 16, 0]
    assert (found.params, found.parameter_bytes) == (16, 64)


def test_unknown_operators_are_listed_and_never_silently_zero() -> None:
    header = '<ir_version: 8, opset_import: ["" : 17, "other" : 1]>'
    text = f"{header} g (float[4] x) => (float[4] y) {{ y = other.Op(x) }}"
    found = estimate(ir.from_onnx_text(text))
    assert found.unknown_ops == {"other.Op": "no cost rule"}
    assert not found.complete and found.nodes[0].seconds is None
    assert found.metadata()["graphopt.cost.complete"] == "false"


def test_nodes_of_unknown_shape_are_listed() -> None:
    model = ir.from_onnx_text(f"{HEADER} g (float[4] x) => (y) {{ a = Relu(x) y = Relu(a) }}")
    found = estimate(model)
    assert len(found.unknown_shapes) == 2
    assert found.unknown_shapes[0] == "Relu a: output 0"
    assert estimate(model, shapes={"a": (4,), "y": (4,)}).complete


def test_shapes_that_do_not_fit_the_operator_are_listed() -> None:
    model = ir.from_onnx_text(f"{HEADER} g (float[4] x) => (float y) {{ y = Det(x) }}")
    assert "do not fit the operator: inputs [(4,)]" in estimate(model).unknown_shapes[0]


def test_if_counts_its_dearest_branch() -> None:
    found = estimated("""
        g (bool c, float[10] x) => (float[10] y) {
            y = If (c) <
                then_branch = t () => (float[10] a) { a = Relu(x) },
                else_branch = e () => (float[10] b) { h = Relu(x) b = Neg(h) }>
        }""")
    (node,) = found.nodes
    assert (node.flops, found.flops) == (20, 20)
    assert [len(body) for body in node.bodies] == [1, 2]


LOOP = """
    g (TRIPS bool c, float[10] x) => (float[10] y) {
        CONSTANT
        y = Loop (n, c, x) <
            body = b (int64 i, bool ci, float[10] s) => (bool co, float[10] so) {
                co = Identity(ci)
                so = Relu(s)
            }>
    }"""


def test_loop_counts_its_trips() -> None:
    known = LOOP.replace("TRIPS", "").replace("CONSTANT", "n = Constant<value_int = 5>()")
    assert (estimated(known, shapes={"s": (10,), "so": (10,)}).flops) == 50
    unknown = LOOP.replace("TRIPS", "int64 n,").replace("CONSTANT", "")
    found = estimated(unknown, shapes={"s": (10,), "so": (10,)})
    assert found.flops == 10
    assert found.notes == ["Loop y: its trip count is not known; one trip is counted"]


def test_scan_runs_once_per_step() -> None:
    found = estimated(
        """
        g (float[3] z, float[7,3] x) => (float[3] s, float[7,3] y) {
            s, y = Scan <num_scan_inputs = 1,
                body = b (float[3] p, float[3] e) => (float[3] q, float[3] o) {
                    q = Add(p, e)
                    o = Identity(q)
                }>
                (z, x)
        }""",
        shapes={"q": (3,), "o": (3,), "p": (3,), "e": (3,)},
    )
    assert found.flops == 7 * 3


def test_functions_cost_what_their_bodies_cost() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        g (float[4] x) => (float[4] y) { y = own.twice(x) }
        <domain: "own", opset_import: ["" : 17]> twice (a) => (b) { h = Relu(a) b = Relu(h) }"""
    found = estimate(ir.from_onnx_text(text), shapes=dict.fromkeys("abh", (4,)))
    assert found.complete and found.flops == 8


def test_peak_is_what_lives_at_the_widest_node() -> None:
    found = estimated("""
        g (float[10] x) => (float[10] y) {
            a = Relu(x)
            b = Neg(a)
            c = Exp(a)
            y = Add(b, c)
        }""")
    assert found.activation_peak_bytes == 3 * 40  # a, b, c; then b, c, y


def test_views_share_memory_and_constants_stand_apart() -> None:
    found = estimated("""
        g (float[10] x) => (float[2,5] y) <int64[2] s = {2, 5}, float[2,5] w = {1,1,1,1,1,1,1,1,1,1}> {
            a = Relu(x)
            b = Reshape(a, s)
            y = Add(b, w)
        }""")
    assert found.activation_peak_bytes == 2 * 40


def test_bodies_add_their_peak_and_keep_captured_values_alive() -> None:
    found = estimated("""
        g (bool c, float[10] x) => (float[10] y) {
            a = Relu(x)
            y = If (c) <
                then_branch = t () => (float[10] p) { h = Neg(a) k = Exp(h) p = Abs(k) },
                else_branch = e () => (float[10] q) { q = Neg(a) }>
        }""")
    # the condition, a, y, and two values of the dearer branch
    assert found.activation_peak_bytes == 1 + 40 + 40 + 2 * 40


def test_metadata_does_not_depend_on_the_machine() -> None:
    text = "g (float[N,8] x) => (float[N,8] y) { y = Sigmoid(x) }"
    slow = MachineRates.from_dict({**estimated(text).rates.to_dict(), "node_overhead": 1.0})
    assert estimated(text).metadata() == estimated(text, rates=slow).metadata()
    assert estimated(text, rates=slow).time.estimate > 1
    assert estimated(text).metadata()["graphopt.cost.flops"] == str(14 * 8)


def test_time_is_an_interval_and_the_result_is_plain_data() -> None:
    found = estimated("g (float[N,8] x) => (float[N,8] y) { y = Sigmoid(x) }", bindings={"N": 4})
    assert 0 < found.time.low < found.time.estimate < found.time.high
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["flops"] == 14 * 32
    assert plain["nodes"][0]["intensity"] == pytest.approx(14 / 8)
