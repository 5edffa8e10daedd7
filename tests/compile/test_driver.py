"""The driver: what it emits is right whatever the passes do, and the report says how it came about."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.compile import LEVELS, optimize, pipeline_for
from graphopt.errors import ExecutionError, SaveError, UsageError
from graphopt.io import to_proto
from graphopt.ir import Changes, nodes
from graphopt.pipeline import Group, Pass, Pipeline
from graphopt.testing import parse_model
from graphopt.testing.broken import BreaksTheGraph, ChangesNumbers, Raises, RenamesAnOutput

UNTIDY = """g (float[N,3] x) => (float[N,3] y) <float[3] two = {2.0, 2.0, 2.0}> {
    a = Relu(x) b = Identity(a) c = Mul(b, two) d = Relu(x) dead = Neg(d) e = Add(c, d) y = Identity(e) }"""


def tidy(*extra: Pass) -> Pipeline:
    return Pipeline(
        [*Pipeline.parse("dce,eliminate-identities").items, *extra, *Pipeline.parse("cse,dce").items]
    )


@pytest.mark.parametrize("broken", [Raises(), BreaksTheGraph(), ChangesNumbers(), RenamesAnOutput()])
def test_a_broken_pass_is_left_out_and_named_and_the_rest_applies(broken: Pass) -> None:
    result = optimize(parse_model(UNTIDY), passes=tidy(broken), measure=False)
    assert [left.name for left in result.report.left_out] == [broken.name]
    assert result.report.check is not None
    assert result.report.check.equal
    assert [node.op_type for node in result.model.graph] == ["Relu", "Mul", "Add"]
    assert broken.name not in result.report.pipeline


def test_two_broken_passes_in_a_group_are_both_found() -> None:
    pipeline = Pipeline([Group((*tidy().items, ChangesNumbers(), Raises()))])
    result = optimize(parse_model(UNTIDY), passes=pipeline, measure=False)
    assert {left.name for left in result.report.left_out} == {"changes-numbers", "raises"}
    assert len(result.model.graph) == 3


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_levels_round_trip_as_text_and_emit_equal_models(level: int) -> None:
    pipeline = pipeline_for(level, None, ())
    assert Pipeline.parse(str(pipeline)) == pipeline
    result = optimize(parse_model(UNTIDY), level=level, measure=False)
    assert result.report.check is not None
    assert result.report.check.equal
    assert result.report.left_out == []


def test_level_one_uses_exact_passes_only() -> None:
    assert all(isinstance(item, Pass) and item.exact for item in pipeline_for(1, None, ()).passes())


def test_the_source_is_not_changed() -> None:
    model = parse_model(UNTIDY)
    before = to_proto(model).SerializeToString(deterministic=True)
    optimize(model, measure=False)
    assert to_proto(model).SerializeToString(deterministic=True) == before


def test_models_come_as_file_proto_or_ir(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = parse_model(UNTIDY)
    proto = ir.to_proto(model)
    onnx.save(proto, path)
    emitted = [
        to_proto(optimize(source, measure=False).model).SerializeToString(deterministic=True)
        for source in (path, str(path), proto)
    ]
    assert len(set(emitted)) == 1
    assert [node.op_type for node in optimize(model, measure=False).model.graph] == ["Relu", "Mul"]


def test_equal_input_and_options_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        optimize(parse_model(UNTIDY), measure=False, output=tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_emitted_models_pass_the_full_checker_and_carry_their_totals(tmp_path: Path) -> None:
    path = tmp_path / "out.onnx"
    optimize(parse_model(UNTIDY), measure=False, output=path)
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert {"graphopt.version", "graphopt.pipeline", "graphopt.cost.macs"} <= metadata.keys()


def test_optimizing_again_changes_nothing_more(tmp_path: Path) -> None:
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    optimize(parse_model(UNTIDY), measure=False, output=first)
    result = optimize(first, measure=False, output=second)
    assert sum(record.changes for record in result.report.records) == 0
    assert first.read_bytes() == second.read_bytes()


def test_a_false_declaration_is_corrected_and_noted() -> None:
    model = parse_model("g (float[N,3] x) => (float[1] y) { t = Identity(x) y = Neg(t) }")
    result = optimize(model, measure=False)
    assert len(result.model.graph.outputs[0].shape or ()) == 2
    assert any("'y' was declared [1]" in note for note in result.report.notes)


def test_metadata_and_documentation_are_kept() -> None:
    model = parse_model(UNTIDY)
    model.metadata_props["author"] = "somebody"
    model.doc_string = "what it is for"
    model.graph.inputs[0].doc_string = "the input"
    emitted = optimize(model, measure=False).model
    assert emitted.metadata_props["author"] == "somebody"
    assert emitted.doc_string == "what it is for"
    assert emitted.graph.inputs[0].doc_string == "the input"


def test_a_model_that_measures_slower_is_not_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphopt.execute import BenchResult

    monkeypatch.setattr(BenchResult, "slower", lambda self, index, baseline=0: True)
    result = optimize(parse_model(UNTIDY))
    chosen = [candidate.name for candidate in result.report.candidates if candidate.chosen]
    assert chosen == ["original"]
    assert len(list(nodes(result.model))) == 7
    assert any("slower" in note for note in result.report.notes)


def test_what_measured_slower_once_is_not_emitted_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphopt.execute import BenchResult

    monkeypatch.setattr(BenchResult, "slower", lambda self, index, baseline=0: len(self.seconds) == 2)
    result = optimize(parse_model(UNTIDY))
    chosen = [candidate.name for candidate in result.report.candidates if candidate.chosen]
    assert len(chosen) == 1 and chosen != ["-O2"]


def test_what_is_not_changed_is_not_measured() -> None:
    result = optimize(optimize(parse_model(UNTIDY), measure=False).model)
    assert result.report.bench is None
    assert "not measured, since there was nothing to change" in result.report.notes


def test_the_report_is_json(tmp_path: Path) -> None:
    result = optimize(parse_model(UNTIDY), output=tmp_path / "out.onnx")
    report = json.loads(json.dumps(result.report.to_dict(), allow_nan=False))
    assert report["before"]["nodes"] == 7
    assert report["after"]["nodes"] == 2
    assert {"pipeline", "records", "check", "bench", "candidates", "cost_before", "seconds"} <= report.keys()


def test_given_data_is_what_is_checked_with() -> None:
    data = {"x": np.ones((5, 3), dtype=np.float32)}
    result = optimize(parse_model(UNTIDY), inputs=data, measure=False)
    assert result.report.check is not None
    assert len(result.report.check.input_sets) == 1


def test_bad_options_are_refused_before_any_work(tmp_path: Path) -> None:
    model = parse_model(UNTIDY)
    with pytest.raises(UsageError, match="no level 9"):
        optimize(model, level=9)
    with pytest.raises(UsageError, match="cannot skip 'nothing'"):
        optimize(model, skip=["nothing"])
    with pytest.raises(UsageError, match="moon"):
        optimize(model, target="moon")
    with pytest.raises(UsageError, match="opset"):
        optimize(model, opset="newest")
    with pytest.raises(SaveError):
        optimize(model, output=tmp_path / "no" / "such" / "folder" / "out.onnx")


def test_the_opset_can_be_raised() -> None:
    result = optimize(parse_model(UNTIDY), opset=21, measure=False)
    assert result.model.opset_imports[""] == 21
    assert result.report.check is not None
    assert result.report.check.equal


OLD_GELU = """g (float[2,8] x) => (float[2,8] y)
<float half = {0.5}, float one = {1.0}, float root = {1.4142135}>
{ d = Div(x, root) e = Erf(d) s = Add(e, one) m = Mul(x, s) y = Mul(m, half) }"""


def test_the_opset_is_raised_where_a_fusion_needs_it_and_the_report_says_so() -> None:
    result = optimize(parse_model(OLD_GELU, opset=11, ir_version=6), measure=False)
    assert [node.op_type for node in result.model.graph] == ["Gelu"]
    assert result.model.opset_imports[""] == 20
    assert result.model.ir_version == 9
    assert any(note.startswith("raised from opset 11 to 20 for ") for note in result.report.notes)
    assert result.report.check is not None
    assert result.report.check.equal


@pytest.mark.parametrize(("wanted", "emitted"), [("keep", 13), (13, 13), (17, 17)])
def test_an_opset_asked_for_is_not_raised(wanted: int | str, emitted: int) -> None:
    result = optimize(parse_model(OLD_GELU, opset=13), opset=wanted, measure=False)
    assert result.model.opset_imports[""] == emitted
    assert "raise-opset" not in result.report.pipeline
    assert not any("raised" in note for note in result.report.notes)


def test_no_fusion_no_newer_opset() -> None:
    result = optimize(parse_model(UNTIDY, opset=13), measure=False)
    assert result.model.opset_imports[""] == 13


def test_functions_are_inlined_for_another_opset() -> None:
    model = parse_model("""<ir_version: 8, opset_import: ["" : 11, "f" : 1]>
    g (float[N] x) => (float[N] y) { y = f.bounded(x) }
    <domain: "f", opset_import: ["" : 11]> bounded (a) => (b)
    { u = Unsqueeze<axes=[0]>(a) b = Squeeze<axes=[0]>(u) }""")
    result = optimize(model, opset=17, level=0, measure=False)
    assert [node.op_type for node in result.model.graph] == ["Unsqueeze", "Squeeze"]
    assert result.model.opset_imports[""] == 17


def test_a_node_that_cannot_be_raised_is_named() -> None:
    model = parse_model("g (float[4] x) => (float[4] y, float[4] m) { y, m = Dropout(x) }", opset=9)
    with pytest.raises(UsageError, match=r"raised to opset 17: .*Dropout: its mask is in use"):
        optimize(model, opset=17)


def test_defaults_of_inputs_are_kept_and_noted_and_can_be_frozen() -> None:
    model = parse_model("""g (float[N,3] x, float[3] w) => (float[N,3] y) <float[3] w = {1.0, 1.0, 1.0}>
    { t = Mul(x, w) y = Neg(t) }""")
    kept = optimize(model, measure=False)
    assert [value.name for value in kept.model.graph.inputs] == ["x", "w"]
    assert len(kept.model.graph) == 2
    assert any("freeze-initializers" in note for note in kept.report.notes)
    frozen = optimize(model, passes="freeze-initializers,-O2", measure=False)
    assert [value.name for value in frozen.model.graph.inputs] == ["x"]
    assert [node.op_type for node in frozen.model.graph] == ["Neg"]
    assert not any("freeze-initializers" in note for note in frozen.report.notes)
    assert frozen.report.check is not None
    assert frozen.report.check.equal


def test_an_opset_out_of_reach_is_refused() -> None:
    model = parse_model("g (float[4] x) => (float[4] y) { y = Gelu(x) }", opset=20)
    with pytest.raises(UsageError, match="from opset 20 to 17: No Previous Version of Gelu exists"):
        optimize(model, opset=17)


def test_weights_survive_a_conversion() -> None:
    model = parse_model("g (float[N,32] x, float[32,32] w) => (float[N,32] y) { y = MatMul(x, w) }")
    weight = model.graph.inputs.pop()
    weight.const_value = ir.tensor(np.eye(32, dtype=np.float32), name="w")
    model.graph.initializers.add(weight)
    result = optimize(model, opset=21, measure=False)
    assert [value.name for value in result.model.graph.inputs] == ["x"]
    assert result.report.check is not None
    assert result.report.check.equal


def test_results_show_as_one_short_line() -> None:
    result = optimize(parse_model(UNTIDY), measure=False)
    assert result.report.check is not None
    shown = [repr(each) for each in (result, result.report, result.report.check)]
    assert shown[1].startswith("Report('in memory', 7 -> ") and "equal" in shown[1]
    assert all(len(text) < 200 and "\n" not in text for text in shown)
    assert repr(result.report.check.input_sets[0]).startswith("InputSet(x float32[")


@pytest.mark.parametrize("version", [6, 27, 1000])
def test_an_opset_that_nothing_runs_is_refused(version: int) -> None:
    with pytest.raises(UsageError, match=f"--opset is {version}, expected 7 to 26"):
        optimize(parse_model(UNTIDY), opset=version)


def test_a_wrong_conversion_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def converted_wrongly(model: ir.Model, wanted: int | str, notes: list[str]) -> ir.Model:
        other = model.clone()
        ChangesNumbers().call(other)
        return other

    monkeypatch.setattr("graphopt.compile.driver.convert_opset", converted_wrongly)
    with pytest.raises(ExecutionError, match="nothing was written: even without any pass the model differs"):
        optimize(parse_model(UNTIDY), opset=21, measure=False, output=tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_inputs_and_outputs_keep_their_types(dtype: str) -> None:
    model = parse_model("g (float[1,64] x, float[64,64] w) => (float[1,64] y) { y = MatMul(x, w) }")
    result = optimize(model, passes=f"to-half{{dtype={dtype},keep_io=false}}", measure=False)
    assert [value.dtype for value in result.model.graph.outputs] == [ir.DataType.FLOAT]
    assert any("keep their types, and 'x' was FLOAT and is" in note for note in result.report.notes)
    assert loads(result.model)


CODES = """g (uint8[4,6] a, uint8[6,5] b) => (uint8[4,5] y) <float s = {0.05}, uint8 z = {3}> {
    c = com.microsoft.QGemm(a, s, z, b, s, z, , s, z)
    d = com.microsoft.QLinearSigmoid(c, s, z, s, z) y = com.microsoft.QLinearLeakyRelu(d, s, z, s, z) }"""


@dataclasses.dataclass(frozen=True)
class DeclaresFalsely(Pass):
    """Declare another type of what an operator of onnxruntime's own gives."""

    name: ClassVar[str] = "declares-falsely"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        model.graph[0].outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        changes.add("declared")


