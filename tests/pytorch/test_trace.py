"""Tracing: what a module, its arguments, its state and its names become in the graph."""
# mypy: allow-subclassing-any

from __future__ import annotations

import collections
import dataclasses
import logging
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

import graphopt
from graphopt.errors import TraceError, UsageError
from graphopt.execute import Session
from graphopt.pytorch.signature import SIGNATURE_KEY, Signature


def signature(model: ir.Model) -> Signature:
    found: Signature = model.meta[SIGNATURE_KEY]
    return found


def shapes(values: Any) -> dict[str, list[Any]]:
    return {v.name: [d if isinstance(d, int) else d.value for d in v.shape] for v in values}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout())
        self.head = nn.Linear(4, 2)

    def forward(self, image: Tensor, scale: float = 1.0) -> dict[str, Tensor]:
        hidden = self.features(image).mean((2, 3))
        return {"logits": self.head(hidden) * scale, "hidden": hidden}


@pytest.fixture(scope="module")
def net() -> Net:
    module = Net()
    module.train()
    return module


@pytest.fixture(scope="module")
def traced(net: Net) -> ir.Model:
    shapes = {"image": {0: "batch", 2: "height", 3: "width"}}
    return graphopt.trace(net, {"image": torch.randn(2, 3, 6, 5), "scale": 2.0}, shapes)


def test_names_are_those_of_the_module(traced: ir.Model, net: Net) -> None:
    assert shapes(traced.graph.inputs) == {"image": ["batch", 3, "height", "width"]}
    assert shapes(traced.graph.outputs) == {"logits": ["batch", 2], "hidden": ["batch", 4]}
    assert set(traced.graph.initializers) >= {"features.0.weight", "features.1.running_mean", "head.bias"}
    names = [node.name for node in traced.graph]
    assert {"features/0/Conv", "features/1/BatchNormalization", "head/Gemm"} <= set(names)
    assert len(set(names)) == len(names)


def test_nodes_tell_their_module_and_line(traced: ir.Model) -> None:
    convolution = next(node for node in traced.graph if node.op_type == "Conv")
    line = Net.forward.__code__.co_firstlineno + 1
    assert dict(convolution.metadata_props) == {
        "graphopt.module": "features.0",
        "graphopt.source": f"test_trace.py:{line}",
    }
    kinds = {name: v.metadata_props["graphopt.torch"] for name, v in traced.graph.initializers.items()}
    assert kinds["head.weight"] == "parameter" and kinds["features.1.running_var"] == "buffer"


def test_nothing_of_the_machine_is_in_the_file(traced: ir.Model) -> None:
    written = ir.to_proto(traced).SerializeToString()
    assert b"site-packages" not in written and b"pkg.torch" not in written
    assert __file__.rsplit("/", 1)[0].encode() not in written


def test_weights_are_the_modules_own_memory(traced: ir.Model, net: Net) -> None:
    for name, parameter in (*net.named_parameters(), *net.named_buffers()):
        if name in traced.graph.initializers:
            tensor = traced.graph.initializers[name].const_value
            assert tensor is not None and tensor.numpy().ctypes.data == parameter.data_ptr(), name


def test_the_module_keeps_its_modes(traced: ir.Model, net: Net) -> None:
    assert all(part.training for part in net.modules())
    with pytest.raises(TraceError):
        graphopt.trace(net, torch.randn(2))
    assert all(part.training for part in net.modules())


def test_numbers_among_the_arguments_are_constants_and_noted(traced: ir.Model) -> None:
    assert signature(traced).notes[0] == "argument 'scale' is a constant in the graph: 2.0"


def test_sizes_for_which_the_graph_holds_are_noted(traced: ir.Model) -> None:
    assert "the graph holds where 'height' is at least 3" in signature(traced).notes


