"""What does not compute: documentation, metadata, producer, and names."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import graphs, is_constant_node
from graphopt.ir.edit import named_tensor
from graphopt.testing.reduce.case import Case, Take


def drop_metadata(case: Case, take: Take) -> None:
    """Leave out documentation, metadata and what the model says of its origin."""
    model = case.model
    if not take():
        return
    model.producer_name = model.producer_version = model.domain = model.doc_string = None
    model.model_version = None
    model.metadata_props.clear()
    for graph in graphs(model):
        graph.doc_string = None
        graph.metadata_props.clear()
        for value in (*graph.inputs, *graph.initializers.values()):
            _clear(value)
        for node in graph:
            _clear(node)
            for output in node.outputs:
                _clear(output)


def shorten_names(case: Case, take: Take) -> None:
    """Name inputs x, outputs y, weights w and the rest v, numbered, and the nodes not at all."""
    model = case.model
    if not take():
        return
    model.graph.name = "reduced"
    values: dict[ir.Value, str] = {}
    counts: dict[str, int] = {}
    for graph in graphs(model):
        for node in graph:
            node.name = ""  # None would be given a name
            if is_constant_node(node) and "value" in node.attributes:
                tensor = named_tensor(node.attributes["value"].as_tensor(), None)
                node.attributes["value"] = ir.AttrTensor("value", tensor)
        groups = (graph.inputs, graph.initializers.values(), (v for node in graph for v in node.outputs))
        for letter, group in zip("xwv", groups, strict=True):
            for value in group:
                if value.name and value not in values:
                    first = "y" if letter == "v" and value.is_graph_output() else letter
                    values[value] = f"{first}{counts.get(first, 0)}"
                    counts[first] = counts.get(first, 0) + 1
    for number, value in enumerate(values):
        case.rename(value, f"\0{number}")  # no name that is given next
    for value, name in values.items():
        case.rename(value, name)


def _clear(thing: ir.Node | ir.Value) -> None:
    thing.doc_string = None
    thing.metadata_props.clear()
