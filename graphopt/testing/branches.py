"""Branches that end in one value twice: valid ONNX, of which onnxruntime leaves one output unwritten.

Nobody knows what such a model computes, so that no pass may make one, and no reduction.
"""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import nodes
from graphopt.ir.ops import subgraphs


def repeated_ends(model: ir.Model) -> int:
    """How many outputs of branches are an earlier output of the same branch."""
    branches = (body for node in nodes(model) if node.op_type == "If" for body in subgraphs(node))
    return sum(len(body.outputs) - len(set(body.outputs)) for body in branches)
