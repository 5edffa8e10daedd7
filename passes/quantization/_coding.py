"""One run of `quantize-weights`: which role each use of a weight gets, and in which layout its codes are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Changes,
    Names,
    Reject,
    Tape,
    attribute_int,
    constant,
    constant_tensor,
    graphs,
    is_constant_node,
    opset,
    rank,
    remove_node,
    replace_value,
    want_opset,
)
from graphopt.ir.edit import function_graphs
from graphopt.ir.opsets import oldest_ir_version
from graphopt.passes.ort._contrib import CONTRIB, VERSION
from graphopt.passes.quantization import _decode as decode
from graphopt.passes.quantization._weights import (
    WEIGHT_INPUTS,
    Role,
    Use,
    finite,
    leading_axes,
    sums_over_rows,
    use_of,
)
from graphopt.quant import CodebookScheme, Scheme, codebook_for
from graphopt.quant.codebook import TABLES

Array = np.ndarray[Any, np.dtype[Any]]

NAME = "quantize-weights"
CONVOLUTIONS = ("Conv", "ConvTranspose")
TYPES = {8: ir.DataType.INT8, 4: ir.DataType.INT4, 2: ir.DataType.INT2}
FIRST_OPSETS = {8: 13, 4: 21, 2: 25}
"""From which on DequantizeLinear and Cast take the type (for 8 bits, DequantizeLinear an axis)."""
BLOCKS_SINCE = 21
"""The opset since which DequantizeLinear knows blocks."""
BROADCASTS_SINCE = 7
"""The opset since which Mul and Sub broadcast by themselves."""
METHODS = ("minmax", "mse", decode.HQQ, *TABLES)
AT_LOAD = (decode.HQQ, *TABLES)
"""Methods of which no runtime multiplies by the codes fast, if at all."""
BLOCK = 32
"""Default block of less than 8 bits: 1 bit a weight goes into scales."""
NBITS_BLOCK = 128
"""Block of MatMulNBits for 8 bits where none is asked for: it has none for a whole channel."""
NBITS_LEAST = 16
"""Its smallest block; all are powers of two."""
ROW_BITS = 4
"""Fewest bits of embeddings."""
CONVOLUTION_BITS = 8
"""Fewest bits of a Conv's weights, but by tables: with 4, nothing was left of a depthwise network."""
ROW_BLOCK = 128
"""Their block, or what of it divides a row: of a sentence encoder, embeddings of 4 bits cost 0.001 of
the cosine, products of 4 bits 0.026."""


@dataclass(frozen=True)
class Request:
    """What is asked for: the options of the pass, and whether operators of onnxruntime's own may be used."""

    bits: int
    block: int
    symmetric: bool
    method: str
    least: int
    least_read: int
    keep: tuple[str, ...]
    contrib: bool


