"""Says of each node of a quantized model whether a runtime will run it on integer codes, and if not, why.

Rehearses on a copy what the runtime does (see `rehearsal`) and judges its nodes by the rules (see `judge`).
It runs nothing and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir import graph_and_bodies, nodes
from graphopt.quant.judge import FLOAT, GONE, INT8, WEIGHT_ONLY, Verdict, integer_kind, judge
from graphopt.quant.rehearsal import rehearse
from graphopt.quant.rehearsal.edits import origins
from graphopt.quant.rules import QuantizationRules
from graphopt.quant.wording import label

__all__ = ["FLOAT", "GONE", "HEAVY", "INT8", "WEIGHT_ONLY", "Placement", "predict"]

_FLOAT_HEAVY = (
    *("Conv", "ConvTranspose", "DeformConv", "Gemm", "MatMul", "Einsum", "Attention", "LSTM", "GRU", "RNN"),
    *("FusedConv", "FusedGemm", "FusedMatMul", "MultiHeadAttention", "GroupQueryAttention"),
)
_CODES_HEAVY = (
    *("QLinearConv", "QLinearMatMul", "QLinearConvTranspose", "ConvInteger", "MatMulInteger", "QGemm"),
    *("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QAttention"),
    *("MatMulNBits", "MatMulBnb4"),
)
HEAVY = frozenset((*_FLOAT_HEAVY, *_CODES_HEAVY))
"""Operators, of the standard or of onnxruntime, that most of a network's time goes to."""


@dataclass(frozen=True)
class Placement:
    """How a node runs.

    Attributes:
        node: The node, of the model that was given.
        runs_in: `INT8`, `FLOAT`, `WEIGHT_ONLY` (weights in codes, activations in float) or `GONE` (not run).
        kernel: The operator that runs it, as `domain.Name`; "" where it is not run.
        heavy: Whether it is one of those that most time goes to.
        cause: Why it is not int8, in words that nodes with the same trouble share; "" where it is.
        reason: Why it runs so, a whole sentence with names.
    """

    node: ir.Node
    runs_in: str
    kernel: str
    heavy: bool
    cause: str
    reason: str


def predict(model: ir.Model, rules: QuantizationRules) -> list[Placement]:
    """Predict how each heavy node, and each other one that a rule covers, will run.

    Args:
        model: Any model: with Q and DQ, with quantized operators, dynamically quantized, or of floats.
        rules: Those of the runtime.

    Returns:
        In the order of the model's nodes, bodies and functions included. A function is judged at each of its
        calls; where they differ, each gets its entry.
    """
    found: dict[ir.Node, list[Placement]] = {}
    rehearsed = rehearse(model, rules)
    for graph in graph_and_bodies(rehearsed.model.graph):
        for node in graph:
            for original in origins(node):
                if not _is_listed(original, rules):
                    continue
                verdict = judge(node, original, rules, rehearsed.opset)
                placement = _placement(original, verdict)
                known = found.setdefault(original, [])
                if all(other.reason != placement.reason for other in known):
                    known.append(placement)
    return [placement for node in nodes(model) for placement in found.get(node, ())]


def _is_listed(node: ir.Node, rules: QuantizationRules) -> bool:
    return (
        node.op_type in HEAVY or rules.of(node) is not None or bool(integer_kind(node.domain, node.op_type))
    )


_VERBS = {GONE: "is not run", WEIGHT_ONLY: "runs on weights in codes"}


def _placement(node: ir.Node, verdict: Verdict) -> Placement:
    name = label(node)
    verb = _VERBS.get(verdict.runs_in, f"runs in {verdict.runs_in}")
    reason = f"{name[0].upper()}{name[1:]} {verb}: {verdict.detail}"
    return Placement(node, verdict.runs_in, verdict.kernel, node.op_type in HEAVY, verdict.cause, reason)
