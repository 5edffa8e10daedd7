"""Move weights onto the grid of their codes, so that outputs on calibration data stay near; they stay float.

Each layer's rounding errors make up for each other (GPTQ, then coordinate descent) for the inputs that the
layer has in the calibration data. The grid is noted with the weight, and the passes that quantize use it.

Measured with other inputs, in dB of signal over noise at the outputs, after `smooth-quant`, without and
with it: in int8 an image classifier (EfficientNet-Lite0) 20.1 and 27.0, a sentence encoder (MiniLM) 24.2
and 25.8, text recognition (ddddocr) 25.3 and 27.2, text detection (PP-OCR) 21.0 and 21.4; PP-OCR's
recognition, where the noise is that of activations, 13.1 and 12.8. The sentence encoder in int4 by blocks
of 32: 12.6 and 18.7.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.ir import Changes, Operator, constant
from graphopt.passes.quantization._bits import narrowed
from graphopt.passes.quantization._products import PRODUCTS, Floats, Product, products
from graphopt.passes.quantization._rounded import move, noted
from graphopt.passes.quantization._runs import Runs
from graphopt.pipeline import Pass
from graphopt.pipeline.base import ERROR_OF_8_BITS
from graphopt.quant import Affine, Scheme, affine_for
from graphopt.quant.rounding import GroupedGram, round_groups
from graphopt.targets import Target

MOST_INPUTS = 2048
"""Of more inputs the mean products take too long; they are taken for groups that add up."""
TYPES = {4: ir.DataType.INT4, 2: ir.DataType.INT2}
BLOCK = 32


@dataclass(frozen=True)
class RoundWeights(Pass):
    """Round weights so that errors make up for each other on calibration data.

    Attributes:
        data: A folder or file of sets of inputs; by default what the caller hands over with the model.
        bits: Of a weight: 8, or 7 of them, as `quantize-static` uses (7 without being asked where that does
            so); 4 or 2 as `quantize-weights` does.
        block: Weights that share a scale where there are 4 bits or 2; 0 for 32.
        symmetric: The same without zero points.
        target: What the model will run on: it says which codes weights may have.
        rows: Rows of a layer's input to look at, of all samples together.
        megabytes: What takes more together is looked at in turns.
        threads: Threads inside an operator; 0 for as many as there are processors.
    """

    name: ClassVar[str] = "round-weights"
    lossy: ClassVar[bool] = True
    data: str = ""
    bits: int = 8
    block: int = 0
    symmetric: bool = False
    target: str = "portable"
    rows: int = 8192
    megabytes: int = 256
    threads: int = 0

    def __post_init__(self) -> None:
        if self.bits not in (8, 7, *TYPES) or self.block < 0 or self.rows < 0:
            raise UsageError(
                f"round-weights: bits={self.bits}, block={self.block}, rows={self.rows}; expected bits of 8, "
                "7, 4 or 2, and a block and rows of 0 or more"
            )

    @property
    def needs_data(self) -> bool:
        """Whether no data of its own are named."""
        return not self.data

    @property
    def largest_error(self) -> float:
        """Half a step of so many bits, and as much again."""
        return max(ERROR_OF_8_BITS, float(2.0 ** (1 - self.bits)))

    def roots(self) -> frozenset[Operator]:
        """Operators that multiply by weights."""
        return frozenset(("", op_type) for op_type in PRODUCTS)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        layers = [layer for layer in self._layers(model, changes) if noted(layer.weight) is None]
        if not layers:
            return
        runs = Runs(model, self.data, self.name, megabytes=self.megabytes, threads=self.threads)
        at_most = -(-max(self.rows, 1) // len(runs.samples))
        by_value: dict[ir.Value, dict[Hashable, list[Product]]] = {}
        for layer in layers:
            by_value.setdefault(layer.data, {}).setdefault(layer.reads, []).append(layer)
        moved: list[tuple[Product, Floats, Affine]] = []
        for turn, values in runs.turns(list(by_value), lambda value: _bytes(by_value[value])):
            grams = {key: _gram(alike[0]) for value in turn for key, alike in by_value[value].items()}
            for value, array in values:
                for key, alike in by_value[value].items():
                    if array.size:
                        grams[key].observe(alike[0].rows(array, at_most))
            for value in turn:
                for key, alike in by_value[value].items():
                    gram = grams.pop(key)
                    for layer in alike:
                        if gram.samples:
                            moved.append((layer, *self._rounded(layer, gram)))
                        else:
                            changes.refuse("it had no inputs in any sample", layer.name)
        for layer, rounded, affine in moved:  # only now: they were found with weights as they were
            move(layer.weight, rounded, affine)
            changes.add(layer.node.op_type)

    def _layers(self, model: ir.Model, changes: Changes) -> Iterator[Product]:
        """Layers of which the weights may be codes."""
        rules = Target.load(self.target).quantization
        for layer in products(model, changes):
            if self.bits in TYPES:
                if layer.node.op_type != "Conv":
                    yield layer
            elif rules is None or (rule := rules.of(layer.node)) is None or rule.weight != 1:
                changes.refuse(f"{self.target} takes no codes for its weights", layer.name)
            elif rule.channel_axis(layer.node, len(layer.shape)) == layer.axis:
                yield layer

    def _rounded(self, layer: Product, gram: GroupedGram) -> tuple[Floats, Affine]:
        """The weight on its grid, and the grid."""
        array = constant(layer.weight)
        assert array is not None
        affine = affine_for(array, self._scheme(layer), "minmax" if self.bits > 4 else "mse")
        matrix = round_groups(layer.matrix(array), _of_matrix(affine, layer), gram)
        return affine.fake(layer.unmatrix(matrix)), affine

    def _scheme(self, layer: Product) -> Scheme:
        if self.bits in TYPES:
            return Scheme(TYPES[self.bits], self.symmetric, axis=1 - layer.axis, block=self.block or BLOCK)
        rules = Target.load(self.target).quantization
        assert rules is not None
        return replace(narrowed(rules.weights, rules, asked=self.bits == 7), axis=layer.axis)


def _of_matrix(affine: Affine, layer: Product) -> Affine:
    """The grid of a weight's matrix [outputs, inputs]."""
    scheme = affine.scheme
    if scheme.block is None:
        return replace(affine, scheme=replace(scheme, axis=0))
    if layer.axis == 0:
        return affine
    return Affine(replace(scheme, axis=1), affine.scale.T, affine.zero_point.T)


def _gram(layer: Product) -> GroupedGram:
    groups = layer.groups if layer.groups > 1 else _parts(layer)
    return GroupedGram(groups, layer.inputs if layer.groups > 1 else layer.inputs // groups)


def _parts(layer: Product) -> int:
    """Into how many groups to cut the inputs of a dense layer."""
    least = -(-layer.inputs // MOST_INPUTS)
    return next(parts for parts in range(least, layer.inputs + 1) if layer.inputs % parts == 0)


def _bytes(alike: dict[Hashable, list[Product]]) -> int:
    """What the mean products take for all that read a value, and again while they are worked with."""
    grams: Sequence[Product] = [layers[0] for layers in alike.values()]
    return sum(3 * 8 * layer.inputs**2 // _parts(layer) for layer in grams)
