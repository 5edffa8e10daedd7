"""What tests of translators share: a model text translated, run, and compared with onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import onnx_ir as ir
import pytest
import torch

from graphopt.execute import Session, compare
from graphopt.pytorch import to_fx
from graphopt.pytorch.exporter.dtypes import TORCH_DTYPES, to_torch

Agree: TypeAlias = Callable[..., Any]


@pytest.fixture
def agree() -> Agree:
    """A function: model text and input arrays in, the module out, once its outputs equal onnxruntime's.

    Arrays of types that numpy lacks come as `ml_dtypes` has them. `constant` names inputs to make constants.
    """
    return _agree


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
        return tensor.numpy()
    dtype = next(dtype for dtype, held in TORCH_DTYPES.items() if held == tensor.dtype)
    return tensor.view(torch.uint8).numpy().view(dtype.numpy())
