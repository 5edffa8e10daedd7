"""The public face of the importer: a module and example inputs in, a checked graph out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphopt.pytorch.importer.capture import capture
from graphopt.pytorch.importer.equality import check_against_module
from graphopt.pytorch.importer.translate import translate
from graphopt.pytorch.signature import SIGNATURE_KEY, Signature

if TYPE_CHECKING:
    import torch


def trace(
    module: torch.nn.Module | torch.export.ExportedProgram,
    example_inputs: Any = None,
    dynamic_shapes: Any = None,
    *,
    check: bool = True,
    custom_translation_table: Mapping[Callable[..., Any], Callable[..., Any]] | None = None,
) -> ir.Model:
    """Turn a PyTorch module into a graph.

    Args:
        module: An `nn.Module`, a `torch.fx.GraphModule` or a `torch.export.ExportedProgram`. It is traced in
            eval mode, and every submodule's mode is restored.
        example_inputs: A tensor, a tuple of arguments, or a dict of arguments by parameter name. May be left
            out for an ExportedProgram that has its own.
        dynamic_shapes: Which dimensions may vary: the forms of `torch.export`, where a text names a
            dimension, as in `{"ids": {0: "batch", 1: "length"}}`. The names stand in the graph's shapes; one
            name in two places is one dimension. Everything else is fixed to the size in the example.
        check: Run the graph and compare it with what the module itself returns for the example inputs.
        custom_translation_table: Translations of further operators, as `torch.onnx.export` takes them.

    Returns:
        The graph. Its initializers share the memory of the module's parameters and buffers and bear their
        names; `model.meta["graphopt.signature"]` holds the `Signature`.

    Raises:
        TraceError: the module cannot be captured, an operator has no translation, or the graph computes
            something else than the module. The message names the source line.
    """
    captured = capture(module, example_inputs, dynamic_shapes)
    model = translate(captured, custom_translation_table or {})
    if check:
        signature: Signature = model.meta[SIGNATURE_KEY]
        notes = check_against_module(model, signature, captured)
        model.meta[SIGNATURE_KEY] = dataclasses.replace(signature, notes=(*signature.notes, *notes))
    return model
