"""LSTM, GRU and RNN: each form that ONNX has, back as one node, and torch's own layers with their weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.pytorch import to_fx, trace

HIDDEN, FEATURES = 4, 3
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
FORMS = {
    "plain": ("", ""),
    "reverse": ('direction="reverse"', "h"),
    "bidirectional": ('direction="bidirectional"', "bhc"),
    "lengths": ("", "bl"),
    "lengths, bidirectional": ('direction="bidirectional"', "blh"),
    "clip": ("clip=0.3", "b"),
}
OTHERS = {
    "GRU, reset before product": ("GRU", "linear_before_reset=0", "bh"),
    "GRU, reset after product": ("GRU", "linear_before_reset=1", "bh"),
    "GRU, product, bidirectional": ("GRU", 'linear_before_reset=1,direction="bidirectional"', "b"),
    "LSTM, peepholes": ("LSTM", 'direction="bidirectional"', "bp"),
    "LSTM, input_forget": ("LSTM", "input_forget=1", "b"),
    "RNN, relu": ("RNN", 'activations=["Relu"]', "b"),
    "RNN, affine": ("RNN", 'activations=["Affine"],activation_alpha=[0.5],activation_beta=[0.1]', "b"),
    "LSTM, activations": (
        "LSTM",
        'activations=["HardSigmoid","Relu","Softsign"],activation_alpha=[0.3],activation_beta=[0.4]',
        "b",
    ),
    "GRU, activations of both directions": (
        "GRU",
        'direction="bidirectional",activations=["HardSigmoid","LeakyRelu","Sigmoid","ScaledTanh"],'
        "activation_alpha=[0.3,0.05,1.2],activation_beta=[0.4,0.7]",
        "b",
    ),
}
CASES = {f"{kind}, {name}": (kind, *form) for kind in GATES for name, form in FORMS.items()} | OTHERS


def layer(kind: str, attributes: str, given: str, dtype: str = "float") -> str:
    """A model of one layer; `given` are the letters of its optional inputs."""
    d, g = 2 if "bidirectional" in attributes else 1, GATES[kind] * HIDDEN
    optional = {"b": f"[{d},{2 * g}]", "l": "[N]", "h": f"[{d},N,{HIDDEN}]"}
    if kind == "LSTM":
        optional |= {"c": f"[{d},N,{HIDDEN}]", "p": f"[{d},{3 * HIDDEN}]"}
    inputs = {"x": f"[T,N,{FEATURES}]", "w": f"[{d},{g},{FEATURES}]", "r": f"[{d},{g},{HIDDEN}]"}
    inputs |= {name: shape for name, shape in optional.items() if name in given}
    declared = ", ".join(
        f"{'int32' if name == 'l' else dtype}{shape} {name}" for name, shape in inputs.items()
    )
    operands = ", ".join(name if name in given else "" for name in optional).rstrip(", ")
    outputs = ["y", "y_h", "y_c"] if kind == "LSTM" else ["y", "y_h"]
    options = f"hidden_size={HIDDEN}" + (f",{attributes}" if attributes else "")
    return f"""<ir_version: 10, opset_import: ["": 22]>
        g({declared}) => ({", ".join(f"{dtype} {name}" for name in outputs)}) {{
        {", ".join(outputs)} = {kind}<{options}>(x, w, r{", " + operands if operands else ""})
    }}"""


def operands(text: str, steps: int, batch: int) -> list[Any]:
    random = np.random.default_rng(steps)
    made = []
    for value in ir.from_onnx_text(text).graph.inputs:
        assert value.shape is not None and value.dtype is not None
        sizes: dict[Any, int] = {"T": steps, "N": batch}
        shape = [d if isinstance(d, int) else sizes[d.value] for d in value.shape]
        if value.name == "l":
            made.append(random.integers(1, steps + 1, shape).astype(np.int32))
        else:
            made.append(random.standard_normal(shape).astype(value.dtype.numpy()))
    return made


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(agree: Any, case: str) -> None:
    text = layer(*CASES[case])
    given = operands(text, 5, 3)
    module = agree(text, *given)
    inputs = [torch.from_numpy(each) for each in given]
    inputs = [each.double().requires_grad_() if each.is_floating_point() else each for each in inputs]
    assert torch.autograd.gradcheck(module, inputs, fast_mode=True)


@pytest.mark.parametrize(
    "case",
    ["LSTM, bidirectional", "GRU, lengths", "GRU, reset before product", "RNN, affine", "LSTM, reverse"],
)
def test_any_number_of_steps_comes_back_as_one_node(come_back: Any, case: str) -> None:
    kind, attributes, given = CASES[case]
    text = layer(kind, attributes, given)
    traced = come_back(text, operands(text, 5, 3), operands(text, 7, 2))
    assert [node.op_type for node in traced.graph if node.op_type != "Cast"] == [kind]


@pytest.mark.parametrize("kind", GATES)
def test_half_precision(kind: str) -> None:
    """In the precision of half floats as in single precision."""
    text = layer(kind, "", "bh", "float16")
    given = [torch.from_numpy(each) for each in operands(text, 5, 3)]
    half = to_fx(ir.from_onnx_text(text))(*given)
    single = to_fx(ir.from_onnx_text(layer(kind, "", "bh")))(*(each.float() for each in given))
    for found, wanted in zip(half, single, strict=True):
        assert found.dtype == torch.float16
        torch.testing.assert_close(found.float(), wanted, rtol=2e-2, atol=4e-3)


@pytest.mark.parametrize("kind", GATES)
def test_batches_first(kind: str) -> None:
    """`layout = 1`, which onnxruntime does not run: the same with the first two dimensions exchanged."""
    x, w, r, b, h = (torch.from_numpy(each) for each in operands(layer(kind, "", "bh"), 5, 3))
    wanted = to_fx(ir.from_onnx_text(layer(kind, "", "bh")))(x, w, r, b, h)
    text = layer(kind, "layout=1", "bh")
    found = to_fx(ir.from_onnx_text(text))(x.transpose(0, 1), w, r, b, h.transpose(0, 1))
    torch.testing.assert_close(found[0], wanted[0].permute(2, 0, 1, 3))
    torch.testing.assert_close(found[1], wanted[1].transpose(0, 1))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_layers_of_torch_keep_their_weights(kind: str) -> None:
    torch.manual_seed(0)
    net = getattr(torch.nn, kind)(FEATURES, HIDDEN, num_layers=2, bidirectional=True, batch_first=True)
    x = torch.randn(2, 5, FEATURES)
    module = to_fx(trace(net, (x,), ({0: "n", 1: "t"},)))
    assert f"graphopt_pytorch_recurrent_{kind.lower()}" in module.code
    longer = torch.randn(3, 7, FEATURES)
    for each in (net, module):
        each(longer)[0].square().sum().backward()
    own = dict(net.named_parameters())
    assert own.keys() == dict(module.named_parameters()).keys()
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.grad, own[name].grad, rtol=1e-4, atol=1e-5)
