"""The target `native`: programs where they are right and no slower, the model as it was everywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

import graphopt.compile.programs as programs
from graphopt.compile import optimize
from graphopt.errors import UsageError
from graphopt.execute import BenchResult, InputSet, Session, library
from graphopt.native import Program, lower
from graphopt.testing import parse_model

RNG = np.random.default_rng(0)
HEAD = '<ir_version: 9, opset_import: ["" : 17]> g (uint8[N,32] x) => (uint8[N,32] y) '
LAYER = """{name}d = DequantizeLinear({source}, s, z) {name}w = DequantizeLinear(w_{name}, r, v)
    [{name}] {name}m = MatMul({name}d, {name}w) {name} = QuantizeLinear({name}m, s, z) """
NON = """{name}d = DequantizeLinear({source}, s, z) [{name}] {name}e = Erf({name}d)
    {name} = QuantizeLinear({name}e, s, z) """


def network(*layers: str) -> ir.Model:
    """Layers on codes, one after the other: `a` for a product, `e` for what is unsupported here."""
    weights = ["float s = {0.02}", "uint8 z = {128}", "float r = {0.01}", "int8 v = {0}"]
    body, source = "", "x"
    for layer in layers:
        text = NON if layer.startswith("e") else LAYER
        body += text.replace("{name}", layer).replace("{source}", source)
        numbers = ", ".join(map(str, RNG.integers(-50, 50, 32 * 32)))
        weights.append(f"int8[32,32] w_{layer} = {{{numbers}}}")
        source = layer
    return parse_model(f"{HEAD} <{', '.join(weights)}> {{ {body} y = Identity({source}) }}")


@pytest.fixture(autouse=True)
def _only_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs run no Erf here, whatever they learn."""
    monkeypatch.setattr(
        "graphopt.native.compiled.reasons",
        lambda model: {node: "Erf is not for this test" for node in model.graph if node.op_type == "Erf"},
    )


def timed(*seconds: float) -> Any:
    """A stand-in for `bench` by which the models take so long."""

    def bench(models: Any, **_: Any) -> BenchResult:
        assert len(models) == len(seconds) or len(models) == 2
        rounds = [[each] * 40 for each in seconds[-len(models) :]]
        return BenchResult(rounds, InputSet({}), starts=[0, 10, 20, 30])

    return bench


def kinds(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def test_quantized_regions_become_programs_in_a_file_that_stock_onnxruntime_runs(tmp_path: Path) -> None:
    model, file = network("a1", "a2"), tmp_path / "native.onnx"
    result = optimize(model, target="native", measure=False, output=file)
    assert kinds(result.model) == ["Program"]
    assert result.model.opset_imports["graphopt"] == 1
    assert result.report.pipeline.endswith("compile-programs,dce")
    check = result.report.check
    assert (
        check is not None and check.equal and not check.exact and "agree with onnxruntime" in check.notes[-1]
    )
    assert result.report.after.parameter_bytes > 2 * 32 * 32
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(library())
    session = onnxruntime.InferenceSession(file, options)
    codes = RNG.integers(0, 256, (5, 32), np.uint8)
    expected = Session(model, optimize=True).run({"x": codes})["y"]
    (found,) = session.run(None, {"x": codes})
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_what_no_program_runs_stays_and_is_told() -> None:
    result = optimize(network("a1", "e", "a2"), target="native", measure=False)
    assert kinds(result.model) == ["Program", "DequantizeLinear", "Erf", "QuantizeLinear", "Program"]


def test_a_float_model_stays_as_it_is_and_the_report_says_so() -> None:
    model = parse_model("g (float[N,3] x) => (float[N,3] y) { a = Relu(x) y = Tanh(a) }")
    result = optimize(model, target="native")
    assert kinds(result.model) == ["Relu", "Tanh"]
    assert any("nothing is run by programs: no node is quantized" in note for note in result.report.notes)


def test_who_asked_for_int8_in_vain_is_not_told_to_ask_for_it() -> None:
    model = parse_model("g (float[N,3] x) => (float[N,3] y) { a = Relu(x) y = Tanh(a) }")
    result = optimize(model, target="native", quantize="int8", calibration="synthetic", measure=False)
    assert kinds(result.model) == ["Relu", "Tanh"]
    assert result.report.notes
    assert not any("nothing is run by programs" in note for note in result.report.notes)


def test_a_model_of_programs_stays_one() -> None:
    made = optimize(network("a1"), target="native", measure=False).model
    again = optimize(made, target="native", measure=False)
    assert kinds(again.model) == ["Program"]
    assert not any("programs" in note for note in again.report.notes)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"level": 1}, "run at -O2 alone"),
        ({"passes": "dce"}, "are not among those given"),
        ({"skip": ["compile-programs"]}, ""),
    ],
)
def test_other_levels_and_passes_make_none_and_say_so(options: dict[str, Any], told: str) -> None:
    result = optimize(network("a1"), target="native", measure=False, **options)
    assert "Program" not in kinds(result.model)
    remarks = [note for note in result.report.notes if "compile-programs" in note]
    assert [told in note for note in remarks] == [True] * bool(told)


