"""The graph: `onnx_ir` plus what a compiler needs and it lacks.

Op facts, safe shape inference, a structural verifier, patterns and the rewrite engine. This layer runs
nothing and estimates nothing.
"""

from __future__ import annotations

from graphopt.ir.changes import WATCHED_KEY, Changes, Finding
from graphopt.ir.collector import paused_collector
from graphopt.ir.dims import same_dim, same_shape
from graphopt.ir.graphs import (
    Names,
    attribute_float,
    attribute_int,
    attribute_ints,
    attribute_string,
    attribute_tensor,
    constant,
    constant_node_tensor,
    constant_tensor,
    count_nodes,
    count_operators,
    graph_and_bodies,
    graphs,
    ints,
    is_constant_node,
    nodes,
    opset,
    rank,
    scalar,
    static_shape,
)
from graphopt.ir.ops import Operator, OpFacts, facts, is_deterministic, op_facts, subgraphs
from graphopt.ir.pattern import const, op, rest, var
from graphopt.ir.rewrite import (
    PROVENANCE_KEY,
    WANTED_OPSET_KEY,
    Reject,
    Rule,
    Tape,
    remove_node,
    replace_value,
    rewrite,
    rule,
    want_opset,
)
from graphopt.ir.shapes import (
    SYMBOLIC_VALUE_KEY,
    ShapeReport,
    adopt_shapes,
    drop_false_shapes,
    has_shapes,
    infer_node,
    infer_shapes,
    symbolic_value,
)
from graphopt.ir.verify import verify, violations

__all__ = [
    "PROVENANCE_KEY",
    "SYMBOLIC_VALUE_KEY",
    "WANTED_OPSET_KEY",
    "WATCHED_KEY",
    "Changes",
    "Finding",
    "Names",
    "OpFacts",
    "Operator",
    "Reject",
    "Rule",
    "ShapeReport",
    "Tape",
    "adopt_shapes",
    "attribute_float",
    "attribute_int",
    "attribute_ints",
    "attribute_string",
    "attribute_tensor",
    "const",
    "constant",
    "constant_node_tensor",
    "constant_tensor",
    "count_nodes",
    "count_operators",
    "drop_false_shapes",
    "facts",
    "graph_and_bodies",
    "graphs",
    "has_shapes",
    "infer_node",
    "infer_shapes",
    "ints",
    "is_constant_node",
    "is_deterministic",
    "nodes",
    "op",
    "op_facts",
    "opset",
    "paused_collector",
    "rank",
    "remove_node",
    "replace_value",
    "rest",
    "rewrite",
    "rule",
    "same_dim",
    "same_shape",
    "scalar",
    "static_shape",
    "subgraphs",
    "symbolic_value",
    "var",
    "verify",
    "violations",
    "want_opset",
]
