"""Signals: Fourier transforms, windows and mel filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import signal as functions

_HAMMING_ALPHA = 25 / 46

_WINDOWS: dict[str, tuple[Callable[..., Any], tuple[float, ...]]] = {
    "HannWindow": (torch.hann_window, ()),
    "HammingWindow": (torch.hamming_window, (_HAMMING_ALPHA, 1 - _HAMMING_ALPHA)),
    "BlackmanWindow": (torch.blackman_window, ()),
}
_FLOATS = (torch.float32, torch.float64)


@translates("DFT")
def dft(site: Site) -> fx.Node:
    """The axis is an input since version 20, an attribute before."""
    axis = site.attribute("axis", 1) if site.opset() < 20 else site.number(2, default=-2)
    return site.call(
        functions.dft,
        site.tensor(0),
        site.number(1),
        axis=None if axis == -2 else axis,
        inverse=bool(site.attribute("inverse", 0)) or None,
        onesided=bool(site.attribute("onesided", 0)) or None,
    )


@translates("STFT")
def stft(site: Site) -> fx.Node:
    return site.call(
        functions.stft,
        site.tensor(0),
        site.number(1),
        window=site.optional(2),
        length=site.number(3),
        onesided=None if site.attribute("onesided", 1) else False,
    )


@translates(*_WINDOWS)
def window(site: Site) -> fx.Node:
    function, parameters = _WINDOWS[site.node.op_type]
    dtype = site.torch_type("output_datatype", ir.DataType.FLOAT)
    own = dtype if dtype in _FLOATS else torch.float32
    periodic = bool(site.attribute("periodic", 1))
    y = site.call(function, site.number(0), periodic, *parameters, dtype=own)
    return y if dtype == own else site.method("to", y, dtype)


@translates("MelWeightMatrix")
def mel_weight_matrix(site: Site) -> fx.Node:
    dtype = site.torch_type("output_datatype", ir.DataType.FLOAT)
    numbers = [site.number(index) for index in range(5)]
    return site.call(functions.mel_weight_matrix, *numbers, dtype=None if dtype == torch.float32 else dtype)
