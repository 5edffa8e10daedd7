"""Write layers of low rank as two smaller ones, where that takes less time by the cost model.

    MatMul(x, w)        ->  MatMul(MatMul(x, a), b)
    Gemm(x, w, bias)    ->  Gemm(Gemm(x, a), b, bias)
    Conv(x, w, bias)    ->  Conv(Conv(x, a), b, bias)      b of 1x1, behind a few channels of the kernel of w

The rank is the least that keeps to the error allowed for the inputs seen on calibration data; without data,
for inputs that are all alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.cost import SHAPES_KEY, MachineRates
from graphopt.cost.call import Kind
from graphopt.cost.dims import Dims
from graphopt.errors import UsageError
from graphopt.execute import DATA_KEY
from graphopt.ir import (
    Changes,
    Names,
    Operator,
    Tape,
    attribute_float,
    attribute_int,
    constant,
    remove_node,
    replace_value,
)
from graphopt.passes.pruning._moments import Array, Floats, Layer, input_moments
from graphopt.passes.quantization._decode import drop, place
from graphopt.passes.quantization._products import PRODUCTS, Product, products
from graphopt.passes.quantization._rounded import noted
from graphopt.passes.quantization._runs import Runs
from graphopt.pipeline import Pass
from graphopt.pruning.low_rank import Directions, average_of
from graphopt.pruning.moments import Moments
from graphopt.targets import Target

FACTOR_KEY = "graphopt.factor"
"""In the `metadata_props` of a node that is one of two factors."""
FLOAT_BYTES = 4
PAYS = 0.95
"""Share of a layer's time, as estimated, below which both factors together have to be."""