class Coding:
    """One run of the pass on one model."""

    def __init__(self, request: Request, model: ir.Model, changes: Changes) -> None:
        self._request = request
        self._model = model
        self._changes = changes
        self._names = Names(model)
        self._opset = opset(model)
        self._is_contrib_used = False

    def quantize(self, weight: ir.Value) -> None:
        """Replace one weight, for all of its uses or for none."""
        try:
            uses, array = self._guard(weight)
            if not uses:
                return
            roles = sorted({use.role for use in uses}, key=lambda role: role.name)
            bits = {role: self._bits([use for use in uses if use.role is role]) for role in roles}
            for role in roles:
                self._check_opset(role, bits[role])
        except Reject as rejection:
            if str(rejection):
                user = next(iter(weight.uses())).node
                self._changes.refuse(str(rejection), user.name or user.outputs[0].name, [weight.name])
            return
        for role in roles:
            found = [use for use in uses if use.role is role]
            {Role.PRODUCT: self._product, Role.ROWS: self._rows, Role.STORED: self._stored}[role](
                weight, found, array
            )
            self._changes.add(f"{bits[role]} bits, {role.value}")
        decode.drop(weight)

    def finish(self) -> None:
        """Import what was used, and let the file say that it holds such types."""
        if self._is_contrib_used:
            self._model.opset_imports.setdefault(CONTRIB, VERSION)
        if self._changes.count:
            least = oldest_ir_version(min(FIRST_OPSETS[self._request.bits], self._opset))
            self._model.ir_version = max(self._model.ir_version or 0, least)

    def _guard(self, weight: ir.Value) -> tuple[list[Use], Array]:
        """Uses of a weight and its elements; no uses where it is none.

        Raises:
            Reject: It is a weight and must stay.
        """
        none = np.zeros(0, np.float32)
        users = [(use.node, use.idx) for use in weight.uses()]
        if not any(not node.domain and index in WEIGHT_INPUTS.get(node.op_type, ()) for node, index in users):
            return [], none
        if weight.is_graph_input():
            raise Reject("a caller may override its weights")
        tensor = constant_tensor(weight)
        if tensor is None or tensor.dtype.is_integer() or tensor.dtype in _NO_NUMBERS:
            return [], none
        if tensor.dtype != ir.DataType.FLOAT:
            raise Reject(f"its weights are of type {tensor.dtype}; those of float32 are quantized")
        if tensor.size < max(self._request.least, 1):
            raise Reject(f"its weights are fewer than {self._request.least}")
        if weight.is_graph_output():
            raise Reject("its weights are an output of the graph, too")
        if len(tensor.shape) < 2:
            raise Reject("its weights are a vector")
        if tensor.shape[-1] == 1 and any(node.op_type == "Gather" for node, _ in users):
            return [], none  # such are the scales of codes
        uses = [use_of(node, index, weight, self._request.keep) for node, index in users]
        array = constant(weight)
        assert array is not None
        if not finite(array):
            raise Reject("its weights hold NaN or infinities")
        if array.size < self._request.least_read or self._request.method in AT_LOAD:
            return [Use(use.node, use.index, Role.STORED) for use in uses], array
        return [self._settled(use, weight, len(uses)) for use in uses], array

    def _settled(self, use: Use, weight: ir.Value, uses: int) -> Use:
        """The use in a role that the target has a fast form of."""
        if use.role is not Role.PRODUCT or self._makes_nbits():
            return use
        tensor, block = constant_tensor(weight), self._product_block()
        assert tensor is not None
        terms = int(tensor.shape.numpy()[attribute_int(use.node, "transB", 0)])
        slow = uses > 1 or _graph_of(weight) is not use.node.graph or _is_fused_ahead(use.node)
        slow = slow or (self._request.bits == 8 and self._opset < self._needed_opset(Role.PRODUCT, 8))
        return Use(use.node, use.index, Role.STORED) if slow or (block and terms % block) else use

    def _makes_nbits(self) -> bool:
        block = self._product_block()
        return self._request.contrib and block is not None and _suits_nbits(block)

    def _product_block(self) -> int | None:
        """Block along the first axis of a right-hand matrix; None for a whole column."""
        if self._request.block or self._request.bits < 8:
            return self._request.block or BLOCK
        return NBITS_BLOCK if self._request.contrib else None

    def _bits(self, uses: list[Use]) -> int:
        """Bits of the codes for uses of one role."""
        if uses[0].role is Role.ROWS:
            return max(self._request.bits, ROW_BITS)
        convolves = uses[0].node.op_type in CONVOLUTIONS and self._request.method not in TABLES
        return max(self._request.bits, CONVOLUTION_BITS) if convolves else self._request.bits

    def _check_opset(self, role: Role, bits: int) -> None:
        needed = self._needed_opset(role, bits)
        if self._opset < needed:
            want_opset(self._model, needed, NAME)
            raise Reject(f"{bits} bits need opset {needed}, and the model is at {self._opset}")

    def _needed_opset(self, role: Role, bits: int) -> int:
        if role is Role.STORED:
            return FIRST_OPSETS[bits] if bits < 8 else BROADCASTS_SINCE
        if role is Role.ROWS:
            return BROADCASTS_SINCE
        if self._makes_nbits():
            return 1
        return max(FIRST_OPSETS[bits], BLOCKS_SINCE if self._product_block() is not None else 0)

    def _scheme(self, bits: int) -> Scheme:
        return Scheme(TYPES[bits], symmetric=self._request.symmetric)

    def _tape(self, node: ir.Node) -> Tape:
        return Tape(self._model, node, self._names, NAME)

    def _product(self, weight: ir.Value, uses: list[Use], array: Array) -> None:
        block = self._product_block()
        scheme = self._scheme(self._request.bits)
        axis = 0 if block is not None else 1
        layout = Scheme(scheme.dtype, scheme.symmetric, axis=axis, block=block)
        for use in uses:
            node, tape = use.node, self._tape(use.node)
            turned = bool(attribute_int(node, "transB", 0))
            codes = decode.encode_matrix(weight, array, layout, self._request.method, turned=turned)
            graph = node.graph
            assert graph is not None and weight.name is not None
            if not self._makes_nbits():
                made = decode.dequantized(tape, codes, weight.name)
                decode.place(tape, graph, node, [node])
                node.replace_input_with(1, made)
                node.attributes.pop("transB", None)
                continue
            x, bias = node.inputs[0], node.inputs[2] if len(node.inputs) > 2 else None
            assert x is not None
            product = decode.by_nbits(tape, x, codes, bias, weight.name)
            decode.place(tape, graph, node, [node])
            replace_value(node.outputs[0], product, is_new=True)
            remove_node(node)
            self._is_contrib_used = True

    def _rows(self, weight: ir.Value, uses: list[Use], array: Array) -> None:
        bits = self._bits(uses)
        matrix = array.reshape(len(array), -1)
        block = math.gcd(matrix.shape[1], ROW_BLOCK)
        nbits = self._request.contrib and _suits_nbits(block)
        known = all(rank(use.node.inputs[1]) is not None for use in uses)
        blocks = bits < 8 and array.ndim == 2 and block >= NBITS_LEAST and (nbits or known)
        scheme = self._scheme(bits if blocks else 8)
        layout = Scheme(
            scheme.dtype, scheme.symmetric, axis=1 if blocks else 0, block=block if blocks else None
        )
        codes = decode.encode(matrix, layout, self._request.method)
        assert weight.name is not None
        for use in uses:
            node, tape = use.node, self._tape(use.node)
            if not blocks:
                made = decode.rows_read(tape, node, codes, array.shape, weight.name)
            elif nbits:
                made = decode.blocks_read(tape, node, codes, weight.name)
                self._is_contrib_used = True
            else:
                axes = rank(node.inputs[1])
                assert axes is not None
                made = decode.nibble_rows_read(tape, node, codes, axes, weight.name)
            assert node.graph is not None
            decode.place(tape, node.graph, node, [node])
            replace_value(node.outputs[0], made, is_new=True)
            remove_node(node)

    def _stored(self, weight: ir.Value, uses: list[Use], array: Array) -> None:
        rows = int(np.prod(array.shape[: leading_axes(uses[0].node, array.ndim)]))
        matrix = array.reshape(rows, -1)
        over_rows = array.ndim == 2 and sums_over_rows(uses[0].node, uses[0].index)
        graph, tape = _graph_of(weight), self._tape(uses[0].node)
        assert graph is not None and weight.name is not None
        bits, method = self._bits(uses), self._request.method
        if method in TABLES:
            book = codebook_for(matrix, CodebookScheme(method, bits, axis=1 if over_rows else 0))
            made = decode.looked_up(tape, book, matrix, array.shape, weight.name)
        else:
            block = self._request.block or (BLOCK if bits < 8 else None)
            axis = 0 if over_rows else 1
            layout = decode.along(axis, self._scheme(bits), matrix.shape[axis], block)
            made = decode.decoded(tape, decode.encode(matrix, layout, method), array.shape, weight.name)
        decode.place(tape, graph, weight.producer() or graph[0], [use.node for use in uses])
        for use in uses:
            use.node.replace_input_with(use.index, made)


