"""`to_fx` as a whole: parameters, names, bodies of control flow, arguments and results, refusals."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import graphopt
from graphopt.errors import TranslationError

torch = pytest.importorskip("torch")

BRANCHES = """<ir_version: 8, opset_import: ["": 17]>
main (float[N,4] x, bool yes) => (float[N,4] y)
<float[4] scale_weight = {1, 2, 3, 4}, float two = {2.0}> {
  scaled = Mul(x, scale_weight)
  doubled = Mul(two, scaled)
  y = If(yes) <
    then_branch = positive () => (float[N,4] p) { p = Relu(doubled) },
    else_branch = shifted () => (float[N,4] s) { t = Sigmoid(doubled)  s = Add(t, scale_weight) }
  >
}"""


def branches() -> ir.Model:
    model = ir.from_onnx_text(BRANCHES)
    model.graph.initializers["scale_weight"].name = "scale.weight"
    return model


def module_of(text: str) -> Any:
    return graphopt.to_fx(ir.from_onnx_text(text))


def test_weights_are_parameters_under_their_names_and_numbers_stay_in_the_code() -> None:
    module = graphopt.to_fx(branches())
    assert [name for name, _ in module.named_parameters()] == ["scale.weight"]
    assert "2.0 * scaled" in module.code
    assert not list(module.buffers())


def test_the_code_speaks_of_the_model() -> None:
    code = graphopt.to_fx(branches()).code
    assert "def forward(self, x, yes)" in code
    assert "scaled = x * " in code
    assert "self.then" in code and "self.otherwise" in code


@pytest.mark.parametrize("yes", [True, False])
def test_both_branches_compute_and_pass_gradients(yes: bool) -> None:
    module = graphopt.to_fx(branches())
    x = torch.randn(3, 4, requires_grad=True)
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    doubled = 2 * x * weight
    expected = torch.relu(doubled) if yes else torch.sigmoid(doubled) + weight
    actual = module(x, torch.tensor(yes))
    torch.testing.assert_close(actual, expected)
    wanted = torch.autograd.grad(expected.sum(), (x, weight))
    found = torch.autograd.grad(actual.sum(), (x, module.scale.weight))
    torch.testing.assert_close(found, wanted)


def test_training_changes_neither_the_model_nor_a_second_module() -> None:
    model = branches()
    module = graphopt.to_fx(model)
    with torch.no_grad():
        module.scale.weight.zero_()
    kept = model.graph.initializers["scale.weight"].const_value
    assert kept is not None
    np.testing.assert_array_equal(kept.numpy(), [1, 2, 3, 4])
    assert graphopt.to_fx(model).scale.weight.sum() == 10


def test_a_module_can_be_copied_moved_and_saved(tmp_path: Any) -> None:
    module = graphopt.to_fx(branches())
    inputs = (torch.randn(2, 4), torch.tensor(False))
    expected = module(*inputs)
    torch.testing.assert_close(copy.deepcopy(module)(*inputs), expected)
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    other = graphopt.to_fx(branches())
    other.load_state_dict(torch.load(tmp_path / "weights.pt"))
    torch.testing.assert_close(other(*inputs), expected)
    torch.testing.assert_close(module.double()(inputs[0].double(), inputs[1]).float(), expected)


def test_names_that_are_no_identifiers_are_made_ones() -> None:
    model = ir.from_onnx_text("""<ir_version: 8, opset_import: ["": 17]>
        main (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { y = Add(x, w) }""")
    model.graph.inputs[0].name = "1/input:0"
    model.graph.initializers["w"].name = "block/0/onnx::Add_7"
    module = graphopt.to_fx(model)
    assert "def forward(self, x_1_input_0)" in module.code
    assert [name for name, _ in module.named_parameters()] == ["block.0.onnx_Add_7"]


def test_an_input_with_a_default_may_be_left_out() -> None:
    module = module_of("""<ir_version: 8, opset_import: ["": 17]>
        main (float[2] x, float[2] shift) => (float[2] y) <float[2] shift = {1, 2}> { y = Add(x, shift) }""")
    torch.testing.assert_close(module(torch.zeros(2)), torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(module(torch.zeros(2), torch.ones(2)), torch.ones(2))


def test_every_operator_without_a_form_in_pytorch_is_named() -> None:
    with pytest.raises(TranslationError, match=r"StringNormalizer, made\.up::Thing"):
        module_of("""<ir_version: 8, opset_import: ["": 17, "made.up": 1]>
            main (string[2] x, float[2] a) => (string[2] y, float[2] b) {
              y = StringNormalizer(x)
              b = made.up.Thing(a)
            }""")


class Stateful(torch.nn.Module):  # type: ignore[name-defined,misc]
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        self.register_buffer("calls", torch.zeros(2))

    def forward(self, x: Any, pair: Any, scale: int = 2, *, extra: Any = None) -> dict[str, Any]:
        self.calls.add_(1.0)
        return {"scaled": x * self.weight * scale, "rest": [pair["u"] + self.calls, None, 3]}


def test_a_traced_module_keeps_its_arguments_nesting_and_state() -> None:
    module = Stateful()
    inputs = (torch.randn(3, 2), {"u": torch.ones(2)})
    graph_module = graphopt.to_fx(graphopt.trace(module, inputs))
    assert [name for name, _ in graph_module.named_parameters()] == ["weight"]
    assert [name for name, _ in graph_module.named_buffers()] == ["calls"]
    for _ in range(2):
        torch.testing.assert_close(graph_module(*inputs), module(*inputs))
    torch.testing.assert_close(graph_module.calls, module.calls)
    torch.testing.assert_close(graph_module(inputs[0], pair=inputs[1]), module(*inputs))


class Normalized(torch.nn.Module):  # type: ignore[name-defined,misc]
    """Its norm is exported with axes that are computed from the rank."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.InstanceNorm2d(3, affine=True)

    def forward(self, x: Any) -> Any:
        return torch.nn.functional.interpolate(self.norm(x), scale_factor=2.0, mode="bilinear")


def test_axes_computed_from_a_rank_are_numbers() -> None:
    module, x = Normalized(), torch.randn(2, 3, 5, 6)
    graph_module = graphopt.to_fx(graphopt.trace(module, x, {"x": {2: "h", 3: "w"}}))
    assert sorted(name for name, _ in graph_module.named_parameters()) == ["norm.bias", "norm.weight"]
    torch.testing.assert_close(graph_module(x), module(x))
