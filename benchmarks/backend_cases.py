"""ONNX's own backend node tests: loaded, with inputs given or constant, and what onnxruntime makes of them.

What is done with the cases stands in the scripts beside: backend_nodes.py, opset_nodes.py, fx_nodes.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.backend.test.loader import load_model_tests

from graphopt.errors import ExecutionError
from graphopt.execute.compare import compare
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


def load_cases(stride: int = 1, names: Sequence[str] = (), *, offset: int = 0) -> list[Case]:
    """Every `stride`-th case from the `offset`-th on, or those named; each operator has several in a row."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases divide by zero and overflow on purpose
        cases = load_model_tests(kind="node")
    return [case for case in cases if case.name in names] if names else cases[offset::stride]


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


def readable(case: Case) -> ir.Model | None:
    """A case's model at an opset that runs, or None where it means another thing there.

    Newer definitions mostly admit more types. Where nothing else tells, onnxruntime does: the older one means
    the same if it gives the outputs that come with the case.
    """
    model = ir.from_proto(case.model)
    version = model.opset_imports.get("", NEWEST_OPSET)
    if version <= NEWEST_OPSET:
        return model if version >= OLDEST_OPSET else None
    model.opset_imports[""] = NEWEST_OPSET
    for function in model.functions.values():
        if function.opset_imports.get("", 0) > NEWEST_OPSET:
            function.opset_imports[""] = NEWEST_OPSET
    if not all(_is_known(node) for node in nodes(model)):
        return None
    outputs = expected_outputs(model, feed_of(case, model))
    return model if outputs is not None and agrees(case, model, outputs) else None


def _is_known(node: ir.Node) -> bool:
    """Whether the newest opset that runs has an operator of this name with these attributes."""
    if node.domain:
        return True
    try:
        schema = onnx.defs.get_schema(node.op_type, NEWEST_OPSET, "")
    except onnx.defs.SchemaError:
        return False
    return all(name in schema.attributes for name in node.attributes)


def agrees(case: Case, model: ir.Model, outputs: Mapping[str, Any]) -> bool:
    """Whether outputs are those that come with the case, within its own tolerance."""
    given = given_outputs(case, model)
    return all(each.equal for each in compare(given, outputs, rtol=case.rtol, atol=case.atol))


@dataclass(frozen=True)
class Variant:
    """A case with some of its inputs made constant.

    Attributes:
        form: "given" (none is), "constant" (all are) or "some".
        constants: Names of the inputs that are constant.
        model: The model.
        feed: The other inputs.
    """

    form: str
    constants: tuple[str, ...]
    model: ir.Model
    feed: Feed


FORMS = ("given", "constant", "some")


def variants(case: Case, model: ir.Model, forms: Sequence[str] = FORMS) -> Iterator[Variant]:
    """The case in each form: as it is, all inputs constant, each alone and all but each.

    Only tensors are made constant; a case whose inputs are not all tensors has no form "constant".
    """
    feed = feed_of(case, model)
    names = tuple(feed)
    tensors = tuple(name for name in names if isinstance(feed[name], np.ndarray))
    chosen: dict[tuple[str, ...], str] = {}
    if "given" in forms:
        chosen[()] = "given"
    if "constant" in forms and tensors == names:
        chosen.setdefault(names, "constant")
    if "some" in forms:
        for name in tensors:
            for some in ((name,), tuple(other for other in tensors if other != name)):
                if some and some != names:
                    chosen.setdefault(some, "some")
    for constants, form in chosen.items():
        made = model.clone()
        make_constant(made, {name: feed[name] for name in constants})
        rest = {name: array for name, array in feed.items() if name not in constants}
        yield Variant(form, constants, made, rest)


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
