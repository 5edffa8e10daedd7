"""Set weights to zero and let those that stay make up for it on calibration data.

    Conv(x, w), Gemm(x, w), MatMul(x, w)  ->  the same with zeros in w: any, N of each M, or whole blocks

Most runtimes take as long for a zero as for any other number. What gets smaller is the file, once
`store-sparse` has written the zeros out of it; what gets faster is a machine with kernels for 2:4 or for
blocks, as graphopt's engine has for 16x4 in int8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.ir import Changes, Operator, constant
from graphopt.passes.pruning._moments import Floats, Layer, input_moments
from graphopt.passes.quantization._products import PRODUCTS, products
from graphopt.passes.quantization._rounded import noted
from graphopt.passes.quantization._runs import Runs
from graphopt.pipeline import Pass
from graphopt.pruning.moments import Moments
from graphopt.pruning.ranking import Ranking
from graphopt.pruning.sparsity import Sparsity
from graphopt.pruning.surgery import prune, scores

SECOND_ORDER = "second-order"
IMPORTANCE = (SECOND_ORDER, "magnitude")
MODEL = "model"
SCOPES = (MODEL, "layer")
FEWEST_INPUTS = 32
"""Outputs that sum fewer products, as of depthwise convolutions, have none to spare."""


@dataclass(frozen=True)
class PruneWeights(Pass):
    """Set weights to zero, and fit the others to what the layer gave before.

    Attributes:
        data: A folder or file of sets of inputs; by default what the caller hands over with the model.
        rate: Share of the weights that becomes zero.
        pattern: N:M, as 2:4: of each M weights of an output, one after the other along the channels, N stay,
            whatever the rate.
        block: OUTPUTSxINPUTS, as 4x1: weights of a block stay or go together.
        importance: What goes first: second-order takes what others make up for best on the data, and fits
            these; magnitude the smallest, and leaves the others as they are, which takes no data.
        scope: layer: each gives the rate; model: layers that bear it give more, and the rate is that of all
            together.
        least: Fewest elements of a weight that is touched.
        keep: Names of nodes whose weights stay.
        rows: Rows of a layer's input to look at, of all samples together.
        megabytes: What takes more together is looked at in turns.
        threads: Threads inside an operator; 0 for as many as there are processors.
    """

    name: ClassVar[str] = "prune-weights"
    lossy: ClassVar[bool] = True
    remark: ClassVar[str] = (
        "weights that are zero save no time in onnxruntime or OpenVINO, which multiply by them as by any "
        "other; graphopt's engine (--target native) leaves out blocks of 16x4; store-sparse makes the "
        "file smaller by them"
    )
    without_data: ClassVar[str] = "importance=magnitude"
    data: str = ""
    rate: float = 0.5
    pattern: str = ""
    block: str = ""
    importance: str = SECOND_ORDER
    scope: str = "layer"
    least: int = 1024
    keep: tuple[str, ...] = ()
    rows: int = 8192
    megabytes: int = 256
    threads: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise UsageError(f"prune-weights: rate={self.rate}, expected more than 0 and less than 1")
        if self.importance not in IMPORTANCE or self.scope not in SCOPES or self.rows < 0:
            raise UsageError(
                f"prune-weights: importance={self.importance}, scope={self.scope}, rows={self.rows}; expected"
                f" an importance of {' or '.join(IMPORTANCE)}, a scope of {' or '.join(SCOPES)}, and rows of"
                " 0 or more"
            )
        _ = self.sparsity

    @property
    def sparsity(self) -> Sparsity:
        """Where zeros may be."""
        return Sparsity.parse(self.pattern, self.block)

    @property
    def needs_data(self) -> bool:
        """Whether no data of its own are named for what takes some."""
        return self._takes_data and not self.data

    @property
    def largest_error(self) -> float:
        """A weight that goes moves by all of itself."""
        return 1.0

    def roots(self) -> frozenset[Operator]:
        """Operators that multiply by weights."""
        return frozenset(("", op_type) for op_type in PRODUCTS)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        layers = list(self._layers(model, changes))
        if self.scope == MODEL and not self.sparsity.most:
            rates = self._shared(model, layers)
        else:
            rates = dict.fromkeys(layers, self.sparsity.share(self.rate))
        wanted = [layer for layer in rates if not self.sparsity.is_met(_grouped(layer), rates[layer])]
        pruned: list[tuple[Layer, Floats]] = []
        for layer, seen in self._seen(model, wanted):
            if seen is None and self._takes_data:
                changes.refuse("it had no inputs in any sample", layer.product.name)
            else:
                groups = prune(
                    _grouped(layer), None if seen is None else seen.products, self.sparsity, rates[layer]
                )
                pruned.append((layer, layer.ungrouped(groups)))
        for layer, array in pruned:  # only now: they were fitted to the model as it was
            weight = layer.product.weight
            weight.const_value = ir.Tensor(array, name=weight.name)
            changes.add(layer.product.node.op_type)

    @property
    def _takes_data(self) -> bool:
        return self.importance == SECOND_ORDER

    def _layers(self, model: ir.Model, changes: Changes) -> Iterator[Layer]:
        """Layers whose weights may go, each with the reasons against the others told."""
        for product in products(model, changes):
            layer = Layer(product, self.sparsity.unit)
            reason = self._reason_against(layer)
            if reason is None:
                yield layer
            else:
                changes.refuse(reason, product.name)

    def _reason_against(self, layer: Layer) -> str | None:
        product = layer.product
        array = constant(product.weight)
        assert array is not None
        if (product.node.name or product.node.outputs[0].name) in self.keep:
            return "its weights are to stay"
        if noted(product.weight) is not None:
            return "its weights are on a grid of codes already; prune before they are rounded"
        if array.size < self.least:
            return f"its weights are fewer than {self.least}"
        if product.inputs < FEWEST_INPUTS:
            return f"its outputs are sums of only {product.inputs} products"
        return self.sparsity.reason_against(layer.outputs, layer.channels)

    def _shared(self, model: ir.Model, layers: list[Layer]) -> dict[Layer, float]:
        """The rate of each layer, so that what goes costs least; none where enough is gone already."""
        if not self._is_due(layers):
            return {}
        ranking: Ranking[Layer] = Ranking()
        for layer, seen in self._seen(model, layers):
            if seen is not None or not self._takes_data:
                costs = scores(_grouped(layer), None if seen is None else seen.common)
                ranking.add(layer, self.sparsity.by_block(costs))
        rates = ranking.rates(self.rate)
        return rates if self._is_due(list(rates)) else {}

    def _is_due(self, layers: list[Layer]) -> bool:
        """Whether layers together have fewer zeros than they should, by more than rounding."""
        arrays = [_grouped(layer) for layer in layers]
        goal = self.rate * sum(self.sparsity.blocks(array.size) for array in arrays)
        return sum(map(self.sparsity.zeros, arrays)) + len(layers) < goal

    def _seen(self, model: ir.Model, layers: list[Layer]) -> Iterator[tuple[Layer, Moments | None]]:
        """Layers with the moments of their inputs; with None where no data are asked for."""
        if not layers:
            return
        if not self._takes_data:
            yield from ((layer, None) for layer in layers)
            return
        runs = Runs(model, self.data, self.name, megabytes=self.megabytes, threads=self.threads)
        yield from input_moments(runs, layers, self.rows)


def _grouped(layer: Layer) -> Floats:
    array = constant(layer.product.weight)
    assert array is not None
    return layer.grouped(array)
