"""Fewer operands and results: optional inputs left out, variadic ones dropped, unused last outputs too."""

from __future__ import annotations

import onnx.defs
import onnx_ir as ir

from graphopt.ir import nodes
from graphopt.ir.ops import KNOWN_DOMAINS, has_schema
from graphopt.testing.reduce.case import Case, Take

Option = onnx.defs.OpSchema.FormalParameterOption


def drop_operands(case: Case, take: Take) -> None:
    """Leave out each input that a node can do without."""
    for node in nodes(case.model):
        schema = schema_of(case.model, node)
        if schema is None:
            continue
        kept: list[ir.Value | None] = list(node.inputs)
        for index in reversed(range(len(kept))):
            formal = schema.inputs[min(index, len(schema.inputs) - 1)]
            if kept[index] is None:
                continue
            if formal.option == Option.Optional and take():
                kept[index] = None
            elif formal.option == Option.Variadic and len(kept) > max(schema.min_input, 1) and take():
                del kept[index]
        while kept and kept[-1] is None and len(kept) > schema.min_input:
            kept.pop()
        if len(kept) != len(node.inputs) or any(a is not b for a, b in zip(kept, node.inputs, strict=True)):
            for index, value in enumerate(kept):
                node.replace_input_with(index, value)
            node.resize_inputs(len(kept))


def drop_results(case: Case, take: Take) -> None:
    """Leave out the last outputs of nodes that nobody uses and the operator need not give."""
    for node in nodes(case.model):
        schema = schema_of(case.model, node)
        if schema is None:
            continue
        count = len(node.outputs)
        while count > max(schema.min_output, 1) and not _is_used(node.outputs[count - 1]) and take():
            count -= 1
        if count < len(node.outputs):
            node.resize_outputs(count)


def schema_of(model: ir.Model, node: ir.Node) -> onnx.defs.OpSchema | None:
    """The standard's schema of a node at the model's opset; None for an operator of others."""
    version = model.opset_imports.get(node.domain)
    if version is None or node.domain not in KNOWN_DOMAINS or node.op_identifier() in model.functions:
        return None
    if not has_schema(node.domain, node.op_type, version):
        return None
    return onnx.defs.get_schema(node.op_type, version, node.domain)


def _is_used(value: ir.Value) -> bool:
    return bool(value.uses()) or value.is_graph_output()
