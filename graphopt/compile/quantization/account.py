"""The account of a quantized model: each layer that weighs, what it runs in, why, and how far it is off."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sized
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.compile.quantization.attempts import Attempt, converting
from graphopt.compile.quantization.schemes import QuantizationScheme
from graphopt.errors import ExecutionError
from graphopt.execute import Samples, Session
from graphopt.execute.samples import Part
from graphopt.ir import constant_tensor, infer_shapes
from graphopt.quant.measures import sqnr_db
from graphopt.quant.pairs import DEQUANTIZE, is_dq, is_q
from graphopt.quant.predict import FLOAT, Placement, predict
from graphopt.report import Quantization, QuantizedLayer
from graphopt.targets import Target

SAMPLES, ELEMENTS = 4, 1 << 15
"""As many, and as many elements of each, tell the noise of a layer."""

_DECODING = frozenset(
    {"Cast", DEQUANTIZE, "Gather", "Mul", "Sub", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)
"""Operators between codes and the node whose weights they are, with or without one for each block."""


def account(attempt: Attempt, target: str, samples: Iterable[Mapping[str, Any]] | None) -> Quantization:
    """Say what became of a model.

    Args:
        attempt: How it was quantized.
        target: Name or file of the target.
        samples: Sets of inputs to compare layers on, of which a few are used; None compares none.
    """
    model = attempt.made.model.clone()
    infer_shapes(model)
    rules = Target.load(target).quantization
    placements = [] if rules is None else predict(model, rules)
    refused = {name: reason for reason, name in converting(attempt.made, attempt.base)[-1].told}
    layers = [_layer(each, attempt, refused) for each in placements if each.heavy]
    if attempt.scheme.as_asked and not any(each.runs_in != FLOAT or each.weights for each in layers):
        layers = []  # passes that quantize nothing
    _add_noise(layers, model, attempt, samples)
    scores = attempt.scores
    if scores is None:
        return Quantization(attempt.scheme.name, layers=layers)
    return Quantization(
        attempt.scheme.name, scores.metric, scores.value, scores.drop, scores.sqnr, scores.samples, layers,
        of_samples=len(samples) if isinstance(samples, Sized) else scores.samples,
        held_out=isinstance(samples, Part),
        calibrated_on=isinstance(samples, Samples) and bool(attempt.scheme.preparation()),
    )  # fmt: skip


def _layer(placement: Placement, attempt: Attempt, refused: Mapping[str, str]) -> QuantizedLayer:
    """One layer; why it is in float is best known to who left it there, then the pass, then the rules."""
    node, name = placement.node, placement.node.name or ""
    runs_in = _half(node) if placement.runs_in == FLOAT and _half(node) else placement.runs_in
    reasons = (attempt.keep.get(name), refused.get(name), _stored(node, attempt.scheme), placement.cause)
    return QuantizedLayer(
        name=name,
        op=node.op_type,
        runs_in=runs_in,
        reason=next(filter(None, reasons), "") if runs_in == FLOAT else "",
        weights=_weights(node),
        sensitivity=attempt.noise.get(name),
        weight_bytes=_weight_bytes(node),
    )


def _add_noise(
    layers: list[QuantizedLayer],
    model: ir.Model,
    attempt: Attempt,
    samples: Iterable[Mapping[str, Any]] | None,
) -> None:
    """Compare the outputs of layers that still stand in the float model under their names."""
    made = {node.name: _seen(node.outputs[0]) for node in model.graph}
    before = {output.name for node in attempt.base.model.graph for output in node.outputs}
    pairs = {layer.name: made.get(layer.name, ("", "")) for layer in layers}
    pairs = {name: pair for name, pair in pairs.items() if pair[0] in before}
    if samples is None or not pairs:
        return
    outputs = {value.name for value in model.graph.outputs}
    names = [list(dict.fromkeys(each)) for each in zip(*pairs.values(), strict=True)]
    try:
        sessions = [
            Session(each, extra_outputs=[name for name in wanted if name not in outputs])
            for each, wanted in zip((attempt.base.model, model), names, strict=True)
        ]
        for values in itertools.islice(samples, SAMPLES):
            one, other = (session.run(values) for session in sessions)
            for layer in layers:
                if layer.name in pairs:
                    before_it, after = pairs[layer.name]
                    if one[before_it].shape != other[after].shape:
                        continue  # channels went
                    found = sqnr_db(_thinned(one[before_it]), _thinned(other[after]))
                    layer.sqnr = found if layer.sqnr is None else min(found, layer.sqnr)
    except ExecutionError:
        return


def _seen(value: ir.Value) -> tuple[str, str]:
    """Names of a value in the float model and of what stands for it now: what its codes are decoded to."""
    for user in value.consumers():
        if is_q(user):
            for reader in user.outputs[0].consumers():
                if is_dq(reader):
                    return value.name or "", reader.outputs[0].name or ""
    return value.name or "", value.name or ""


def _thinned(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Elements evenly spread over an array, as many as tell its noise."""
    return array.ravel()[:: max(1, array.size // ELEMENTS)]


def _half(node: ir.Node) -> str:
    """The type of half floats that a node reads; "" if it reads others."""
    dtype = None if not node.inputs or node.inputs[0] is None else node.inputs[0].dtype
    return dtype.name.lower() if dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16) else ""


def _stored(node: ir.Node, scheme: QuantizationScheme) -> str:
    """What there is to say of codes that are the weights of a node in float; "" if there are none."""
    tensor, at_load = _codes(node)
    if tensor is None:
        return ""
    when = "when the model is loaded" if at_load else "at every run"
    few = getattr(scheme, "bits", tensor.dtype.bitwidth)
    wider = f"; it sums too few products for {few} bits" if few < tensor.dtype.bitwidth else ""
    return f"weights of {_weights(node)}, decoded {when}{wider}"


def _weights(node: ir.Node) -> str:
    """The type of a node's weights, if they are codes."""
    tensor, _ = _codes(node)
    return "" if tensor is None else tensor.dtype.name.lower()


def _weight_bytes(node: ir.Node) -> int:
    tensors = [_codes(node)[0], *(constant_tensor(value) for value in node.inputs)]
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def _codes(node: ir.Node) -> tuple[ir.TensorProtocol | None, bool]:
    """The constant codes that a node's weights are decoded from, and whether a runtime does so at load.

    It folds operators on constants then, but for a DequantizeLinear, which it takes for one to fuse.
    """
    at_load = True
    value = node.inputs[1] if len(node.inputs) > 1 else None
    maker = None if value is None else value.producer()
    while maker is not None and maker.op_type in _DECODING and maker.inputs[0] is not None:
        tensor = constant_tensor(maker.inputs[0])
        at_load &= maker.op_type != DEQUANTIZE
        if tensor is not None:
            return (tensor if tensor.dtype.is_integer() else None), at_load
        maker = maker.inputs[0].producer()
    return None, at_load
