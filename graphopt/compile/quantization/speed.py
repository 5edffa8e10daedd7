"""Leave in float the groups of nodes that a quantized model is faster without.

Measured on whole models, side by side: what a conversion costs depends on what stands around it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import onnx_ir as ir

from graphopt.compile.quantization.attempts import Attempt, Attempts
from graphopt.compile.quantization.layers import quantized_nodes, regions

AT_ONCE = 4
"""Candidates measured side by side."""


@dataclasses.dataclass(frozen=True)
class Proposal:
    """Nodes that might better stay in float.

    Attributes:
        nodes: Their names.
        reason: Why they do, if they do.
    """

    nodes: tuple[str, ...]
    reason: str


def without_what_is_slow(attempts: Attempts, attempt: Attempt) -> Attempt:
    """Try groups of nodes in float as long as there is time; keep there what makes the model faster.

    Kinds of nodes come first, then regions, small ones before large ones: conversions weigh most there.
    """
    for proposals in (_kinds, _regions):
        proposed = proposals(attempt.made.model)
        for start in range(0, len(proposed), AT_ONCE):
            if attempts.out_of_time():
                return attempt
            attempt = _faster(attempts, attempt, proposed[start : start + AT_ONCE])
    return attempt


def _kinds(model: ir.Model) -> list[Proposal]:
    """All nodes of an operator."""
    names: dict[str, list[str]] = {}
    for node in quantized_nodes(model):
        names.setdefault(node.op_type, []).append(node.name or "")
    if len(names) < 2:
        return []
    return [
        Proposal(tuple(found), f"{operator} measured slower in int8 here")
        for operator, found in names.items()
    ]


def _regions(model: ir.Model) -> list[Proposal]:
    """Nodes that hand each other quantized values, and nobody else."""
    found = sorted(regions(model), key=len)
    if len(found) < 2:
        return []
    return [Proposal(tuple(names), "measured slower in int8, conversions included") for names in found]


def _faster(attempts: Attempts, attempt: Attempt, proposals: Sequence[Proposal]) -> Attempt:
    """The attempt without those of the groups that cost it time."""
    tried: list[tuple[Proposal, Attempt]] = []
    for proposal in proposals:
        less = attempts.without(attempt, dict.fromkeys(proposal.nodes, proposal.reason))
        if less is not None:
            tried.append((proposal, less))
    if not tried:
        return attempt
    measured = attempts.measure([attempt.made.model, *(each.made.model for _, each in tried)])
    better = [pair for index, pair in enumerate(tried, 1) if measured.faster(index)]
    if not better:
        return attempt
    if len(better) == 1:
        return better[0][1]
    keep: dict[str, str] = {}
    for proposal, _ in better:
        keep |= dict.fromkeys(proposal.nodes, proposal.reason)
    all_of_them = attempts.without(attempt, keep)
    rivals = [each for _, each in better] + ([] if all_of_them is None else [all_of_them])
    measured = attempts.measure([each.made.model for each in rivals])
    return min(enumerate(rivals), key=lambda pair: measured.ratio(pair[0]).median)[1]
