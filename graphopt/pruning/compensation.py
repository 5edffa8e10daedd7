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

RIDGE = 1e-3
"""How much a change of weights costs, as a share of the mean square of inputs."""
FEW_ROWS = 0.05
"""How much more it costs for each input to an output that there is for a row."""
MOST_INPUTS = 2400
"""Of more inputs to an output a fit takes too long."""


class Fit:
    """A least-squares fit of changes to a layer's weights, group by group.

    Args:
        groups: Of a convolution; 1 of everything else.
        inputs: To an output of a group.
        outputs: Of a group.
    """

    def __init__(self, groups: int, inputs: int, outputs: int) -> None:
        self.rows = 0
        self._products = np.zeros((groups, inputs + 1, inputs + 1))
        self._errors = np.zeros((groups, inputs + 1, outputs))

    def observe(self, x: Array, error: Array) -> None:
        """Take in inputs [rows, groups, inputs], and what is missing in outputs [rows, groups, outputs]."""
        fine = np.isfinite(x).all(axis=(1, 2)) & np.isfinite(error).all(axis=(1, 2))
        ones = np.ones((*x.shape[:2], 1), np.float32)
        x = np.concatenate([x, ones], axis=2)[fine].astype(np.float32).transpose(1, 2, 0)
        error = error[fine].astype(np.float32).transpose(1, 0, 2)
        self._products += x @ x.transpose(0, 2, 1)
        self._errors += x @ error
        self.rows += int(fine.sum())

    def solve(self, *, bias: bool) -> tuple[Floats, Floats]:
        """Changes of weights [groups, outputs, inputs], and of the bias [groups, outputs]."""
        inputs = self._products.shape[1] - 1
        count = max(self.rows, 1)
        end = inputs + 1 if bias else inputs
        products, errors = self._products[:, :end, :end] / count, self._errors[:, :end] / count
        places = np.arange(inputs)
        diagonal = products[:, places, places]
        few = FEW_ROWS * inputs / count
        products[:, places, places] += (RIDGE + few) * (
            diagonal + diagonal.mean(axis=1, keepdims=True)
        ) + 1e-12
        if bias:
            products[:, inputs, inputs] += 1e-9
        solved = np.linalg.solve(products, errors)
        change = solved[:, :inputs].transpose(0, 2, 1)
        shift = solved[:, inputs] if bias else np.zeros(solved.shape[::2])
        return np.asarray(change, np.float64), np.asarray(shift, np.float64)


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
