"""MatMulNBits: floats by weights in codes of 4 or 8 bits."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.native import reasons
from graphopt.testing import parse_model

from .conftest import Lower

HEAD = '<ir_version: 9, opset_import: ["" : 17, "com.microsoft" : 1]> g '


def numbers(name: str, kind: str, shape: tuple[int, ...]) -> str:
    """An initializer of random elements."""
    rng = np.random.default_rng(len(shape))
    values = rng.integers(0, 256, shape) if kind == "uint8" else rng.uniform(-0.1, 0.1, shape).round(4)
    sizes = ",".join(map(str, shape))
    return f"{kind}[{sizes}] {name} = {{{','.join(map(str, values.reshape(-1)))}}}"


def model(
    x: str, y: str, depth: int, columns: int, bits: int, block: int, inputs: str, more: str = ""
) -> str:
    blocks = -(-depth // block)
    constants = ", ".join(
        (
            numbers("w", "uint8", (columns, blocks, block * bits // 8)),
            numbers("s", "float", (columns * blocks,)),
            numbers("z", "uint8", (columns * -(-blocks * bits // 8),)),
            numbers("b", "float", (columns,)),
        )
    )
    sizes = f"K = {depth}, N = {columns}, bits = {bits}, block_size = {block}"
    return f"""{HEAD}(float[{x}] x) => (float[{y}] y) <{constants}> {{
        h = com.microsoft.MatMulNBits<{sizes}{more}>(x, {inputs}) y = Relu(h) }}"""


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("inputs", ["w, s", "w, s, z", "w, s, , , b", "w, s, z, , b"])
@pytest.mark.parametrize(("depth", "block"), [(64, 16), (100, 32), (128, 128), (48, 64), (256, 256)])
def test_it_agrees_with_onnxruntime(bits: int, inputs: str, depth: int, block: int, lower: Lower) -> None:
    text = model(f"2,3,{depth}", "2,3,20", depth, 20, bits, block, inputs)
    assert lower(text, step=1e-4 * (1 << bits)) == ["matmul_nbits", "unary"]


def test_one_row_and_a_batch_that_is_known_when_it_runs(lower: Lower) -> None:
    text = model("rows,64", "rows,20", 64, 20, 4, 32, "w, s, z")
    for rows in (1, 17):
        assert lower(text, step=1e-3, rows=rows) == ["matmul_nbits", "unary"]


def test_it_multiplies_what_codes_stand_for(lower: Lower) -> None:
    text = model("3,64", "3,20", 64, 20, 4, 32, "w, s, z")
    text = text.replace("}> {", "}, float q = {0.1}, uint8 o = {100}> {", 1).replace("(x, w", "(d, w")
    text = text.replace("h = ", "c = QuantizeLinear(x, q, o) d = DequantizeLinear(c, q, o) h = ")
    assert lower(text, step=1e-3) == ["quantize", "dequantize", "matmul_nbits", "unary"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (model("3,64", "3,20", 64, 20, 2, 32, "w, s"), "weights of 2 bits"),
        (model("3,64", "3,20", 64, 20, 4, 32, "x, s"), "input 1 is computed, not constant"),
        (model("3,64", "3,20", 64, 20, 4, 32, "w, b"), "scales of type float32 and shape [20]"),
        (model("3,64", "3,20", 64, 20, 4, 32, "w, s, s"), "zeros of type float32 and shape [40]"),
        (
            model("3,64", "3,20", 64, 20, 4, 32, "w, s, , z"),
            "weights whose groups are in an order of their own",
        ),
        (
            model("3,64", "3,20", 64, 20, 4, 32, "w, s", ", weight_prepacked = 1"),
            "weights in an order that is onnxruntime's own",
        ),
    ],
)
def test_what_is_no_kind_of_product_here_has_a_reason(text: str, reason: str) -> None:
    graph = parse_model(text)
    for value in graph.graph.all_nodes():
        for output in value.outputs:
            output.dtype, output.shape = ir.DataType.FLOAT, ir.Shape((3, 20))
    assert reasons(graph) == {next(iter(graph.graph)): reason}
