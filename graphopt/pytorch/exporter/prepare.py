"""What is done to a model before it is translated: one opset, no functions, numbers computed.

Nothing here touches weights: what a model computes from them stays computed, so that they can be learned.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphopt.ir import infer_shapes, opset
from graphopt.ir.opsets import NEWEST_OPSET, OpsetError, raise_opset
from graphopt.passes.cleanup.fold_sequences import FoldSequences
from graphopt.passes.cleanup.freeze_initializers import FIRST_IR_VERSION, FreezeInitializers
from graphopt.passes.cleanup.inline import Inline
from graphopt.passes.cleanup.lift_constants import LiftConstants
from graphopt.pytorch.numbers import compute_numbers, initializers
from graphopt.pytorch.roles import ROLE_KEY


def prepare(model: ir.Model) -> None:
    """Bring a model, in place, into the form that translators expect."""
    if model.ir_version < FIRST_IR_VERSION:
        FreezeInitializers()(model)
    Inline()(model)
    _raise(model)
    unknown = infer_shapes(model).unknown
    FoldSequences()(model)  # Shape inference knows nothing of an element of a sequence.
    stored = list(initializers(model))
    LiftConstants()(model)
    compute_numbers(model)
    if any(ROLE_KEY in value.metadata_props for value in stored):
        _tell_numbers(model, stored)
    if unknown:
        infer_shapes(model)  # Axes that were computed are constants now.


def _raise(model: ir.Model) -> None:
    """Raise the opset, so that translators need to know one version; what cannot be raised is left."""
    try:
        raise_opset(model, max(NEWEST_OPSET, opset(model)))
    except OpsetError:
        return


def _tell_numbers(model: ir.Model, stored: Sequence[ir.Value]) -> None:
    """Let constants in a traced module's code, which are none of its parameters, be none of ours."""
    weights = {value for value in stored if value.const_value is not None and len(value.const_value.shape)}
    for value in initializers(model):
        if value not in weights:
            value.metadata_props.setdefault(ROLE_KEY, "buffer")
