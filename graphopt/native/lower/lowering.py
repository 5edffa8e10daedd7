"""From a graph to the steps of a program, node by node; and why a node cannot be one.

Outputs of a node that no program can run are taken to come from outside. So one walk says of every node
whether a program could run it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from graphopt.execute.evaluate import evaluate
from graphopt.execute.support import DIES_OF_NOTHING
from graphopt.ir import constant_tensor, is_deterministic, opset, subgraphs
from graphopt.native.lower.forms import Form, Known, Stored
from graphopt.native.lower.ops import RULES
from graphopt.native.lower.scope import Scope, Unsupported, dims_of, identity
from graphopt.native.lower.steps import Steps

TYPES = {
    ir.DataType.FLOAT: "f32",
    ir.DataType.UINT8: "u8",
    ir.DataType.INT8: "s8",
    ir.DataType.INT32: "s32",
    ir.DataType.INT64: "s64",
    ir.DataType.BOOL: "bool",
}
"""Element types that programs know."""

_NARROW = {ir.DataType.INT4: np.int8, ir.DataType.UINT4: np.uint8}
"""Codes of less than a byte, which as constants are bytes in programs."""

_DOMAINS = {"ai.onnx": ""}


@dataclass
class Lowered:
    """What became of a graph.

    Attributes:
        steps: Of the program, as good as they are before anything is fused.
        reasons: Node -> why no program can run it.
    """

    steps: Steps
    reasons: dict[ir.Node, str] = field(default_factory=dict)


def lower(
    model: ir.Model,
    nodes: Sequence[ir.Node],
    inputs: Sequence[ir.Value],
    outputs: Collection[ir.Value],
    *,
    floats_too: bool = False,
) -> Lowered:
    """Lower some nodes of the main graph of a model whose shapes are known.

    Args:
        model: It is left as it is.
        nodes: In topological order.
        inputs: What they read of the rest; what comes from constants alone need not be among them.
        outputs: What is read of them.
        floats_too: Products of floats are steps, too; otherwise their nodes are given a reason.
    """
    scope = Scope(opset(model), floats_too=floats_too)
    result = Lowered(scope.steps)
    _constants(model, nodes, scope)
    for value in inputs:
        _enter(scope, value)
    for node in nodes:
        if all(value in scope.forms for value in node.outputs):
            continue
        scope.node = node
        for read in node.inputs:
            if read is not None:
                _enter(scope, read)
        try:
            _lower(scope, node)
        except Unsupported as error:
            result.reasons[node] = error.message
            for value in node.outputs:
                _enter(scope, value)
    for value in outputs:
        if value.name is None or value not in scope.forms:
            continue
        scope.node = value.producer() or ir.Node("", "Identity", [])
        form = scope.forms[value]
        try:
            stored = scope.any(form)
            scope.steps.outputs[value.name] = scope.in_order(stored, identity(len(stored.order))).value
        except Unsupported as error:
            result.reasons.setdefault(scope.node, f"its output cannot be written: {error.message}")
    return result


def _lower(scope: Scope, node: ir.Node) -> None:
    rule = RULES.get((_DOMAINS.get(node.domain, node.domain), node.op_type))
    if rule is None:
        raise Unsupported(f"programs have no {node.op_type}")
    forms = rule(scope)
    for value, form in zip(node.outputs, forms if isinstance(forms, list) else [forms], strict=False):
        scope.forms[value] = form


def _enter(scope: Scope, value: ir.Value) -> None:
    """Make a value an input of the program; where it cannot be one, who reads it will say so."""
    tensor = isinstance(value.type, ir.TensorType)
    kind = TYPES.get(value.dtype) if tensor and value.dtype is not None else None
    if value in scope.forms or kind is None or value.shape is None:
        return
    dims = dims_of(value.shape)
    name = value.name or f"input{len(scope.steps.inputs)}"
    stored = Stored(scope.steps.input(name, kind, dims), identity(len(dims)))
    form: Form = scope.as_coded(stored) if kind in ("u8", "s8") else stored
    scope.forms[value] = form


def _constants(model: ir.Model, nodes: Sequence[ir.Node], scope: Scope) -> None:
    """Constants, and what nodes make of constants alone; but for DequantizeLinear, whose codes are of use."""
    fixed: set[ir.Value] = set()
    foldable = []
    for node in nodes:
        for value in node.inputs:
            tensor = constant_tensor(value)
            if value is not None and tensor is not None and value not in scope.forms:
                _know(scope, value, tensor)
                fixed.add(value)
        own = [value for value in node.inputs if value is not None]
        if node.op_type == "Constant" and not node.domain:
            tensor = constant_tensor(node.outputs[0])
            if tensor is not None:
                _know(scope, node.outputs[0], tensor)
                fixed.add(node.outputs[0])
        elif (
            own
            and all(value in fixed for value in own)
            and node.op_type != "DequantizeLinear"
            and _is_foldable(node)
        ):
            foldable.append(node)
            fixed.update(node.outputs)
    wanted = [value for node in foldable for value in node.outputs if value.name]
    for value, tensor in evaluate(foldable, wanted, model.opset_imports).tensors.items():
        _know(scope, value, tensor)


def _is_foldable(node: ir.Node) -> bool:
    """Whether a node of constant inputs always gives the same tensors, and may be asked for them."""
    return (
        is_deterministic(node)
        and not subgraphs(node)
        and node.op_type not in DIES_OF_NOTHING
        and all(
            isinstance(value.type, ir.TensorType) and value.dtype is not None
            for value in node.outputs
            if value.name
        )
    )


def _know(scope: Scope, value: ir.Value, tensor: ir.TensorProtocol) -> None:
    """Make a value a constant, if it is of a type that programs know or of codes that fit into bytes."""
    if tensor.dtype in TYPES:
        scope.forms[value] = Known(tensor.numpy())
    elif tensor.dtype in _NARROW:
        scope.forms[value] = Known(tensor.numpy().astype(_NARROW[tensor.dtype]))
