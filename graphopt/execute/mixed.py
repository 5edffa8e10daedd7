"""Run a graph node by node: in onnxruntime what it can run, in the ONNX reference evaluator what it lacks.

The fallback for models that onnxruntime does not load. The reference evaluator alone would do, were it not
slow and, for older forms of some operators (BatchNormalization before 15), wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper

from graphopt.execute.limits import Budget
from graphopt.execute.session import Session
from graphopt.ir import PROGRAM, PROGRAM_DOMAIN

INLINE_BYTES = 1 << 16
"""Constants up to this size stay constants for each node that reads them; larger ones are handed over."""


_COMPILED = (PROGRAM_DOMAIN, PROGRAM)


class MixedEvaluator:
    """A model ready to run, as `onnx.reference.ReferenceEvaluator` is.

    Args:
        proto: The model, all weights inside.
        budget: What all runs of its nodes may take; without, there is no limit.
        change: What each input, constant and result of the main graph becomes before it is used.
    """

    def __init__(
        self,
        proto: onnx.ModelProto,
        budget: Budget | None = None,
        change: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        self._proto = proto
        self._budget = budget
        self._change = change
        self._constants = {tensor.name: tensor for tensor in proto.graph.initializer}
        self._arrays = {name: change(_array(tensor)) for name, tensor in self._constants.items()}
        self._last = _last_uses(proto.graph)
        programs = [node for node in proto.graph.node if (node.domain, node.op_type) == _COMPILED]
        written = {name for node in programs for name in node.output}  # of types that nothing else tells
        known = (*proto.graph.value_info, *proto.graph.output)
        self._declared = {value.name: value for value in known if value.name in written}

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, Any]) -> list[Any]:
        """The outputs of those names, or of the graph.

        Args:
            outputs: Names of values of the main graph.
            inputs: Arrays by name; lists of arrays for sequences.

        Raises:
            ExecutionError: A node runs nowhere, or fails.
            LimitError: The budget is spent.
        """
        wanted = [value.name for value in self._proto.graph.output] if outputs is None else list(outputs)
        values: dict[str, Any] = {**self._arrays, **self._changed(inputs)}
        for place, node in enumerate(self._proto.graph.node):
            read = [name for name in dict.fromkeys(_reads(node)) if name in values]
            constant = [name for name in read if name in self._constants and name not in inputs]
            session = self._session(node, {name: values[name] for name in read}, constant)
            given = {name: values[name] for name in read if name in session.input_names}
            values.update(self._changed(session.run(given)))
            for name in read:
                if self._last[name] == place and name not in wanted and name not in self._arrays:
                    del values[name]
        return [values[name] for name in wanted]

    def _changed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._change(value) for name, value in values.items()}

    def _session(self, node: onnx.NodeProto, operands: Mapping[str, Any], constant: Sequence[str]) -> Session:
        small = [name for name in constant if self._constants[name].ByteSize() <= INLINE_BYTES]
        graph = helper.make_graph(
            [node],
            "node",
            [_declared(name, value) for name, value in operands.items() if name not in small],
            [self._declared.get(name, onnx.ValueInfoProto(name=name)) for name in node.output if name],
            [self._constants[name] for name in small],
        )
        single = onnx.ModelProto(
            ir_version=self._proto.ir_version,
            graph=graph,
            opset_import=self._proto.opset_import,
            functions=self._proto.functions,
        )
        return Session(ir.from_proto(single), budget=self._budget)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Names that a node and its bodies read of the graph around them."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for body in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            own = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
            own.update(name for inner in body.node for name in inner.output)
            read = [name for inner in body.node for name in _reads(inner)]
            yield from (name for name in (*read, *(value.name for value in body.output)) if name not in own)


def _last_uses(graph: onnx.GraphProto) -> dict[str, int]:
    return {name: place for place, node in enumerate(graph.node) for name in _reads(node)}


def _array(tensor: onnx.TensorProto) -> Any:
    return ir.serde.deserialize_tensor(tensor).numpy()


def _declared(name: str, value: Any) -> onnx.ValueInfoProto:
    """The type of a value at hand: a tensor, or a list for a sequence; an empty list counts as of float32."""
    if not isinstance(value, list):
        return onnx.ValueInfoProto(name=name, type=_tensor_type(np.asarray(value)))
    element = _tensor_type(value[0] if value else np.zeros(0, np.float32))
    return onnx.ValueInfoProto(name=name, type=helper.make_sequence_type_proto(element))


def _tensor_type(array: np.ndarray[Any, Any]) -> onnx.TypeProto:
    text = array.dtype.kind in "OUS"
    dtype = ir.DataType.STRING if text else ir.DataType.from_numpy(array.dtype)
    return helper.make_tensor_type_proto(int(dtype), None)
