"""PyTorch modules wherever a model is taken, and graph modules out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.compile import optimize
from graphopt.compile.api import bench, check, cost
from graphopt.compile.explain import explain
from graphopt.compile.given import is_traced, open_given, script_of
from graphopt.errors import DataError, UsageError

pytest.importorskip("torch", reason="PyTorch is an extra")
pytest.importorskip("onnxscript", reason="PyTorch's exporter needs it")

import torch
from torch import nn


class Net(nn.Module):  # type: ignore[misc]
    """A small network with what there is to optimize, and nested results."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Hardswish())
        self.head = nn.Linear(4, 5)

    def forward(self, image: Any) -> Any:
        features = self.stem(image)
        return {"logits": self.head(features.mean((2, 3))), "features": (features,)}


DYNAMIC = {"image": {0: "batch"}}


@pytest.fixture
def module() -> Any:
    torch.manual_seed(0)
    net = Net()
    net.stem[1].running_var.uniform_(0.5, 2)
    return net.eval()


@pytest.fixture
def image() -> Any:
    return torch.randn(2, 3, 6, 6)


@pytest.mark.parametrize("form", ["mappings", "tensors", "loader", "function"])
def test_calibration_samples_are_example_inputs(module: Any, form: str) -> None:
    images = torch.randn(6, 1, 3, 6, 6)
    dataset = torch.utils.data.TensorDataset(images[:, 0], torch.zeros(6))
    calibration: Any = {
        "mappings": [{"image": each.numpy()} for each in images],
        "tensors": list(images),
        "loader": torch.utils.data.DataLoader(dataset, batch_size=1),
        "function": lambda: iter([{"image": each} for each in images]),
    }[form]
    result = optimize(module, quantize="fp16", calibration=calibration, measure=False)
    assert result.report.source == "Net"
    assert result.model.graph.inputs[0].shape == (1, 3, 6, 6)


def test_calibration_data_without_a_sample_are_refused(module: Any) -> None:
    with pytest.raises(DataError, match="the calibration data hold no sample"):
        optimize(module, quantize="int8", calibration=[])


def test_what_is_no_list_of_samples_is_no_example(module: Any) -> None:
    for calibration in ({"image": np.zeros((2, 1, 3, 6, 6), np.float32)}, iter([np.zeros(1)]), "synthetic"):
        with pytest.raises(UsageError, match="needs example inputs"):
            optimize(module, quantize="fp16", calibration=calibration)


def test_a_module_becomes_an_optimized_model(module: Any, image: Any) -> None:
    result = optimize(module, (image,), dynamic_shapes=DYNAMIC, measure=False)
    assert [node.op_type for node in result.model.graph][:2] == ["Conv", "HardSwish"]
    report = result.report
    assert report.source == "Net"
    assert report.notes[0] == "traced from Net: 141 parameters, any batch"
    assert report.check is not None and report.check.equal
    mine, *made = report.check.input_sets
    assert mine.description == "example inputs: image float32[2x3x6x6]"
    assert made and all(one.values["image"].shape[0] != 2 for one in made)
    np.testing.assert_array_equal(mine.values["image"], image.numpy())
    assert "trace" in report.seconds


def test_sizes_are_those_of_the_example(module: Any, image: Any) -> None:
    result = optimize(module, image, measure=False)
    assert result.report.check is not None and len(result.report.check.input_sets) == 1
    assert "sizes as in the example inputs" in result.report.notes[0]
    assert cost(module, image).macs == 2 * cost(module, image[:1]).macs


def test_every_kind_of_module(module: Any, image: Any) -> None:
    program = torch.export.export(module, (image,))
    graph_module = torch.fx.symbolic_trace(module)
    for each, inputs in ((program, None), (graph_module, {"image": image})):
        model = optimize(each, inputs, measure=False, level=1).model
        assert check(module, model, example_inputs=(image,)).equal


def test_data_of_ones_own_comes_first(module: Any, image: Any) -> None:
    data = {"image": np.ones((3, 3, 6, 6), np.float32)}
    result = optimize(module, image, dynamic_shapes=DYNAMIC, inputs=data, measure=False, level=0)
    assert result.report.check is not None
    assert [one.description for one in result.report.check.input_sets] == [
        "given arrays: image float32[3x3x6x6]"
    ]
    with pytest.raises(UsageError, match="expected 2x3x6x6"):
        optimize(module, image, inputs={"image": np.ones((3, 3, 6, 6), np.float32)}, measure=False)


def test_modules_are_compared_measured_and_explained(module: Any, image: Any) -> None:
    other = Net().eval()
    assert not check(module, other, example_inputs=(image,)).equal
    measured = bench(module, optimize(module, image, measure=False).model, example_inputs=image, seconds=0.01)
    assert measured.inputs.description.startswith("example inputs")
    assert explain(module, (image,)).source == "Net"


