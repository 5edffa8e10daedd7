"""Codes in place of weights: what reads them, as nodes on a tape. Never chooses which weights, how finely."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import PROVENANCE_KEY, Tape, constant_tensor, remove_node
from graphopt.passes.ort._contrib import CONTRIB
from graphopt.passes.quantization._rounded import noted_for
from graphopt.quant import Affine, Codebook, Scheme, affine_for
from graphopt.quant.packing import matmul_nbits, pack, pack_halves, unsigned
from graphopt.quant.rounding import hqq

Array = np.ndarray[Any, np.dtype[Any]]

INT8_MULTIPLIED = 4
"""`accuracy_level` of MatMulNBits at which it multiplies in int8; at others it decodes to float32 first: this
takes up to ten times as long for 8 bits and is no more accurate for 4."""
INDICES = {8: ir.DataType.UINT8, 4: ir.DataType.UINT4, 2: ir.DataType.UINT2}
"""Types of indices into a table, by their bits."""
HQQ = "hqq"
"""The method of which zero points are no codes."""
NIBBLE = 4
NIBBLES = 1 << NIBBLE
"""Codes of 4 bits."""


@dataclass(frozen=True)
class Codes:
    """A weight as codes.

    Attributes:
        affine: What they stand for.
        array: Of the scheme's type.
        real: Zero points that are no codes, in place of those of `affine`.
    """

    affine: Affine
    array: Array
    real: Array | None = None

    @property
    def block(self) -> int:
        """Elements of a block."""
        assert self.affine.scheme.block is not None
        return self.affine.scheme.block

    @property
    def has_zero_point(self) -> bool:
        """Some zero point is not 0."""
        return bool(self.zero_point.any())

    @property
    def zero_point(self) -> Array:
        """What codes are counted from."""
        return self.affine.zero_point if self.real is None else self.real


def encode(array: Array, scheme: Scheme, method: str) -> Codes:
    """Codes of a weight by a scheme; `method` finds the range of each group."""
    if method == HQQ:
        fitted = hqq(array, scheme)
        none = np.zeros(fitted.scale.shape, scheme.dtype.numpy())
        return Codes(Affine(scheme, fitted.scale, none), fitted.codes, fitted.zero_point)
    affine = affine_for(array, scheme, method)  # type: ignore[arg-type]
    return Codes(affine, affine.quantize(array))


def encode_matrix(weight: ir.Value, array: Array, scheme: Scheme, method: str, *, turned: bool) -> Codes:
    """Codes of a right-hand matrix [K, N].

    Args:
        weight: A weight that was rounded to a grid already keeps to it, if that is one of the scheme.
        array: Its elements.
        scheme: For [K, N].
        method: See `encode`.
        turned: The array is [N, K].
    """
    assert scheme.axis is not None
    if not turned:
        noted = noted_for(weight, scheme)
        return encode(array, scheme, method) if noted is None else Codes(noted, noted.quantize(array))
    turned_scheme = replace(scheme, axis=1 - scheme.axis)
    affine = noted_for(weight, turned_scheme)
    if affine is None:
        affine = affine_for(array, turned_scheme, method)  # type: ignore[arg-type]
    codes = np.ascontiguousarray(affine.quantize(array).T)
    scale, zero_point = np.ascontiguousarray(affine.scale.T), np.ascontiguousarray(affine.zero_point.T)
    return Codes(Affine(scheme, scale, zero_point), codes)


def dequantized(tape: Tape, codes: Codes, name: str) -> ir.Value:
    """DequantizeLinear of constants, which onnxruntime and others turn into a product with codes."""
    scheme = codes.affine.scheme
    operands = [tape.const(codes.array, f"{name}/codes"), tape.const(codes.affine.scale, f"{name}/scale")]
    if codes.has_zero_point:
        operands.append(tape.const(codes.affine.zero_point, f"{name}/zero_point"))
    attributes: dict[str, Any] = {"axis": scheme.axis}
    if scheme.block is not None:
        attributes["block_size"] = scheme.block
    return tape.op("DequantizeLinear", operands, attributes)


def decoded(tape: Tape, codes: Codes, shape: tuple[int, ...], name: str) -> ir.Value:
    """(Cast(codes) - zero point) * scale in the weight's shape: runtimes fold it when they load the model.

    They leave a DequantizeLinear of a constant, and run it every time.

    Args:
        tape: Gets the nodes.
        codes: Of the weight as a matrix [rows, elements], with a scale a row, or by blocks along either axis.
        shape: Of the weight; its first axes together are the rows.
        name: Of the weight.
    """
    scheme = codes.affine.scheme
    scale, zero_point, array = codes.affine.scale, codes.zero_point, codes.array
    if scheme.block is None:
        spread = _row_shape(shape, len(array))
        array, scale, zero_point = array.reshape(shape), scale.reshape(spread), zero_point.reshape(spread)
    else:
        assert scheme.axis is not None
        place_of_block = scheme.axis + 1
        parts = list(scale.shape)
        parts.insert(place_of_block, scheme.block)
        array = array.reshape(parts)
        scale, zero_point = (np.expand_dims(each, place_of_block) for each in (scale, zero_point))
    value = _as_float(tape, tape.const(array, f"{name}/codes"))
    if codes.has_zero_point:
        zero = tape.const(zero_point, f"{name}/zero_point")
        value = tape.op("Sub", [value, zero if codes.real is not None else _as_float(tape, zero)])
    value = tape.op("Mul", [value, tape.const(scale, f"{name}/scale")])
    return value if array.shape == shape else tape.op("Reshape", [value, tape.ints(shape, f"{name}/shape")])


def looked_up(tape: Tape, book: Codebook, matrix: Array, shape: tuple[int, ...], name: str) -> ir.Value:
    """Gather(table, codes) * scale in the weight's shape, which runtimes fold when they load the model.

    Args:
        tape: Gets the nodes.
        book: With a scale for each index of either axis.
        matrix: The weight as a matrix.
        shape: Of the weight; its first axes together are the rows.
        name: Of the weight.
    """
    codes = book.quantize(matrix).reshape(shape).astype(INDICES[book.scheme.bits].numpy())
    index = tape.op("Cast", [tape.const(codes, f"{name}/codes")], {"to": ir.DataType.INT32.value})
    value = tape.op("Gather", [tape.const(book.table, f"{name}/table"), index])
    spread = _row_shape(shape, len(matrix)) if book.scheme.axis == 0 else (1, *book.scale.shape)
    return tape.op("Mul", [value, tape.const(book.scale.reshape(spread), f"{name}/scale")])


def by_nbits(tape: Tape, x: ir.Value, codes: Codes, bias: ir.Value | None, name: str) -> ir.Value:
    """MatMulNBits of `x` and codes [K, N] by blocks along axis 0.

    Args:
        tape: Gets the nodes.
        x: The other operand.
        codes: The weight.
        bias: Added to the product.
        name: Of the weight.
    """
    packed = matmul_nbits(codes.affine, codes.array)
    operands: list[ir.Value | None] = [
        x, tape.const(packed.codes, f"{name}/codes"), tape.const(packed.scales, f"{name}/scale")
    ]  # fmt: skip
    if packed.zero_points is not None:
        operands.append(tape.const(packed.zero_points, f"{name}/zero_point"))
    k, n = codes.array.shape
    vector = bias is not None and constant_tensor(bias) is not None and _shape(bias) == (n,)
    if vector:
        operands += [None] * (5 - len(operands)) + [bias]
    attributes = {
        "K": k,
        "N": n,
        "bits": codes.affine.scheme.width,
        "block_size": codes.block,
        "accuracy_level": INT8_MULTIPLIED,
    }
    product = tape.op("MatMulNBits", operands, attributes, domain=CONTRIB)
    return product if bias is None or vector else tape.op("Add", [product, bias])


def rows_read(tape: Tape, gather: ir.Node, codes: Codes, shape: tuple[int, ...], name: str) -> ir.Value:
    """The rows that a Gather reads, of codes with one scale a row."""
    indices = gather.inputs[1]
    spread = (shape[0], *(1 for _ in shape[1:]))

    def read(array: Array, what: str) -> ir.Value:
        return tape.op("Gather", [tape.const(array, f"{name}/{what}"), indices])

    value = _as_float(tape, read(codes.array.reshape(shape), "codes"))
    if codes.has_zero_point:
        zero = _as_float(tape, read(codes.affine.zero_point.reshape(spread), "zero_point"))
        value = tape.op("Sub", [value, zero])
    return tape.op("Mul", [value, read(codes.affine.scale.reshape(spread), "scale")])


def nibble_rows_read(tape: Tape, gather: ir.Node, codes: Codes, axes: int, name: str) -> ir.Value:
    """The rows that a Gather reads, of codes [rows, n] of 4 bits by blocks; two of them lie in a byte.

    No Gather of onnxruntime takes int4. Bytes are split in floats: OpenVINO 2026.4 rounds where it shifts and
    divides bytes, and has a DequantizeLinear by blocks for constants alone.

    Args:
        tape: Gets the nodes.
        gather: The Gather.
        codes: Of the table.
        axes: Number of axes of what it looks up.
        name: Of the table.
    """
    array, zero = unsigned(codes.affine, codes.array)
    same = [0] * axes

    def read(table: Array, what: str) -> ir.Value:
        return tape.op("Gather", [tape.const(table, f"{name}/{what}"), gather.inputs[1]])

    both = _as_float(tape, read(pack_halves(array), "codes"))
    high = tape.op("Floor", [tape.op("Mul", [both, tape.const(np.float32(1 / NIBBLES), "nibble")])])
    low = tape.op("Sub", [both, tape.op("Mul", [high, tape.const(np.float32(NIBBLES), "nibbles")])])
    row = tape.op("Concat", [low, high], {"axis": axes})
    blocks = tape.op("Reshape", [row, tape.ints([*same, *codes.affine.scale.shape[1:], codes.block])])
    zeros = _as_float(tape, read(zero[..., np.newaxis], "zero_point"))
    scale = read(codes.affine.scale[..., np.newaxis], "scale")
    values = tape.op("Mul", [tape.op("Sub", [blocks, zeros]), scale])
    return tape.op("Reshape", [values, tape.ints([*same, array.shape[1]])])


def blocks_read(tape: Tape, gather: ir.Node, codes: Codes, name: str) -> ir.Value:
    """GatherBlockQuantized of codes [rows, n] of 4 bits by blocks."""
    array, zero = unsigned(codes.affine, codes.array)
    operands = [
        tape.const(pack(array, NIBBLE), f"{name}/codes"),
        gather.inputs[1],
        tape.const(codes.affine.scale, f"{name}/scale"),
    ]
    if codes.has_zero_point:
        operands.append(tape.const(pack(zero, NIBBLE), f"{name}/zero_point"))
    attributes = {"gather_axis": 0, "quantize_axis": 1, "block_size": codes.block, "bits": NIBBLE}
    return tape.op("GatherBlockQuantized", operands, attributes, domain=CONTRIB)


def place(tape: Tape, graph: ir.Graph, before: ir.Node, sources: list[ir.Node]) -> None:
    """Put what a tape holds into a graph, in front of a node, and say which nodes it comes from."""
    for value in tape.constants:
        graph.initializers.add(value)
    origin = ", ".join(node.metadata_props.get(PROVENANCE_KEY) or node.name or "" for node in sources)
    for node in tape.nodes:
        node.metadata_props[PROVENANCE_KEY] = origin
    graph.insert_before(before, tape.nodes)


def drop(weight: ir.Value) -> None:
    """Remove a constant that nobody uses any more."""
    producer = weight.producer()
    if producer is not None:
        remove_node(producer)
    elif weight.graph is not None and weight.name is not None:
        del weight.graph.initializers[weight.name]


def along(axis: int, scheme: Scheme, elements: int, block: int | None) -> Scheme:
    """The scheme for a matrix of which blocks along an axis share a scale, or whole rows.

    Blocks divide the axis: a shorter last one would have to be filled up. Where no number near the size
    wanted does, and where no block is wanted, each row has a scale.

    Args:
        axis: 0 or 1.
        scheme: Type of the codes.
        elements: Size of the axis.
        block: The size wanted, or None.
    """
    if block is None:
        return replace(scheme, axis=0, block=None)
    fits = max(size for size in range(1, min(block, elements) + 1) if elements % size == 0)
    return replace(scheme, axis=0, block=None) if 4 * fits < block else replace(scheme, axis=axis, block=fits)


def _row_shape(shape: tuple[int, ...], rows: int) -> tuple[int, ...]:
    """`shape` with 1 for the axes behind those that make up the rows."""
    leading, size = 0, 1
    while size < rows:
        size *= shape[leading]
        leading += 1
    return (*shape[:leading], *(1 for _ in shape[leading:]))


def _as_float(tape: Tape, value: ir.Value) -> ir.Value:
    return tape.op("Cast", [value], {"to": ir.DataType.FLOAT.value})


def _shape(value: ir.Value) -> tuple[int, ...]:
    tensor = constant_tensor(value)
    assert tensor is not None
    return tuple(int(dim) for dim in tensor.shape.numpy())
