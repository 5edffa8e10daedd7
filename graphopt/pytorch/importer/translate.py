"""From an ExportedProgram to the graph IR: torch's own ONNX exporter, then our names, weights and state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import onnx_ir as ir
import torch
from torch.export.graph_signature import ConstantArgument
from torch.utils import _pytree as pytree

from graphopt.errors import TraceError
from graphopt.pytorch.importer import convolution, normalization, quantization, recurrence, recurrent
from graphopt.pytorch.importer.capture import Captured
from graphopt.pytorch.importer.eager import quiet
from graphopt.pytorch.importer.interface import settle_interface
from graphopt.pytorch.importer.provenance import tell_provenance
from graphopt.pytorch.importer.state import returning_state
from graphopt.pytorch.importer.torchlib import kept_table
from graphopt.pytorch.importer.untranslated import explained_translation
from graphopt.pytorch.importer.weights import share_weights
from graphopt.pytorch.signature import SIGNATURE_KEY

OPSET = 18
"""The opset that the exporter's library is written for; later ones are made from it by conversion."""


def translate(
    captured: Captured, custom_translation_table: Mapping[Callable[..., Any], Callable[..., Any]]
) -> ir.Model:
    """The graph of a captured module.

    Raises:
        TraceError: an operator has no translation.
    """
    translations = {
        **convolution.translations(),
        **normalization.translations(),
        **recurrent.translations(),
        **recurrence.translations(),
        **quantization.translations(),
        **custom_translation_table,
    }
    try:
        # With gradients on, torch's exporter may lay out what an attention returns unlike what export did.
        with torch.no_grad(), quiet(), kept_table(translations), _tensors_only(captured.program):
            program, written = returning_state(captured.program)
            exported = torch.onnx.export(
                program,
                dynamo=True,
                optimize=False,
                verbose=False,
                opset_version=OPSET,
                custom_translation_table=translations,
            )
    except Exception as error:
        raise explained_translation(error, type(captured.module).__name__) from error
    model: ir.Model = exported.model
    quantization.settle_opset(model)
    model.graph.name = type(captured.module).__name__
    lowered = exported.exported_program
    if len(lowered.graph_signature.user_outputs) != len(lowered.graph_signature.output_specs):
        raise TraceError(
            f"{type(captured.module).__name__} cannot be translated: it writes to an argument or a buffer in "
            "a way that the graph would lose",
            hint="return the new value instead of writing it in place",
        )
    weights = share_weights(model, lowered, captured.module, {each.target for each in written})
    signature = settle_interface(model, captured, lowered, weights, written)
    tell_provenance(model)
    model.meta[SIGNATURE_KEY] = signature
    return model


@contextmanager
def _tensors_only(program: torch.export.ExportedProgram) -> Iterator[None]:
    """The program's results as a flat tuple without numbers for a while: torch's exporter knows none."""
    node = program.graph.output_node()
    signature = program.module_call_graph[0].signature
    args, out_spec, specs = node.args, signature.out_spec, program.graph_signature.output_specs
    kept = list(specs)
    tensors = [arg for arg in args[0] if isinstance(arg, torch.fx.Node)]
    node.args = (tuple(tensors),)
    signature.out_spec = pytree.tree_structure(tuple(range(len(tensors))))
    specs[:] = [spec for spec in specs if not isinstance(spec.arg, ConstantArgument)]
    try:
        yield
    finally:
        node.args, signature.out_spec = args, out_spec
        specs[:] = kept
