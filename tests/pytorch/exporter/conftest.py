"""What tests of translators share: a model text translated, run, and compared with onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import onnx_ir as ir
import pytest
import torch
from onnx_ir.tensor_adapters import from_torch_dtype

from graphopt.execute import Session, compare
from graphopt.pytorch import to_fx, trace
from graphopt.pytorch.exporter.dtypes import to_torch

Agree: TypeAlias = Callable[..., Any]


@pytest.fixture
def agree() -> Agree:
    """A function: model text and input arrays in, the module out, once its outputs equal onnxruntime's.

    Arrays of types that numpy lacks come as `ml_dtypes` has them. `constant` names inputs to make constants.
    """
    return _agree


@pytest.fixture
def come_back() -> Callable[..., ir.Model]:
    """A function: model text, inputs and inputs of other sizes in, the model traced from the module out.

    Dimensions that the text gives by name are traced as dynamic; the trace equals the model at both sizes.
    """
    return _come_back


def _come_back(text: str, arrays: Sequence[Any], others: Sequence[Any]) -> ir.Model:
    module = _agree(text, *arrays)
    model = ir.from_onnx_text(text)
    dynamic = tuple(
        {axis: dim.value for axis, dim in enumerate(value.shape or ()) if not isinstance(dim, int)}
        for value in model.graph.inputs
    )
    traced = trace(module, tuple(to_torch(ir.tensor(array)) for array in arrays), dynamic)
    feed = dict(zip((value.name or "" for value in model.graph.inputs), others, strict=True))
    again = dict(zip((value.name or "" for value in traced.graph.inputs), others, strict=True))
    expected = Session(model).run(feed)
    actual = dict(zip(expected, Session(traced).run(again).values(), strict=True))
    assert not [str(each) for each in compare(expected, actual, rtol=1e-5) if not each.equal]
    return traced


def _agree(text: str, *arrays: Any, constant: tuple[str, ...] = ()) -> torch.fx.GraphModule:
    model = ir.from_onnx_text(text)
    feed = dict(zip((value.name or "" for value in model.graph.inputs), arrays, strict=True))
    for name in constant:
        _make_constant(model, name, feed.pop(name))
    module = to_fx(model)
    with torch.no_grad():
        outputs = module(*[to_torch(ir.tensor(array)) for array in feed.values()])
    expected = Session(model).run(feed)
    tensors = outputs if isinstance(outputs, tuple) else (outputs,)
    actual = {name: _array(tensor) for name, tensor in zip(expected, tensors, strict=True)}
    assert not [str(each) for each in compare(expected, actual) if not each.equal]
    return module


def _make_constant(model: ir.Model, name: str, array: Any) -> None:
    value = next(value for value in model.graph.inputs if value.name == name)
    model.graph.inputs.remove(value)
    value.const_value = ir.tensor(array, name=name)
    model.graph.initializers.add(value)


def _array(tensor: torch.Tensor) -> Any:
    if not (tensor.dtype.is_floating_point and tensor.dtype.itemsize == 1):
        return tensor.detach().numpy()
    dtype = from_torch_dtype(tensor.dtype)
    return tensor.view(torch.uint8).numpy().view(dtype.numpy())


@pytest.fixture
def exports() -> Callable[..., None]:
    """A function: whether a module, exported at some sizes, computes the same at others.

    Takes the module, example tensors, the numbers of their dynamic dimensions, and tensors of other sizes.
    """
    return _exports


def _exports(
    module: torch.fx.GraphModule,
    examples: tuple[torch.Tensor, ...],
    dynamic: tuple[tuple[int, ...], ...],
    others: tuple[torch.Tensor, ...],
) -> None:
    shapes = tuple(dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in dynamic)
    program = torch.export.export(module, examples, dynamic_shapes=shapes, strict=False)
    symbols = [str(node.meta["val"]) for node in program.graph.nodes if "val" in node.meta]
    assert not [text for text in symbols if text.startswith("u")], "sizes that depend on data"
    torch.testing.assert_close(program.module()(*others), module(*others))
