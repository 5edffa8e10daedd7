"""Whether a candidate may be shown to a predicate: well-formed, of types that fit, and running on its inputs.

It never changes the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import onnx_ir as ir

from graphopt.errors import ExecutionError, VerificationError
from graphopt.ir import verify
from graphopt.testing.reduce.case import Feed
from graphopt.testing.reduce.pack import has_stand_ins


def is_well_formed(model: ir.Model) -> bool:
    """Whether every structural rule holds, and the interface has types."""
    if not model.graph.outputs:
        return False
    if any(value.type is None for value in (*model.graph.inputs, *model.graph.outputs)):
        return False
    if len({value.name for value in model.graph.outputs}) < len(model.graph.outputs):
        return False
    try:
        verify(model)
    except VerificationError:
        return False
    return True


def is_accepted(packed: bytes) -> bool:
    """Whether onnx accepts the packed model and infers types and shapes without a contradiction."""
    try:
        if has_stand_ins(packed):  # the checker would look for their file
            onnx.shape_inference.infer_shapes(packed, check_type=True, strict_mode=True, data_prop=True)
        else:
            onnx.checker.check_model(packed, full_check=True)
    except Exception:
        return False
    return True


def observe(model: ir.Model, feeds: Sequence[Feed]) -> list[Mapping[str, Any]] | None:
    """Run the model on each of its sets of inputs.

    Returns:
        What every value of the main graph was in each run, or None where a run fails.
    """
    if not feeds:
        return []
    from graphopt.execute.session import Session

    values = [output.name for node in model.graph for output in node.outputs if output.name]
    try:
        session = Session(model, extra_outputs=values)
        return [{**feed, **session.run({name: feed[name] for name in session.input_names})} for feed in feeds]
    except (ExecutionError, KeyError):
        return None
