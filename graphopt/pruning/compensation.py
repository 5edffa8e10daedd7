"""Weights of what stays, by least squares: outputs on calibration data come near to those before.

Each layer is fitted with the inputs that it has in the pruned model to the outputs that it had in the whole
one (Y. He et al., "Channel Pruning for Accelerating Very Deep Neural Networks", 2017, section 3.2), so errors
of the layers before it are made up for as well.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from numpy.lib.stride_tricks import sliding_window_view

from graphopt.ir import attribute_int, attribute_ints, attribute_string

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

RIDGES = (1e-2, 1e-1, 1.0)
"""How much a change of weights costs, as a share of the mean square of inputs; the best of them is taken."""
FEW_ROWS = 0.05
"""How much more it costs for each input to an output that there is for a row."""
MOST_INPUTS = 2400
"""Of more inputs to an output a fit takes too long."""
MANY_INPUTS = 1024
"""Of more inputs only one half of the samples is tried on the other."""
_WAITING = 2048
"""Rows that are multiplied together: few large products take less time than many small ones."""


class Fit:
    """A least-squares fit of changes to a layer's weights, group by group.

    How much changes cost is decided by what holds of samples that a change was not fitted to: they come in
    two halves, each of which is tried on the other.

    Args:
        groups: Of a convolution; 1 of everything else.
        inputs: To an output of a group.
        outputs: Of a group.
    """

    def __init__(self, groups: int, inputs: int, outputs: int) -> None:
        self._products = np.zeros((2, groups, inputs + 1, inputs + 1))
        self._errors = np.zeros((2, groups, inputs + 1, outputs))
        self._rows = [0, 0]
        self._waiting: tuple[list[tuple[Array, Array]], list[tuple[Array, Array]]] = ([], [])

    @property
    def rows(self) -> int:
        """Rows seen."""
        return sum(self._rows)

    def observe(self, x: Array, error: Array, half: int) -> None:
        """Take in rows of a sample.

        Args:
            x: Inputs [rows, groups, inputs].
            error: What is missing in outputs [rows, groups, outputs].
            half: Of the samples, 0 or 1.
        """
        fine = np.isfinite(x).all(axis=(1, 2)) & np.isfinite(error).all(axis=(1, 2))
        ones = np.ones((*x.shape[:2], 1), np.float32)
        x = np.concatenate([x, ones], axis=2)[fine].astype(np.float32)
        waiting = self._waiting[half]
        waiting.append((x, error[fine].astype(np.float32)))
        self._rows[half] += len(x)
        if sum(len(each) for each, _ in waiting) >= _WAITING:
            self._multiply(half)

    def _multiply(self, half: int) -> None:
        """Take in what waits."""
        waiting = self._waiting[half]
        if waiting:
            x = np.concatenate([each for each, _ in waiting]).transpose(1, 2, 0)
            error = np.concatenate([each for _, each in waiting]).transpose(1, 0, 2)
            self._products[half] += x @ x.transpose(0, 2, 1)
            self._errors[half] += x @ error
            waiting.clear()

    def solve(self, *, bias: bool) -> tuple[Floats, Floats] | None:
        """Changes of weights [groups, outputs, inputs], and of the bias [groups, outputs].

        None where no change helps samples that it was not fitted to.
        """
        for half in (0, 1):
            self._multiply(half)
        inputs = self._products.shape[2] - 1
        end = inputs + 1 if bias else inputs
        products, errors = self._products[..., :end, :end], self._errors[..., :end, :]
        ridge: float | None = RIDGES[0]
        if min(self._rows):
            ridge = self._best(products, errors, inputs)
        if ridge is None:
            return None
        solved = _solved(products.sum(axis=0), errors.sum(axis=0), self.rows, inputs, ridge)
        change = solved[:, :inputs].transpose(0, 2, 1)
        shift = solved[:, inputs] if bias else np.zeros(solved.shape[::2])
        return np.asarray(change, np.float64), np.asarray(shift, np.float64)

    def _best(self, products: Floats, errors: Floats, inputs: int) -> float | None:
        """The ridge that leaves least on the other half; None where each leaves more than there was."""
        left = dict.fromkeys(RIDGES, 0.0)
        for half in (0, 1) if inputs <= MANY_INPUTS else (0,):
            other = 1 - half
            for ridge in RIDGES:
                change = _solved(products[half], errors[half], self._rows[half], inputs, ridge)
                quadratic = float(np.sum(change * (products[other] @ change)))
                left[ridge] += (quadratic - 2 * float(np.sum(change * errors[other]))) / self._rows[other]
        best = min(RIDGES, key=lambda ridge: left[ridge])
        return best if left[best] < 0 else None


def _solved(products: Floats, errors: Floats, rows: int, inputs: int, ridge: float) -> Floats:
    """Changes [groups, inputs and perhaps one for the bias, outputs]."""
    count = max(rows, 1)
    products = products / count
    places = np.arange(inputs)
    diagonal = products[:, places, places]
    few = FEW_ROWS * inputs / count
    products[:, places, places] += (ridge + few) * (diagonal + diagonal.mean(axis=1, keepdims=True)) + 1e-12
    if products.shape[1] > inputs:
        products[:, inputs, inputs] += 1e-9
    return np.asarray(np.linalg.solve(products, errors / count))


@dataclasses.dataclass(frozen=True)
class Windows:
    """What a convolution reads for an output, of any number of spatial axes.

    Attributes:
        kernel, strides, dilations: One number for each spatial axis.
        pads: Zeros before and behind each.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, node: ir.Node, kernel: tuple[int, ...], sizes: tuple[int, ...]) -> Windows:
        """Those of a node on an input of these spatial sizes."""
        count = len(kernel)
        strides = tuple(attribute_ints(node, "strides") or [1] * count)
        dilations = tuple(attribute_ints(node, "dilations") or [1] * count)
        mode = attribute_string(node, "auto_pad", "NOTSET")
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            pads = []
            for size, extent, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
                whole = max((-(-size // stride) - 1) * stride + (extent - 1) * dilation + 1 - size, 0)
                less, more = whole // 2, whole - whole // 2
                pads.append((less, more) if mode == "SAME_UPPER" else (more, less))
            return cls(kernel, strides, dilations, tuple(pads))
        found = attribute_ints(node, "pads") if mode == "NOTSET" else None
        found = found or [0] * (2 * count)
        return cls(kernel, strides, dilations, tuple(zip(found[:count], found[count:], strict=True)))

    def rows(self, x: Array, places: Array, groups: int) -> Array:
        """[outputs at `places`, groups, channels of a group x kernel] of an input [N, C, ...].

        Args:
            x: The input.
            places: Flat numbers of outputs over batch and space.
            groups: Of the convolution.
        """
        padded = np.pad(x, ((0, 0), (0, 0), *self.pads))
        extents = [(size - 1) * step + 1 for size, step in zip(self.kernel, self.dilations, strict=True)]
        axes = tuple(range(2, x.ndim))
        view = sliding_window_view(padded, extents, axis=axes)
        strides = tuple(slice(None, None, step) for step in self.strides)
        every: tuple[Any, ...] = (slice(None), slice(None), *strides)
        dilated: tuple[Any, ...] = (*every, *(slice(None, None, step) for step in self.dilations))
        view = view[dilated]
        shape = (view.shape[0], *view.shape[2 : x.ndim])
        batch, *space = np.unravel_index(places, shape)
        chosen: tuple[Any, ...] = (batch, slice(None), *space)
        taken = view[chosen]
        return np.asarray(taken).reshape(len(places), groups, -1)


def conv_groups(node: ir.Node) -> int:
    """Groups of a convolution; 1 of everything else."""
    return attribute_int(node, "group", 1) if node.op_type == "Conv" else 1
