"""Prune within `graphopt.optimize`: what was asked for, attempts, accuracy, and the account of each step."""

from __future__ import annotations

from graphopt.compile.pruning.prune import Pruned, prune
from graphopt.compile.pruning.request import FREEZE, TYING, PruneRequest, require_judge
from graphopt.compile.pruning.sensitivity import ScanRequest, scan
from graphopt.compile.pruning.steps import Stage, account, as_written

__all__ = [
    "FREEZE",
    "TYING",
    "PruneRequest",
    "Pruned",
    "ScanRequest",
    "Stage",
    "account",
    "as_written",
    "prune",
    "require_judge",
    "scan",
]
