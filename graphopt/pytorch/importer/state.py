"""What forward writes to, buffers and arguments, as outputs of the captured program.

torch's exporter drops writes; so the program is made one that returns the next values.
"""

from __future__ import annotations

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
        isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable
        for module in program.graph_module.modules()
        if isinstance(module, torch.fx.GraphModule)
        for node in module.graph.nodes
    )