def loads(model: ir.Model) -> bool:
    """Whether onnxruntime loads what is written of a model."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        ort.InferenceSession(to_proto(model).SerializeToString(), options)
    except Exception:
        return False
    return True


def quantized() -> ir.Model:
    model = parse_model(CODES)
    model.opset_imports["com.microsoft"] = 1
    return model


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_what_onnxruntime_loads_it_loads_afterwards(level: int) -> None:
    assert loads(quantized())
    assert loads(optimize(quantized(), level=level, measure=False).model)


def test_false_declarations_are_not_written() -> None:
    result = optimize(quantized(), passes=Pipeline([DeclaresFalsely()]), measure=False)
    assert loads(result.model)
    assert result.report.check is not None
    assert result.report.check.equal
    assert any("declared types of inner values are left out" in note for note in result.report.check.notes)


def test_what_onnxruntime_alone_could_not_load_is_no_equal_model() -> None:
    @dataclasses.dataclass(frozen=True)
    class LeavesTheRuntime(Pass):
        name: ClassVar[str] = "leaves-the-runtime"

        def apply(self, model: ir.Model, changes: Changes) -> None:
            model.opset_imports[""] = 99
            changes.add("raised")

    result = optimize(parse_model(UNTIDY), passes=Pipeline([LeavesTheRuntime()]), measure=False)
    assert [left.name for left in result.report.left_out] == ["leaves-the-runtime"]
    assert loads(result.model)


def test_what_only_the_original_runs_as_users_run_it_is_not_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphopt.execute import BenchResult, bench

    def refusing(models: list[ir.Model], **options: Any) -> BenchResult:
        if any(len(model.graph) < 7 for model in models):
            raise ExecutionError("onnxruntime could not load the model")
        return bench(models, **options)

    monkeypatch.setattr("graphopt.compile.choice.bench", refusing)
    result = optimize(parse_model(UNTIDY))
    assert len(result.model.graph) == 7
    assert any("-O2 is not emitted, but original" in note for note in result.report.notes)


DEAD_CHANNEL = """g (float[1,8,9,9] x, float[16,8,3,3] w, float[8,16,1,1] v) => (float[1,8,9,9] y) {
    h = Conv <pads = [1, 1, 1, 1]> (x, w) a = Relu(h) y = Conv (a, v) }"""


def test_later_passes_count_values_whose_dead_channels_went() -> None:
    """Their shapes are no longer those that a run of the original showed, and yet are known."""
    random = np.random.default_rng(0)
    first, second = (random.normal(size=size).astype(np.float32) for size in ((16, 8, 3, 3), (8, 16, 1, 1)))
    first[5:9] = 0.0
    model = parse_model(DEAD_CHANNEL, weights={"w": first, "v": second})
    result = optimize(model, passes="-O2,prune-weights{importance=magnitude,least=1}", measure=False)
    assert result.model.graph.initializers["w"].shape == (12, 8, 3, 3)
    cost = result.report.cost_after
    assert cost is not None and cost.complete
