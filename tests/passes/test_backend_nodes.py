"""ONNX's own node tests go through folding and simplification unharmed, as they are and with constant inputs.

The expected numbers are those of the unfolded model in onnxruntime. Operators that onnxruntime cannot load,
and random ones, are left out by what it says itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import ExecutionError
from graphopt.execute.compare import compare
from graphopt.execute.session import Session
from graphopt.ir import facts, nodes
from graphopt.pipeline import Pipeline

PIPELINE = "lift-constants,inline,{fold,simplify-shapes,simplify-control-flow,dce}*"
NEWEST_OPSET = 26
STRIDE = 8
"""Of the 1,884 cases every so many-th is taken; each operator has several in a row."""

Case = Any


@pytest.fixture(scope="module")
def cases() -> Sequence[Case]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases divide by zero and overflow on purpose
        return load_model_tests(kind="node")[::STRIDE]


@pytest.mark.parametrize("constant", [True, False], ids=["constant inputs", "given inputs"])
def test_node_cases(cases: Sequence[Case], constant: bool) -> None:
    tried = 0
    failures = []
    for case in cases:
        message = failure(case, constant)
        tried += message is not None
        if message:
            failures.append(f"{case.name}: {message}")
    assert not failures
    assert tried > len(cases) // 2


def failure(case: Case, constant: bool) -> str | None:
    """What went wrong, "" if nothing did, None for a case that onnxruntime cannot run unchanged."""
    if any(each.domain == "" and each.version > NEWEST_OPSET for each in case.model.opset_import):
        return None
    model = ir.from_proto(case.model)
    if any(facts(node).random for node in nodes(model)):
        return None
    feed = dict(zip((value.name or "" for value in model.graph.inputs), case.data_sets[0][0], strict=True))
    if constant:
        if not all(isinstance(array, np.ndarray) for array in feed.values()):
            return None
        make_constant(model, feed)
        feed = {}
    try:
        expected = Session(model, fallback=False).run(feed)
    except ExecutionError:
        return None
    try:
        result = Pipeline.parse(PIPELINE).run(model.clone()).model
        actual = Session(result, fallback=False).run(feed)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    differences = compare(expected, actual)
    # onnxruntime computes half floats in float32 and rounds between nodes: with fewer nodes, less often.
    return "; ".join(str(d) for d in differences if not d.exact and not (d.equal and "fp16" in case.name))


def make_constant(model: ir.Model, feed: dict[str, np.ndarray[Any, Any]]) -> None:
    """Turn the inputs of a model into initializers."""
    for value in list(model.graph.inputs):
        array = feed[value.name or ""]
        if array.dtype == object or array.dtype.kind in "US":
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
