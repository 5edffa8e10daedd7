"""Small files that compute enormous values, at once or by doubling."""

from __future__ import annotations

from collections.abc import Iterator

from graphopt.testing.hostile.build import body
from graphopt.testing.hostile.case import ANY_END, Case

_BILLION = 1_000_000_000
_FREE = "float[K] y"
_LIMIT = "memory"


def cases() -> Iterator[Case]:
    """Values of a billion elements and more, as results and on the way to one."""
    for name, (nodes, initializers) in _AT_ONCE.items():
        end = None if name in _OVERFLOWING else _LIMIT
        yield Case(name, body(nodes, outputs=_FREE, initializers=initializers), end)
        summed = f"{nodes.replace('y =', 'big =', 1)} y = ReduceSum <keepdims = 0> (big)"
        yield Case(f"{name}-summed", body(summed, outputs="float y", initializers=initializers), end)
    yield Case("doubling-40", _doubling(40, "Concat <axis = 0>"), _LIMIT)
    yield Case("doubling-20", _doubling(20, "Concat <axis = 0>"))
    yield Case("adding-60", _doubling(60, "Add"))
    yield Case("doubling-texts", _texts(), _LIMIT)
    yield Case("outer-products", _outer(6))
    yield Case("many-of-100-megabytes", _many(60), _LIMIT)
    yield Case("many-of-10-megabytes", _many(60, 2_500_000), _LIMIT)
    yield Case("many-of-1-megabyte", _many(60, 250_000))
    yield Case("sequence-of-many", _sequence(100), _LIMIT)
    yield Case("depends-on-input", body("y = ConstantOfShape(n)", "int64[1] n", _FREE))
    yield Case("square-of-input", body(_SQUARE, "float[200000,1] x", "float[A,B] y"), _LIMIT)
    sizes = "int64[2] n = {4000, 4000}"
    yield Case("slow-product", body(f"{_PRODUCT} {_SUM}", initializers=sizes), ANY_END)
    sizes = "int64[4] n = {1, 1, 3000, 3000}, int64[4] k = {1, 1, 1500, 1500}"
    yield Case("slow-convolution", body(f"{_CONVOLUTION} {_SUM}", initializers=sizes), "takes longer than")


