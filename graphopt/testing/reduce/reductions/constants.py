"""Turn computed values into the constants that they were when the model ran."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import is_constant_node
from graphopt.testing.reduce.case import Case, Take, use_instead

MOST_BYTES = 4096
"""A larger constant is no simplification."""


def values_to_constants(case: Case, take: Take) -> None:
    """Let each value be the constant that it was on the first set of inputs, where it is small."""
    graph = case.model.graph
    for node in reversed(graph):
        if is_constant_node(node):
            continue
        for output in node.outputs:
            array = _array(case, output)
            if array is None or not output.uses() or output.is_graph_output() or not take():
                continue
            value = ir.Value(
                name=output.name, type=output.type, shape=ir.Shape(array.shape), const_value=ir.Tensor(array)
            )
            output.name = f"{output.name}/replaced"
            use_instead(output, value)
            graph.initializers.add(value)


def _array(case: Case, value: ir.Value) -> np.ndarray[Any, Any] | None:
    arrays = case.arrays(value)
    if not arrays or not isinstance(arrays[0], np.ndarray) or arrays[0].nbytes > MOST_BYTES:
        return None
    return None if arrays[0].dtype.kind in "OUS" else arrays[0]