_OF_A_GEMM = frozenset(
    {"Clip", "Elu", "HardSigmoid", "LeakyRelu", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Tanh"}
    | {"ThresholdedRelu"}
)
"""Activations that onnxruntime makes a part of a Gemm."""
_NO_NUMBERS = (ir.DataType.STRING, ir.DataType.BOOL)


def weights_of(model: ir.Model) -> Iterator[ir.Value]:
    """Constants of the main graph and of bodies, as they are now; those of functions stay."""
    skipped = function_graphs(model)
    for graph in list(graphs(model)):
        if graph not in skipped:
            nodes = [node.outputs[0] for node in graph if is_constant_node(node)]
            yield from [*graph.initializers.values(), *nodes]


def _is_fused_ahead(product: ir.Node) -> bool:
    """Whether onnxruntime joins a product with what is behind it before it looks for codes.

    That is a Relu or Clip, and of two dimensions a sum with an activation, which become a Gemm with one. It
    then decodes the weights at every run.
    """
    reader = _sole_reader(product)
    if reader is None or reader.domain:
        return False
    if reader.op_type in ("Relu", "Clip"):
        return not reader.outputs[0].is_graph_output()
    if product.op_type != "MatMul" or reader.op_type != "Add" or rank(product.inputs[0]) not in (2, None):
        return False
    behind = _sole_reader(reader)
    return behind is not None and not behind.domain and behind.op_type in _OF_A_GEMM


def _sole_reader(node: ir.Node) -> ir.Node | None:
    (output,) = node.outputs
    uses = list(output.uses())
    return uses[0].node if len(uses) == 1 and not output.is_graph_output() else None


def _suits_nbits(block: int) -> bool:
    return block >= NBITS_LEAST and not block & (block - 1)


def _graph_of(weight: ir.Value) -> ir.Graph | None:
    graph = weight.graph
    return graph if isinstance(graph, ir.Graph) else None
