"""Goes through a runtime's steps on a copy of a model, and says which node of the copy stands for which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from graphopt.ir import graphs, infer_shapes, nodes, opset
from graphopt.quant.rehearsal.codes import absorb_clips, int8_pairs_to_uint8
from graphopt.quant.rehearsal.constants import (
    fold_constants,
    quantize_constants,
    share_constants,
    transpose_weights,
    wrap_where_constants,
)
from graphopt.quant.rehearsal.edits import ORIGINS_KEY
from graphopt.quant.rehearsal.products import fuse_matmul_add
from graphopt.quant.rehearsal.propagate import propagate
from graphopt.quant.rehearsal.tidy import (
    drop_no_ops,
    fold_pads,
    fuse_conv,
    give_each_its_own_dq,
    merge_double_pairs,
    merge_equal_qs,
    merge_transposes,
)
from graphopt.quant.rules import QuantizationRules

ROUNDS = 3
"""How often at most the steps are gone through: what one makes of a graph may be something to another."""


@dataclass(frozen=True)
class Rehearsed:
    """A model as a runtime has it when it looks for nodes to run on codes.

    Attributes:
        model: The copy.
        opset: Version of the standard's operators.
    """

    model: ir.Model
    opset: int


def rehearse(model: ir.Model, rules: QuantizationRules) -> Rehearsed:
    """Go through the steps of the rules on a copy of `model`."""
    copy = model.clone()
    for original, copied in zip(nodes(model), nodes(copy), strict=True):
        copied.meta[ORIGINS_KEY] = (original,)
    if copy.functions:
        InlinePass()(copy)
    version = opset(copy)
    infer_shapes(copy)
    for graph in graphs(copy):
        before = None
        for _ in range(ROUNDS):
            for step in rules.steps:
                _STEPS[step](graph, rules, version)
            now = [(node, *node.inputs) for node in graph]
            if now == before:
                break
            before = now
        for step in rules.last_steps:
            _STEPS[step](graph, rules, version)
    return Rehearsed(copy, version)


_Step = Callable[[ir.Graph, QuantizationRules, int], None]

_STEPS: dict[str, _Step] = {
    "own-dq": lambda graph, rules, opset: give_each_its_own_dq(graph),
    "drop-no-ops": lambda graph, rules, opset: drop_no_ops(graph),
    "fold-constants": lambda graph, rules, opset: fold_constants(graph, opset),
    "transpose-weights": lambda graph, rules, opset: transpose_weights(graph),
    "share-constants": lambda graph, rules, opset: share_constants(graph),
    "merge-transposes": lambda graph, rules, opset: merge_transposes(graph),
    "merge-equal-qs": lambda graph, rules, opset: merge_equal_qs(graph),
    "merge-double-pairs": lambda graph, rules, opset: merge_double_pairs(graph),
    "fold-pads": lambda graph, rules, opset: fold_pads(graph),
    "fuse-conv": lambda graph, rules, opset: fuse_conv(graph),
    "fuse-matmul-add": lambda graph, rules, opset: fuse_matmul_add(graph),
    "propagate": lambda graph, rules, opset: propagate(graph, rules.propagates, opset),
    "quantize-constants": lambda graph, rules, opset: quantize_constants(graph, rules),
    "wrap-where-constants": lambda graph, rules, opset: wrap_where_constants(graph),
    "absorb-clips": lambda graph, rules, opset: absorb_clips(graph, rules),
    "int8-pairs-to-uint8": lambda graph, rules, opset: int8_pairs_to_uint8(graph),
}
