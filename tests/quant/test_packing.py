"""Codes in bytes: first in the lowest bits, and back; MatMulNBits multiplies by what the codes stand for."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import UsageError
from graphopt.execute import Session
from graphopt.quant import Scheme, affine_for
from graphopt.quant.packing import matmul_nbits, pack, pack_halves, unpack, unsigned


def test_the_first_code_lies_in_the_lowest_bits() -> None:
    assert pack(np.array([1, 2, 3]), 4).tolist() == [0x21, 0x03]
    assert pack(np.array([[1, 2, 3, 0, 1]]), 2).tolist() == [[0b00111001, 0b01]]
    assert pack(np.array([7, 255]), 8).tolist() == [7, 255]
    assert pack_halves(np.array([[1, 2, 3, 4]])).tolist() == [[0x31, 0x42]]


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 31])
def test_unpack_undoes_pack(bits: int, count: int) -> None:
    codes = np.random.default_rng(count).integers(0, 1 << bits, (3, count))
    assert np.array_equal(unpack(pack(codes, bits), bits, count), codes)


@pytest.mark.parametrize(
    "text",
    [
        "int4:axis=0,block=16",
        "int4:axis=0,block=16,symmetric",
        "uint4:axis=0,block=32",
        "int8:axis=0,block=32",
        "int2:axis=0,block=16",
    ],
)
@pytest.mark.parametrize("shape", [(32, 3), (33, 5), (7, 1)])
def test_matmul_nbits_computes_with_what_the_codes_stand_for(text: str, shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    weight = random.normal(size=shape).astype(np.float32)
    affine = affine_for(weight, Scheme.parse(text))
    packed = matmul_nbits(affine, affine.quantize(weight))
    assert ("symmetric" in text) == (packed.zero_points is None)
    attributes = {
        "K": shape[0],
        "N": shape[1],
        "bits": affine.scheme.width,
        "block_size": affine.scheme.block,
    }
    arrays = [array for array in packed if array is not None]
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape((shape[0], shape[0])))
    constants = [ir.Value(name=f"c{i}", const_value=ir.tensor(a, name=f"c{i}")) for i, a in enumerate(arrays)]
    node = ir.node("MatMulNBits", [x, *constants], attributes, domain="com.microsoft")
    node.outputs[0].name = "y"
    graph = ir.Graph(
        [x], node.outputs, nodes=[node], initializers=constants, opset_imports={"": 17, "com.microsoft": 1},
        name="g",
    )  # fmt: skip
    decoded = Session(ir.Model(graph, ir_version=8)).run({"x": np.eye(shape[0], dtype=np.float32)})["y"]
    np.testing.assert_allclose(decoded, affine.fake(weight), rtol=1e-6, atol=1e-6)


def test_it_takes_blocks_of_rows_alone() -> None:
    weight = np.ones((4, 4), np.float32)
    affine = affine_for(weight, Scheme.parse("int4:axis=1,block=2"))
    with pytest.raises(UsageError, match="axis 0"):
        matmul_nbits(affine, affine.quantize(weight))


def test_unsigned_codes_stand_for_the_same() -> None:
    weight = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    affine = affine_for(weight, Scheme.parse("int4:axis=1,block=4"))
    codes, zero = unsigned(affine, affine.quantize(weight))
    decoded = (codes.reshape(4, 2, 4).astype(np.float32) - zero[..., None]) * affine.scale[..., None]
    np.testing.assert_array_equal(decoded.reshape(4, 8), affine.fake(weight))
