"""Take a value apart once where Slices and Gathers took it apart piece by piece.

    Slice(x, 0, 65), Slice(x, 65, 130)       ->  Split(x, [65, 65])
    Gather(x, [0]), Gather(x, [1])           ->  Split(x, [1, 1])
    Split(x) -> Relu(a), Relu(b)             ->  Split(Relu(x))

The pieces must make up the whole axis without overlap; then elementwise work that is done to each of them
alike is done once, before. Runs last: rotary embeddings and windows are recognised by their Slices.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import (
    PROVENANCE_KEY,
    Changes,
    Names,
    Reject,
    facts,
    graph_and_bodies,
    opset,
    remove_node,
    replace_value,
    scalar,
)
from graphopt.ir.shapes import infer_node
from graphopt.passes.fusion._views import Part, part
from graphopt.pipeline import Pass

FIRST_OPSET_WITH_INPUT = 13
"""From here on Split takes the sizes of its parts as an input."""


@dataclass(frozen=True)
class SlicesToSplit(Pass):
    """Take a value apart by one Split where Slices or Gathers take all of it."""

    name: ClassVar[str] = "slices-to-split"
    exact: ClassVar[bool] = True

    def apply(self, model: ir.Model, changes: Changes) -> None:
        names = Names(model)
        version = opset(model)
        for graph in graph_and_bodies(model.graph):
            for readers in _taken_apart(graph):
                try:
                    _split(model, readers, names, version)
                    changes.add("pieces to Split")
                except Reject as reason:
                    if str(reason):
                        changes.refuse(str(reason), readers[0].name)
            for node in list(graph):
                while node.op_type == "Split" and not node.domain and _hoist(model, node, names):
                    changes.add("work before Split")


def _taken_apart(graph: ir.Graph) -> Iterable[list[ir.Node]]:
    """Slices and Gathers of one graph that read the same value, in order."""
    found: dict[ir.Value, list[ir.Node]] = {}
    for node in graph:
        if node.op_type in ("Slice", "Gather") and not node.domain and node.inputs[0] is not None:
            found.setdefault(node.inputs[0], []).append(node)
    return [readers for readers in found.values() if len(readers) > 1]


def _split(model: ir.Model, readers: list[ir.Node], names: Names, version: int) -> None:
    value = readers[0].inputs[0]  # a piece that was taken apart itself is another value by now
    assert value is not None
    parts = [(part(value, reader), reader) for reader in readers]
    parts.sort(key=lambda pair: pair[0].start)
    _check_whole([each for each, _ in parts])
    if any(reader.outputs[0].is_graph_output() for reader in readers):
        raise Reject("a piece is an output of the graph")
    first = readers[0]
    graph = first.graph
    assert graph is not None
    axis, sizes = parts[0][0].axis, [each.stop - each.start for each, _ in parts]
    outputs = [ir.Value(name=names.fresh(f"{reader.outputs[0].name}/Split")) for _, reader in parts]
    inputs: list[ir.Value | None] = [value]
    attributes = [ir.AttrInt64("axis", axis)]
    if version < FIRST_OPSET_WITH_INPUT:
        attributes.append(ir.AttrInt64s("split", sizes))
    else:
        inputs.append(_ints(graph, sizes, names))
    node = ir.Node("", "Split", inputs, attributes, outputs=outputs, name=outputs[0].name)
    node.metadata_props[PROVENANCE_KEY] = ", ".join(reader.name or "" for reader in readers)
    graph.insert_before(first, node)
    for output, (_, reader) in zip(outputs, parts, strict=True):
        replace_value(reader.outputs[0], output, is_new=True)
        remove_node(reader)
    infer_node(model, node)


def _check_whole(parts: list[Part]) -> None:
    """Reject pieces that overlap, leave a gap, drop the axis or lie along different ones."""
    ends = [0, *(each.stop for each in parts)]
    if len({each.axis for each in parts}) > 1 or any(each.drops for each in parts):
        raise Reject("")
    if ends[-1] != parts[0].size or any(
        each.start != end for each, end in zip(parts, ends[:-1], strict=True)
    ):
        raise Reject("the pieces do not make up the whole axis, or overlap")


def _ints(graph: ir.Graph, elements: list[int], names: Names) -> ir.Value:
    name = names.fresh("sizes")
    tensor = ir.tensor(elements, dtype=ir.DataType.INT64, name=name)
    value = ir.Value(
        name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape([len(elements)]), const_value=tensor
    )
    graph.initializers.add(value)
    return value


def _hoist(model: ir.Model, split: ir.Node, names: Names) -> bool:
    """Do before a Split what is done alike to each of its outputs and to nothing else."""
    readers = [_only_reader(output) for output in split.outputs]
    first = readers[0]
    if first is None or len(readers) < 2 or split.graph is None:
        return False
    for reader, output in zip(readers, split.outputs, strict=True):
        if reader is None or reader.graph is not split.graph or not _alike(first, reader, split, output):
            return False
    source = split.inputs[0]
    made = ir.Value(name=names.fresh(f"{first.outputs[0].name}/whole"))
    inputs = [source if value is split.outputs[0] else value for value in first.inputs]
    node = ir.Node("", first.op_type, inputs, first.attributes.values(), outputs=[made], name=made.name)
    origin = [reader.metadata_props.get(PROVENANCE_KEY) or reader.name or "" for reader in readers if reader]
    node.metadata_props[PROVENANCE_KEY] = ", ".join(filter(None, origin))
    split.graph.insert_before(split, node)
    infer_node(model, node)
    split.replace_input_with(0, made)
    for reader, output in zip(readers, split.outputs, strict=True):
        assert reader is not None
        reader.outputs[0].replace_all_uses_with(output)
        output.type = reader.outputs[0].type
        remove_node(reader)
    return True


def _only_reader(value: ir.Value) -> ir.Node | None:
    """The single elementwise node that reads a value; None where there is none, or it makes an output."""
    readers = {use.node: None for use in value.uses()}
    if len(readers) != 1 or value.is_graph_output():
        return None
    (node,) = readers
    known = facts(node)
    single = known.elementwise and not known.random and len(node.outputs) == 1
    return node if single and not node.outputs[0].is_graph_output() else None


def _alike(first: ir.Node, reader: ir.Node, split: ir.Node, output: ir.Value) -> bool:
    """Whether two readers of outputs of a Split do the same to them, each with single numbers besides."""
    if (reader.op_type, reader.domain, len(reader.inputs)) != (first.op_type, "", len(first.inputs)):
        return False
    if {each.name: each.value for each in reader.attributes.values()} != {
        each.name: each.value for each in first.attributes.values()
    }:
        return False
    for ours, theirs in zip(first.inputs, reader.inputs, strict=True):
        if ours is split.outputs[0] and theirs is output:
            continue
        if ours is None and theirs is None:
            continue
        number, other = scalar(ours), scalar(theirs)
        if number is None or other is None or number != other or ours is None or ours.dtype is None:
            return False
        if ours.shape is None or len(ours.shape) > len(output.shape or ()):
            return False
    return True
