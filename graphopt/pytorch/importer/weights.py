"""Initializers over the memory of parameters and buffers."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.pytorch.signature import to_numpy


def share_weights(model: ir.Model) -> None:
    """Put arrays over the tensors' own memory in the place of the exporter's tensors.

    Tensors on another device, or not contiguous, are copied.
    """
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        raw = getattr(tensor, "raw", None)
        if tensor is None or not hasattr(raw, "detach"):
            continue
        value.const_value = ir.Tensor(to_numpy(raw), dtype=tensor.dtype, name=name)
