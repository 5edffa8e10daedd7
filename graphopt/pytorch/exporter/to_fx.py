"""`to_fx`: an ONNX model as a trainable torch.fx.GraphModule."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import onnx_ir as ir
from torch import fx

from graphopt.errors import TranslationError
from graphopt.io import load
from graphopt.ir import count_operators
from graphopt.pytorch.exporter.bodies import expand
from graphopt.pytorch.exporter.constants import Constants
from graphopt.pytorch.exporter.emitter import Emitter
from graphopt.pytorch.exporter.interface import add_arguments, add_inputs, nested_result, result
from graphopt.pytorch.exporter.names import identifier
from graphopt.pytorch.exporter.prepare import prepare
from graphopt.pytorch.exporter.registry import translations, translator_of
from graphopt.pytorch.signature import SIGNATURE_KEY

if TYPE_CHECKING:
    import onnx


def to_fx(model: str | os.PathLike[str] | onnx.ModelProto | ir.Model) -> fx.GraphModule:
    """A PyTorch graph module that computes what an ONNX model computes.

    Float weights are parameters, copied from the model's, under their own names; statistics, integers and
    quantization scales are buffers. Gradients flow through every float operator, and straight through a pair
    of quantize and dequantize. Sizes are computed from the inputs, so dynamic dimensions stay dynamic.

    Args:
        model: A file, a `ModelProto` or an `onnx_ir.Model`; it is not changed.

    Returns:
        A module in eval mode that takes the model's inputs in their order, as tensors, and returns its
        output, or a tuple of them. Inputs with a default come last and may be left out (before IR version 4,
        where every initializer had to be an input, they are plain weights). Outputs of a model that
        `graphopt.trace` made are nested as the module's were.

    Raises:
        TranslationError: Operators without a form in PyTorch, all named.
        GraphoptError: The model cannot be read.
    """
    own = load(model)
    prepare(own)
    expand(own, _is_translated)
    emitter = Emitter(Constants())
    signature = model.meta.get(SIGNATURE_KEY) if isinstance(model, ir.Model) else None
    if signature is None:
        add_inputs(emitter, own.graph)
    else:
        add_arguments(emitter, own.graph, signature)
    _require_translations(own)
    emitter.emit(own.graph)
    if signature is None:
        outputs = result(emitter, own.graph)
    else:
        outputs = nested_result(emitter, own.graph, signature)
    name = identifier(own.graph.name or "Model")
    return emitter.finish(outputs, name)


def _is_translated(node: ir.Node) -> bool:
    return (node.domain, node.op_type) == ("", "Constant") or translator_of(node) is not None


def _require_translations(model: ir.Model) -> None:
    missing = sorted({operator for operator in count_operators(model) if operator not in translations()})
    missing = [operator for operator in missing if operator != ("", "Constant")]
    if missing:
        named = ", ".join(f"{domain}::{op_type}" if domain else op_type for domain, op_type in missing)
        raise TranslationError(f"no translation to PyTorch for {named}")
