"""Softmax and LogSoftmax: how a region is told to compute one of them, of a multiple of its entry.

Rows with elements of -inf are probed too: masks are made of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.idioms.regions import Region
from graphopt.idioms.rows import (
    TOLERANCES,
    FoundReduction,
    NearReduction,
    Observed,
    Outcome,
    mixed_axes,
    observe,
)
from graphopt.idioms.tensors import TensorFunction
from graphopt.ir import constant_tensor

Array = npt.NDArray[Any]

MOST_ELEMENTS = 4096
"""Constants with more elements are not looked through for being one value repeated."""
PROBES = ((1.0, 0.0), (5.0, 0.0), (1e-3, 0.0), (1.0, 20.0), (1.0, -20.0), (80.0, 0.0))
"""Sizes of the rows compared, and their offsets in these sizes."""
LIKENESS = 0.2
"""Relative difference on ordinary rows up to which a region is called nearly a softmax."""


def may_be_softmax(region: Region) -> bool:
    """Whether a region holds an operator that one is spelled with, and no constant of several values."""
    powers = False
    for node in region.nodes:
        if node.op_type in ("Exp", "ReduceLogSumExp", "Softmax", "LogSoftmax"):
            powers = True
        if node.op_type == "Pow" and constant_tensor(node.inputs[0]) is not None:
            powers = True
        if any(_is_varied(value) for value in node.inputs):
            return False
    return powers


def _is_varied(value: ir.Value | None) -> bool:
    tensor = constant_tensor(value)
    if tensor is None or tensor.size <= 1 or not tensor.dtype.is_floating_point():
        return False
    if tensor.size > MOST_ELEMENTS:
        return True
    elements = tensor.numpy().reshape(-1)
    return bool(np.any(elements != elements[0]))


def recognize_softmax(
    function: TensorFunction, dtype: str = "float32", like: FoundReduction | None = None
) -> Outcome:
    """Softmax or LogSoftmax of a multiple of x, if a region is that, or nearly that, or None.

    Args:
        function: The region.
        dtype: Of the entry.
        like: Of no use here: a softmax has no long constants.

    Raises:
        CannotEvaluateError: The region cannot be evaluated.
    """
    seen = observe(function)
    if seen is None or seen.groups > 1:
        return None
    tolerance = TOLERANCES[dtype]
    if len(seen.axes) != 1:
        return mixed_axes(function, "Softmax") or _over_several(seen)
    axis = seen.axes[0]
    near: NearReduction | None = None
    for log in (False, True):
        outcome = _fit_softmax(seen, axis, tolerance, log=log)
        if isinstance(outcome, FoundReduction):
            return outcome
        near = near or outcome
    return near


def _over_several(seen: Observed) -> Outcome:
    """Say so where it is one over several axes at once, for which there is no operator."""
    x, result = seen.at(0, 1, 1.0)
    for name, log in (("Softmax", False), ("LogSoftmax", True)):
        if np.allclose(result, _softmax(x, seen.axes, log=log), rtol=TOLERANCES["float32"]):
            return NearReduction(name, f"it runs over axes {', '.join(map(str, seen.axes))} at once")
    return None


def _fit_softmax(seen: Observed, axis: int, tolerance: float, *, log: bool) -> Outcome:
    name = "LogSoftmax" if log else "Softmax"
    x, result = seen.at(0, 1, 1.0)
    if x.shape[axis] < 2:
        return None
    with np.errstate(all="ignore"):
        logits = result if log else np.log(result)
        rise = np.diff(logits, axis=axis) / np.diff(x, axis=axis)
    if not np.isfinite(rise).all():
        return None
    temperature = float(np.median(rise))
    near = abs(temperature - 1.0) <= 1e-7
    temperature = 1.0 if near else float(np.float32(temperature))
    if temperature == 0.0:
        return None
    worst, ordinary, told = 0.0, 0.0, ""
    bounds = [(abs(each), 0.0) for each in seen.function.scalars() if 1.0 < abs(each) < math.inf]
    for index in range(len(seen.function.shapes)):
        for size, offset in (*PROBES, *bounds):
            x, result = seen.at(index, 7, size, offset)
            expected = _softmax(temperature * x, axis, log=log)
            comparable = np.isfinite(result) & np.isfinite(expected)
            if size < 50.0 and not comparable.all():
                return None
            scale = np.maximum(np.abs(expected), 1e-3 if size < 50.0 else 1e-2)
            errors = np.where(comparable, np.abs(result - expected) / scale, 0.0)
            worst = max(worst, float(errors.max()))
            if size == 1.0:
                ordinary = max(ordinary, float(errors.max()))
            if errors.max() > tolerance and not told:
                place = np.unravel_index(int(np.argmax(errors)), x.shape)
                told = f"it gives {result[place]:.6g} where {name} gives {expected[place]:.6g}"
    if worst <= tolerance and not told:
        masked = _on_masked_rows(seen, axis, temperature, log=log)
        if masked:
            return NearReduction(name, masked)
        none = np.zeros(())
        parameters = {"temperature": temperature}
        return FoundReduction(name, (axis,), 1, parameters, np.ones(()), none, worst)
    if ordinary > LIKENESS:
        return None
    mixed = mixed_axes(seen.function, name)
    return NearReduction(name, mixed.difference if mixed else told)


def _on_masked_rows(seen: Observed, axis: int, temperature: float, *, log: bool) -> str:
    """What differs where elements are -inf: some of a row, and all of it."""
    x, _ = seen.at(0, 1, 1.0)
    some = x.copy()
    some[tuple(slice(None, None, 2) if each == axis else slice(None) for each in range(x.ndim))] = -math.inf
    some *= np.sign(temperature)
    result, expected = seen.function(some), _softmax(temperature * some, axis, log=log)
    if np.isnan(result).any() or not np.allclose(result, expected, rtol=1e-2, atol=1e-3):
        place = np.unravel_index(int(np.argmax(result != expected)), x.shape)
        return f"where others of a row are -inf it gives {result[place]:.6g}, not {expected[place]:.6g}"
    result = seen.function(np.full_like(x, -math.inf * np.sign(temperature)))
    if np.isnan(result).all():
        return ""
    return f"it gives {result.reshape(-1)[0]:.6g} for a row of -inf"


def _softmax(x: Array, axis: int | tuple[int, ...], *, log: bool) -> Array:
    with np.errstate(all="ignore"):
        shifted = x - x.max(axis=axis, keepdims=True)
        total = np.exp(shifted).sum(axis=axis, keepdims=True)
        return np.asarray(shifted - np.log(total) if log else np.exp(shifted) / total)