def test_a_graph_module_comes_out(module: Any, image: Any) -> None:
    result = optimize(module, (image,), dynamic_shapes=DYNAMIC, emit="fx", measure=False)
    found, expected = result.model(image), module(image)
    assert isinstance(result.model, torch.fx.GraphModule)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(result.model(image[:1]), module(image[:1]), rtol=1e-4, atol=1e-5)
    assert "batch_norm" not in result.model.code
    assert result.report.check is not None and result.report.check.equal
    found["logits"].sum().backward()
    assert all(parameter.grad is not None for parameter in result.model.parameters())


def test_a_graph_module_is_measured_in_pytorch(module: Any, image: Any) -> None:
    result = optimize(module, image, emit="fx")
    assert result.report.bench is None or result.report.bench.notes == ["measured in PyTorch"]
    assert repr(result).startswith("Result(model=")


class Stateful(nn.Module):  # type: ignore[misc]
    """Writes to a buffer and to an argument, and takes and returns nested ones."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, pair: Any, scale: float, last: Any) -> Any:
        self.seen.add_(pair["left"].sum(0))
        last.copy_(pair["right"])
        return [self.linear(pair["left"]) * scale + self.seen, (pair["right"] + last,)]


def test_state_and_nested_arguments_stay() -> None:
    net = Stateful().eval()

    def arguments() -> Any:
        return {"left": torch.ones(2, 3), "right": torch.full((2, 3), 2.0)}, 0.5, torch.zeros(2, 3)

    given = arguments()
    result = optimize(net, given, emit="fx")
    assert "not measured, since forward writes to its state" in result.report.notes
    assert not [note for note in result.report.notes if "freeze-initializers" in note]
    assert result.report.check is not None and result.report.check.equal, result.report.check
    torch.testing.assert_close(given, arguments())
    torch.testing.assert_close(net.seen, torch.zeros(3))
    for _ in range(2):
        one, other = arguments(), arguments()
        torch.testing.assert_close(result.model(*one), net(*other))
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(result.model.seen, net.seen)


def test_a_graph_module_comes_out_of_a_model() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]>
    main (float[N,4] x) => (float[N,4] y) { a = Relu (x)  b = Relu (a)  y = Add (b, b) }"""
    result = optimize(ir.from_onnx_text(text), emit="fx", measure=False)
    torch.testing.assert_close(result.model(torch.ones(3, 4)), torch.full((3, 4), 2.0))


def test_equal_parameters_stay_apart() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    for linear in (net[0], net[2]):
        nn.init.constant_(linear.bias, 0.5)
    emitted = optimize(net, torch.ones(1, 4), emit="fx", measure=False).model
    assert sum(parameter.numel() for parameter in emitted.parameters()) == 40


def test_forms_that_cannot_be(module: Any, image: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected 'onnx' or 'fx'"):
        optimize(module, image, emit="torch")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'ort-cpu' have no form in PyTorch"):
        optimize(module, image, emit="fx", target="ort-cpu")
    with pytest.raises(UsageError, match="writes ONNX"):
        optimize(module, image, emit="fx", output=tmp_path / "out.onnx")


def test_example_inputs_are_for_modules(module: Any, image: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"example_inputs is for PyTorch modules, found 'model.onnx'"):
        optimize("model.onnx", image)
    with pytest.raises(UsageError, match="example_inputs is for PyTorch modules"):
        check("a.onnx", "b.onnx", example_inputs=image)
    with pytest.raises(UsageError, match="needs example inputs"):
        optimize(module)
    with pytest.raises(UsageError, match=r"expected a torch\.nn\.Module"):
        optimize(Net, image)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("net.py:make", (Path("net.py"), "make")),
        ("a folder/net.py:make", (Path("a folder/net.py"), "make")),
        (r"C:\nets\net.py:make", (Path(r"C:\nets\net.py"), "make")),
        (r"C:\nets\net.onnx", None),
        ("net.onnx", None),
        ("net.py.onnx", None),
        (Path("net.py:make"), (Path("net.py"), "make")),
    ],
)
def test_scripts_are_told_from_files(text: Any, expected: Any) -> None:
    assert script_of(text) == expected
    assert is_traced(text) == (expected is not None)


def test_a_script_makes_a_model(tmp_path: Path) -> None:
    script = tmp_path / "small.py"
    script.write_text("import torch\ndef make():\n    return torch.nn.ReLU(), (torch.ones(2),)\n")
    given = open_given(f"{script}:make")
    assert given.source == f"{script}:make"
    assert optimize(f"{script}:make", measure=False).report.before.nodes == 1
