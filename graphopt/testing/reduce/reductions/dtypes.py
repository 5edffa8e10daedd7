"""Simpler types: double, half and bfloat16 become float everywhere."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.io.weights import slots
from graphopt.ir import graphs
from graphopt.testing.reduce.case import Case, Take

UNUSUAL = (ir.DataType.BFLOAT16, ir.DataType.FLOAT16, ir.DataType.DOUBLE)
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "stash_type")


def use_float(case: Case, take: Take) -> None:
    """Let all that is of each unusual type be float: inputs, constants and what casts say."""
    for dtype in UNUSUAL:
        if _occurs(case.model, dtype) and take():
            _replace(case, dtype)


def _occurs(model: ir.Model, dtype: ir.DataType) -> bool:
    return any(
        value.dtype == dtype
        for graph in graphs(model)
        for values in (graph.inputs, graph.initializers.values(), *(node.outputs for node in graph))
        for value in values
    )


def _replace(case: Case, dtype: ir.DataType) -> None:
    for slot in list(slots(case.model)):
        if slot.tensor.dtype == dtype:
            array = slot.tensor.numpy().astype(np.float32)
            slot.put(ir.Tensor(array, name=slot.tensor.name))
    for graph in graphs(case.model):
        for values in (graph.inputs, graph.initializers.values(), *(node.outputs for node in graph)):
            for value in values:
                if value.dtype == dtype:
                    value.dtype = ir.DataType.FLOAT
        for node in graph:
            for name in _TYPE_ATTRIBUTES:
                attribute = node.attributes.get(name)
                if attribute is not None and not attribute.is_ref() and attribute.value == dtype.value:
                    node.attributes[name] = ir.AttrInt64(name, ir.DataType.FLOAT.value)
    for feed in case.feeds:
        for name, array in feed.items():
            if isinstance(array, np.ndarray) and ir.DataType.from_numpy(array.dtype) == dtype:
                feed[name] = array.astype(np.float32)
