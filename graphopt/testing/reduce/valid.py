"""Whether a candidate may be shown to a predicate: well-formed, of types that fit, and running on its inputs.

It never changes the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
import onnx_ir as ir

from graphopt.errors import ExecutionError, VerificationError
from graphopt.ir import verify
from graphopt.testing.reduce.case import Feed
from graphopt.testing.reduce.pack import has_stand_ins

Check = Callable[[bytes], bool]


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


def strictest_check(packed: bytes) -> Check:
    """The strictest of onnx's checks that a packed model passes; a candidate must pass the same."""
    for check in (_checker, _strict_inference, _inference):
        if check(packed):
            return check
    return lambda _: True


def _checker(packed: bytes) -> bool:
    """Whether the checker accepts the model, its types and its shapes."""
    if has_stand_ins(packed):  # the checker would look for their file
        return _strict_inference(packed)
    try:
        onnx.checker.check_model(packed, full_check=True)
    except Exception:
        return False
    return True


def _strict_inference(packed: bytes) -> bool:
    """Whether types and shapes are inferred without a contradiction."""
    try:
        onnx.shape_inference.infer_shapes(packed, check_type=True, strict_mode=True, data_prop=True)
    except Exception:
        return False
    return True


def _inference(packed: bytes) -> bool:
    """Whether types are inferred without a contradiction."""
    try:
        onnx.shape_inference.infer_shapes(packed, check_type=True)
    except Exception:
        return False
    return True


def fill_in_types(model: ir.Model, packed: bytes) -> None:
    """Give values of the main graph without a type that which onnx infers, through calls of functions too."""
    untyped = {value.name: value for node in model.graph for value in node.outputs if value.type is None}
    try:
        inferred = onnx.shape_inference.infer_shapes(onnx.ModelProto.FromString(packed)).graph
    except Exception:
        return
    for info in (*inferred.value_info, *inferred.output):
        if info.name in untyped:
            untyped[info.name].type = ir.serde.deserialize_type_proto_for_type(info.type)
            untyped[info.name].shape = ir.serde.deserialize_type_proto_for_shape(info.type)


def observe(model: ir.Model, feeds: Sequence[Feed]) -> list[Mapping[str, Any]] | None:
    """Run the model on each of its sets of inputs.

    Returns:
        What the values of the main graph were in each run, as far as the runtime says; None where one fails.
    """
    if not feeds:
        return []
    every = [value for node in model.graph for value in node.outputs if value.name]
    tensors = [value for value in every if isinstance(value.type, ir.TensorType)]
    # The runtime's Python side cannot hand out every sequence and optional.
    for values in (every, tensors, []) if len(tensors) < len(every) else (every,):
        seen = _run(model, feeds, [value.name or "" for value in values])
        if seen is not None:
            return seen
    return None


def _run(model: ir.Model, feeds: Sequence[Feed], values: Sequence[str]) -> list[Mapping[str, Any]] | None:
    from graphopt.execute.session import Session

    try:
        session = Session(model, extra_outputs=values)
        return [{**feed, **session.run({name: feed[name] for name in session.input_names})} for feed in feeds]
    except (ExecutionError, KeyError):
        return None
