"""Functions of one number and of two, element by element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_float, attribute_int
from graphopt.native.lower.forms import Coded, Form, Grid, Known, Mapped, Pending, Stored
from graphopt.native.lower.ops.affine import by_channel
from graphopt.native.lower.pointwise import apply, attributes_of, combine, function_of, fused
from graphopt.native.lower.scope import INTEGERS, Scope, Unsupported, identity, is_coded
from graphopt.native.lower.steps import NAMES, NUMPY, Array, Dims

_SINGLE = int(ir.DataType.FLOAT)
_LARGEST = float(np.finfo(np.float32).max)
_OPS = {
    "Add": "add",
    "Sub": "sub",
    "Mul": "mul",
    "Div": "div",
    "Min": "min",
    "Max": "max",
    "Pow": "pow",
    "Sum": "add",
}


def unary(scope: Scope) -> Form:
    """A function of one number."""
    found = function_of(scope.node)
    if found is None:
        raise Unsupported("programs know no such function")
    form = scope.form(0)
    return _of_integers(scope, found[0], form) if are_integers(form) else mapped(scope, form, *found)


def _of_integers(scope: Scope, name: str, x: Form) -> Form:
    """Functions of one integer that are some of two."""
    dims = scope.output_dims()
    zero = Known(np.zeros((), NUMPY[scope.any(x).value.type]))
    if name == "relu":
        return combined(scope, "max", x, zero, dims)
    if name not in ("neg", "abs"):
        raise Unsupported(f"a function of integers: {name}")
    opposite = combined(scope, "sub", zero, x, dims)
    return opposite if name == "neg" else combined(scope, "max", x, opposite, dims)


def mapped(scope: Scope, x: Form, name: str, parameters: dict[str, float]) -> Form:
    """A function of the numbers of a form."""
    if name == "relu":
        return clipped(scope, x, 0.0, np.inf)

    if isinstance(x, Mapped):
        table = apply(name, parameters, x.table)
        return scope.tabled(x.source, table)
    if isinstance(x, Known):
        return Known(apply(name, parameters, x.array))
    stored = scope.floats(x)
    value = scope.step("unary", [stored.value], attributes_of(name, parameters), "f32", stored.value.dims)
    return Stored(value, stored.order)


def selu(scope: Scope) -> Form:
    """Selu: Elu times a number."""
    alpha = attribute_float(scope.node, "alpha", 1.67326319217681884765625)
    gamma = attribute_float(scope.node, "gamma", 1.05070102214813232421875)
    x = mapped(scope, scope.form(0), "elu", {"alpha": alpha})
    return combined(scope, "mul", x, Known(np.array(gamma, np.float32)), scope.output_dims())


def prelu(scope: Scope) -> Form:
    """PRelu with constant slopes: max(x, 0) + min(x, 0) * slope, of which one summand is always 0."""
    x, slope, dims = scope.form(0), scope.array(1), scope.output_dims()
    if slope.dtype != np.float32:
        raise Unsupported("slopes that are not float32")
    if slope.size == 1:
        return mapped(scope, x, "leaky_relu", {"alpha": float(slope.reshape(-1)[0])})
    stored = x if isinstance(x, Mapped) else scope.floats(x)
    zero = Known(np.zeros((), np.float32))
    below = combined(scope, "mul", combined(scope, "min", stored, zero, dims), Known(slope), dims)
    return combined(scope, "add", combined(scope, "max", stored, zero, dims), below, dims)


def clip(scope: Scope) -> Form:
    """Clip, with its ends as inputs or, in old opsets, attributes."""
    form, dims = scope.form(0), scope.output_dims()
    if are_integers(form):
        for index, op in ((1, "max"), (2, "min")):
            if scope.has(index):
                form = combined(scope, op, form, scope.form(index), dims)
        return form
    if scope.opset < 11:
        low = attribute_float(scope.node, "min", -_LARGEST)
        high = attribute_float(scope.node, "max", _LARGEST)
    else:
        low = scope.number(1) if scope.has(1) else -np.inf
        high = scope.number(2) if scope.has(2) else np.inf
    return clipped(scope, form, low, high)


def clipped(scope: Scope, x: Form, low: float, high: float) -> Form:
    """Numbers between two ends; ONNX takes the upper one where they are crossed."""
    low, high = (-np.inf if low <= -_LARGEST else low), (np.inf if high >= _LARGEST else high)
    if isinstance(x, Coded):
        grid = Grid(x.type, 1.0, 0)
        table = np.clip(x.table, max(low, grid.low), min(high, grid.high)).astype(np.int32)
        return replace(x, table=table)
    if isinstance(x, Pending):
        ends = [min(max(end, low), high) for end in (x.low, x.high)]
        return Pending(x.dims, x.to_codes, x.to_floats, ends[0], ends[1])
    if isinstance(x, Mapped):
        table = np.minimum(np.maximum(x.table, np.float32(low)), np.float32(high)).astype(np.float32)
        return scope.tabled(x.source, table)
    return scope.clipped(scope.floats(x), low, high)


def cast(scope: Scope) -> Form:
    """Cast, element by element; of codes to the numbers that they are, as of an image in bytes."""
    read, to, form = scope.node.inputs[0], attribute_int(scope.node, "to", _SINGLE), scope.form(0)
    if isinstance(form, Coded) and to == _SINGLE:
        return scope.dequantized(form, Grid(form.type, 1.0, 0))
    if read is not None and read.dtype == to:
        return form
    kind = ir.DataType(to)
    if kind == ir.DataType.STRING or kind.numpy() not in NAMES:
        raise Unsupported(f"a Cast to {kind.name.lower()}")
    if isinstance(form, Known):
        with np.errstate(all="ignore"):
            return Known(form.array.astype(kind.numpy()))
    stored, made = scope.any(form), NAMES[kind.numpy()]
    value = scope.step("cast", [stored.value], {"type": made}, made, stored.value.dims)
    result = Stored(value, stored.order)
    return scope.as_coded(result) if made in ("u8", "s8") else result


def binary(scope: Scope) -> Form:
    """A function of two numbers, with broadcasting; of more, where it is a sum or an end of them."""
    op = _OPS[scope.node.op_type]
    result = scope.form(0)
    for index in range(1, len(scope.node.inputs)):
        result = combined(scope, op, result, scope.form(index), scope.output_dims())
    return result


def combined(scope: Scope, op: str, a: Form, b: Form, dims: Dims) -> Form:
    """A function of two numbers."""
    if are_integers(a) or are_integers(b):
        return _integers_combined(scope, op, a, b, dims)
    if isinstance(a, Known) and isinstance(b, Known):
        return Known(combine(op, a.array, b.array))

    def floats() -> Stored:
        left, right = scope.floats(a), scope.floats(b)
        left, right, order = aligned(scope, left, right)
        memory = tuple(dims[axis] for axis in order)
        return Stored(scope.step("binary", [left.value, right.value], {"op": op}, "f32", memory), order)

    if op == "add":
        for product, numbers in ((a, b), (b, a)):
            biased = _biased(product, numbers)
            if biased is not None:
                return biased
    table = _table(op, a, b)
    if table is not None:
        source, results = table
        return replace(scope.tabled(source, results), rounded=_rounded(op, a, b))
    if op in ("add", "mul") and is_coded(a) and is_coded(b):
        return Pending(
            dims, lambda grid, low, high: _on_codes(scope, op, (a, b), grid, (low, high), dims), floats
        )
    for x, numbers in ((a, b), (b, a)):
        channels = by_channel(scope, op, x, numbers, swapped=x is b)
        if channels is not None:
            return channels
    return floats()


def are_integers(form: Form) -> bool:
    """Whether the elements of a value are integers of 32 or 64 bits."""
    if isinstance(form, Known):
        return NAMES.get(form.array.dtype) in INTEGERS
    return isinstance(form, Stored) and form.value.type in INTEGERS


def _integers_combined(scope: Scope, op: str, a: Form, b: Form, dims: Dims) -> Form:
    if op == "pow":
        raise Unsupported("a power of integers")
    left, right = scope.any(a), scope.any(b)
    if left.value.type != right.value.type:
        raise Unsupported(f"a function of {left.value.type} and {right.value.type}")
    left, right, order = aligned(scope, left, right)
    memory, kind = tuple(dims[axis] for axis in order), left.value.type
    return Stored(scope.step("binary", [left.value, right.value], {"op": op}, kind, memory), order)


def _table(op: str, a: Form, b: Form) -> tuple[Stored, Array] | None:
    """The codes of which both operands are functions, and what the operator gives for each."""
    if isinstance(a, Mapped) and isinstance(b, Mapped) and _same(a.source, b.source):
        return a.source, combine(op, a.table, b.table)
    if isinstance(a, Mapped) and isinstance(b, Known) and b.array.size == 1 and b.array.ndim <= len(a.dims):
        return a.source, combine(op, a.table, b.array.reshape(()))
    if isinstance(b, Mapped) and isinstance(a, Known) and a.array.size == 1 and a.array.ndim <= len(b.dims):
        return b.source, combine(op, a.array.reshape(()), b.table)
    return None


def _biased(product: Form, numbers: Form) -> Form | None:
    """A result with a constant added to it, where its operator can add it itself."""
    if not isinstance(product, Pending) or product.biased is None or not isinstance(numbers, Known):
        return None
    if (product.low, product.high) != (-np.inf, np.inf) or numbers.array.dtype != np.float32:
        return None
    return product.biased(numbers.array)


def _rounded(op: str, a: Form, b: Form) -> Callable[[Grid], Array] | None:
    """The codes that `add` and `mul` give, rounded as they do it, which is how onnxruntime does."""
    first, second = _integers(a), _integers(b)
    if first is None or second is None or op not in ("add", "mul"):
        return None
    if op == "add" and isinstance(a, Known):
        first, second = second, first
    (left, left_zero, p), (right, right_zero, q) = first, second

    def codes(grid: Grid) -> Array:
        y, zero = np.float32(grid.scale), np.float32(grid.zero)
        if op == "mul":
            product = ((left - left_zero) * (right - right_zero)).astype(np.float32)
            return grid.clamp_codes(product * (np.float32(p) * np.float32(q) / y) + zero)
        a_factor, b_factor = np.float32(p) / y, np.float32(q) / y
        start = zero - fused(np.float32(left_zero), a_factor, np.float32(right_zero) * b_factor)
        return grid.clamp_codes(fused(left, a_factor, fused(right, b_factor, start)))

    return codes


def _integers(form: Form) -> tuple[Array, int, float] | None:
    """The codes that stand for the numbers of a table or a constant, their zero point and their scale."""
    if isinstance(form, Mapped) and form.coded is not None and form.grid is not None:
        return form.coded.table, form.grid.zero, form.grid.scale
    if isinstance(form, Known) and form.codes is not None and form.codes.array.size == 1:
        codes = form.codes
        array = codes.array.reshape(()).astype(np.int32)
        return array, int(codes.zero.reshape(-1)[0]), float(codes.scale.reshape(-1)[0])
    return None


def _same(a: Stored, b: Stored) -> bool:
    return a.value is b.value and a.order == b.order


def _on_codes(
    scope: Scope, op: str, operands: tuple[Form, Form], grid: Grid, ends: tuple[int, int], dims: Dims
) -> Stored:
    (left, a), (right, b) = (scope.coded(form) for form in operands)
    if op == "add" and _is_value_of_rows(left.dims, right.dims):
        # As onnxruntime does: then the sum of both is rounded in the other order.
        left, a, right, b = right, b, left, a
    left, right, order = aligned(scope, left, right)
    attributes = {
        "a_scale": a.scale,
        "a_zero": a.zero,
        "b_scale": b.scale,
        "b_zero": b.zero,
        "y_type": grid.type,
        "y_scale": grid.scale,
        "y_zero": grid.zero,
    }
    if ends != (grid.low, grid.high):
        attributes |= {"y_low": ends[0], "y_high": ends[1]}
    memory = tuple(dims[axis] for axis in order)
    return Stored(scope.step(op, [left.value, right.value], attributes, grid.type, memory), order)


def _is_value_of_rows(a: Dims, b: Dims) -> bool:
    """Whether the first of two operands has one value where the other has a row of them."""
    rank = max(len(a), len(b))
    a, b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    for mine, other in zip(reversed(a), reversed(b), strict=True):
        if (mine, other) != (1, 1):
            return mine == 1
    return False


def aligned(scope: Scope, a: Stored, b: Stored) -> tuple[Stored, Stored, tuple[int, ...]]:
    """Both with as many axes, in one order: that of the larger."""
    rank = max(len(a.order), len(b.order))
    a, b = raised(scope, a, rank), raised(scope, b, rank)
    lead = b if _ones(b) < _ones(a) or (_ones(a) == _ones(b) and a.order == identity(rank)) else a
    return scope.in_order(a, lead.order), scope.in_order(b, lead.order), lead.order


def raised(scope: Scope, stored: Stored, rank: int) -> Stored:
    """With axes of 1 in front."""
    missing = rank - len(stored.order)
    if not missing:
        return stored
    if _ones(stored) < len(stored.order) - 1 or stored.order != identity(len(stored.order)):
        stored = scope.in_order(stored, identity(len(stored.order)))
    dims = stored.value.dims
    own = [size if isinstance(size, int) else (stored.value, axis) for axis, size in enumerate(dims)]
    value = scope.reshaped_to(stored.value, (1,) * missing + dims, [*[1] * missing, *own])
    return Stored(value, identity(rank))


def _ones(stored: Stored) -> int:
    return sum(size == 1 for size in stored.value.dims)
