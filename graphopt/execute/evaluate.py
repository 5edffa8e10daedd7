"""Evaluate nodes whose inputs are all constants, in one run for all of them.

A node that onnxruntime cannot run costs only itself, those of its kind, and what depends on it: the others
are evaluated nevertheless. Changes no model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.execute.limits import Budget
from graphopt.execute.session import NodeFailure, Session
from graphopt.ir import constant_tensor

MAX_ATTEMPTS = 12
"""Runs that fail before what is left is given up; each drops one operator with one set of types."""

_BASE_SECONDS, _SECONDS_PER_BYTE = 2.0, 1e-6
_BASE_BYTES, _BYTES_PER_BYTE = 160 << 20, 4
"""What one evaluation may take, and how much more for each byte of the constants that it starts from."""


@dataclasses.dataclass
class Evaluation:
    """Outcome of `evaluate`.

    Attributes:
        tensors: Value -> its elements.
        failures: Node that could not be run -> why.
    """

    tensors: dict[ir.Value, ir.TensorProtocol] = dataclasses.field(default_factory=dict)
    failures: dict[ir.Node, str] = dataclasses.field(default_factory=dict)


def evaluate(
    nodes: Sequence[ir.Node], wanted: Sequence[ir.Value], opset_imports: Mapping[str, int]
) -> Evaluation:
    """Compute values from constants.

    Args:
        nodes: In topological order, of any graphs of one model; each input is a constant or comes from an
            earlier node. They hold no subgraphs.
        wanted: Outputs of `nodes` to compute; those must be tensors.
        opset_imports: Of the model.
    """
    result = Evaluation()
    given = sum(_stored_bytes(value) for value in {value for node in nodes for value in node.inputs})
    budget = Budget(
        _BASE_SECONDS + _SECONDS_PER_BYTE * given, _BASE_BYTES + _BYTES_PER_BYTE * given, what="it"
    )
    left, targets = list(nodes), list(wanted)
    for _ in range(MAX_ATTEMPTS):
        left = _needed(left, targets)
        if not targets or not left:
            return result
        batch = _Batch(left, targets, opset_imports)
        try:
            result.tensors.update(batch.run(budget))
            return result
        except ExecutionError as error:
            failed = batch.blamed(error)
            reason = error.message
        if failed is None:
            break
        kind = _kind(failed)
        alike = [node for node in left if _kind(node) == kind]
        result.failures.update((node, reason) for node in alike)
        unable = _dependents(left, set(alike))
        left = [node for node in left if node not in unable]
        targets = [value for value in targets if value.producer() not in unable]
    result.failures.update((node, reason) for node in left)
    return result


class _Batch:
    """A model made of nodes and nothing else, every value under a name of its own."""

    def __init__(
        self, nodes: Sequence[ir.Node], wanted: Sequence[ir.Value], opset_imports: Mapping[str, int]
    ) -> None:
        self._values: dict[ir.Value, ir.Value] = {}
        self._originals: dict[ir.Node, ir.Node] = {}
        self._wanted = wanted
        initializers: list[ir.Value] = []
        copies: list[ir.Node] = []
        for node in nodes:
            inputs = [None if value is None else self._input(value, initializers) for value in node.inputs]
            outputs = []
            for index, value in enumerate(node.outputs):
                made = ir.Value(name=f"n{len(copies)}_{index}" if value.name else "", type=value.type)
                outputs.append(made)
                self._values[value] = made
            copy = ir.Node(
                node.domain,
                node.op_type,
                inputs,
                list(node.attributes.values()),
                outputs=outputs,
                version=node.version,
            )
            self._originals[copy] = node
            copies.append(copy)
        graph = ir.Graph(
            [],
            [self._values[value] for value in wanted],
            nodes=copies,
            initializers=initializers,
            opset_imports=dict(opset_imports),
            name="constants",
        )
        self._copies = copies
        self._model = ir.Model(graph, ir_version=10)

    def _input(self, value: ir.Value, initializers: list[ir.Value]) -> ir.Value:
        if value not in self._values:
            tensor = constant_tensor(value)
            assert tensor is not None, f"{value.name} is no constant"
            made = ir.Value(
                name=f"c{len(initializers)}", type=ir.TensorType(tensor.dtype), const_value=tensor
            )
            made.shape = ir.Shape(tensor.shape.numpy())
            initializers.append(made)
            self._values[value] = made
        return self._values[value]

    def run(self, budget: Budget) -> dict[ir.Value, ir.TensorProtocol]:
        session = Session(self._model, optimize=False, prepack=False, fallback=False, budget=budget)
        results = session.run({})
        tensors: dict[ir.Value, ir.TensorProtocol] = {}
        for value in self._wanted:
            array = results[self._values[value].name or ""]
            dtype = value.dtype
            assert dtype is not None
            if dtype == ir.DataType.STRING:
                tensors[value] = _string_tensor(array, value.name)
            else:
                tensors[value] = ir.Tensor(array, dtype=dtype, name=value.name)
        return tensors

    def blamed(self, error: ExecutionError) -> ir.Node | None:
        """The node at which a run failed, if the runtime told."""
        if not isinstance(error, NodeFailure) or error.position is None:
            return None
        return self._originals[self._copies[error.position]]


def _stored_bytes(value: ir.Value | None) -> int:
    tensor = constant_tensor(value)
    return 0 if tensor is None or tensor.dtype == ir.DataType.STRING else tensor.nbytes


def _string_tensor(array: np.ndarray[Any, Any], name: str | None) -> ir.StringTensor:
    """Texts as ONNX stores them: UTF-8 bytes."""
    texts = np.empty(array.size, dtype=object)
    texts[:] = [str(text).encode() for text in array.reshape(-1)]
    return ir.StringTensor(texts.reshape(array.shape), shape=ir.Shape(array.shape), name=name)


def _kind(node: ir.Node) -> tuple[object, ...]:
    return node.op_identifier(), *(None if value is None else value.dtype for value in node.inputs)


def _needed(nodes: Sequence[ir.Node], wanted: Sequence[ir.Value]) -> list[ir.Node]:
    """Those of `nodes` that `wanted` depends on, in order."""
    needed = set(wanted)
    found = []
    for node in reversed(nodes):
        if any(output in needed for output in node.outputs):
            found.append(node)
            needed.update(value for value in node.inputs if value is not None)
    return found[::-1]


def _dependents(nodes: Sequence[ir.Node], failed: set[ir.Node]) -> set[ir.Node]:
    """`failed` and every node that needs one of them."""
    reached = set(failed)
    for node in nodes:
        if any(value is not None and value.producer() in reached for value in node.inputs):
            reached.add(node)
    return reached
