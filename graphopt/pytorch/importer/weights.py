"""Initializers over the memory of a module's parameters and buffers.

No elements are copied, except from tensors on another device or with gaps between their elements.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any

import onnx_ir as ir
import torch

from graphopt.pytorch.arrays import to_numpy
from graphopt.pytorch.importer.provenance import module_path
from graphopt.pytorch.roles import ROLE_KEY

_LIFTED = re.compile(r"(?:^|\.)_?lifted_tensor_\d+$")
"""Names that torch.export makes up for tensors that forward creates."""


def share_weights(
    model: ir.Model, program: torch.export.ExportedProgram, module: torch.nn.Module, written: Container[str]
) -> dict[str, ir.Value]:
    """Let the initializers see the tensors' own memory, say what they were, and keep tied ones once.

    Args:
        model: A graph whose initializers hold the exporter's tensors.
        program: The program it was made from.
        module: Knows the first name of a tied tensor.
        written: Names of tensors that forward writes to; they are never tied.

    Returns:
        The initializer that holds each of the program's tensors, by the tensor's name in the program.
    """
    graph = model.graph
    named = (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))
    first_names: dict[Any, str] = {}
    for name, tensor in named:
        first_names.setdefault(_memory(tensor), name)
    signature = program.graph_signature
    kinds = dict.fromkeys(signature.parameters, "parameter") | dict.fromkeys(signature.buffers, "buffer")
    held: dict[str, ir.Value] = {}
    first_at: dict[Any, ir.Value] = {}
    for name, value in list(graph.initializers.items()):
        tensor = getattr(value.const_value, "raw", None)
        if not isinstance(tensor, torch.Tensor):
            continue
        held[name] = value
        key = _memory(tensor)
        kind = kinds.get(name, "constant")
        if tensor.numel() and name not in written:
            first = first_at.setdefault(key, value)
            if first is not value:
                value.replace_all_uses_with(first)
                graph.initializers.pop(name)
                held[name] = first
                continue
            if kind != "constant" and first_names.get(key, name) not in graph.initializers:
                _rename(value, first_names[key], graph)
        if _LIFTED.search(name):
            _rename(value, _constant_name(value, graph), graph)
        _fill(value, tensor)
        value.metadata_props.clear()
        is_frozen = kind == "parameter" and not tensor.requires_grad
        value.metadata_props[ROLE_KEY] = "frozen" if is_frozen else kind
    return held


def add_state(model: ir.Model, name: str, program: torch.export.ExportedProgram) -> None:
    """Make a buffer that forward writes to a graph input whose default is its value now."""
    graph = model.graph
    if name not in graph.initializers:  # written, never read
        tensor = {**dict(program.named_buffers()), **dict(program.named_parameters())}[name]
        value = ir.Value(name=name)
        _fill(value, tensor)
        value.metadata_props[ROLE_KEY] = "buffer"
        graph.initializers[name] = value
    graph.inputs.append(graph.initializers[name])


def _memory(tensor: torch.Tensor) -> Any:
    """Equal for tensors that are the same elements in the same order."""
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()


def _rename(value: ir.Value, name: str, graph: ir.Graph) -> None:
    graph.initializers.pop(value.name or "")
    value.name = name
    graph.initializers[name] = value


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
