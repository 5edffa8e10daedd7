"""Models as users have them at hand: files, bytes, protobufs, graphs."""

from __future__ import annotations

import os

import onnx
import onnx_ir as ir

from graphopt.errors import LoadError
from graphopt.execute.session import open_model

Source = ir.Model | onnx.ModelProto | bytes | str | os.PathLike[str]


def open_source(model: Source) -> ir.Model:
    """The graph of a model in any of these forms; one that is a graph already is given back as it is.

    Raises:
        LoadError: It cannot be read.
    """
    if not isinstance(model, (bytes, onnx.ModelProto)):
        return open_model(model)
    try:
        proto = onnx.ModelProto.FromString(model) if isinstance(model, bytes) else model
        opened: ir.Model = ir.from_proto(proto)
    except Exception as error:
        raise LoadError(f"the bytes are not an ONNX model: {error}") from error
    return opened