def test_the_graph_holds_for_other_sizes(traced: ir.Model, net: Net) -> None:
    image = torch.randn(1, 3, 9, 4)
    outputs = Session(traced).run(signature(traced).flatten({"image": image, "scale": 2.0}))
    with torch.no_grad():
        expected = net.eval()(image, 2.0)
    net.train()
    rebuilt = signature(traced).rebuild(outputs)
    assert list(rebuilt) == ["logits", "hidden"]
    np.testing.assert_allclose(rebuilt["logits"], expected["logits"], rtol=1e-5, atol=1e-6)


def test_tracing_says_nothing(net: Net, capfd: pytest.CaptureFixture[str], recwarn: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.root, "handlers", [])
        graphopt.trace(nn.Linear(2, 2), torch.randn(1, 2))
    assert capfd.readouterr() == ("", "")
    assert not list(recwarn)


Pair = collections.namedtuple("Pair", "first second")


@dataclasses.dataclass
class State:
    key: Tensor
    steps: int = 3


class Nested(nn.Module):
    def forward(
        self, x: Tensor, past: Any, flag: bool | None = None, *more: Tensor, unused: Any = None
    ) -> Any:
        return Pair(past["kept"][0] + x, [x, x]), State(past["state"].key * 2), None, more[0] + 1


def test_nested_arguments_and_results_come_back() -> None:
    x, past = torch.ones(2, 3), {"kept": (torch.ones(2, 3),), "state": State(torch.ones(4))}
    arguments = (x, past, None, torch.zeros(2))
    model = graphopt.trace(Nested(), arguments)
    assert list(shapes(model.graph.inputs)) == ["x", "past.kept.0", "past.state.key", "more.0"]
    assert list(shapes(model.graph.outputs)) == [
        "output_0.first", "output_0.second.0", "output_0.second.1", "output_1.key", "output_3",
    ]  # fmt: skip
    told = signature(model)
    pair, state, nothing, more = told.rebuild(Session(model).run(told.flatten(arguments)))
    assert type(pair) is Pair and type(state) is State and state.steps == 3 and nothing is None
    np.testing.assert_array_equal(pair.second[1], x)
    np.testing.assert_array_equal(more, np.ones(2))


def test_arguments_of_another_structure_are_refused() -> None:
    told = signature(graphopt.trace(nn.Linear(2, 2), torch.ones(1, 2)))
    assert list(told.flatten({"input": torch.ones(5, 2)})) == ["input"]
    with pytest.raises(UsageError, match="expected input"):
        told.flatten((torch.ones(1, 2), torch.ones(1, 2)))


