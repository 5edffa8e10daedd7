"""Versions of the standard operator set, and how a model is raised from one to a newer one in place."""

from __future__ import annotations

from graphopt.ir.opsets.draft import Draft
from graphopt.ir.opsets.raising import OpsetError, raise_opset
from graphopt.ir.opsets.versions import (
    NEWEST_IR_VERSION,
    NEWEST_OPSET,
    OLDEST_OPSET,
    oldest_ir_version,
)

__all__ = [
    "NEWEST_IR_VERSION",
    "NEWEST_OPSET",
    "OLDEST_OPSET",
    "Draft",
    "OpsetError",
    "oldest_ir_version",
    "raise_opset",
]
