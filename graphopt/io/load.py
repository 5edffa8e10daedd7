"""Loading: from a path, a `ModelProto` or an `onnx_ir.Model` to a checked `onnx_ir.Model`.

Whatever is wrong with a model is found here and said in words. Weights are not converted, and external data
is not read: it stays in its file, mapped into memory where a pass asks for it.
"""

from __future__ import annotations

import os
from typing import TypeAlias

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from graphopt.errors import LoadError, ModelError, UsageError
from graphopt.io.beyond import take_beyond_ir
from graphopt.io.read import read_model
from graphopt.io.repair import repair_model
from graphopt.io.sources import remember_data
from graphopt.io.tensors import TensorChecker
from graphopt.io.versions import check_ir_version, check_opset, check_versions
from graphopt.io.weights import slots
from graphopt.ir import paused_collector, verify
from graphopt.ir.opsets import NEWEST_OPSET

Source: TypeAlias = str | os.PathLike[str] | onnx.ModelProto | ir.Model


def load(source: Source) -> ir.Model:
    """Load a model; the first half of `load_with_notes`."""
    return load_with_notes(source)[0]


def load_with_notes(source: Source) -> tuple[ir.Model, list[str]]:
    """Load and check a model, and repair what has one meaning only.

    Args:
        source: A file (`.onnx`, or ONNX's text, textproto and JSON forms by suffix), a `ModelProto` or an
            `onnx_ir.Model`. The latter two are copied, never changed.

    Returns:
        The model, and a line for each repair that was made to it.

    Raises:
        LoadError: The file, or external data that it names, cannot be read.
        ModelError: The model is malformed in a way that leaves its meaning open.
    """
    with paused_collector():
        if isinstance(source, ir.Model):
            return _copy_model(source)
        if isinstance(source, onnx.ModelProto):
            return _check(_copy_proto(source), None)
        path = _path(source)
        return _check(read_model(path), path)


def _check(proto: onnx.ModelProto, path: str | None) -> tuple[ir.Model, list[str]]:
    """Check, repair and convert `proto`, which is changed."""
    if not proto.HasField("graph"):
        raise LoadError(
            f"{'the protobuf' if path is None else repr(path)} holds no graph: it is not an ONNX model",
            hint="the file may be truncated or of another protobuf format",
        )
    notes: list[str] = []
    tensors = TensorChecker(path)
    try:
        check_versions(proto, notes)
        repair_model(proto, tensors, notes)
        model = _convert(proto, tensors)
    except UnicodeDecodeError as error:
        raise ModelError(f"the model holds names that are not UTF-8 text: {error.object[:40]!r}") from error
    verify(model)
    return model, notes


def _convert(proto: onnx.ModelProto, tensors: TensorChecker) -> ir.Model:
    """The `onnx_ir` form of a checked model."""
    beyond = take_beyond_ir(proto)
    try:
        model = ir.from_proto(proto)
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"the model cannot be read: {_root(error)}") from error
    model.graph.meta.update(beyond)
    if tensors.data_folders:
        external = [slot.tensor for slot in slots(model) if isinstance(slot.tensor, ir.ExternalTensor)]
        for tensor in external:
            tensor.base_dir = tensors.data_folders[os.fspath(tensor.location)]
        remember_data(model, external)
    return model


def _path(source: object) -> str:
    if not isinstance(source, (str, os.PathLike)):
        raise UsageError(f"expected a path, a ModelProto or an onnx_ir.Model, found {type(source).__name__}")
    return os.fsdecode(source)


def _copy_proto(source: onnx.ModelProto) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    try:
        proto.CopyFrom(source)
    except DecodeError as error:
        raise ModelError("the model is nested more deeply than protobuf allows (100 levels)") from error
    return proto


def _copy_model(source: ir.Model) -> tuple[ir.Model, list[str]]:
    """A checked copy of a model that is in memory already; its tensors are shared."""
    from onnx_ir.passes.common import NameFixPass

    check_ir_version(source.ir_version)
    check_opset(source.opset_imports.get("", NEWEST_OPSET), "the model")
    try:
        model = source.clone()
    except (RuntimeError, ValueError) as error:
        # Only a graph in order can be cloned; the verifier says what is wrong better than the cloner does.
        verify(source)
        raise ModelError(f"the model is malformed: {_root(error)}") from error
    notes = []
    if NameFixPass()(model).modified:
        notes.append("values or nodes without a name or sharing one are named apart")
    verify(model)
    return model, notes


def _root(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
