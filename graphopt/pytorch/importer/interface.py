"""The interface of a traced graph: names of inputs and outputs, state, and the Signature that tells of them.

Torch's exporter names values after its own nodes; here they get the names a user knows. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import onnx_ir as ir
import torch
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.utils import _pytree as pytree

from graphopt.errors import TraceError
from graphopt.pytorch.importer.assumptions import assumption_notes
from graphopt.pytorch.importer.capture import Captured
from graphopt.pytorch.importer.dimensions import name_dimensions, range_notes, symbol_names
from graphopt.pytorch.importer.state import Written
from graphopt.pytorch.importer.weights import add_state
from graphopt.pytorch.signature import Leaf, Signature

NEXT = ".next"
"""Suffix of the output that holds the next value of a buffer or argument that forward writes to."""


def settle_interface(
    model: ir.Model,
    captured: Captured,
    lowered: torch.export.ExportedProgram,
    weights: Mapping[str, ir.Value],
    written: Sequence[Written],
) -> Signature:
    """Name inputs, outputs and dimensions, and give state its inputs and outputs.

    Args:
        model: The translated graph; its values bear the names of the nodes of `lowered`.
        captured: What was traced.
        lowered: The program the graph was made from; its outputs begin with the next values of `written`.
        weights: The initializer that holds each of its tensors.
        written: What forward writes to.
    """
    graph = model.graph
    program = captured.program
    # A weight may bear the name of a node or an argument: those of the program's nodes count.
    values = {value.name: value for node in graph for value in node.outputs}
    given = iter(graph.inputs)
    for spec in lowered.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT and not isinstance(spec.arg, ConstantArgument):
            values[spec.arg.name] = next(given)
        elif spec.target in weights:
            values[spec.arg.name] = weights[spec.target]
    inputs, notes = _inputs(captured, graph.initializers)
    placeholders = [spec.arg.name for spec in _user_inputs(lowered)]
    names = dict(zip(placeholders, (leaf.name for leaf in inputs), strict=True))
    outputs = _Outputs(graph, {leaf.name for leaf in inputs if leaf.name} | set(graph.initializers))
    out_spec = program.call_spec.out_spec
    results = []
    tensors = iter(_user_outputs(lowered)[len(written) :])
    for path, spec in zip(_paths(out_spec), _user_outputs(program), strict=True):
        if isinstance(spec.arg, ConstantArgument):
            results.append(Leaf(None, spec.arg.value))
        else:
            results.append(Leaf(outputs.add(values[next(tensors).arg.name], output_name(path))))
    state: dict[str, str] = {}
    for each, spec in zip(written, _user_outputs(lowered), strict=False):
        name = names[each.target] if each.is_argument else each.target
        assert name is not None
        if not each.is_argument:
            add_state(model, name, lowered)
        state[outputs.add(values[spec.arg.name], name + NEXT)] = name
        notes.append(f"forward writes to {name!r}: its next value is an output of the graph")
    if not outputs.made:
        raise TraceError(
            f"{type(captured.module).__name__} cannot be traced: its forward returns no tensor",
            hint="return what it computes",
        )
    for placeholder, name in names.items():
        if name is not None:
            values[placeholder].name = name
    outputs.settle()
    sizes = _sizes(lowered, placeholders)
    symbols, dimension_notes = symbol_names(sizes, captured.dimensions.asked, [leaf.name for leaf in inputs])
    name_dimensions(_all_values(model), symbols)
    assumed = assumption_notes(program, symbols, captured.assumptions)
    return Signature(
        captured.parameters,
        program.call_spec.in_spec,
        tuple(inputs),
        out_spec,
        tuple(results),
        state,
        (*notes, *dimension_notes, *range_notes(program, symbols), *assumed),
    )


class _Outputs:
    """The graph's outputs in the making: each a value of its own, under a name of its own."""

    def __init__(self, graph: ir.Graph, taken: set[str]) -> None:
        self._graph = graph
        self._taken = taken
        self.made: list[tuple[ir.Value, str]] = []
        graph.outputs.clear()

    def add(self, value: ir.Value, name: str) -> str:
        """Make a value an output; through Identity where it is an input, a weight or an output already."""
        while name in self._taken:
            name = f"{name}_out" if not name.endswith("_out") else f"{name}_"
        self._taken.add(name)
        if value.producer() is None or any(value is made for made, _ in self.made):
            copy = ir.Node("", "Identity", [value], name=f"{name}/Identity")
            copy.outputs[0].type, copy.outputs[0].shape = value.type, value.shape
            self._graph.append(copy)
            value = copy.outputs[0]
        self.made.append((value, name))
        return name

    def settle(self) -> None:
        """Give the outputs their names, and other names to inner values that had those."""
        interface = {id(value) for value, _ in self.made}
        interface |= {id(value) for value in (*self._graph.inputs, *self._graph.initializers.values())}
        inner = [value for value in _values(self._graph) if id(value) not in interface]
        everywhere = self._taken | {value.name for value in inner}
        for value in inner:
            if value.name in self._taken:
                value.name = _free(f"{value.name}_inner", everywhere)
                everywhere.add(value.name)
        for value, name in self.made:
            value.name = name
        self._graph.outputs.extend(value for value, _ in self.made)


