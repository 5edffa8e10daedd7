"""The ONNX form of `graphopt::recurrence`, in which graph modules hold ONNX's recurrent layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from onnxscript import opset18 as op

from graphopt.pytorch.functional import recurrent

_ALPHA = {"affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu"}
_BETA = {"affine", "scaledtanh", "hardsigmoid"}
_SPOKEN = {
    name.lower(): name
    for name in (
        *("Sigmoid", "Tanh", "Relu", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh"),
        *("HardSigmoid", "Elu", "Softsign", "Softplus"),
    )
}


def translations() -> Mapping[Callable[..., Any], Callable[..., Any]]:
    """Translation of the operator, for `torch.onnx.export(custom_translation_table=...)`."""
    assert recurrent  # its import defines the operator
    return {torch.ops.graphopt.recurrence.default: _recurrence}


def _recurrence(
    kind: str,
    x: Any,
    w: Any,
    r: Any,
    b: Any,
    sequence_lens: Any,
    initial_h: Any,
    initial_c: Any,
    p: Any,
    direction: str,
    names: Sequence[str],
    alphas: Sequence[float],
    betas: Sequence[float],
    clip: float | None,
    input_forget: bool,
    linear_before_reset: bool,
) -> tuple[Any, Any, Any]:
    operands = [x, w, r, b, sequence_lens, initial_h]
    if sequence_lens is not None:
        operands[4] = op.Cast(sequence_lens, to=6)  # int32, the only type that ONNX takes
    options: dict[str, Any] = {
        "hidden_size": int(r.shape[2]),
        "direction": direction,
        "activations": [_SPOKEN[name] for name in names],
    }
    for attribute, having, numbers in (("alpha", _ALPHA, alphas), ("beta", _BETA, betas)):
        given = [number for name, number in zip(names, numbers, strict=True) if name in having]
        if given:
            options[f"activation_{attribute}"] = given
    if clip is not None:
        options["clip"] = clip
    if kind == "LSTM":
        operands += [initial_c, p]
        options["input_forget"] = int(input_forget)
    if kind == "GRU":
        options["linear_before_reset"] = int(linear_before_reset)
    y, h, *c = getattr(op, kind)(*operands, **options)
    return y, h, c[0] if c else h