# Sizes that do not even fit into a number: onnxruntime says so, and there is nothing to compare with.
_OVERFLOWING = ("constant-2-to-the-62", "constant-overflowing", "float-range")
_SQUARE = "p = MatMul(x, t) y = MatMul(p, p) t = Transpose(x)"
_PRODUCT = "a = ConstantOfShape(n) b = MatMul(a, a) c = MatMul(b, b) d = MatMul(c, c)"
_CONVOLUTION = "a = ConstantOfShape(n) w = ConstantOfShape(k) d = Conv(a, w)"
_SUM = "s = ReduceSum <keepdims = 0> (d) y = Add(x, s)"
_SIZE = f"int64[1] n = {{{_BILLION}}}"
_SIDES = "int64[2] n = {40000, 1}, int64[2] m = {1, 40000}"
_AT_ONCE = {
    "constant": ("y = ConstantOfShape(n)", _SIZE),
    "constant-2-to-the-62": ("y = ConstantOfShape(n)", f"int64[1] n = {{{1 << 62}}}"),
    "constant-overflowing": ("y = ConstantOfShape(n)", f"int64[3] n = {{{1 << 40}, {1 << 40}, 2}}"),
    "expand": ("y = Expand(w, n)", f"{_SIZE}, float[1] w = {{1}}"),
    "tile": ("y = Tile(w, n)", f"{_SIZE}, float[1] w = {{1}}"),
    "range": (
        "r = Range(z, m, o) y = Cast <to = 1> (r)",
        f"int64 z = {{0}}, int64 m = {{{_BILLION}}}, int64 o = {{1}}",
    ),
    "float-range": ("y = Range(z, m, o)", "float z = {0}, float m = {1e30}, float o = {1e-30}"),
    "pad": ("y = Pad(x, p)", f"int64[2] p = {{{_BILLION}, {_BILLION}}}"),
    "resize": ('y = Resize <mode = "nearest"> (w, , s)', "float[1,1,2] w = {1, 2}, float[3] s = {1, 1, 1e9}"),
    "resize-to-size": (
        'y = Resize <mode = "nearest"> (w, , , n)',
        f"float[1,1,2] w = {{1, 2}}, int64[3] n = {{1, 1, {_BILLION}}}",
    ),
    "one-hot": (
        "y = OneHot(i, d, v)",
        f"int64[2] i = {{0, 1}}, int64 d = {{{_BILLION}}}, float[2] v = {{0, 1}}",
    ),
    "random": (f"y = RandomNormal <shape = [{_BILLION}]> ()", ""),
    "eye": ("e = Expand(w, n) y = EyeLike(e)", "float[1,1] w = {1}, int64[2] n = {40000, 40000}"),
    "gather": ("i = Expand(z, n) y = Gather(x, i)", f"{_SIZE}, int64[1] z = {{0}}"),
    "broadcast": ("c = ConstantOfShape(n) r = ConstantOfShape(m) y = Add(c, r)", _SIDES),
    "outer-product": ("c = ConstantOfShape(n) r = ConstantOfShape(m) y = MatMul(c, r)", _SIDES),
    "transposed-convolution": (
        "y = ConvTranspose <strides = [100000000]> (w, k)",
        "float[1,1,20] w = {1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1}, float[1,1,1] k = {1}",
    ),
    "window": ("y = HannWindow(m)", f"int64 m = {{{_BILLION}}}"),
    "fourier": (
        "c = Unsqueeze(x, o) d = Unsqueeze(c, z) y = DFT <axis = 1> (d, m)",
        f"int64 m = {{{_BILLION}}}, int64[1] o = {{1}}, int64[1] z = {{0}}",
    ),
    "einsum": ('a = ConstantOfShape(n) y = Einsum <equation = "i,j->ij"> (a, a)', "int64[1] n = {40000}"),
    "nonzero": (
        "a = ConstantOfShape <value = float[1] {1}> (n) b = NonZero(a) y = Cast <to = 1> (b)",
        "int64[1] n = {90000000}",
    ),
}  # fmt: skip


def _doubling(times: int, operator: str) -> bytes:
    name, rest = operator.split(" ", 1) if " " in operator else (operator, "")
    steps = [f"t{step + 1} = {name} {rest} (t{step}, t{step})" for step in range(times)]
    return body(f"t0 = Neg(x) {' '.join(steps)} y = Neg(t{times})", outputs=_FREE)


def _texts() -> bytes:
    return body(
        "y = Expand(w, n)", outputs="string[K] y", initializers=f'{_SIZE}, string[1] w = {{"{"a" * 1000}"}}'
    )


def _outer(times: int) -> bytes:
    """Squares of sizes: 2, 4, 16, ... elements."""
    steps = [
        f"c{step} = Reshape(t{step}, column) r{step} = Reshape(t{step}, row) "
        f"m{step} = MatMul(c{step}, r{step}) t{step + 1} = Reshape(m{step}, flat)"
        for step in range(times)
    ]
    return body(
        f"t0 = Neg(x) {' '.join(steps)} y = Neg(t{times})",
        outputs=_FREE,
        initializers="int64[2] column = {-1, 1}, int64[2] row = {1, -1}, int64[1] flat = {-1}",
    )


def _many(count: int, size: int = 25_000_000) -> bytes:
    """Values that are all alive to the end."""
    made = " ".join(f"t{index} = Add(c, k{index})" for index in range(count))
    scalars = ", ".join(f"float k{index} = {{{index}}}" for index in range(count))
    names = ", ".join(f"t{index}" for index in range(count))
    return body(
        f"c = ConstantOfShape(n) {made} s = Sum({names}) r = ReduceSum <keepdims = 0> (s) y = Add(x, r)",
        initializers=f"int64[1] n = {{{size}}}, {scalars}",
    )


def _sequence(count: int) -> bytes:
    steps = " ".join(f"s{index + 1} = SequenceInsert(s{index}, c)" for index in range(count))
    return body(
        f"c = ConstantOfShape(n) s0 = SequenceConstruct(c) {steps} "
        f"y = ConcatFromSequence <axis = 0> (s{count})",
        outputs=_FREE,
        initializers="int64[1] n = {10000000}",
    )
