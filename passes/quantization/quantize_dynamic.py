"""Quantize activations when the model runs: products of float32 with constant weights become integer ones.

    y = MatMul(x, w)    ->    codes, x_scale, x_zero_point = DynamicQuantizeLinear(x)
                              y = Cast(MatMulInteger(codes, w_codes, x_zero_point)) * (x_scale * w_scale)

onnxruntime fuses that, with an Add of a bias behind, to DynamicQuantizeMatMul, or to MatMulIntegerToFloat if
several products read one value; the two scales must be multiplied first. Weights are symmetric int8, with a
scale for each output. For `ort-cpu` an LSTM becomes a DynamicQuantizeLSTM; there is no standard form of it.

It needs no calibration data and clips nothing: each run takes the range of what it sees. Convs stay float32:
a ConvInteger took 9.9 times as long (3x3, 64 channels of 28x28). Measured in onnxruntime 1.31 with one thread
and AVX512-VNNI, over float32: 128x384 by 384x1536 0.31, 1x384 by 384x384 0.65, 16x64 by 64x64 0.92; an LSTM
of 512 units 0.14, of 64 units 0.75.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Changes,
    Names,
    Operator,
    Reject,
    Tape,
    attribute_int,
    constant,
    constant_tensor,
    graphs,
    opset,
    rank,
    remove_node,
    replace_value,
    want_opset,
)
from graphopt.ir.edit import function_graphs, substitute_outputs
from graphopt.passes.ort._contrib import CONTRIB, VERSION
from graphopt.passes.quantization._bits import narrowed
from graphopt.passes.quantization._decode import Codes, drop, encode, encode_matrix, place
from graphopt.passes.quantization._weights import finite, is_plain
from graphopt.pipeline import Pass
from graphopt.quant import Scheme
from graphopt.targets import Target

FIRST_OPSET = 11
"""Of DynamicQuantizeLinear."""
MOST_TERMS = 66_000
"""Products of uint8 by int8 of which the sum surely fits into int32."""
WEIGHT = Scheme(ir.DataType.INT8, symmetric=True, axis=1)
CONVOLUTIONS = ("Conv", "ConvTranspose")
RECURRENCES = ("LSTM", "GRU", "RNN")
LSTM_INPUTS = 8
"""Inputs of an LSTM, behind which DynamicQuantizeLSTM has scales and zero points."""


@dataclass(frozen=True)
class QuantizeDynamic(Pass):
    """Quantize activations when the model runs.

    Attributes:
        target: Name or file of a target; one with com.microsoft gets DynamicQuantizeLSTM.
        reduce_range: Use 7 bits of weights, for processors whose 8-bit products saturate; done without being
            asked where this machine's is such a one and the target says that it matters.
        least: Fewest weights of a product that is quantized: of smaller ones, the codes cost what they save.
        keep: Names of nodes that stay float32.
    """

    name: ClassVar[str] = "quantize-dynamic"
    lossy: ClassVar[bool] = True
    target: str = "portable"
    reduce_range: bool = False
    least: int = 4096
    keep: tuple[str, ...] = ()

    def roots(self) -> frozenset[Operator]:
        """Operators that are quantized, or said not to be."""
        return frozenset(("", name) for name in ("MatMul", "Gemm", *CONVOLUTIONS, *RECURRENCES))

    def apply(self, model: ir.Model, changes: Changes) -> None:
        work = _Work(self, model, Target.load(self.target))
        skipped = function_graphs(model)
        for graph in list(graphs(model)):
            for node in list(graph) if graph not in skipped else ():
                if not node.domain and ("", node.op_type) in self.roots():
                    try:
                        changes.add(work.quantize(node))
                    except Reject as rejection:
                        if str(rejection):
                            changes.refuse(str(rejection), node.name or node.outputs[0].name)
        work.finish()


class _Work:
    """One run of the pass on one model."""

    def __init__(self, options: QuantizeDynamic, model: ir.Model, target: Target) -> None:
        self._options = options
        self._model = model
        self._contrib = CONTRIB in target.domains
        self._names = Names(model)
        self._scheme = narrowed(WEIGHT, target.quantization, asked=options.reduce_range)
        self._activations: dict[tuple[ir.Value, ir.Graph], tuple[ir.Value, ...]] = {}
        self._weights: dict[tuple[ir.Value, bool], tuple[ir.Value, ir.Value]] = {}
        self._read: dict[ir.Value, None] = {}

    def quantize(self, node: ir.Node) -> str:
        """Replace a node; what was done.

        Raises:
            Reject: It stays.
        """
        if node.op_type in CONVOLUTIONS:
            raise Reject("a ConvInteger takes ten times as long as a Conv of float32")
        if (node.name or node.outputs[0].name) in self._options.keep:
            raise Reject("it is to stay")
        if node.op_type == "LSTM":
            return self._recurrence(node)
        if node.op_type in RECURRENCES:
            raise Reject(f"there is no {node.op_type} of dynamic int8")
        return self._product(node)

    def finish(self) -> None:
        """Remove weights that nobody reads any more, and import what was used."""
        for weight in self._read:
            if not weight.uses() and not weight.is_graph_output():
                drop(weight)
        if any(node.domain == CONTRIB for node in self._model.graph.all_nodes()):
            self._model.opset_imports.setdefault(CONTRIB, VERSION)

    def _product(self, node: ir.Node) -> str:
        x, weight = node.inputs[:2]
        array = self._matrix(weight)
        if node.op_type == "Gemm" and not is_plain(node):
            raise Reject("the Gemm scales or transposes its first operand")
        assert x is not None and weight is not None and node.graph is not None
        terms = array.shape[attribute_int(node, "transB", 0)]
        if terms > MOST_TERMS:
            raise Reject(f"the sum of {terms} products may not fit into int32")
        if opset(self._model) < FIRST_OPSET:
            want_opset(self._model, FIRST_OPSET, self._options.name)
            raise Reject(f"needs opset {FIRST_OPSET}, and the model is at {opset(self._model)}")
        tape = Tape(self._model, node, self._names, self._options.name)
        codes, scale = self._coded(weight, array, turned=bool(attribute_int(node, "transB", 0)))
        quantized, x_scale, zero_point = self._activation(tape, x, node.graph)
        whole = tape.op("MatMulInteger", [quantized, codes, zero_point])
        product = tape.op("Cast", [whole], {"to": ir.DataType.FLOAT.value})
        product = tape.op("Mul", [product, tape.op("Mul", [x_scale, scale])])
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if bias is not None:
            product = tape.op("Add", [product, bias])
        place(tape, node.graph, node, [node])
        replace_value(node.outputs[0], product, is_new=True)
        remove_node(node)
        return "product of codes"

    def _activation(self, tape: Tape, x: ir.Value, graph: ir.Graph) -> tuple[ir.Value, ...]:
        """Codes, scale and zero point of a value, shared by the products of one graph that read it."""
        key = x, graph
        if key not in self._activations:
            self._activations[key] = tape.ops("DynamicQuantizeLinear", [x], outputs=3)
        return self._activations[key]

    def _coded(
        self, weight: ir.Value, array: np.ndarray[Any, Any], *, turned: bool
    ) -> tuple[ir.Value, ir.Value]:
        """Codes [K, N] and scale [N] of a weight, made once for all who read it alike."""
        key = weight, turned
        if key not in self._weights:
            codes = encode_matrix(weight, array, self._scheme, "minmax", turned=turned)
            self._weights[key] = self._place(weight, codes.array, codes.affine.scale)
        return self._weights[key]

    def _place(
        self, weight: ir.Value, array: np.ndarray[Any, Any], scale: np.ndarray[Any, Any]
    ) -> tuple[ir.Value, ir.Value]:
        """Initializers of the graph that holds the weight."""
        graph = weight.graph
        assert isinstance(graph, ir.Graph)
        self._read[weight] = None
        tape = Tape(self._model, next(iter(weight.uses())).node, self._names)
        made = tape.const(array, f"{weight.name}/codes"), tape.const(scale, f"{weight.name}/scale")
        for value in made:
            graph.initializers.add(value)
        return made

    def _matrix(self, weight: ir.Value | None) -> np.ndarray[Any, Any]:
        """The elements of a weight that is a matrix."""
        tensor = constant_tensor(weight)
        if weight is None or tensor is None:
            if weight is not None and weight.is_initializer():
                raise Reject("a caller may override its weights")
            raise Reject("" if weight is not None and _is_coded(weight) else "both operands are computed")
        if tensor.dtype != ir.DataType.FLOAT:
            raise Reject(f"its weights are of type {tensor.dtype}; those of float32 are quantized")
        if rank(weight) != 2:
            raise Reject("its weights are no matrix")
        return self._elements(weight, tensor)

    def _elements(self, weight: ir.Value, tensor: ir.TensorProtocol) -> np.ndarray[Any, Any]:
        if tensor.size < max(self._options.least, 1):
            raise Reject(f"its weights are fewer than {self._options.least}")
        array = constant(weight)
        assert array is not None
        if not finite(array):
            raise Reject("its weights hold NaN or infinities")
        return array

    def _recurrence(self, node: ir.Node) -> str:
        """LSTM  ->  DynamicQuantizeLSTM, whose weights are [directions, inputs, 4 * units]."""
        if not self._contrib:
            raise Reject("no standard operator is an LSTM of dynamic int8")
        if attribute_int(node, "layout", 0):
            raise Reject("it runs batch by batch")
        weights = [node.inputs[index] for index in (1, 2)]
        tensors = [constant_tensor(weight) for weight in weights]
        tape = Tape(self._model, node, self._names, self._options.name)
        inputs = [*node.inputs, *([None] * (LSTM_INPUTS - len(node.inputs)))]
        numbers: list[ir.Value] = []
        coded: list[tuple[ir.Value, np.ndarray[Any, Any]]] = []
        for weight, tensor in zip(weights, tensors, strict=True):
            if weight is None or tensor is None or tensor.dtype != ir.DataType.FLOAT:
                raise Reject("its weights are no constants of float32")
            coded.append((weight, self._elements(weight, tensor)))
        for index, (weight, array) in enumerate(coded, start=1):
            self._read[weight] = None
            codes = _by_unit(array, self._scheme)
            inputs[index] = tape.const(codes.array, f"{weight.name}/codes")
            scale = codes.affine.scale.reshape(array.shape[:2])
            numbers.append(tape.const(scale, f"{weight.name}/scale"))
            numbers.append(tape.const(np.zeros(scale.shape, np.int8), f"{weight.name}/zero_point"))
        attributes = {name: each for name, each in node.attributes.items() if name != "layout"}
        made = tape.ops(
            "DynamicQuantizeLSTM", [*inputs, *numbers], attributes, outputs=len(node.outputs), domain=CONTRIB
        )
        assert node.graph is not None
        place(tape, node.graph, node, [node])
        for old, new in zip(node.outputs, made, strict=True):
            new.type, new.shape = old.type, old.shape
        substitute_outputs(node, made)
        return "LSTM of codes"


def _by_unit(array: np.ndarray[Any, Any], scheme: Scheme) -> Codes:
    """Codes [directions, inputs, rows] of weights [directions, rows, inputs], with a scale for each row."""
    directions, rows, inputs = array.shape
    codes = encode(array.reshape(directions * rows, inputs).T, scheme, "minmax")
    turned = codes.array.T.reshape(array.shape).transpose(0, 2, 1)
    return Codes(codes.affine, np.ascontiguousarray(turned))


def _is_coded(weight: ir.Value) -> bool:
    """Whether weights are made of codes: they are quantized already."""
    node = weight.producer()
    return node is not None and node.op_type in ("DequantizeLinear", "Mul", "Reshape")