@dataclass(frozen=True)
class Factorize(Pass):
    """Write Gemm, MatMul and Conv of low rank as two smaller ones, where that takes less time.

    Attributes:
        data: A folder or file of sets of inputs; by default what the caller hands over with the model, and
            nothing where there are none.
        error: Share of the variance of a layer's output that may be lost.
        align: Ranks are multiples of this.
        least: Fewest elements of a weight that is looked at.
        keep: Names of nodes that stay.
        target: What the model will run on: its rates tell what pays.
        rows: Rows of a layer's input to look at, of all samples together.
        megabytes: What takes more together is looked at in turns.
        threads: Threads inside an operator; 0 for as many as there are processors.
    """

    name: ClassVar[str] = "factorize"
    lossy: ClassVar[bool] = True
    data: str = ""
    error: float = 0.001
    align: int = 8
    least: int = 4096
    keep: tuple[str, ...] = ()
    target: str = "portable"
    rows: int = 8192
    megabytes: int = 256
    threads: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.error < 1 or self.align < 1 or self.rows < 0:
            raise UsageError(
                f"factorize: error={self.error}, align={self.align}, rows={self.rows}; expected an error of"
                " more than 0 and less than 1, an align of 1 or more, and rows of 0 or more"
            )

    @property
    def largest_error(self) -> float:
        """Of an output: the root of what may be lost of its square, and some more for a single element."""
        return min(4.0 * math.sqrt(self.error), 1.0)

    def roots(self) -> frozenset[Operator]:
        """Operators that multiply by weights."""
        return frozenset(("", op_type) for op_type in PRODUCTS)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        layers = list(self._layers(model, changes))
        cost = _Cost(model, Target.load(self.target).rates)
        chosen: list[tuple[Product, tuple[Floats, Floats], Floats | None]] = []
        for layer, seen in self._seen(model, layers):
            array = constant(layer.product.weight)
            assert array is not None
            groups, mean = layer.grouped(array), None if seen is None else seen.mean
            average = None
            if mean is not None and _takes_bias(layer.product):
                average, mean = average_of(groups, mean), None
            directions = Directions.of(groups, None if seen is None else seen.common, mean)
            rank = -(-directions.rank(self.error) // self.align) * self.align
            reason = cost.reason_against(layer.product, rank)
            if reason is not None:
                changes.refuse(reason, layer.product.name)
            else:
                factors = directions.factors(layer.product.matrix(array), rank)
                chosen.append((layer.product, factors, _shift(factors[0], average)))
        names = Names(model)
        for product, factors, shift in chosen:
            _write(model, product, factors, shift, names)
            changes.add(product.node.op_type)

    def _layers(self, model: ir.Model, changes: Changes) -> Iterator[Layer]:
        """Layers that may be written as two."""
        for product in products(model, changes):
            reason = self._reason_against(product)
            if reason is None:
                yield Layer(product)
            elif reason:
                changes.refuse(reason, product.name)

    def _reason_against(self, product: Product) -> str | None:
        """Why a layer stays ("" where that goes without saying)."""
        node, array = product.node, constant(product.weight)
        assert array is not None
        if FACTOR_KEY in node.metadata_props or array.size < self.least:
            return ""
        if (node.name or node.outputs[0].name) in self.keep:
            return "it is to stay"
        if noted(product.weight) is not None:
            return "its weights are on a grid of codes already; factorize before they are rounded"
        if product.groups > 1:
            return "its channels are in groups"
        if attribute_int(node, "transA", 0):
            return "its input is transposed"
        return None

    def _seen(self, model: ir.Model, layers: list[Layer]) -> Iterator[tuple[Layer, Moments | None]]:
        """Layers with the moments of their inputs; with None where there are no data."""
        if not layers or not (self.data or DATA_KEY in model.meta):
            yield from ((layer, None) for layer in layers)
            return
        runs = Runs(model, self.data, self.name, megabytes=self.megabytes, threads=self.threads)
        yield from input_moments(runs, layers, self.rows)


class _Cost:
    """What a layer takes as it is, and as two, at the sizes of its inputs, else at assumed ones."""

    def __init__(self, model: ir.Model, rates: MachineRates) -> None:
        self._dims, self._rates = Dims(model, shapes=model.meta.get(SHAPES_KEY)), rates

    def reason_against(self, product: Product, rank: int) -> str | None:
        """Why two factors of a rank do not pay; None if they do."""
        outputs = product.shape[product.axis]
        if rank * (outputs + product.inputs) >= outputs * product.inputs:
            return "its rank is too high for the error allowed"
        node, given = product.node, self._dims.shape(product.data)
        made = self._dims.shape(node.outputs[0])
        if given is None or made is None:
            return "the size of its input is not known"
        kind = Kind.CONV if node.op_type == "Conv" else Kind.GEMM
        between = math.prod(made) // outputs * rank
        whole = self._seconds(kind, math.prod(given), product.inputs, outputs, math.prod(made))
        first = self._seconds(kind, math.prod(given), product.inputs, rank, between)
        second = self._seconds(kind, between, rank, outputs, math.prod(made))
        if first + second < PAYS * whole:
            return None
        return "two factors take no less time, as estimated"

    def _seconds(self, kind: Kind, read: int, inputs: int, outputs: int, written: int) -> float:
        """Of a product with a matrix [outputs, inputs], by the elements that it reads and writes."""
        moved = FLOAT_BYTES * (read + inputs * outputs + written)
        return self._rates.seconds(kind, 2 * written * inputs, moved)


def _takes_bias(product: Product) -> bool:
    """Whether a constant can be added to a layer's bias, or be one."""
    node = product.node
    if node.op_type == "MatMul" or (node.op_type == "Gemm" and attribute_float(node, "beta", 1.0) != 1.0):
        return False
    given = node.inputs[2] if len(node.inputs) > 2 else None
    bias, outputs = constant(given), product.shape[product.axis]
    return given is None or (bias is not None and bias.shape in ((outputs,), (1, outputs)))


def _shift(basis: Floats, average: Array | None) -> Floats | None:
    """What the mean output loses to the directions left out."""
    return None if average is None else np.asarray(average - basis @ (basis.T @ average), np.float32)


def _write(
    model: ir.Model,
    product: Product,
    factors: tuple[Floats, Floats],
    shift: Floats | None,
    names: Names,
) -> None:
    """Put two nodes in the place of one; the bias, with a shift, goes to the second."""
    node, weight = product.node, product.weight
    tape, old = Tape(model, node, names, Factorize.name), [weight, *node.inputs[2:]]
    second, first = (_shaped(product, factor) for factor in factors)
    convolves = node.op_type == "Conv"
    if convolves:
        second = factors[0].reshape(*factors[0].shape, *(1 for _ in product.shape[2:]))
        first = factors[1].reshape(-1, *product.shape[1:])
    attributes = {"transB": 1} if node.op_type == "Gemm" and product.axis == 0 else {}
    between = tape.op(
        node.op_type,
        [product.data, tape.const(first, f"{weight.name}/first")],
        node.attributes if convolves else attributes,
    )
    given = list(node.inputs[2:])
    if shift is not None:
        before = constant(given[0]) if given else None
        bias = shift if before is None else (before.reshape(-1) + shift).astype(np.float32)
        given = [tape.const(bias, f"{weight.name}/bias")]
    made = tape.op(
        node.op_type,
        [between, tape.const(second, f"{weight.name}/second"), *given],
        {} if convolves else node.attributes,
    )
    for each in tape.nodes:
        each.metadata_props[FACTOR_KEY] = "1"
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    place(tape, graph, node, [node])
    replace_value(node.outputs[0], made, is_new=True)
    remove_node(node)
    for value in old:
        if value is not None and value.is_initializer() and not value.uses() and not value.is_graph_output():
            drop(value)


def _shaped(product: Product, factor: Floats) -> Floats:
    """A matrix [outputs, inputs] as the node has it."""
    return factor if product.axis == 0 else np.ascontiguousarray(factor.T)
