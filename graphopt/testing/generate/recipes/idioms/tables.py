"""Looking up and taking apart: embeddings, positions, pieces that make up the whole."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import Unfit, recipe
from graphopt.testing.generate.recipes.idioms._near import add, choice, mul, step

ROWS = 5
"""Of a table."""


@recipe("OneHot", "Equal", weight=8)
def one_hot_embedding(b: Builder, op_type: str) -> None:
    """Rows of a table by products with one-hot rows."""
    ids = _ids(b)
    table = b.floats([ROWS, 3])
    if op_type == "OneHot":
        values = b.constant(np.array([0.0, 1.0], np.float32), fresh=True)
        rows = b.op(op_type, ids, b.ints(choice(b, ROWS, ROWS + 1)), values, axis=-1)
    else:
        numbers = b.constant(np.arange(ROWS, dtype=ids.array.dtype), fresh=True)
        rows = b.op(op_type, b.op("Unsqueeze", ids, axes=[ids.rank]), numbers)
        rows = b.op("Cast", rows, to=int(ir.DataType.FLOAT))
    b.op("MatMul", step(b, rows), table)


@recipe("Gather", weight=10)
def gather_then_work(b: Builder, op_type: str) -> None:
    """Rows of a constant table, then work on each: scale, bias, activation, Softmax, a norm."""
    dtype = b.dtype("f")
    y = b.op(op_type, b.floats([ROWS, 4], dtype), _ids(b), axis=0)
    for _ in range(b.choices.integer(1, 2)):
        kind = b.choices.choose(("Mul", "Add", "Relu", "Softmax", "norm"))
        if kind == "norm" and b.opset >= 17:
            y = b.op("LayerNormalization", y, b.floats([4], dtype))
        elif kind in ("Mul", "Add"):
            y = b.op(kind, y, b.floats(b.choices.choose(([], [4], [1])), dtype))
        elif kind == "Softmax":
            y = b.op(kind, y, axis=y.rank - 1)
        else:
            y = b.op("Relu", y)


@recipe("Gather", weight=8)
def gather_counted(b: Builder, op_type: str) -> None:
    """By 0, 1, 2 ... as a constant, as a Range of the size, or cut from a table of positions."""
    x = b.pick(where=lambda v: v.rank > 0)
    axis = b.choices.integer(0, x.rank - 1)
    size = x.shape[axis]
    way = b.choices.choose(("constant", "range", "cut"))
    if way == "constant":
        b.op(op_type, x, b.constant(np.arange(choice(b, size, max(size - 1, 0))), fresh=True), axis=axis)
        return
    length = b.op(op_type, b.op("Shape", x), b.constant(np.array(axis), fresh=True), axis=0)
    if way == "range":
        zero, one = (b.constant(np.array(each), fresh=True) for each in (0, choice(b, 1, 2)))
        b.op(op_type, x, b.op("Range", zero, length, one), axis=axis)
        return
    positions = b.constant(np.arange(8)[None, :], fresh=True)
    cut = b.op("Slice", positions, b.ints([0]), b.op("Unsqueeze", length, axes=[0]), b.ints([1]))
    b.op(op_type, b.floats([8, 2]), cut)


@recipe("Slice", "Gather", weight=10)
def split_by_slices(b: Builder, op_type: str) -> None:
    """Pieces that make up an axis, or nearly, worked on alike and joined again or not."""
    x = b.pick(where=lambda v: v.rank > 0 and max(v.shape) > 1)
    axis = int(np.argmax(x.shape))
    size = x.shape[axis]
    middle = b.choices.integer(1, size - 1)
    if op_type == "Gather":
        parts = [b.op(op_type, x, b.ints([each]), axis=axis) for each in range(size)]
    else:
        bounds = ((0, middle), (choice(b, middle, 0), size if b.choices.chance(0.5) else 1 << 62))
        parts = [b.op(op_type, x, starts=[low], ends=[high], axes=[axis]) for low, high in bounds]
    if b.choices.chance(0.5):
        parts = [b.op("Relu", part) for part in parts]
    if b.choices.chance(0.6):
        b.op("Concat", *(reversed(parts) if b.choices.chance(0.2) else parts), axis=axis)


@recipe("MatMul", weight=8)
def matmuls_side_by_side(b: Builder, op_type: str) -> None:
    """Two or three products of one value, with biases or without; added to each other now and then."""
    x = b.pick(where=lambda v: v.rank > 1)
    width, biased = b.choices.choose((3, 2)), b.choices.chance(0.5)
    made = []
    for _ in range(b.choices.choose((2, 3))):
        y = b.op(op_type, x, b.floats([x.shape[-1], width], x.dtype))
        made.append(add(b, y, b.floats([width], x.dtype)) if biased else y)
    if b.choices.chance(0.3):
        add(b, made[0], made[1])


@recipe("Gemm", weight=8)
def gemm_and_neighbours(b: Builder, op_type: str) -> None:
    """Products of matrices with a factor, a transpose, a sum or an activation beside them."""
    x = b.pick(rank=2)
    weight = b.floats([3, x.shape[1]], x.dtype)
    kind = b.choices.choose(("gemm", "turned", "scaled", "summed"))
    if kind == "gemm":
        bias = b.floats([3], x.dtype)
        y = b.op(op_type, x, weight, bias, transB=1)
        b.op(b.choices.choose(("Relu", "Tanh", "LeakyRelu")), step(b, y))
    elif kind == "turned":
        b.op("MatMul", x, b.op("Transpose", b.op("Relu", weight), perm=[1, 0]))
    elif kind == "scaled":
        turned = b.op("Transpose", b.op("Relu", weight), perm=[1, 0])
        mul(b, b.op("MatMul", x, turned), b.floats([], x.dtype))
    else:
        y = b.op("MatMul", x, b.op("Transpose", weight, perm=[1, 0]))
        other = b.op("MatMul", b.op("Neg", x), b.floats([x.shape[1], 3], x.dtype))
        add(b, y, other)


@recipe("Where", weight=8)
def where_as_mask(b: Builder, op_type: str) -> None:
    """Of zero and one, of a negated condition, of Casts of conditions, as masks are made."""
    if not b.specials:
        raise Unfit("conditions jump")
    x = b.pick()
    condition = b.op("Greater", x, b.floats([], x.dtype))
    if b.choices.chance(0.4):
        condition = b.op("Not", condition)
    one, zero = (b.constant(np.array(each, x.array.dtype), fresh=True) for each in (1, 0))
    if b.choices.chance(0.4):
        y = b.op(op_type, condition, *((one, zero) if b.choices.chance(0.8) else (zero, one)))
    elif b.choices.chance(0.4):
        y = b.op("Cast", condition, to=int(x.dtype))
    else:
        y = b.op(op_type, condition, zero, x)
    mul(b, x, y)


@recipe("Mul", weight=10)
def affine_terms(b: Builder, op_type: str) -> None:
    """Chains of factors and terms, and sums with something in common."""
    x = b.pick()
    kind = b.choices.choose(("chain", "common", "gate", "strength"))
    if kind == "chain":
        for _ in range(b.choices.integer(2, 4)):
            y = b.floats(_small(x), x.dtype, positive=True)
            x = b.op(b.choices.choose(("Mul", "Add", "Sub", "Div")), step(b, x), y)
    elif kind == "common":
        y = b.op("Sigmoid", x)
        add(b, mul(b, x, y), mul(b, b.op("Tanh", x), y))
    elif kind == "gate":
        add(b, mul(b, x, b.op("Sigmoid", x)), x)
    else:
        y = b.op("Pow", x, b.constant(np.array(b.choices.choose((2, 1, 3)), x.array.dtype), fresh=True))
        b.op("Sub", b.op("Neg", x), y)


def _small(x: Known) -> list[int]:
    return [1] * (x.rank - 2) + list(x.shape[-2:]) if x.rank > 1 else []


def _ids(b: Builder) -> Known:
    shape = b.choices.choose(([2, 3], [3], [1, 4]))
    made = b.choices.numbers().integers(0, ROWS, shape).astype(b.choices.choose((np.int64, np.int32)))
    return b.constant(made) if b.outer is not None else b.input(made)
