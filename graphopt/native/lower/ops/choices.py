"""What is true or false, and what is chosen by it: relations of numbers, Where, Trilu, and logic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_int
from graphopt.native.lower.forms import Form, Grid, Known, Mapped, Pending, Stored
from graphopt.native.lower.ops import elementwise
from graphopt.native.lower.ops.elementwise import aligned, mapped, raised
from graphopt.native.lower.ops.pools import bounded
from graphopt.native.lower.ops.views import expanded
from graphopt.native.lower.pointwise import attributes_of
from graphopt.native.lower.scope import Scope, Unsupported, identity, is_coded
from graphopt.native.lower.steps import NAMES, NUMPY, Array, Dims, Value

RELATIONS = {
    "Equal": ("equal", np.equal),
    "Less": ("less", np.less),
    "LessOrEqual": ("less_equal", np.less_equal),
    "Greater": ("greater", np.greater),
    "GreaterOrEqual": ("greater_equal", np.greater_equal),
    "Xor": ("not_equal", np.not_equal),
}
"""What `relation` lowers, by its name in programs, and on constants."""
_FARTHEST = 1 << 48
"""No axis is as long: a diagonal that is farther away is as good as there."""
_TRUE, _FALSE = Known(np.array(True)), Known(np.array(False))


def relation(scope: Scope) -> Form:
    """Equal, Less and their like; Xor, which is whether two differ."""
    name, function = RELATIONS[scope.node.op_type]
    a, b = scope.form(0), scope.form(1)
    if isinstance(a, Known) and isinstance(b, Known):
        return Known(np.asarray(function(a.array, b.array)))
    return _compared(scope, name, a, b)


def is_nan(scope: Scope) -> Form:
    """IsNaN: what is not equal to itself; codes stand for numbers mostly."""
    x, dims = scope.form(0), scope.output_dims()
    if isinstance(x, Known):
        return Known(np.isnan(x.array))
    if isinstance(x, Mapped) and not np.isnan(x.table).any():
        sizes = [size for size in dims if isinstance(size, int)]
        if len(sizes) == len(dims):
            return Known(np.broadcast_to(np.False_, sizes))
    return _compared(scope, "not_equal", x, x)


def where(scope: Scope) -> Form:
    """Where: on codes if both operands are codes of one grid."""
    condition, a, b, dims = scope.form(0), scope.form(1), scope.form(2), scope.output_dims()
    if isinstance(condition, Known) and (condition.array.all() or not condition.array.any()):
        return expanded(scope, a if condition.array.all() else b, dims)
    replaced = _replaced(scope, a, b)
    if replaced is not None:
        return replaced
    grid = _common_grid(a, b)
    if grid is None:
        return _chosen(scope, condition, scope.any(a), scope.any(b), dims)
    return scope.dequantized(_chosen(scope, condition, _on(scope, a, grid), _on(scope, b, grid), dims), grid)


def trilu(scope: Scope) -> Form:
    """Trilu: zeros on one side of a diagonal of each matrix."""
    form, dims = scope.form(0), scope.output_dims()
    k = int(np.clip(scope.number(1), -_FARTHEST, _FARTHEST)) if scope.has(1) else 0
    upper = attribute_int(scope.node, "upper", 1) == 1
    if isinstance(form, Known):
        return Known((np.triu if upper else np.tril)(form.array, k))
    stored = form if isinstance(form, Stored) else scope.floats(form)
    zero = scope.constant(np.zeros((), NUMPY[stored.value.type]))
    return _chosen(scope, _triangle(scope, stored, k, upper=upper), stored, zero, dims)


def _triangle(scope: Scope, stored: Stored, k: int, *, upper: bool) -> Form:
    """Whether the places of a matrix of the last two axes are on one side of a diagonal, or on it."""
    axes = [stored.order.index(axis) for axis in sorted(stored.order)[-2:]]
    rows, columns = (stored.value.dims[axis] for axis in axes)
    if isinstance(rows, int) and isinstance(columns, int):
        return Known(
            np.triu(np.ones((rows, columns), np.bool_), k) if upper else np.tri(rows, columns, k, np.bool_)
        )

    def places(axis: int, first: int) -> Value:
        """Numbers of all places along it, which begin with `first`."""
        ends = [scope.steps.constant(np.array([each], np.int64)) for each in (first, 1)]
        size = scope.step("shape", [stored.value], {"axes": [axis]}, "s64", (1,))
        end = scope.step("binary", [size, ends[0]], {"op": "add"}, "s64", (1,))
        return scope.step("range", [ends[0], end, ends[1]], {}, "s64", (None,))

    diagonal = scope.step("reshape", [places(axes[0], k)], {"dims": [-1, 1]}, "s64", (rows, 1))
    what = {"op": "greater_equal" if upper else "less_equal"}
    compared = [places(axes[1], 0), diagonal]
    return Stored(scope.step("compare", compared, what, "bool", (rows, columns)), identity(2))


def not_(scope: Scope) -> Form:
    """Not."""
    return _logic(scope, scope.form(0), _FALSE, _TRUE)


def and_(scope: Scope) -> Form:
    """And."""
    return _logic(scope, scope.form(0), scope.form(1), _FALSE)


def or_(scope: Scope) -> Form:
    """Or."""
    return _logic(scope, scope.form(0), _TRUE, scope.form(1))


def cast(scope: Scope) -> Form:
    """Cast; of what is true or false to 1 and 0."""
    kind = ir.DataType(attribute_int(scope.node, "to", int(ir.DataType.FLOAT)))
    read = scope.node.inputs[0]
    if read is None or read.dtype != ir.DataType.BOOL or kind == ir.DataType.BOOL:
        return elementwise.cast(scope)
    if kind.numpy() not in NAMES:
        raise Unsupported(f"a Cast to {kind.name.lower()}")
    return _logic(scope, scope.form(0), Known(np.array(1, kind.numpy())), Known(np.array(0, kind.numpy())))


def _logic(scope: Scope, condition: Form, a: Form, b: Form) -> Form:
    if isinstance(condition, Known) and isinstance(a, Known) and isinstance(b, Known):
        return Known(np.where(condition.array, a.array, b.array))
    return _chosen(scope, condition, scope.any(a), scope.any(b), scope.output_dims())


def _compared(scope: Scope, op: str, a: Form, b: Form) -> Form:
    left, right = scope.any(a), scope.any(b)
    if left.value.type != right.value.type:
        raise Unsupported(f"a comparison of {left.value.type} and {right.value.type}")
    left, right, order = aligned(scope, left, right)
    memory = tuple(scope.output_dims()[axis] for axis in order)
    return Stored(scope.step("compare", [left.value, right.value], {"op": op}, "bool", memory), order)


def _chosen(scope: Scope, condition: Form, a: Stored, b: Stored, dims: Dims) -> Form:
    if a.value.type != b.value.type:
        raise Unsupported(f"a choice of {a.value.type} and {b.value.type}")
    parts = _in_one_order(scope, [scope.any(condition), a, b], len(dims))
    order = parts[0].order
    memory = tuple(dims[axis] for axis in order)
    chosen = Stored(scope.step("where", [part.value for part in parts], {}, a.value.type, memory), order)
    return scope.as_coded(chosen) if a.value.type in ("u8", "s8") else chosen


def _in_one_order(scope: Scope, parts: Sequence[Stored], rank: int) -> list[Stored]:
    """With as many axes, in the order of the largest."""
    parts = [raised(scope, part, rank) for part in parts]
    lead = min(parts, key=lambda part: sum(size == 1 for size in part.value.dims))
    return [scope.in_order(part, lead.order) for part in parts]


def _replaced(scope: Scope, value: Form, x: Form) -> Form | None:
    """Where(IsNaN(x), value, x), which is a function of x."""
    source, kept = scope.node.inputs[0], scope.node.inputs[2]
    test = source.producer() if source is not None else None
    if test is None or test.op_type != "IsNaN" or test.domain or test.inputs[0] is not kept:
        return None
    if not isinstance(value, Known) or value.array.size != 1 or value.array.dtype != np.float32:
        return None
    if value.array.ndim > len(scope.output_dims()):
        return None
    number, name = value.array.reshape(()), scope.node.name or ""
    if isinstance(x, Mapped) and not np.isnan(x.table).any():
        return x
    parameters = {"value": float(number)}
    if not isinstance(x, Pending) or (x.low, x.high) != (-np.inf, np.inf):
        return mapped(scope, x, "replace_nan", parameters)

    def floats() -> Stored:
        stored, what = x.to_floats(), attributes_of("replace_nan", parameters)
        return Stored(
            scope.steps.add("unary", [stored.value], what, "f32", stored.value.dims, name), stored.order
        )

    def codes(grid: Grid, low: int, high: int) -> Stored:
        if int(grid.quantize(number)) == low:  # what is no number becomes the least code
            return x.to_codes(grid, low, high)
        return bounded(scope, scope.codes(scope.quantized(floats(), grid)), grid, low, high)

    return Pending(x.dims, codes, floats)


def _common_grid(a: Form, b: Form) -> Grid | None:
    """The grid on which both operands are; one of them may be a constant that it has a code for."""
    for form, other in ((a, b), (b, a)):
        if not isinstance(form, Mapped) or form.coded is None or form.grid is None:
            continue
        if is_coded(other) and isinstance(other, Mapped):
            return form.grid if other.grid == form.grid else None
        if isinstance(other, Known) and _is_exact(form.grid, other.array):
            return form.grid
    return None


def _is_exact(grid: Grid, numbers: Array) -> bool:
    return numbers.dtype == np.float32 and np.array_equal(grid.dequantize(grid.quantize(numbers)), numbers)


def _on(scope: Scope, form: Form, grid: Grid) -> Stored:
    """Codes of a grid that has them."""
    if isinstance(form, Known):
        array = grid.quantize(form.array)
        return scope.constant(array.astype(np.uint8 if grid.type == "u8" else np.int8))
    return scope.coded(form)[0]
