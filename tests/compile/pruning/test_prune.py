"""`graphopt.optimize(prune=...)` and `graphopt.compress`: what is emitted, what is told, what is refused."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import graphopt
from graphopt.cost import estimate
from graphopt.errors import UsageError
from graphopt.execute import Session
from graphopt.ir import infer_shapes
from graphopt.passes.pruning._sensitivity import Trials
from graphopt.testing import parse_model

RNG = np.random.default_rng(5)
SAMPLES = [{"x": RNG.normal(size=(1, 4, 10, 10)).astype(np.float32)} for _ in range(16)]
SIZES = {"w1": (24, 4, 3, 3), "b1": (24,), "w2": (32, 24, 3, 3), "b2": (32,), "w3": (32, 10)}


def network() -> ir.Model:
    """Two Convs and a classifier."""
    declared = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in SIZES.items())
    rng = np.random.default_rng(7)
    arrays = {
        name: rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]) or 1) for name, shape in SIZES.items()
    }
    return parse_model(
        f"""agraph (float[1,4,10,10] x, {declared}) => (float[1,10] y) {{
            a = Conv <pads = [1,1,1,1]> (x, w1, b1) ar = Relu(a) c = Conv(ar, w2, b2) cr = Relu(c)
            p = GlobalAveragePool(cr) f = Flatten(p) y = MatMul(f, w3) }}""",
        weights={name: array.astype(np.float32) for name, array in arrays.items()},
    )


def optimized(**options: Any) -> graphopt.Result:
    return graphopt.optimize(network(), **{"measure": False, "calibration": SAMPLES, **options})


def initialized(text: str, sizes: dict[str, tuple[int, ...]], twins: tuple[str, ...] = ()) -> ir.Model:
    """A model whose inputs that have a size are weights, of which `twins` are all equal."""
    declared = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in sizes.items())
    model = parse_model(text.replace("WEIGHTS", declared))
    rng = np.random.default_rng(7)
    for value in [value for value in model.graph.inputs if value.name in sizes]:
        shape = sizes[value.name or ""]
        random = np.random.default_rng(8) if value.name in twins else rng
        array = random.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        value.const_value = ir.tensor(array.astype(np.float32), name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return model


def wide() -> ir.Model:
    """Convs over an image of any width, and a product by far more weights that does not grow with it."""
    return initialized(
        """agraph (float[1,4,8,width] x, WEIGHTS) => (float[1,10] y) {
            a = Conv <pads = [1,1,1,1]> (x, w1) ar = Relu(a) c = Conv(ar, w2) cr = Relu(c)
            p = GlobalAveragePool(cr) f = Flatten(p) h = MatMul(f, w3) hr = Relu(h) y = MatMul(hr, w4) }""",
        {"w1": (32, 4, 3, 3), "w2": (32, 32, 3, 3), "w3": (32, 2048), "w4": (2048, 10)},
    )


@pytest.mark.parametrize("width", [16, 48])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_rate_is_of_the_multiplications_at_the_shapes_given(rate: float, width: int) -> None:
    shapes = {"x": [1, 4, 8, width]}
    result = graphopt.optimize(wide(), prune=rate, shapes=shapes, measure=False)
    original, *_, pruned = result.report.steps
    assert original.macs == costed(wide(), width)
    assert pruned.macs / original.macs == pytest.approx(1 - rate, abs=0.03 * rate)
    assert pruned.macs == costed(result.model, width)


def test_without_shapes_costs_are_told_at_the_size_of_calibration_data() -> None:
    samples = [{"x": RNG.normal(size=(1, 4, 8, 24)).astype(np.float32)} for _ in range(8)]
    result = graphopt.optimize(wide(), prune=0.5, calibration=samples, measure=False)
    before = result.report.cost_before
    assert before is not None and not before.assumed
    assert result.report.steps[0].macs == before.macs == costed(wide(), 24)
    assert result.report.steps[-1].macs / result.report.steps[0].macs == pytest.approx(0.5, abs=0.015)


def costed(model: ir.Model, width: int) -> int:
    """MACs of a model at a width."""
    copy = model.clone()
    infer_shapes(copy)
    return estimate(copy, shapes={"x": (1, 4, 8, width)}).macs


TWINS = """agraph (float[1,4,10,10] x, WEIGHTS) => (float[1,10] y) {
    a = Conv <pads = [1,1,1,1]> (x, w1) ar = Relu(a) c = Conv(ar, w2) cr = Relu(c)
    t1 = Conv(x, v1) t1r = Relu(t1) t2 = Conv(x, v2) t2r = Relu(t2)
    p = GlobalAveragePool(cr) p1 = GlobalAveragePool(t1r) p2 = GlobalAveragePool(t2r)
    k = Concat <axis = 1> (p, p1, p2) f = Flatten(k) y = MatMul(f, w3) }"""


def test_layers_that_turn_out_equal_and_become_one_count_towards_the_goal() -> None:
    sizes = {"w1": (32, 4, 3, 3), "w2": (32, 32, 3, 3), "v1": (40, 4, 3, 3), "v2": (40, 4, 3, 3)}
    model = initialized(TWINS, sizes | {"w3": (112, 10)}, twins=("v1", "v2"))
    result = graphopt.optimize(model, prune="macs=0.4,scope=layer", measure=False)
    steps = result.report.steps
    assert sum(node.op_type == "Conv" for node in result.model.graph) == 3
    assert steps[-1].macs / steps[0].macs == pytest.approx(0.6, abs=0.02)


def test_a_rate_that_only_whole_channels_miss_is_told() -> None:
    model = initialized(
        """agraph (float[1,4,10,10] x, WEIGHTS) => (float[1,10] y) {
            a = Conv(x, w1) p = GlobalAveragePool(a) f = Flatten(p) y = MatMul(f, w3) }""",
        {"w1": (6, 4, 3, 3), "w3": (6, 10)},
    )
    result = graphopt.optimize(model, prune=0.4, measure=False)
    assert any("33.3% of the MACs are gone, 40.0% were asked for" in note for note in result.report.notes)


def test_the_model_is_smaller_and_each_step_is_told() -> None:
    result = optimized(prune="macs=0.4")
    steps = result.report.steps
    assert [step.name for step in steps] == ["original", "optimized", "pruned"]
    assert steps[2].macs / steps[0].macs == pytest.approx(0.6, abs=0.03)
    assert steps[2].file_bytes < steps[0].file_bytes and steps[2].params < steps[0].params
    assert all(step.memory_bytes and step.metric == "cosine" for step in steps)
    assert steps[1].accuracy == pytest.approx(1.0) and 0.8 < (steps[2].accuracy or 0) <= 1.0
    assert Session(result.model).run(SAMPLES[0])["y"].shape == (1, 10)
    assert [step["name"] for step in result.report.to_dict()["steps"]] == ["original", "optimized", "pruned"]


def test_pruning_and_quantizing_go_together() -> None:
    result = graphopt.compress(
        network(), pruning_rate=0.3, quantization="fp16", calibration=SAMPLES, measure=False
    )
    assert [step.name for step in result.report.steps] == ["original", "optimized", "pruned", "quantized"]
    assert result.report.quantization is not None and result.report.quantization.scheme == "fp16"
    sizes = [step.file_bytes for step in result.report.steps]
    assert sizes[3] < sizes[2] < sizes[1]


def test_sizes_of_files_are_those_of_the_files(tmp_path: Path) -> None:
    given, made = tmp_path / "given.onnx", tmp_path / "made.onnx"
    graphopt.save(network(), given)
    steps = graphopt.optimize(given, prune=0.3, measure=False, output=made).report.steps
    assert (steps[0].file_bytes, steps[-1].file_bytes) == (given.stat().st_size, made.stat().st_size)


def test_without_data_channels_are_chosen_by_their_weights() -> None:
    result = graphopt.optimize(network(), prune=0.3, measure=False)
    assert any("without calibration data" in note for note in result.report.notes)
    assert 0 < (result.report.steps[2].accuracy or 0) < 1  # on what the model is checked with
    assert (
        graphopt.optimize(network(), prune=0.3, measure=False, check=False).report.steps[2].accuracy is None
    )


def test_without_data_a_metric_is_told_all_the_same() -> None:
    result = graphopt.optimize(network(), prune=0.3, metric="sqnr", measure=False)
    assert {step.metric for step in result.report.steps} == {"sqnr"}
    own = graphopt.optimize(network(), prune=0.3, metric=lambda run: 0.5, measure=False, check=False)
    assert own.report.steps[2].accuracy == 0.5


def test_without_data_less_is_pruned_where_accuracy_falls_too_far() -> None:
    result = graphopt.optimize(network(), prune=0.5, max_drop=0.01, measure=False)
    assert result.report.steps[-1].accuracy == pytest.approx(1.0, abs=0.01)


def test_attempts_at_several_rates_try_the_groups_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Counted(Trials):
        def __init__(self, *given: Any) -> None:
            made.append(given)
            super().__init__(*given)

    monkeypatch.setattr("graphopt.passes.pruning.prune_channels.Trials", Counted)
    optimized(prune="macs=0.6", max_drop=0.02)
    assert len(made) == 1


def test_a_latency_out_of_reach_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = importlib.import_module("graphopt.compile.pruning.prune")._Attempts
    monkeypatch.setattr(attempts, "_ratio", lambda self, attempt: 0.6)
    result = graphopt.optimize(network(), prune="latency=0.8")
    assert result.report.unmet == "40% less latency was measured, 80% less was asked for"
    assert result.report.unmet in result.report.notes
    assert not graphopt.optimize(network(), prune="latency=0.39").report.unmet


def test_less_is_pruned_where_accuracy_falls_too_far() -> None:
    def metric(run: Any) -> float:
        expected = Session(network())
        errors = [np.abs(run(each)["y"] - expected.run(each)["y"]).max() for each in SAMPLES]
        return -float(max(errors))

    free = optimized(prune="macs=0.6", metric=metric)
    bound = -0.5 * (free.report.steps[2].accuracy or 0.0)
    held = optimized(prune="macs=0.6", metric=metric, max_drop=bound)
    assert -(held.report.steps[-1].accuracy or 0.0) <= bound
    assert held.report.steps[-1].macs > free.report.steps[2].macs
    assert any("more than max_drop" in note for note in held.report.notes)


def test_weights_that_are_inputs_too_become_constants() -> None:
    model = network()
    model.graph.inputs.append(model.graph.initializers["b1"])
    result = graphopt.optimize(model, prune=0.3, measure=False)
    assert [value.name for value in result.model.graph.inputs] == ["x"]
    assert any("are constants now" in note for note in result.report.notes)


def test_a_torch_module_is_compressed_in_one_call() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4)).eval()
    data = [RNG.normal(size=(2, 16)).astype(np.float32) for _ in range(16)]
    result = graphopt.compress(
        module,
        (torch.zeros(2, 16),),
        pruning_rate=0.5,
        calibration=data,
        measure=False,
    )
    assert result.report.steps[-1].macs / result.report.steps[0].macs == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("prune", "message"),
    [
        (0, "pruning rate of macs is 0"),
        (1.0, "pruning rate of macs is 1.0"),
        (-0.2, "pruning rate of macs is -0.2"),
        ("macs=1.5", "pruning rate of macs is 1.5"),
        ("macs=half", "pruning rate of macs is 'half'"),
        ("macs=0.5,params=0.5", "one goal"),
        ("importance=l2", "one goal"),
        ("beauty", "not NAME=VALUE"),
        ("macs=0.5,depth=3", "no option 'depth'"),
        ("macs=0.5,importance=charm", "no importance 'charm'"),
        ({"macs": True}, "pruning rate of macs is True"),
    ],
)
def test_bad_rates_and_options_are_refused_before_anything_is_read(prune: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        graphopt.optimize("no such file.onnx", prune=prune)


def test_data_of_the_wrong_shape_are_refused_at_once() -> None:
    ran: list[str] = []
    wrong = [{"x": np.zeros((1, 3, 10, 10), np.float32)}]
    with pytest.raises(UsageError, match="x"):
        optimized(prune=0.3, calibration=wrong, progress=ran.append)
    assert "passes" not in ran


def test_where_nothing_can_be_pruned_the_reason_is_told_at_once(nothing_to_prune: ir.Model) -> None:
    ran: list[str] = []
    with pytest.raises(UsageError, match="no channels to prune: 'w': it is an output of the model"):
        graphopt.optimize(nothing_to_prune, prune=0.3, progress=ran.append)
    assert "passes" not in ran


def test_a_rate_too_small_for_any_channel_to_go_is_an_error_whatever_the_cleanup_changes() -> None:
    model = network()
    for name in ("c1", "c2"):  # equal, so that the clean-up has something to do
        value = ir.Value(name=name, const_value=ir.tensor(np.ones(10, np.float32), name=name))
        value.shape, value.type = ir.Shape([10]), ir.TensorType(ir.DataType.FLOAT)
        model.graph.register_initializer(value)
        y = model.graph.outputs[0]
        node = ir.node("Add", [y, value])
        node.outputs[0].shape, node.outputs[0].type = y.shape, y.type
        model.graph.append(node)
        model.graph.outputs[0] = node.outputs[0]
        y.name, node.outputs[0].name = f"before_{name}", "y"
    with pytest.raises(UsageError, match=r"nothing was pruned: 0.0001 of the MACs is less than any channel"):
        graphopt.optimize(model, prune="macs=0.0001", calibration=SAMPLES, measure=False, passes="dce")


def test_nothing_to_compress_is_refused() -> None:
    with pytest.raises(UsageError, match="neither pruning_rate nor quantization"):
        graphopt.compress(network())
