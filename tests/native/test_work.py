"""What programs do, as the cost model counts it."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.compile import optimize
from graphopt.compile.api import cost
from graphopt.cost import estimate
from graphopt.ir import infer_shapes
from graphopt.native import compile
from graphopt.native.work import program_work, step_work
from graphopt.report.audit import audit
from graphopt.report.inspection import inspect
from graphopt.targets import Target
from graphopt.testing import parse_model

CONSTANTS = "float s = {0.05}, uint8 z = {128}, float r = {0.01}, int8 o = {0}"


def codes(name: str, *shape: int) -> str:
    count = 1
    for size in shape:
        count *= size
    numbers = ", ".join(str(index % 7 - 3) for index in range(count))
    return f"int8[{','.join(map(str, shape))}] {name} = {{{numbers}}}"


def images(batch: str = "1") -> ir.Model:
    """A convolution, one of each channel, and a transposed one."""
    weights = ", ".join((codes("w", 8, 4, 3, 3), codes("k", 8, 1, 3, 3), codes("t", 8, 2, 2, 2)))
    return parse_model(f"""<ir_version: 9, opset_import: ["" : 17]>
    g (float[{batch},4,10,10] x) => (float[{batch},2,20,20] y) <{CONSTANTS}, {weights}> {{
        q = QuantizeLinear(x, s, z) a = DequantizeLinear(q, s, z)
        wd = DequantizeLinear(w, r, o) [first] c = Conv <pads = [1,1,1,1]> (a, wd)
        cq = QuantizeLinear(c, s, z) cd = DequantizeLinear(cq, s, z)
        kd = DequantizeLinear(k, r, o) [second] e = Conv <pads = [1,1,1,1], group = 8> (cd, kd)
        eq = QuantizeLinear(e, s, z) ed = DequantizeLinear(eq, s, z)
        td = DequantizeLinear(t, r, o) [third] f = ConvTranspose <strides = [2,2]> (ed, td)
        fq = QuantizeLinear(f, s, z) y = DequantizeLinear(fq, s, z) }}""")


MACS = 10 * 10 * 8 * 4 * 9 + 10 * 10 * 8 * 9 + 10 * 10 * 8 * 2 * 4


def compiled(model: ir.Model) -> ir.Model:
    made = optimize(model, target="native", measure=False, check=False).model
    assert isinstance(made, ir.Model) and [node.op_type for node in made.graph] == ["Program"]
    return made


def test_a_program_counts_as_what_it_was_made_of() -> None:
    model = images()
    before, after = cost(model), cost(compiled(model))
    assert before.macs == after.macs == MACS
    assert after.complete
    assert after.params >= 8 * 4 * 9 + 8 * 9 + 8 * 2 * 4
    assert after.activation_peak_bytes > 0
    assert 0 < after.time.estimate < before.time.estimate
    (node,) = after.nodes
    assert node.op == "graphopt.Program" and node.macs == MACS and node.bytes_moved > 0


@pytest.mark.parametrize(("cell", "gates"), [("LSTM", 4), ("GRU", 3)])
def test_recurrent_steps_count_as_their_operators(cell: str, gates: int) -> None:
    halves = ", ".join(["0.5"] * gates * 3 * 5)
    model = parse_model(f"""<ir_version: 9, opset_import: ["" : 17]>
    g (float[7,2,5] x) => (float[7,1,2,3] y)
    <float[1,{gates * 3},5] w = {{{halves}}}, float[1,{gates * 3},3] r = {{{halves[: gates * 9 * 5 - 2]}}}> {{
        y = {cell} <hidden_size = 3> (x, w, r) }}""")
    demands = compile(model).demands([(7, 2, 5)])
    assert sum(step_work(each).macs for each in demands) == cost(model).macs == 7 * 2 * gates * 3 * (5 + 3)


def test_sizes_that_are_known_when_it_runs_are_those_of_the_inputs() -> None:
    model = compiled(images("N"))
    assert cost(model, shapes={"x": [3, 4, 10, 10]}).macs == 3 * MACS


def test_without_its_makers_a_program_is_not_counted() -> None:
    model = compiled(images())
    infer_shapes(model)
    assert "graphopt.Program" in estimate(model).unknown_ops
    assert not estimate(model, programs=program_work).unknown_ops


def test_what_is_no_program_is_told() -> None:
    model = compiled(images())
    node = model.graph[0]
    node.attributes["program"] = ir.AttrTensor("program", ir.tensor([1, 2, 3], dtype=ir.DataType.UINT8))
    infer_shapes(model)
    (reason,) = estimate(model, programs=program_work).unknown_ops.values()
    assert "the program of" in reason


def test_inspect_counts_programs() -> None:
    found = inspect(compiled(images()), source="m.onnx")
    assert found.cost.macs == MACS and found.cost.complete


def test_optimize_reports_what_its_programs_cost() -> None:
    report = optimize(images(), target="native", measure=False).report
    assert report.cost_after is not None and report.cost_before is not None
    assert report.cost_after.macs == MACS
    assert report.cost_after.time.estimate < report.cost_before.time.estimate


@pytest.mark.parametrize("confirm", [True, False])
def test_an_audit_lists_the_heavy_steps_of_programs(confirm: bool) -> None:
    model = compiled(images())
    found = audit(model, Target.load("ort-cpu"), source="m.onnx", confirm=confirm)
    assert [(node.name, node.op, node.runs_in) for node in found.heavy] == [
        ("first", "Conv", "int8"),
        ("second", "Conv", "int8"),
        ("third", "ConvTranspose", "int8"),
    ]
    assert 0 < sum(node.share or 0 for node in found.heavy) <= 1
    assert all(node.agrees is None and node.kernel == "graphopt.Program" for node in found.heavy)
