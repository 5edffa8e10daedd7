"""Weights of the module: which constants are parameters, which are buffers, and what they are called."""

from __future__ import annotations

import onnx_ir as ir
import torch

from graphopt.ir import constant_tensor
from graphopt.pytorch.exporter.dtypes import to_torch
from graphopt.pytorch.exporter.names import attribute_path
from graphopt.pytorch.roles import PARAMETER_ROLES, ROLE_KEY

# Inputs that are statistics, grids or sizes: never learned.
_BUFFER_INPUTS = {
    "BatchNormalization": {3, 4},
    "QuantizeLinear": {1, 2},
    "DequantizeLinear": {0, 1, 2},
    "QLinearConv": {1, 4, 6},
    "QLinearMatMul": {1, 4, 6},
    "QLinearAdd": {1, 4, 6},
    "QLinearMul": {1, 4, 6},
    "QLinearConcat": set(range(64)),
    "QLinearWhere": {2, 5, 7},
    "QGemm": {1, 4, 7},
    "QLinearSigmoid": {1, 3},
    "QLinearLeakyRelu": {1, 3},
    "QLinearSoftmax": {1, 3},
    "QLinearAveragePool": {1, 3},
    "QLinearReduceMean": {1, 3},
    "QLinearGlobalAveragePool": {1, 3},
    "DynamicQuantizeMatMul": {2},
    "MatMulIntegerToFloat": {2, 3},
    "MatMulNBits": {2, 3},
    "DynamicQuantizeLSTM": {8, 10},
    "Resize": {1, 2},
    "Pad": {2},
    "Clip": {1, 2},
}


class Constants:
    """Parameters and buffers of the module under construction; a constant becomes one when it is used."""

    def __init__(self) -> None:
        self.root = torch.nn.Module()
        self._targets: dict[ir.Value, str] = {}

    def target(self, value: ir.Value) -> str:
        """The dotted name of the attribute that holds a constant."""
        if value not in self._targets:
            self._targets[value] = self._register(value)
        return self._targets[value]

    def _register(self, value: ir.Value) -> str:
        tensor = value.const_value or constant_tensor(value)
        assert tensor is not None
        owner = self.root
        *path, name = attribute_path(value.name or "constant")
        full = []
        for part in path:
            part = _free(owner, part, torch.nn.Module)
            if not hasattr(owner, part):
                owner.add_module(part, torch.nn.Module())
            owner = getattr(owner, part)
            full.append(part)
        name = _free(owner, name)
        data = to_torch(tensor)
        if data.is_floating_point() and is_parameter(value):
            learned = value.metadata_props.get(ROLE_KEY) != "frozen"
            owner.register_parameter(name, torch.nn.Parameter(data, requires_grad=learned))
        else:
            owner.register_buffer(name, data)
        return ".".join([*full, name])


def is_parameter(value: ir.Value) -> bool:
    """Whether a float constant is to be learned: as it was traced, or else by the inputs it feeds."""
    role = value.metadata_props.get(ROLE_KEY)
    if role is not None:
        return role in PARAMETER_ROLES
    uses = value.uses()
    return not uses or any(use.idx not in _BUFFER_INPUTS.get(use.node.op_type, set()) for use in uses)


def _free(owner: torch.nn.Module, name: str, kind: type | None = None) -> str:
    """`name`, numbered if the owner has an attribute of that name that is not of the kind."""
    candidate = name
    count = 1
    while hasattr(owner, candidate) and not (
        kind is not None and isinstance(getattr(owner, candidate), kind)
    ):
        count += 1
        candidate = f"{name}_{count}"
    return candidate
