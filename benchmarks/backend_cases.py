"""ONNX's own backend node tests: loaded, with inputs given or constant, and what onnxruntime makes of them.

What is done with the cases stands in the scripts beside: backend_nodes.py, opset_nodes.py, fx_nodes.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.backend.test.loader import load_model_tests

from graphopt.errors import ExecutionError
from graphopt.execute.session import Session
from graphopt.ir import facts, nodes

OLDEST_OPSET, NEWEST_OPSET = 7, 26
"""What graphopt reads and onnxruntime 1.31 loads; a newer case runs as the newest where that is the same."""

Case = Any
Feed = Mapping[str, Any]


def feed_of(case: Case, model: ir.Model) -> dict[str, Any]:
    """The first data set's inputs by name."""
    arrays = case.data_sets[0][0] if case.data_sets else []
    return _by_name(model.graph.inputs, arrays)


def given_outputs(case: Case, model: ir.Model) -> dict[str, Any]:
    """The first data set's outputs by name."""
    return _by_name(model.graph.outputs, case.data_sets[0][1])


def _by_name(values: Sequence[ir.Value], arrays: Sequence[Any]) -> dict[str, Any]:
    return {value.name or "": _array(array) for value, array in zip(values, arrays, strict=False)}


def _array(given: Any) -> Any:
    """Element types that numpy lacks come as protos."""
    return ir.serde.deserialize_tensor(given).numpy() if isinstance(given, onnx.TensorProto) else given


def load_cases(stride: int = 1, names: Sequence[str] = ()) -> list[Case]:
    """Every `stride`-th case, or those named; each operator has several in a row."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases divide by zero and overflow on purpose
        cases = load_model_tests(kind="node")
    return [case for case in cases if case.name in names] if names else cases[::stride]


def fit_opset(model: ir.Model) -> bool:
    """Import the newest opset that runs instead of a newer one; False where that does not mean the same."""
    version = model.opset_imports.get("", NEWEST_OPSET)
    if version <= NEWEST_OPSET:
        return version >= OLDEST_OPSET
    for node in nodes(model):
        if not node.domain and onnx.defs.get_schema(node.op_type, version, "").since_version > NEWEST_OPSET:
            return False
    model.opset_imports[""] = NEWEST_OPSET
    return not model.functions


def make_constant(model: ir.Model, feed: Feed) -> None:
    """Turn the inputs of a model into initializers."""
    for value in list(model.graph.inputs):
        if (value.name or "") not in feed:
            continue
        array = feed[value.name or ""]
        if array.dtype.kind in "OUS":
            texts = [str(text).encode() for text in array.reshape(-1)]
            tensor: ir.TensorProtocol = ir.StringTensor(
                np.array(texts, dtype=object).reshape(array.shape),
                shape=ir.Shape(array.shape),
                name=value.name,
            )
        else:
            tensor = ir.tensor(array, dtype=value.dtype, name=value.name)
        model.graph.inputs.remove(value)
        value.const_value = tensor
        value.shape = ir.Shape(array.shape)
        model.graph.initializers.add(value)


def expected_outputs(model: ir.Model, feed: Feed) -> dict[str, Any] | None:
    """The original's outputs; None if it is random or onnxruntime cannot run it."""
    if any(facts(node).random for node in nodes(model)):
        return None
    try:
        return Session(model, fallback=False).run(feed)
    except ExecutionError:
        return None
