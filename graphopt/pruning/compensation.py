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

RIDGES = (1e-2, 1e-1, 1.0, 10.0)
"""How much a change of weights costs, as a share of the mean square of inputs; the best of them is taken."""
PARTS = 4
"""Of the samples; a fit to all but one of them is tried on that one."""
FEW_ROWS = 0.05
"""How much more it costs for each input to an output that there is for a row."""
MOST_INPUTS = 2400
"""Of more inputs to an output a fit takes too long."""
MANY_INPUTS = 1024
"""Of more inputs only half of the parts are tried."""
_WAITING = 2048
"""Rows that are multiplied together: few large products take less time than many small ones."""


class Fit:
    """A least-squares fit of changes to a layer's weights, group by group.

    How much changes cost, and how large a share of them is made, is decided by what holds of samples that a
    change was not fitted to: they come in parts, and a fit to all but one is tried on that one.

    Args:
        groups: Of a convolution; 1 of everything else.
        inputs: To an output of a group.
        outputs: Of a group.
    """

    def __init__(self, groups: int, inputs: int, outputs: int) -> None:
        self._products = np.zeros((PARTS, groups, inputs + 1, inputs + 1))
        self._errors = np.zeros((PARTS, groups, inputs + 1, outputs))
        self._rows = [0] * PARTS
        self._waiting: list[list[tuple[Array, Array]]] = [[] for _ in range(PARTS)]

    @property
    def rows(self) -> int:
        """Rows seen."""
        return sum(self._rows)

    def observe(self, x: Array, error: Array, part: int) -> None:
        """Take in rows of a sample.

        Args:
            x: Inputs [rows, groups, inputs].
            error: What is missing in outputs [rows, groups, outputs].
            part: Of the samples, below `PARTS`.
        """
        fine = np.isfinite(x).all(axis=(1, 2)) & np.isfinite(error).all(axis=(1, 2))
        ones = np.ones((*x.shape[:2], 1), np.float32)
        x = np.concatenate([x, ones], axis=2)[fine].astype(np.float32)
        waiting = self._waiting[part]
        waiting.append((x, error[fine].astype(np.float32)))
        self._rows[part] += len(x)
        if sum(len(each) for each, _ in waiting) >= _WAITING:
            self._multiply(part)

    def _multiply(self, part: int) -> None:
        """Take in what waits."""
        waiting = self._waiting[part]
        if waiting:
            x = np.concatenate([each for each, _ in waiting]).transpose(1, 2, 0)
            error = np.concatenate([each for _, each in waiting]).transpose(1, 0, 2)
            self._products[part] += x @ x.transpose(0, 2, 1)
            self._errors[part] += x @ error
            waiting.clear()

    def solve(self, *, bias: bool) -> tuple[Floats, Floats] | None:
        """Changes of weights [groups, outputs, inputs], and of the bias [groups, outputs].

        None where no change helps samples that it was not fitted to.
        """
        for part in range(PARTS):
            self._multiply(part)
        inputs = self._products.shape[2] - 1
        end = inputs + 1 if bias else inputs
        products, errors = self._products[..., :end, :end], self._errors[..., :end, :]
        ridge, share = self._best(products, errors, inputs)
        if share <= 0.0:
            return None
        solved = share * _solved(products.sum(axis=0), errors.sum(axis=0), self.rows, inputs, ridge)
        change = solved[:, :inputs].transpose(0, 2, 1)
        shift = solved[:, inputs] if bias else np.zeros(solved.shape[::2])
        return np.asarray(change, np.float64), np.asarray(shift, np.float64)

    def _best(self, products: Floats, errors: Floats, inputs: int) -> tuple[float, float]:
        """The ridge that leaves least on parts that nothing was fitted to, and the share of changes to make.

        The share is 0 where each ridge leaves more than there was.
        """
        seen = [part for part, rows in enumerate(self._rows) if rows]
        if len(seen) < 2:
            return RIDGES[0], 1.0
        # per ridge: what changes add up to in squares, and what they take of the errors
        told = np.zeros((len(RIDGES), 2))
        every, missing = products.sum(axis=0), errors.sum(axis=0)
        for part in seen if inputs <= MANY_INPUTS else seen[::2]:
            rows = self._rows[part]
            others = every - products[part], missing - errors[part], self.rows - rows
            for index, ridge in enumerate(RIDGES):
                change = _solved(*others, inputs, ridge)
                told[index] += (
                    float(np.sum(change * (products[part] @ change))) / rows,
                    float(np.sum(change * errors[part])) / rows,
                )
        shares = np.clip(told[:, 1] / np.maximum(told[:, 0], 1e-300), 0.0, 1.0)
        left = shares**2 * told[:, 0] - 2 * shares * told[:, 1]
        best = int(np.argmin(left))
        return RIDGES[best], float(shares[best])


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
