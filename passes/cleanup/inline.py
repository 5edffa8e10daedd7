"""Put the bodies of model-local functions in the place of their calls, everywhere, and drop the functions.

A function whose opset means something else by one of its operators than the model's is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx.defs
import onnx_ir as ir

from graphopt.ir import Changes, graph_and_bodies, infer_shapes
from graphopt.ir.edit import splice, substitute_outputs
from graphopt.ir.graphs import Names
from graphopt.pipeline import Pass


@dataclass(frozen=True)
class Inline(Pass):
    """Inline model-local functions."""

    name: ClassVar[str] = "inline"
    exact: ClassVar[bool] = True

    def apply(self, model: ir.Model, changes: Changes) -> None:
        if not model.functions:
            return
        names = Names(model)
        kept = _refused(model, changes)
        stack = [call for graph in _roots(model, kept) for call in _calls(model, graph, kept)]
        while stack:
            call = stack.pop()
            stack.extend(_inline(model, call, names, kept))
            changes.add("call of a function")
        _drop_functions(model, changes)
        if changes.count:
            infer_shapes(model)


def _roots(model: ir.Model, kept: set[ir.OperatorIdentifier]) -> list[ir.Graph]:
    return [model.graph, *(model.functions[key].graph for key in kept)]


def _calls(model: ir.Model, graph: ir.Graph, kept: set[ir.OperatorIdentifier]) -> list[ir.Node]:
    return [
        node
        for inner in graph_and_bodies(graph)
        for node in inner
        if node.op_identifier() in model.functions and node.op_identifier() not in kept
    ]


def _inline(model: ir.Model, call: ir.Node, names: Names, kept: set[ir.OperatorIdentifier]) -> list[ir.Node]:
    """Inline one call; returns the calls that its body made."""
    function = model.functions[call.op_identifier()]
    for domain, version in function.opset_imports.items():
        model.opset_imports.setdefault(domain, version)
    attributes = {name: default for name, default in function.attributes.items() if default.value is not None}
    attributes.update(call.attributes)
    body = function.graph.clone()
    inner_calls = _calls(model, body, kept)
    for inner in graph_and_bodies(body):
        for node in inner:
            node.metadata_props.update(
                {key: text for key, text in call.metadata_props.items() if key not in node.metadata_props}
            )
            if call.name:
                node.name = f"{call.name}/{node.name or node.op_type}"
    substitute_outputs(call, splice(body, call, names, call.inputs, attributes))
    return inner_calls


def _refused(model: ir.Model, changes: Changes) -> set[ir.OperatorIdentifier]:
    """Functions that stay, with reasons counted once for each."""
    kept = set()
    for key, function in model.functions.items():
        reason = _reason_against(model, function)
        if reason is not None:
            kept.add(key)
            changes.refuse(reason, ":".join(part for part in key if part))
    return kept


def _reason_against(model: ir.Model, function: ir.Function) -> str | None:
    if _calls_itself(model, function):
        return "the function calls itself"
    for domain, version in function.opset_imports.items():
        imported = model.opset_imports.get(domain, version)
        if imported == version:
            continue
        for inner in graph_and_bodies(function.graph):
            for node in inner:
                if node.domain == domain and not _same_meaning(node, version, imported):
                    told = f"{domain or 'ai.onnx'}.{node.op_type} means something else"
                    return f"{told} in opset {version} of the function and {imported} of the model"
    return None


def _calls_itself(model: ir.Model, function: ir.Function) -> bool:
    start = function.identifier()
    reached: set[ir.OperatorIdentifier] = set()
    stack = [start]
    while stack:
        for node in model.functions[stack.pop()].all_nodes():
            key = node.op_identifier()
            if key == start:
                return True
            if key in model.functions and key not in reached:
                reached.add(key)
                stack.append(key)
    return False


def _same_meaning(node: ir.Node, left: int, right: int) -> bool:
    """Whether two opset versions of a domain give the operator of `node` the same definition."""
    try:
        schemas = [onnx.defs.get_schema(node.op_type, version, node.domain) for version in (left, right)]
    except onnx.defs.SchemaError:
        return False
    return bool(schemas[0].since_version == schemas[1].since_version)


def _drop_functions(model: ir.Model, changes: Changes) -> None:
    reached: set[ir.OperatorIdentifier] = set()
    stack = [model.graph]
    while stack:
        for node in stack.pop().all_nodes():
            key = node.op_identifier()
            if key in model.functions and key not in reached:
                reached.add(key)
                stack.append(model.functions[key].graph)
    for key in [key for key in model.functions if key not in reached]:
        del model.functions[key]
        changes.add("function")
