"""Layers as arrays [groups, outputs, inputs], and the mean products of their inputs on calibration data.

The inputs of a convolution are put in order with the channels innermost, as kernels for sparse weights have
them. A dense layer of very many inputs is taken for groups that add up, which leaves out what these have in
common. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphopt.passes.quantization._products import Product
from graphopt.passes.quantization._runs import Runs
from graphopt.pruning.moments import Moments

Array = np.ndarray[Any, np.dtype[Any]]
Floats = np.ndarray[Any, np.dtype[np.float32]]

MOST_INPUTS = 2048
"""Of more inputs the mean products take too long."""


@dataclass(frozen=True)
class Layer:
    """A product by a constant, as groups that each sum a part of the inputs.

    Attributes:
        product: The node.
        unit: Inputs that belong together are a multiple of this.
    """

    product: Product
    unit: int = 1

    @property
    def channels(self) -> int:
        """Of a group: inputs that lie one after the other."""
        return self.product.channels // self.product.groups

    @property
    def outputs(self) -> int:
        """Of a group."""
        return self.product.shape[self.product.axis] // self.product.groups

    @property
    def groups(self) -> int:
        """Those of a convolution, or those that a dense layer is cut into."""
        return self.product.groups if self.product.groups > 1 else self._parts

    @property
    def inputs(self) -> int:
        """Of a group."""
        return self.product.inputs // self._parts

    def grouped(self, array: Array) -> Floats:
        """[groups, outputs, inputs] of an array of the weight's shape."""
        matrix = self.product.matrix(array)
        if self.product.groups == 1:
            columns = self._inward(matrix).reshape(len(matrix), self._parts, self.inputs)
            return np.ascontiguousarray(columns.transpose(1, 0, 2))
        return np.ascontiguousarray(self._inward(matrix).reshape(self.groups, self.outputs, self.inputs))

    def ungrouped(self, groups: Array) -> Floats:
        """The array of the weight's shape that `grouped` makes this of."""
        if self.product.groups == 1:
            groups = groups.transpose(1, 0, 2)
        matrix = groups.reshape(self.product.shape[self.product.axis], -1, self.channels)
        return self.product.unmatrix(np.ascontiguousarray(matrix.swapaxes(1, 2)))

    def rows(self, x: Array, at_most: int) -> Array:
        """Samples of what each output is a sum over, in the order of `grouped`."""
        rows = self.product.rows(x, at_most)
        return self._inward(rows.reshape(-1, self.product.inputs)).reshape(len(rows), -1)

    @property
    def reads(self) -> Hashable:
        """Equal for layers that multiply the same rows."""
        return self.product.reads, self._parts

    def _inward(self, rows: Array) -> Array:
        """Rows over channels and kernel, as such over kernel and channels."""
        return rows.reshape(len(rows), self.channels, -1).swapaxes(1, 2).reshape(len(rows), -1)

    @property
    def _parts(self) -> int:
        if self.product.groups > 1:
            return 1
        units, inputs = self.product.inputs // self.unit, self.product.inputs
        return next(
            n for n in range(1, units + 1) if units % n == 0 and (inputs <= n * MOST_INPUTS or n == units)
        )


def input_moments(runs: Runs, layers: Sequence[Layer], rows: int) -> Iterator[tuple[Layer, Moments | None]]:
    """Each layer with the moments of its inputs; None where no sample had any.

    Args:
        runs: Of the model on the data.
        layers: Of its main graph.
        rows: Of a layer's input to look at, of all samples together.
    """
    at_most = -(-max(rows, 1) // len(runs.samples))
    by_value: dict[Any, dict[Hashable, list[Layer]]] = {}
    for layer in layers:
        by_value.setdefault(layer.product.data, {}).setdefault(layer.reads, []).append(layer)

    def size(value: Any) -> int:
        alike = [layers[0] for layers in by_value[value].values()]
        return sum(4 * 8 * each.groups * each.inputs**2 for each in alike)

    for turn, values in runs.turns(list(by_value), size):
        moments = {
            key: Moments(alike[0].groups, alike[0].inputs)
            for value in turn
            for key, alike in by_value[value].items()
        }
        for value, array in values:
            for key, alike in by_value[value].items():
                if array.size:
                    moments[key].observe(alike[0].rows(array, at_most))
        for value in turn:
            for key, alike in by_value[value].items():
                seen = moments.pop(key)
                for layer in alike:
                    yield layer, seen if seen.samples else None