def test_passes_given_may_make_programs() -> None:
    result = optimize(network("a1"), target="native", passes="fold,compile-programs", measure=False)
    assert "Program" in kinds(result.model)
    assert not any("compile-programs" in note for note in result.report.notes)


def test_only_a_pass_that_would_run_can_be_skipped() -> None:
    with pytest.raises(UsageError, match="cannot skip 'compile-programs'"):
        optimize(network("a1"), skip=["compile-programs"])


def test_the_faster_of_both_is_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "bench", timed(3.0, 3.0, 1.0))
    result = optimize(network("a1"), target="native")
    assert kinds(result.model) == ["Program"]
    assert [each.name for each in result.report.candidates if each.chosen] == ["-O2 with programs"]
    monkeypatch.setattr(programs, "bench", timed(3.0, 1.0, 2.0))
    result = optimize(network("a1"), target="native")
    assert "MatMul" in kinds(result.model)
    assert "no programs are emitted: the model takes 2.00 times as long with them" in result.report.notes


def test_a_loss_that_is_not_sure_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def noisy(models: Any, **_: Any) -> BenchResult:
        rounds = [[3.0] * 40, [1.0] * 40, ([0.2] * 9 + [1.1] * 11) * 2]
        result = BenchResult(rounds[-len(models) :], InputSet({}), starts=[0, 10, 20, 30])
        assert not result.slower(len(models) - 1, len(models) - 2)
        return result

    monkeypatch.setattr(programs, "bench", noisy)
    result = optimize(network("a1"), target="native")
    assert "MatMul" in kinds(result.model)
    assert "no programs are emitted: the model takes 1.10 times as long with them" in result.report.notes


def test_a_region_that_is_slower_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def bench(models: Any, **_: Any) -> BenchResult:
        found = [node for model in models for node in model.graph]
        slow = any(node.name == "a2" for node in found) and not any(node.op_type == "Erf" for node in found)
        rounds = [[1.0] * 40, [2.0 if slow else 0.5] * 40] if len(models) == 2 else [[1.0] * 40] * 3
        return BenchResult(rounds, InputSet({}), starts=[0, 10, 20, 30])

    monkeypatch.setattr(programs, "bench", bench)
    result = optimize(network("a1", "e", "a2"), target="native")
    assert kinds(result.model).count("Program") == 1 and "MatMul" in kinds(result.model)
    assert "the region of 'a2' is no program: measured slower as a program" in result.report.notes


def test_programs_that_compute_something_else_are_not_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: ir.Model) -> Any:
        for value in model.graph.initializers.values():
            if value.name == "r":
                value.const_value = ir.Tensor(np.float32(0.013), name="r")
        return lower.lowered(model)

    monkeypatch.setattr("graphopt.native.compiled.lowered", wrong)
    result = optimize(network("a1"), target="native", measure=False)
    assert "MatMul" in kinds(result.model)
    assert any(note.startswith("no programs are emitted: output 'y'") for note in result.report.notes)


def test_a_program_that_does_not_load_is_not_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Program, "to_bytes", lambda program: b"no program")
    result = optimize(network("a1"), target="native", measure=False)
    assert "MatMul" in kinds(result.model)
    assert any(
        note.startswith("no programs are emitted: onnxruntime could not") for note in result.report.notes
    )
