"""From an ExportedProgram to the graph IR: torch's own ONNX exporter, then our names, weights and state."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import onnx_ir as ir
import torch
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.utils import _pytree as pytree

from graphopt.errors import TraceError
from graphopt.pytorch.importer.capture import Captured, quiet
from graphopt.pytorch.importer.provenance import tell_provenance
from graphopt.pytorch.importer.weights import share_weights
from graphopt.pytorch.signature import SIGNATURE_KEY, Leaf, Signature

OPSET = 18


def translate(
    captured: Captured, custom_translation_table: Mapping[Callable[..., Any], Callable[..., Any]]
) -> ir.Model:
    """The graph of a captured module.

    Raises:
        TraceError: an operator has no translation.
    """
    try:
        with quiet(), _without_constant_outputs(captured.program):
            exported = torch.onnx.export(
                captured.program,
                dynamo=True,
                optimize=False,
                verbose=False,
                opset_version=OPSET,
                custom_translation_table=dict(custom_translation_table),
            )
    except Exception as error:
        raise TraceError(f"the module cannot be translated: {str(error).splitlines()[-1]}") from error
    model = exported.model
    share_weights(model)
    tell_provenance(ir.traversal.RecursiveGraphIterator(model.graph))
    _settle_interface(model, captured, exported.exported_program)
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    return model


@contextmanager
def _without_constant_outputs(program: torch.export.ExportedProgram) -> Iterator[None]:
    """Numbers that forward returns taken out of the graph for a while: torch's exporter knows None only."""
    node = program.graph_module.graph.output_node()
    args = node.args
    node.args = (tuple(arg if isinstance(arg, torch.fx.Node) else None for arg in args[0]),)
    specs = program.graph_signature.output_specs
    kept = list(specs)
    specs[:] = [
        dataclasses.replace(spec, arg=ConstantArgument(spec.arg.name, None))
        if isinstance(spec.arg, ConstantArgument)
        else spec
        for spec in specs
    ]
    try:
        yield
    finally:
        node.args = args
        specs[:] = kept


def _settle_interface(model: ir.Model, captured: Captured, lowered: torch.export.ExportedProgram) -> None:
    """Name inputs and outputs after their places, give state its inputs and outputs, keep the Signature."""
    graph = model.graph
    values = {value.name: value for value in _values(graph)}
    program = captured.program
    paths, _ = pytree.tree_flatten_with_path((captured.args, captured.kwargs))
    specs = [spec for spec in program.graph_signature.input_specs if spec.kind == InputKind.USER_INPUT]
    renamed: list[tuple[ir.Value, str]] = []
    inputs: list[Leaf] = []
    for (path, _), spec in zip(paths, specs, strict=True):
        if isinstance(spec.arg, ConstantArgument):
            inputs.append(Leaf(None, spec.arg.value))
            continue
        name = _free(input_name(path, captured.parameters), graph.initializers)
        renamed.append((values[spec.arg.name], name))
        inputs.append(Leaf(name))
    outputs: list[Leaf] = []
    made: list[ir.Value] = []
    taken = {leaf.name for leaf in inputs} | set(graph.initializers)
    state: dict[str, str] = {}
    out_spec = program.call_spec.out_spec
    user_outputs = [s for s in lowered.graph_signature.output_specs if s.kind == OutputKind.USER_OUTPUT]
    out_paths, _ = pytree.tree_flatten_with_path(
        pytree.tree_unflatten(list(range(out_spec.num_leaves)), out_spec)
    )
    kept = [s for s in program.graph_signature.output_specs if s.kind == OutputKind.USER_OUTPUT]
    for (path, _), spec, original in zip(out_paths, user_outputs, kept, strict=True):
        if isinstance(original.arg, ConstantArgument):
            outputs.append(Leaf(None, original.arg.value))
            continue
        name = _free(output_name(path), taken)
        taken.add(name)
        made.append(_as_output(graph, values[spec.arg.name], name, made, renamed))
        outputs.append(Leaf(name))
    for spec in lowered.graph_signature.output_specs:
        if spec.kind == OutputKind.BUFFER_MUTATION and spec.target in graph.initializers:
            buffer = graph.initializers[spec.target]
            graph.inputs.append(buffer)
            made.append(_as_output(graph, values[spec.arg.name], f"{spec.target}.next", made, renamed))
            state[f"{spec.target}.next"] = spec.target
    graph.outputs.clear()
    for value, name in renamed:
        value.name = name
    _make_room({name for _, name in renamed}, graph)
    graph.outputs.extend(made)
    for value in _values(graph):
        value.metadata_props.clear()
    model.meta[SIGNATURE_KEY] = Signature(
        captured.parameters, program.call_spec.in_spec, tuple(inputs), out_spec, tuple(outputs), state
    )


def _as_output(
    graph: ir.Graph, value: ir.Value, name: str, made: list[ir.Value], renamed: list[tuple[ir.Value, str]]
) -> ir.Value:
    """The value under its output name; through Identity where it is an input, a weight or an output already."""
    if value.producer() is not None and value not in made:
        renamed.append((value, name))
        return value
    node = ir.Node("", "Identity", [value], name=f"{name}/Identity")
    output = node.outputs[0]
    output.type, output.shape = value.type, value.shape
    graph.append(node)
    renamed.append((output, name))
    return output


def _make_room(names: set[str], graph: ir.Graph) -> None:
    """Rename inner values that bear a name of the interface."""
    settled: set[str] = set(graph.initializers)
    interface = {id(value) for value in (*graph.inputs, *graph.initializers.values())}
    for value in _values(graph):
        if id(value) in interface or value.name not in names | settled:
            continue
        if value.name in settled:
            value.name = f"{value.name}_inner"


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    yield from (value for value in graph.initializers.values() if value not in graph.inputs)
    for node in graph:
        yield from node.outputs


def _free(name: str, taken: Any) -> str:
    while name in taken:
        name += "_"
    return name


def input_name(path: tuple[Any, ...], parameters: tuple[str, ...]) -> str:
    """`past.0.key` for the leaf at a path of `(args, kwargs)`."""
    kind, first, *rest = (_key(key) for key in path)
    if kind == 0:
        first = parameters[first] if first < len(parameters) else f"input_{first}"
    return ".".join(str(part) for part in (first, *rest))


def output_name(path: tuple[Any, ...]) -> str:
    """`logits` or `past.0` for the leaf at a path of a result; `output`, `output_0` where it has no name."""
    if not path:
        return "output"
    first, *rest = (_key(key) for key in path)
    head = f"output_{first}" if isinstance(first, int) else str(first)
    return ".".join([head, *(str(part) for part in rest)])


def _key(key: Any) -> Any:
    for attribute in ("idx", "key", "name"):
        if hasattr(key, attribute):
            return getattr(key, attribute)
    return str(key)
