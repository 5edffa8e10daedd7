"""An audit: predictions, held against what onnxruntime runs, grouped by cause."""

from __future__ import annotations

import dataclasses

import onnx_ir as ir
import onnxruntime
import pytest
from rich.console import Console

from graphopt.errors import UsageError
from graphopt.report.audit import Audit, audit
from graphopt.report.audit_tables import audit as tables
from graphopt.targets import Target

TEXT = """<ir_version: 8, opset_import: ["" : 13]>
main (float[1,4,8,8] x) => (float[1,4,8,8] y, float[1,4,8,8] b)
<float s = {0.1}, uint8 z = {0}, int8[4,4,1,1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
 float ws = {0.02}, int8 wz = {0}>
{
    xq = QuantizeLinear (x, s, z)
    xd = DequantizeLinear (xq, s, z)
    wd = DequantizeLinear (w, ws, wz)
    [good] a = Conv (xd, wd)
    aq = QuantizeLinear (a, s, z)
    ad = DequantizeLinear (aq, s, z)
    [bad] b = Conv (ad, wd)
    [worse] y = Conv (b, wd)
}"""
ORT = Target.load("ort-cpu")


def shown(found: Audit, *, every: bool = False) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for each in tables(found, every=every):
        console.print(each)
    return console.export_text()


def test_an_audit_groups_nodes_by_cause() -> None:
    found = audit(ir.from_onnx_text(TEXT), ORT, source="m.onnx")
    assert [(node.name, node.runs_in, node.agrees) for node in found.nodes] == [
        ("good", "int8", True),
        ("bad", "float", True),
        ("worse", "float", True),
    ]
    causes = {cause: [node.name for node in members] for cause, members in found.groups}
    assert causes == {"its output is a graph output": ["bad"], "its input is not quantized": ["worse"]}
    assert found.shares == "profile" and found.seconds and found.conversions
    assert all(0 < (node.share or 0) < 1 for node in found.nodes)
    text = shown(found)
    assert "3 heavy nodes: 1 in int8" in text
    assert "confirmed: onnxruntime runs 3 nodes as predicted" in text
    assert "its output is a graph output, so no Q can follow it" in text
    plain = found.to_dict()
    assert {group["cause"]: group["nodes"] for group in plain["groups"]} == causes
    assert plain["nodes"][0]["found"].endswith("QLinearConv in int8")


def test_it_says_which_version_was_asked_and_which_was_measured() -> None:
    model = ir.from_onnx_text(TEXT)
    found = audit(model, ORT, source="m.onnx", profile=False)
    assert found.confirmed_in == f"onnxruntime {onnxruntime.__version__}"
    same = dataclasses.replace(found, runtime=f"{found.confirmed_in}, CPU")
    assert shown(same).startswith(f"m.onnx in {found.confirmed_in}, CPU\n")
    other = dataclasses.replace(found, runtime="onnxruntime 1.0, CPU")
    assert shown(other).startswith(
        f"m.onnx in {found.confirmed_in}, by rules measured with onnxruntime 1.0, CPU\n"
    )
    predicted = audit(model, ORT, source="m.onnx", confirm=False)
    assert shown(predicted).startswith(f"m.onnx, predicted by rules measured with {predicted.runtime}\n")


def test_without_confirmation_shares_are_estimates() -> None:
    found = audit(ir.from_onnx_text(TEXT), ORT, source="m.onnx", confirm=False)
    assert found.shares == "estimate" and found.seconds is None
    assert all(node.agrees is None and node.share for node in found.nodes)
    assert "estimated time" in shown(found) and "confirmed" not in shown(found)


def test_a_disagreement_is_shown() -> None:
    found = audit(ir.from_onnx_text(TEXT), ORT, source="m.onnx", profile=False)
    other = dataclasses.replace(found.nodes[0], agrees=False, found="Conv in float")
    text = shown(dataclasses.replace(found, nodes=(other, *found.nodes[1:])))
    assert "int8?" in text and "onnxruntime runs Conv in float, not as predicted" in text
    assert "not as predicted: 1 of 3 nodes run otherwise: good" in text


def test_a_model_that_does_not_load_is_predicted_alone() -> None:
    broken = TEXT.replace("[bad] b = Conv (ad", "[bad] b = Nonsense (ad")
    found = audit(ir.from_onnx_text(broken), ORT, source="m.onnx")
    (text,) = found.notes
    assert text.startswith("not confirmed: onnxruntime could not load or run the model")
    assert [node.runs_in for node in found.nodes] == ["int8", "float"]


def test_another_runtime_is_predicted_alone() -> None:
    found = audit(ir.from_onnx_text(TEXT), Target.load("openvino"), source="m.onnx")
    assert "not confirmed by a run" in found.notes[0] and found.nodes


def test_a_target_without_rules_is_refused() -> None:
    with pytest.raises(UsageError, match="says nothing of quantization"):
        audit(ir.from_onnx_text(TEXT), dataclasses.replace(ORT, quantization=None), source="")


LIGHT = """<ir_version: 8, opset_import: ["" : 13]>
main (float[2] x) => (float[2] y) { y = Tanh (x) }"""


def test_a_model_of_no_heavy_nodes() -> None:
    assert "no node of it is worth quantizing" in shown(audit(ir.from_onnx_text(LIGHT), ORT, source="m.onnx"))
