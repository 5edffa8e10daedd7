"""What the installed onnxruntime can run at all: which opsets, and which operators of them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import onnx
import onnx.defs
import onnx_ir as ir
from onnx import helper

from graphopt.errors import ExecutionError
from graphopt.execute.session import Session
from graphopt.ir.kernels import Type, has_kernel, kernels
from graphopt.ir.opsets import Draft, oldest_ir_version

DIES_OF_NOTHING = frozenset({"InstanceNormalization", "RoiAlign", "Unique"})
"""Operators whose kernels end the process on operands without elements (seen in onnxruntime 1.31)."""


_GRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


@dataclasses.dataclass(frozen=True)
class _Probe:
    """A node alone, its inputs of any shape.

    Attributes:
        op_type: Its operator.
        version: Opset that defines it.
        inputs: Element types of its inputs; None for absent ones.
        outputs: How many outputs it has.
        attributes: Its attributes, told apart by `written`.
        written: Their names and values.
    """

    op_type: str
    version: int
    inputs: tuple[Type, ...]
    outputs: int = 1
    attributes: tuple[ir.Attr, ...] = dataclasses.field(default=(), compare=False)
    written: str = ""


def dying(model: ir.Model) -> list[ir.Node]:
    """Nodes of the main graph whose kernels end the process on operands without elements."""
    return [node for node in model.graph if node.op_type in DIES_OF_NOTHING and not node.domain]


def runs_opset(version: int) -> bool:
    """Whether the installed onnxruntime loads models of an opset and of the IR version that goes with it."""
    return _loads(_Probe("Identity", version, (ir.DataType.FLOAT,)))


def runs_node(draft: Draft, version: int) -> bool:
    """Whether the installed onnxruntime runs what a node becomes, of the types it has, at an opset.

    What has no kernel is tried alone: onnxruntime may know it as a function of others, or cast.
    """
    inputs = tuple(map(_type, draft.inputs))
    outputs = tuple(map(_type, draft.node.outputs[: draft.outputs]))
    if has_kernel(draft.op_type, version, inputs, outputs):
        return True
    unknown = [value for value, dtype in zip(draft.inputs, inputs, strict=True) if value and not dtype]
    attributes = tuple(draft.attributes.values())
    if unknown or any(attribute.is_ref() or attribute.type in _GRAPHS for attribute in attributes):
        return runs_operator(draft.op_type, version)
    written = "; ".join(f"{attribute.name}: {attribute.value!r}" for attribute in attributes)
    return _loads(_Probe(draft.op_type, version, inputs, draft.outputs, attributes, written))


def runs_on_types(node: ir.Node, version: int, inputs: Sequence[Type], outputs: Sequence[Type]) -> bool:
    """Whether the installed onnxruntime runs a standard node, without bodies, on values of other types.

    Args:
        node: Its operator and attributes.
        version: Version of the standard operator set.
        inputs: Element types of its inputs; None for those that are absent.
        outputs: The same of its outputs.
    """
    if has_kernel(node.op_type, version, tuple(inputs), tuple(outputs)):
        return True
    attributes = tuple(node.attributes.values())
    written = "; ".join(f"{attribute.name}: {attribute.value!r}" for attribute in attributes)
    return _loads(_Probe(node.op_type, version, tuple(inputs), len(outputs), attributes, written))


@functools.cache
def runs_operator(op_type: str, version: int) -> bool:
    """Whether the installed onnxruntime has a CPU kernel for a standard operator as an opset defines it.

    True as well where it does without one because the operator is a function of others that mean the same at
    that opset, and where this onnxruntime does not tell which kernels it has.
    """
    known = kernels()
    if not known or not onnx.defs.has(op_type, domain="", max_inclusive_version=version):
        return True
    schema: Any = onnx.defs.get_schema(op_type, version, "")
    since = schema.since_version
    if any(kernel.serves(since) for kernel in known.get(op_type, ())):
        return True
    if schema.has_context_dependent_function:
        return all(runs_operator(each, since) for each in _operators_within(schema))
    return bool(schema.has_function) and all(
        _definition(node.op_type, since) == _definition(node.op_type, version)
        for node in schema.function_body.node
    )


def _operators_within(schema: Any) -> list[str]:
    """Operators of the function that an operator is on float32; none where it needs to know more."""
    names = [formal.name for formal in schema.inputs[: max(schema.min_input, 1)]]
    node = helper.make_node(schema.name, names, ["out"])
    single = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None).SerializeToString()
    try:
        body = schema.get_context_dependent_function(node.SerializeToString(), [single] * len(names))
    except (RuntimeError, ValueError):
        return []
    made = onnx.FunctionProto.FromString(body).node
    return [each.op_type for each in made if each.op_type not in (schema.name, "Constant")]


def _definition(op_type: str, version: int) -> int:
    return int(onnx.defs.get_schema(op_type, version, "").since_version)


def _type(value: ir.Value | None) -> Type:
    return value.dtype if value is not None and isinstance(value.type, ir.TensorType) else None


@functools.cache
def _loads(probe: _Probe) -> bool:
    inputs = [
        None if dtype is None else ir.Value(name=f"x{index}", type=ir.TensorType(dtype))
        for index, dtype in enumerate(probe.inputs)
    ]
    node = ir.Node("", probe.op_type, inputs, probe.attributes, num_outputs=probe.outputs, name="node")
    for index, output in enumerate(node.outputs):
        output.name = f"y{index}"
    given = [value for value in inputs if value is not None]
    graph = ir.Graph(given, node.outputs, nodes=[node], opset_imports={"": probe.version}, name="alone")
    try:
        Session(ir.Model(graph, ir_version=oldest_ir_version(probe.version)), fallback=False)
    except ExecutionError:
        return False
    return True