def _inputs(captured: Captured, taken: Container[str]) -> tuple[list[Leaf], list[str]]:
    """The leaves of the arguments, and notes on those that became constants."""
    leaves: list[Leaf] = []
    notes = []
    names: set[str] = set()
    specs = _user_inputs(captured.program)
    paths = _paths(captured.program.call_spec.in_spec)
    for path, spec in zip(paths, specs, strict=True):
        name = input_name(path, captured.parameters)
        if isinstance(spec.arg, ConstantArgument):
            leaves.append(Leaf(None, spec.arg.value))
            if spec.arg.value is not None:
                notes.append(f"argument {name!r} is a constant in the graph: {spec.arg.value!r}")
            continue
        while name in taken or name in names:
            name += "_input" if not name.endswith("_input") else "_"
        names.add(name)
        leaves.append(Leaf(name))
    return leaves, notes


def _user_inputs(program: torch.export.ExportedProgram) -> list[Any]:
    return [spec for spec in program.graph_signature.input_specs if spec.kind == InputKind.USER_INPUT]


def _user_outputs(program: torch.export.ExportedProgram) -> list[Any]:
    return [spec for spec in program.graph_signature.output_specs if spec.kind == OutputKind.USER_OUTPUT]


def _sizes(program: torch.export.ExportedProgram, placeholders: Sequence[str]) -> list[Sequence[Any] | None]:
    """Shape of each user input, with torch's symbols; None where it is no tensor."""
    shapes = {
        node.name: tuple(node.meta["val"].shape)
        for node in program.graph.find_nodes(op="placeholder")
        if isinstance(node.meta.get("val"), torch.Tensor)
    }
    return [shapes.get(name) for name in placeholders]


def _paths(structure: pytree.TreeSpec) -> list[tuple[Any, ...]]:
    """The keys that lead to each leaf of a pytree: numbers, names of fields, keys of dicts."""
    if structure.is_leaf():
        return [()]
    children = structure.children() if hasattr(structure, "children") else structure.children_specs
    return [
        (key, *rest)
        for key, child in zip(_keys(structure, len(children)), children, strict=True)
        for rest in _paths(child)
    ]


def _keys(structure: pytree.TreeSpec, count: int) -> Sequence[Any]:
    """Keys of a container's children, which its class keeps in the context of the structure."""
    context = structure.context
    if isinstance(context, type) and hasattr(context, "_fields"):  # a named tuple
        return list(context._fields)
    for keys in (context, *(context if isinstance(context, (tuple, list)) else ())):
        if (
            isinstance(keys, (tuple, list))
            and len(keys) == count
            and all(isinstance(k, str | int) for k in keys)
        ):
            return keys
    return range(count)


def _all_values(model: ir.Model) -> Iterator[ir.Value]:
    yield from _values(model.graph)
    for node in model.graph.all_nodes():
        yield from node.outputs
    for function in model.functions.values():
        yield from function.inputs
        for node in function.all_nodes():
            yield from node.outputs


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    yield from (value for value in graph.initializers.values() if not value.is_graph_input())
    for node in graph:
        yield from node.outputs


def _free(name: str, taken: Container[str | None]) -> str:
    while name in taken:
        name += "_"
    return name


def input_name(path: Sequence[Any], parameters: Sequence[str]) -> str:
    """`past.0.key` for the leaf at a path of `(args, kwargs)`."""
    kind, first, *rest = path
    if kind == 0:
        first = parameters[first] if first < len(parameters) else f"input_{first}"
    return ".".join(str(part) for part in (first, *rest))


def output_name(path: Sequence[Any]) -> str:
    """`logits` or `past.0` for the leaf at a path of a result; `output`, `output_0` where it has no name."""
    if not path:
        return "output"
    first, *rest = path
    head = f"output_{first}" if isinstance(first, int) else str(first)
    return ".".join([head, *(str(part) for part in rest)])
