"""Initializers over the memory of a module's parameters and buffers.

No elements are copied, except from tensors on another device or with gaps between their elements.
"""

from __future__ import annotations

import re
from typing import Any

import onnx_ir as ir
import torch

from graphopt.pytorch.importer.provenance import module_path
from graphopt.pytorch.signature import to_numpy

TORCH_KEY = "graphopt.torch"
"""`metadata_props` of an initializer: "parameter", "buffer" or "constant", as it was in the module."""

_LIFTED = re.compile(r"(?:^|\.)_?lifted_tensor_\d+$")
"""Names that torch.export makes up for tensors that forward creates."""


def share_weights(model: ir.Model, program: torch.export.ExportedProgram) -> None:
    """Let the initializers see the tensors' own memory, say what they were, and keep tied ones once.

    Args:
        model: A graph whose initializers hold the exporter's tensors.
        program: The program it was made from.
    """
    graph = model.graph
    signature = program.graph_signature
    kinds = dict.fromkeys(signature.parameters, "parameter") | dict.fromkeys(signature.buffers, "buffer")
    written = {spec.target for spec in signature.output_specs}
    first_at: dict[Any, ir.Value] = {}
    for name, value in list(graph.initializers.items()):
        tensor = getattr(value.const_value, "raw", None)
        if not isinstance(tensor, torch.Tensor):
            continue
        key = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() and name not in written and (first := first_at.setdefault(key, value)) is not value:
            value.replace_all_uses_with(first)
            graph.initializers.pop(name)
            continue
        kind = kinds.get(name, "constant")
        if _LIFTED.search(name):
            graph.initializers.pop(name)
            value.name = _constant_name(value, graph)
            graph.initializers[value.name] = value
        _fill(value, tensor)
        value.metadata_props.clear()
        value.metadata_props[TORCH_KEY] = kind


def add_state(model: ir.Model, name: str, program: torch.export.ExportedProgram) -> None:
    """Make a buffer that forward writes to a graph input whose default is its value now."""
    graph = model.graph
    if name not in graph.initializers:  # written, never read
        tensor = {**dict(program.named_buffers()), **dict(program.named_parameters())}[name]
        value = ir.Value(name=name)
        _fill(value, tensor)
        value.metadata_props[TORCH_KEY] = "buffer"
        graph.initializers[name] = value
    graph.inputs.append(graph.initializers[name])


def _fill(value: ir.Value, tensor: torch.Tensor) -> None:
    array = to_numpy(tensor)
    held = ir.Tensor(array, dtype=ir.DataType.from_numpy(array.dtype), name=value.name)
    value.const_value, value.shape, value.type = held, held.shape, ir.TensorType(held.dtype)


def _constant_name(value: ir.Value, graph: ir.Graph) -> str:
    """A name for a tensor that forward made: after the submodule that uses it."""
    users = value.consumers()
    path = module_path(users[0].meta.get("node")) if users else ""
    stem = f"{path}.constant" if path else "constant"
    name, number = stem, 0
    while name in graph.initializers:
        number += 1
        name = f"{stem}_{number}"
    return name
