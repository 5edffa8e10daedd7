"""Rounding of layers whose outputs see one group of the inputs each: grouped and depthwise convolutions.

All groups at once where they are small. A dense layer is one group; one of very many inputs can be taken for
groups that add up, which leaves out what they have in common.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from graphopt.quant.affine import Affine
from graphopt.quant.rounding.descent import coordinate_descent
from graphopt.quant.rounding.gptq import gptq
from graphopt.quant.rounding.gram import DAMPING, Array, Gram, has_squares
from graphopt.quant.rounding.grid import Floats

FEW_INPUTS = 32
"""Up to so many inputs of a group all groups are rounded together, by coordinate descent alone."""
_WAITING = 1 << 20
"""Elements of samples that are multiplied together."""
PASSES = 8
"""How often each column is rounded then, at most."""


class GroupedGram:
    """Mean of x x^T in each group of a layer's inputs.

    Attributes:
        groups: Number of them.
        inputs: Elements of a sample in a group.
        samples: How many were seen.
    """

    def __init__(self, groups: int, inputs: int) -> None:
        self.groups = groups
        self.inputs = inputs
        self.samples = 0
        self._products = np.zeros((groups, inputs, inputs), np.float64 if groups == 1 else np.float32)
        self._waiting: list[Array] = []

    def observe(self, x: Array) -> None:
        """Take in samples, [samples, groups * inputs]; those without squares are left out."""
        x = np.asarray(x).astype(np.float32, copy=False)
        x = x[has_squares(x)]
        self.samples += len(x)
        self._waiting.append(x)
        if sum(each.size for each in self._waiting) >= _WAITING:
            self._multiply()

    @property
    def products(self) -> npt.NDArray[np.float64]:
        """Mean of x x^T by group, [groups, inputs, inputs]."""
        self._multiply()
        return self._products / np.float64(max(self.samples, 1))

    def _multiply(self) -> None:
        """Take in what waits: few large products of matrices take less time than many small ones."""
        if self._waiting:
            x = np.concatenate(self._waiting).reshape(-1, self.groups, self.inputs)
            by_group = np.ascontiguousarray(x.transpose(1, 0, 2))
            self._products += by_group.transpose(0, 2, 1) @ by_group
            self._waiting.clear()


def round_groups(weight: Array, affine: Affine, gram: GroupedGram) -> Floats:
    """Round a weight to the grid of `affine` so that a layer's outputs stay near for the inputs seen.

    Args:
        weight: [outputs, inputs of a group].
        affine: One scale, one per output (axis 0) or, of a single group, one per run of inputs.
        gram: Of the inputs. Outputs are in the order of the groups; where `inputs` of the weight are all
            groups' together, every output sees all of them.

    Raises:
        UsageError: If the scheme's scales are shared otherwise.
    """
    weight = np.asarray(weight, np.float32)
    sums = weight.shape[1] == gram.groups * gram.inputs
    if gram.inputs <= FEW_INPUTS and not sums:
        return _descend(weight, affine, gram.products)
    rounded = np.empty_like(weight)
    for group, products in enumerate(gram.products):
        one = Gram.of(products)
        outputs = len(weight) if sums else len(weight) // gram.groups
        rows = slice(None) if sums else slice(group * outputs, (group + 1) * outputs)
        columns = slice(group * gram.inputs, (group + 1) * gram.inputs) if sums else slice(None)
        part, grid = weight[rows, columns], _part(affine, rows, columns)
        rounded[rows, columns] = coordinate_descent(part, gptq(part, grid, one), one).weight
    return rounded


def _part(affine: Affine, rows: slice, columns: slice) -> Affine:
    """The grid of some rows and columns, which begin with a run."""
    scheme = affine.scheme
    if scheme.axis is None:
        return affine
    if scheme.block is None:
        return Affine(scheme, affine.scale[rows], affine.zero_point[rows])
    if columns.start is not None:
        columns = slice(columns.start // scheme.block, -(-columns.stop // scheme.block))
    return Affine(scheme, affine.scale[rows, columns], affine.zero_point[rows, columns])


def _descend(weight: Floats, affine: Affine, products: Array) -> Floats:
    """Coordinate descent in all groups at a time, from the nearest values on."""
    groups, inputs, _ = products.shape
    traces = np.trace(products, axis1=1, axis2=2)
    damping = DAMPING * traces / inputs
    products = products + np.where(damping > 0, damping, 1.0)[:, None, None] * np.eye(inputs)
    scale = affine.scale.reshape(groups, -1) if affine.scale.ndim else affine.scale
    zero = affine.zero_point.astype(np.float32).reshape(scale.shape)
    low, high = affine.scheme.low - zero, affine.scheme.high - zero
    rounded = affine.fake(weight).reshape(groups, -1, inputs)
    off = (rounded - weight.reshape(rounded.shape)).astype(np.float64)
    for _ in range(PASSES):
        changed = False
        for column in range(inputs):
            slope = (off @ products[:, :, column, None])[..., 0] / products[:, None, column, column]
            steps = np.clip(np.rint((rounded[..., column] - slope) / scale), low, high)
            moved = (steps * scale).astype(np.float32) - rounded[..., column]
            if np.any(moved):
                changed = True
                rounded[..., column] += moved
                off[..., column] += moved
        if not changed:
            break
    return affine.fake(rounded.reshape(weight.shape))
