"""From an ExportedProgram to the graph IR: torch's own ONNX exporter, then our names, weights and state."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import onnx_ir as ir
import torch
from torch.export.graph_signature import ConstantArgument

from graphopt.pytorch.importer import convolution, quantization, recurrent
from graphopt.pytorch.importer.capture import Captured
from graphopt.pytorch.importer.eager import quiet
from graphopt.pytorch.importer.interface import settle_interface
from graphopt.pytorch.importer.provenance import tell_provenance
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
    try:
        with quiet(), kept_table(), _without_constant_outputs(captured.program):
            exported = torch.onnx.export(
                captured.program,
                dynamo=True,
                optimize=False,
                verbose=False,
                opset_version=OPSET,
                custom_translation_table={
                    **convolution.translations(),
                    **recurrent.translations(),
                    **quantization.translations(),
                    **custom_translation_table,
                },
            )
    except Exception as error:
        raise explained_translation(error, type(captured.module).__name__) from error
    model: ir.Model = exported.model
    quantization.settle_opset(model)
    lowered = exported.exported_program
    share_weights(model, lowered)
    signature = settle_interface(model, captured, lowered)
    tell_provenance(model)
    model.meta[SIGNATURE_KEY] = signature
    return model


@contextmanager
def _without_constant_outputs(program: torch.export.ExportedProgram) -> Iterator[None]:
    """Numbers that forward returns taken out of the graph for a while: torch's exporter knows None only."""
    node = program.graph.output_node()
    args, specs = node.args, program.graph_signature.output_specs
    kept = list(specs)
    node.args = (tuple(arg if isinstance(arg, torch.fx.Node) else None for arg in args[0]),)
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
