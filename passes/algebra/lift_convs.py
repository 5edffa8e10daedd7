"""Compute convolutions along one axis as such over two, the other one of size 1.

    Conv(x [N, C, L], w [O, C, k])  ->  Squeeze(Conv(Unsqueeze(x, 2), w [O, C, 1, k]), 2)

Runtimes tune Conv over two axes: onnxruntime blocks its channels, and does not over one. Time of the lifted
form, both views counted, one thread: one Conv of 256x512 0.89, 64x64 0.90, 128x4 0.49, 32x1000 by 7 taps
0.66; four Conv and Relu over 129 channels 0.79-0.88, three over 16000 places 0.49. One tap gains nothing.
Whole chains are lifted, with the elementwise work, pooling, Slice, Split and Concat between, so that views
stand at their ends only; they merge with others there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    PROVENANCE_KEY,
    Changes,
    Names,
    attribute_int,
    attribute_ints,
    constant,
    constant_tensor,
    constant_value,
    facts,
    graph_and_bodies,
    opset,
    rank,
    replace_value,
    scalar,
)
from graphopt.passes.fusion._linear import CONVS, COPIED_WEIGHT_BYTES
from graphopt.passes.operands import FIRST_OPSET_WITH_AXES_INPUT
from graphopt.pipeline import Pass

NEW_AXIS = 2
FLAT_RANK = 3
POOLS = ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool")
FIRST_INPUT_ALONE = (*CONVS, *POOLS, "Split", "Slice")
"""Of their inputs only the first one is data."""


@dataclass(frozen=True)
class LiftConvs(Pass):
    """Compute convolutions along one axis as such over two."""

    name: ClassVar[str] = "lift-convs"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        names = Names(model)
        for graph in graph_and_bodies(model.graph):
            for chain in _chains(graph):
                _trim(chain)
                entries, exits = _entries(chain), _exits(chain)
                gain = sum(node.op_type in CONVS and _taps(node) > 1 for node in chain)
                if not gain:
                    continue
                if len(entries) + len(exits) > 2 * gain:
                    changes.refuse("more views than Convs would come", next(iter(chain)).name)
                    continue
                _Lifting(graph, names, opset(model)).lift(chain, entries, exits)
                changes.add("convolutions lifted", gain)


Chain = dict[ir.Node, None]
"""Nodes that read each other, in the order of the graph."""


def _chains(graph: ir.Graph) -> Iterable[Chain]:
    """Groups of nodes that can be lifted together; those without a Conv left out."""
    if not any(node.op_type in CONVS and rank(node.inputs[0]) == FLAT_RANK for node in graph):
        return []
    of_node: dict[ir.Node, Chain] = {}
    for node in graph:
        if not _can_be_lifted(node):
            continue
        chain: Chain = {node: None}
        producers = (value.producer() for value in node.inputs if value is not None)
        joined = {id(found): found for each in producers if each and (found := of_node.get(each))}
        for found in joined.values():
            small, large = sorted((chain, found), key=len)
            large.update(small)
            chain = large
            of_node.update(dict.fromkeys(small, large))
        of_node[node] = chain
    order = {node: at for at, node in enumerate(graph)}
    groups = {id(chain): chain for chain in of_node.values()}.values()
    return [dict.fromkeys(sorted(group, key=order.__getitem__)) for group in groups]


def _can_be_lifted(node: ir.Node) -> bool:
    if node.domain or any(rank(output) != FLAT_RANK for output in node.outputs):
        return False
    if node.op_type in CONVS:
        weight = node.inputs[1]
        tensor = constant_tensor(weight)
        if (
            weight is None
            or tensor is None
            or not _is_data(node.inputs[0])
            or "output_shape" in node.attributes
        ):
            return False
        return len(weight.uses()) == 1 or tensor.nbytes <= COPIED_WEIGHT_BYTES
    if node.op_type in POOLS:
        return _is_data(node.inputs[0]) and len(node.outputs) == 1
    if node.op_type == "Slice":
        return _is_data(node.inputs[0]) and len(node.inputs) > 3 and constant(node.inputs[3]) is not None
    if node.op_type in ("Split", "Concat"):
        return all(map(_is_data, node.inputs if node.op_type == "Concat" else node.inputs[:1]))
    known = facts(node)
    if not known.elementwise or known.random:
        return False
    return any(map(_is_data, node.inputs)) and all(
        value is None or _is_data(value) or (scalar(value) is not None and (rank(value) or 0) <= 1)
        for value in node.inputs
    )


def _is_data(value: ir.Value | None) -> bool:
    return value is not None and rank(value) == FLAT_RANK and constant_tensor(value) is None


def _taps(conv: ir.Node) -> int:
    tensor = constant_tensor(conv.inputs[1])
    assert tensor is not None
    return int(tensor.shape.numpy()[-1])


def _entries(chain: Chain) -> dict[ir.Value, ir.Node]:
    """Values that a chain reads from outside, each with its first reader."""
    found: dict[ir.Value, ir.Node] = {}
    for node in chain:
        for value in _data(node):
            if value.producer() not in chain:
                found.setdefault(value, node)
    return found


def _data(node: ir.Node) -> list[ir.Value]:
    values = node.inputs[:1] if node.op_type in FIRST_INPUT_ALONE else node.inputs
    return [value for value in values if value is not None and _is_data(value)]


def _exits(chain: Chain) -> list[ir.Value]:
    """Values of a chain that are read outside."""
    return [output for node in chain for output in node.outputs if _leaves(output, chain)]


def _leaves(output: ir.Value, chain: Chain) -> bool:
    return output.is_graph_output() or any(use.node not in chain for use in output.uses())


def _trim(chain: Chain) -> None:
    """Take nodes off the ends of a chain that would need more views than what is next to them."""
    stack = list(chain)
    while stack:
        node = stack.pop()
        if node.op_type in CONVS or node not in chain:
            continue
        inside = [value.producer() for value in _data(node) if value.producer() in chain]
        readers = [use.node for output in node.outputs for use in output.uses() if use.node in chain]
        several_in = not inside and len(set(_data(node))) > 1
        several_out = not readers and len(node.outputs) > 1
        if not several_in and not several_out:
            continue
        del chain[node]
        stack += [each for each in (*inside, *readers) if each is not None]


class _Lifting:
    def __init__(self, graph: ir.Graph, names: Names, version: int) -> None:
        self._graph = graph
        self._names = names
        self._version = version

    def lift(self, chain: Chain, entries: dict[ir.Value, ir.Node], exits: list[ir.Value]) -> None:
        """Let the nodes of `chain` compute with an axis of size 1 more."""
        lifted: dict[ir.Value, ir.Value] = {}
        for value, reader in entries.items():
            node = self._view("Unsqueeze", value, ir.Value(name=self._names.fresh(f"{value.name}/lifted")))
            self._graph.insert_before(reader, node)
            lifted[value] = node.outputs[0]
            lifted[value].shape, lifted[value].type = _with_axis(value.shape), value.type
        for node in chain:
            for index, read in enumerate(node.inputs):
                if read in lifted and not (node.op_type in FIRST_INPUT_ALONE and index):
                    node.replace_input_with(index, lifted[read])
            self._widen(node)
        for value in exits:
            self._lower(value, chain)
        for node in chain:
            for output in node.outputs:
                output.shape = _with_axis(output.shape)
                if output not in exits:  # a name stands for one value, and this one has an axis more
                    output.name = self._names.fresh(f"{output.name}/lifted")

    def _widen(self, node: ir.Node) -> None:
        if node.op_type in ("Split", "Concat"):
            node.attributes["axis"] = ir.AttrInt64("axis", _moved(attribute_int(node, "axis", 0)))
        if node.op_type == "Slice":
            axes = constant(node.inputs[3])
            assert axes is not None
            moved = np.array([_moved(int(axis)) for axis in axes.reshape(-1)], axes.dtype)
            node.replace_input_with(3, self._constant(moved, "axes"))
        if node.op_type in CONVS:
            weight = constant(node.inputs[1])
            assert weight is not None and node.inputs[1] is not None
            node.replace_input_with(1, self._constant(weight[:, :, None], node.inputs[1].name or "weight"))
        if node.op_type not in (*CONVS, *POOLS):
            return
        for name, own in (("kernel_shape", 1), ("strides", 1), ("dilations", 1), ("output_padding", 0)):
            given = attribute_ints(node, name)
            if given is not None:
                node.attributes[name] = ir.AttrInt64s(name, [own, *given])
        pads = attribute_ints(node, "pads")
        if pads is not None:
            node.attributes["pads"] = ir.AttrInt64s("pads", [0, pads[0], 0, pads[1]])

    def _lower(self, value: ir.Value, chain: Chain) -> None:
        """Give those outside a view of `value` as it was, under its name."""
        producer = value.producer()
        assert producer is not None
        inside = [use for use in value.uses() if use.node in chain]
        lowered = ir.Value(name=None, type=value.type, shape=value.shape)
        name = value.name
        replace_value(value, lowered, is_new=True)
        value.name = self._names.fresh(f"{name}/lifted")
        for use in inside:
            use.node.replace_input_with(use.idx, value)
        node = self._view("Squeeze", value, lowered)
        self._graph.insert_after(producer, node)

    def _view(self, op_type: str, value: ir.Value, output: ir.Value) -> ir.Node:
        inputs: list[ir.Value | None] = [value]
        attributes: list[ir.Attr] = []
        if self._version < FIRST_OPSET_WITH_AXES_INPUT:
            attributes.append(ir.AttrInt64s("axes", [NEW_AXIS]))
        else:
            inputs.append(self._constant(np.array([NEW_AXIS], np.int64), "axes"))
        node = ir.Node("", op_type, inputs, attributes, outputs=[output], name=f"{value.name}/{op_type}")
        producer = value.producer()
        if producer is not None:
            origin = producer.metadata_props.get(PROVENANCE_KEY) or producer.name or ""
            node.metadata_props[PROVENANCE_KEY] = origin
        return node

    def _constant(self, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], hint: str) -> ir.Value:
        value = constant_value(self._names.fresh(hint), np.ascontiguousarray(array))
        self._graph.initializers.add(value)
        return value


def _moved(axis: int) -> int:
    """An axis, counted from the front, where it stands once the new one is there."""
    axis %= FLAT_RANK
    return axis + (axis >= NEW_AXIS)


def _with_axis(shape: ir.Shape | None) -> ir.Shape | None:
    if shape is None or len(shape) != FLAT_RANK:
        return shape
    dims = list(shape.dims)
    return ir.Shape([*dims[:NEW_AXIS], 1, *dims[NEW_AXIS:]])
