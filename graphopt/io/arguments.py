"""Numbers that no reading of the standard allows, and that runtimes do not survive being given.

Only what ends a process belongs here; everything else a runtime refuses in its own words.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from graphopt.errors import ModelError
from graphopt.io.names import told

# Operator -> attribute -> its smallest value.
_SMALLEST: Mapping[str, Mapping[str, int]] = {
    "Attention": {"kv_num_heads": 0, "q_num_heads": 0},
    "GatherND": {"batch_dims": 0},
    "Scan": {"num_scan_inputs": 1},
}


def check_arguments(node: onnx.NodeProto) -> None:
    """Check the integers of a node of the standard.

    Raises:
        ModelError: One is too small to mean anything.
    """
    bounds = _SMALLEST.get(node.op_type)
    if bounds is None or node.domain:
        return
    for attribute in node.attribute:
        smallest = bounds.get(attribute.name)
        if smallest is None or attribute.ref_attr_name:
            continue
        numbers = [attribute.i] if attribute.type == onnx.AttributeProto.INT else attribute.ints
        for number in numbers:
            if number < smallest:
                raise ModelError(
                    f"the attribute {attribute.name!r} of {told(node)} is {number}, "
                    f"expected {smallest} or more"
                )