class Odd(nn.Module):
    """Returns weights, arguments and constants; `weight` is the name of an argument and of a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3))

    def forward(self, weight: Tensor, unused: Tensor) -> dict[str, Any]:
        return {"weight": weight, "own": self.weight, "made": torch.tensor([1.0, 2.0]), "size": 3}


def test_results_that_nothing_computes() -> None:
    module = Odd()
    arguments = (torch.ones(2), torch.ones(5))
    model = graphopt.trace(module, arguments)
    told = signature(model)
    assert list(shapes(model.graph.inputs)) == ["weight_input", "unused"]
    assert list(model.graph.initializers) == ["weight", "constant"]
    result = told.rebuild(Session(model).run(told.flatten(arguments)))
    assert result["size"] == 3
    np.testing.assert_array_equal(result["own"], module.weight.detach())
    np.testing.assert_array_equal(result["made"], [1.0, 2.0])


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("last", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        self.last.copy_(x)
        x.mul_(2)
        return x * self.count


def test_what_forward_writes_to_is_an_input_with_a_default_and_an_output() -> None:
    module = Counter()
    x = torch.tensor([1.0, 3.0])
    model = graphopt.trace(module, x)
    told = signature(model)
    assert told.state == {"count.next": "count", "last.next": "last", "x.next": "x"}
    assert [value.name for value in model.graph.inputs] == ["x", "count", "last"]
    first = Session(model).run({"x": x.numpy()})
    assert first["count.next"] == 1 and first["x.next"].tolist() == [2.0, 6.0]
    second = Session(model).run({"x": x.numpy(), "count": first["count.next"]})
    assert second["output"].tolist() == [4.0, 12.0] and second["last.next"].tolist() == [1.0, 3.0]
    assert module.count == 0 and x.tolist() == [1.0, 3.0]
    assert "forward writes to 'count': its next value is an output of the graph" in told.notes


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.decoder = nn.Linear(3, 5, bias=False)
        self.decoder.weight = self.embedding.weight
        self.mixing = nn.Parameter(torch.randn(4, 3).t())

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.embedding(tokens)
        return self.decoder(hidden) + (hidden @ self.mixing).sum()


def test_tied_weights_are_one_and_weights_with_gaps_are_copied() -> None:
    model = graphopt.trace(Tied(), torch.tensor([1, 2]))
    assert set(model.graph.initializers) == {"embedding.weight", "mixing"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types(dtype: torch.dtype) -> None:
    model = graphopt.trace(nn.Linear(3, 2).to(dtype), torch.randn(2, 3, dtype=dtype))
    tensor = model.graph.initializers["weight"].const_value
    assert tensor is not None
    expected = {torch.bfloat16: ml_dtypes.bfloat16}.get(dtype, str(dtype).removeprefix("torch."))
    assert tensor.numpy().dtype == np.dtype(expected)


def test_graph_modules_and_exported_programs() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).eval()
    x = torch.randn(4, 3)
    program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    for given, inputs in ((torch.fx.symbolic_trace(module), x), (program, None), (program, torch.ones(2, 3))):
        model = graphopt.trace(given, inputs)
        assert [node.op_type for node in model.graph] == ["Gemm", "Relu"]
        assert list(model.graph.initializers) == ["0.weight", "0.bias"]
    assert shapes(model.graph.inputs) == {"input": ["input_0", 3]}
    with pytest.raises(UsageError, match="has its dynamic dimensions already"):
        graphopt.trace(program, dynamic_shapes={"input": {0: "batch"}})


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda a: a * 2, lambda a: a - 1, (x,))


def test_torch_cond_is_an_if_without_functions() -> None:
    model = graphopt.trace(Branch(), torch.ones(2))
    assert "If" in [node.op_type for node in model.graph] and not model.functions
    assert Session(model).run({"x": np.array([-1.0, -2.0], np.float32)})["output"].tolist() == [-2.0, -3.0]


class Noise(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + torch.rand_like(x), x + 1


def test_random_results_are_noted_and_not_compared() -> None:
    assert signature(graphopt.trace(Noise(), torch.ones(2))).notes == (
        "output 'output_0' is random, and was not compared",
    )


class Calls(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen.append(x)
        return x * self.calls


def test_python_state_is_noted_and_put_back() -> None:
    module = Calls()
    notes = signature(graphopt.trace(module, torch.ones(2))).notes
    assert notes[0] == "forward sets 'calls' of the module: the graph holds what that gave while tracing"
    assert module.calls == 0 and module.seen == []


def double_instead_of_relu(self: Any) -> Any:
    from onnxscript import opset18

    return opset18.Add(self, self)


def test_a_wrong_graph_is_found_and_a_custom_translation_is_used() -> None:
    table = {torch.ops.aten.relu.default: double_instead_of_relu}
    with pytest.raises(TraceError, match=r"traced from ReLU differs from it in output 'output': 2 of 2 elem"):
        graphopt.trace(nn.ReLU(), torch.tensor([-1.0, 2.0]), custom_translation_table=table)
    unchecked = graphopt.trace(nn.ReLU(), torch.ones(2), check=False, custom_translation_table=table)
    assert [node.op_type for node in unchecked.graph] == ["Add"]


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(UsageError, match="found type"):
        graphopt.trace(nn.Linear, torch.ones(2))
    with pytest.raises(UsageError, match="needs example inputs"):
        graphopt.trace(nn.Linear(2, 2))
    with pytest.raises(TraceError, match="'weight' of LazyLinear has no shape yet"):
        graphopt.trace(nn.LazyLinear(2), torch.ones(1, 2))
    with pytest.raises(TraceError, match="lies on the meta device"):
        graphopt.trace(nn.Linear(2, 2, device="meta"), torch.ones(1, 2))
