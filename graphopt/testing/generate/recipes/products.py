"""Products of matrices: with constants, with each other, of integers, and as Einstein sums."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import Unfit, recipe
from graphopt.testing.generate.recipes._parts import typed

EQUATIONS = (
    "ij,jk->ik", "ij,kj->ik", "ij->ji", "ij->i", "ij->", "ij,ij->ij", "bij,bjk->bik", "bij,jk->bik",
    "i,j->ij", "bhid,bhjd->bhij", "bihd,bjhd->bhij", "...ij,...jk->...ik", "ij,j", "ii->i", "bij,bj->bi",
)  # fmt: skip
"""Letters are sizes; as exporters write them, and some odd ones."""


@recipe("MatMul", weight=25)
def matmul(b: Builder, op_type: str) -> None:
    """A constant or another value on either side; vectors, and batches that broadcast."""
    x = b.pick(where=lambda v: v.rank > 0)
    outer = b.choices.choose((2, 1, 5))
    kind = b.choices.weighted(("right", "left", "batched", "vector", "value"), (6, 2, 2, 1, 2))
    if kind == "left" and x.rank > 1:
        b.op(op_type, b.floats([outer, x.shape[-2]], x.dtype), x)
    elif kind == "batched":
        b.op(op_type, x, b.floats([*b.broadcastable(x.shape[:-2]), x.shape[-1], outer], x.dtype))
    elif kind == "vector":
        b.op(op_type, x, b.floats([x.shape[-1]], x.dtype))
    elif kind == "value" and x.rank > 1:
        swapped = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
        b.op(op_type, x, b.op("Transpose", _alike(b, x), perm=swapped))
    else:
        b.op(op_type, x, b.floats([x.shape[-1], outer], x.dtype))


@recipe("Gemm", weight=15)
def gemm(b: Builder, op_type: str) -> None:
    """Transposed or not, factors of all sorts, and a bias of any shape that fits or none."""
    x = b.pick(rank=2)
    trans_a, trans_b = int(b.choices.chance(0.2)), int(b.choices.chance(0.4))
    rows, inner = x.shape[::-1] if trans_a else x.shape
    outer = b.choices.choose((2, 1, 5))
    weight = b.floats([outer, inner] if trans_b else [inner, outer], x.dtype)
    needed = b.opset < 11
    shape = b.choices.choose(([outer], [1, outer], [1], [], [rows, 1], [rows, outer]))
    bias = b.floats(shape, x.dtype) if needed or b.choices.chance(0.6) else None
    alpha, beta = (0.5, b.choices.choose((2.0, 0.0))) if b.choices.chance(0.3) else (None, None)
    b.op(op_type, x, weight, bias, alpha=alpha, beta=beta, transA=trans_a, transB=trans_b)


@recipe("Einsum", weight=5)
def einsum(b: Builder, op_type: str) -> None:
    """New operands of sizes that the letters give, the first one now and then there already."""
    equation = b.choices.choose(EQUATIONS)
    letters = [each.replace("...", "") for each in equation.partition("->")[0].split(",")]
    sizes = dict(zip("bhijkd", b.shape(6), strict=True))
    shapes = [tuple(sizes[letter] for letter in each) for each in letters]
    x = b.pick(rank=len(shapes[0])) if b.choices.chance(0.6) else b.new(b.dtype("f"), shapes[0])
    sizes.update(zip(letters[0], x.shape, strict=True))
    others = [b.floats([sizes[letter] for letter in each], x.dtype) for each in letters[1:]]
    b.op(op_type, x, *others, equation=equation)


@recipe("MatMulInteger", "QLinearMatMul", weight=4)
def of_bytes(b: Builder, op_type: str) -> None:
    """Zero points of tensors, of rows and columns, or none."""
    left, right = (b.choices.choose((ir.DataType.UINT8, ir.DataType.INT8)) for _ in range(2))
    x = typed(b, left, 2)
    weight = b.floats([x.shape[-1], b.choices.choose((2, 1, 5))], right)
    zero = b.constant(np.array(1, left.numpy()))
    columns = [weight.shape[-1]] if b.choices.chance(0.3) else []
    weight_zero = b.constant(np.full(columns, 2, right.numpy()))
    if op_type == "MatMulInteger":
        b.op(op_type, x, weight, *((zero, weight_zero) if b.choices.chance(0.6) else ()))
        return
    scale = b.floats([], positive=True)
    b.op(op_type, x, scale, zero, weight, b.floats(columns, positive=True), weight_zero, scale, zero)


def _alike(b: Builder, x: Known) -> Known:
    """A value whose last dimension is as long."""
    found = b.pick(where=lambda v: v.dtype == x.dtype and v.rank == x.rank and v.shape[-1:] == x.shape[-1:])
    if found.shape[:-2] != x.shape[:-2]:
        raise Unfit("batches differ")
    return found
