"""Numbers in a model: what is computed from constants that are no weights is computed at once.

Weights stay what they are and under their names, and what a model computes from them stays computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import onnx_ir as ir

from graphopt.ir import graphs
from graphopt.passes.folding.fold import Fold
from graphopt.pytorch.roles import PARAMETER_ROLES, ROLE_KEY


def compute_numbers(model: ir.Model) -> None:
    """Fold numbers, small integers and truths in place, in all graphs."""
    with _weights_hidden(model):
        Fold()(model)


def initializers(model: ir.Model) -> Iterator[ir.Value]:
    """The initializers of all graphs."""
    for graph in graphs(model):
        yield from graph.initializers.values()


@contextmanager
def _weights_hidden(model: ir.Model) -> Iterator[None]:
    """Let weights be no constants for a while; numbers and integers are."""
    hidden = [
        (value, value.const_value)
        for value in initializers(model)
        if value.const_value is not None and _is_weight(value, value.const_value)
    ]
    for value, _ in hidden:
        value.const_value = None
    try:
        yield
    finally:
        for value, tensor in hidden:
            value.const_value = tensor


def _is_weight(value: ir.Value, tensor: ir.TensorProtocol) -> bool:
    if value.metadata_props.get(ROLE_KEY) in PARAMETER_ROLES:
        return True
    return tensor.size > 1 and tensor.dtype not in (ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL)
