"""valid: the outcome passes the verifier, can be saved and read, and is as valid for onnx as the original."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import onnx
import onnx_ir as ir

from graphopt.errors import GraphoptError
from graphopt.io import to_proto
from graphopt.ir import verify
from graphopt.testing.check.failure import Broken
from graphopt.testing.text import graph_protos

_KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})


class Strictness(enum.IntEnum):
    """How much `onnx.checker` looks at."""

    NOTHING = 0
    STRUCTURE = 1
    SHAPES = 2


def strictness_of(
    proto: onnx.ModelProto, declared: Sequence[ir.Shape | None], *, full_check: bool = True
) -> Strictness:
    """The strictest check that a model passes."""
    proto = checked_form(proto, declared)
    for level in (Strictness.SHAPES, Strictness.STRUCTURE):
        if (full_check or level == Strictness.STRUCTURE) and refusal(proto, level) is None:
            return level
    return Strictness.NOTHING


def serialized(
    model: ir.Model, strictness: Strictness, declared: Sequence[ir.Shape | None]
) -> onnx.ModelProto:
    """The outcome of a pass as it would be saved.

    Args:
        model: The outcome.
        strictness: What it must pass, because the original does.
        declared: Shapes of the original's outputs.

    Raises:
        Broken: It is not valid.
    """
    try:
        verify(model)
        proto = to_proto(model)
    except GraphoptError as error:
        raise Broken(error.message) from None
    except Exception as error:
        raise Broken(f"it cannot be serialized: {type(error).__name__}: {error}") from None
    if strictness and (refused := refusal(checked_form(proto, declared), strictness)):
        raise Broken(f"onnx.checker accepts the model before, and not after: {refused}")
    return proto


def refusal(proto: onnx.ModelProto, strictness: Strictness) -> str | None:
    """Why `onnx.checker` does not accept a model, or None."""
    if strictness == Strictness.NOTHING:
        return None
    try:
        onnx.checker.check_model(proto, full_check=strictness == Strictness.SHAPES)
    except Exception as error:  # of several kinds, in C++
        return str(error).strip()
    return None


def checked_form(proto: onnx.ModelProto, declared: Sequence[ir.Shape | None]) -> onnx.ModelProto:
    """The form to give to `onnx.checker`.

    It goes without claims about inner values, which are refused of sequences of unknown shape, but for those
    of operators that onnx does not know: its inference of EyeLike crashes on inputs without a type. It has a
    shape for each output, which is insisted on where inference knows none.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    known = _KNOWN_DOMAINS | {function.domain for function in proto.functions}
    for graph in graph_protos(copy.graph):
        foreign = {name for node in graph.node if node.domain not in known for name in node.output}
        kept = [each for each in graph.value_info if each.name in foreign and _is_tensor(each.type)]
        del graph.value_info[:]
        graph.value_info.extend(kept)
    for output, shape in zip(copy.graph.output, declared, strict=False):
        if output.type.HasField("tensor_type") and not output.type.tensor_type.HasField("shape"):
            _declare(output.type.tensor_type.shape, shape)
    return copy


def _is_tensor(proto: onnx.TypeProto) -> bool:
    return bool(proto.HasField("tensor_type"))


def _declare(proto: onnx.TensorShapeProto, shape: ir.Shape | None) -> None:
    if shape is None:
        return
    proto.SetInParent()  # a scalar has a shape too
    for dim in shape:
        if isinstance(dim, int):
            proto.dim.add(dim_value=dim)
        elif dim.value is not None:
            proto.dim.add(dim_param=dim.value)
        else:
            proto.dim.add()
