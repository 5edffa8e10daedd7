"""What forward writes to, buffers and arguments, as outputs of the captured program.

torch's exporter drops writes; so the program is made one that returns the next values.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass

import torch
from torch.export.graph_signature import OutputKind, OutputSpec
from torch.utils import _pytree as pytree


@dataclass(frozen=True)
class Written:
    """Something that forward writes to.

    Attributes:
        target: Name of the buffer, or of the argument's placeholder.
        is_argument: It is an argument.
    """

    target: str
    is_argument: bool


def returning_state(
    program: torch.export.ExportedProgram,
) -> tuple[torch.export.ExportedProgram, tuple[Written, ...]]:
    """A program that computes the same and writes nothing: the next values come before its other outputs.

    Args:
        program: A captured program; it is left as it is, and returned itself if it writes nothing.
    """
    if not _writes(program):
        return program, ()
    functional = program.run_decompositions({})
    specs = functional.graph_signature.output_specs
    written = tuple(
        Written(spec.target, spec.kind == OutputKind.USER_INPUT_MUTATION)
        for spec in specs
        if spec.kind != OutputKind.USER_OUTPUT
    )
    specs[:] = [OutputSpec(OutputKind.USER_OUTPUT, spec.arg, None) for spec in specs]
    signature = functional.module_call_graph[0].signature
    signature.out_spec = pytree.tree_structure(tuple(range(len(specs))))
    return functional, written


def _writes(program: torch.export.ExportedProgram) -> bool:
    if any(spec.kind != OutputKind.USER_OUTPUT for spec in program.graph_signature.output_specs):
        return True
    return any(
        _is_given(node)
        for module in program.graph_module.modules()
        if isinstance(module, torch.fx.GraphModule)
        for changed in module.graph.nodes
        for node in _written(changed)
    )


def _written(node: torch.fx.Node) -> list[torch.fx.Node]:
    """The arguments that a node's operator writes to."""
    if not isinstance(node.target, torch._ops.OpOverload) or not node.target._schema.is_mutable:
        return []
    return [
        given
        for argument, given in zip(node.target._schema.arguments, node.args, strict=False)
        if isinstance(given, torch.fx.Node)
        and argument.alias_info is not None
        and argument.alias_info.is_write
    ]


def _is_given(node: torch.fx.Node) -> bool:
    """Whether a value is the memory of an input or weight, or a view of it."""
    while node.op == "call_function":
        sources = [arg for arg in node.args if isinstance(arg, torch.fx.Node)]
        if node.target is not operator.getitem and isinstance(node.target, torch._ops.OpOverload):
            sources = [
                given
                for argument, given in zip(node.target._schema.arguments, node.args, strict=False)
                if argument.alias_info is not None and isinstance(given, torch.fx.Node)
            ]
        if not sources:
            return False
        node = sources[0]
    return True
