"""The fused forms to time, each with its spellings in plain operators, as ONNX text at realistic sizes.

Only descriptions stand here; `fused_forms.py` builds and times them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """One fused form at one size.

    Attributes:
        form: The fused operator, as targets name it.
        size: What was chosen, in words.
        inputs: Name -> shape of each float input, or an array (of integers) to feed as it is.
        fused: The fused form, from the inputs and weights to `y`.
        spellings: The same in plain operators, one text a way.
        weights: Name -> shape of random weights, or an array.
        repeat: How often to apply the form in a row, `x` to `y`: for forms too short to time alone.
    """

    form: str
    size: str
    inputs: Mapping[str, Shape | Array]
    fused: str
    spellings: tuple[str, ...]
    weights: Mapping[str, Shape | Array] = field(default_factory=dict)
    repeat: int = 1


PLANES: tuple[Shape, ...] = ((1, 16, 112, 112), (1, 64, 56, 56), (1, 256, 14, 14))
TOKENS: tuple[Shape, ...] = ((1, 16, 1536), (1, 128, 768), (1, 128, 1536), (1, 512, 3072))
INNER: tuple[Shape, ...] = ((1, 64, 56, 56), (1, 19, 64, 64), (1, 2, 64, 64), (4, 12, 50, 50))
ROWS: tuple[Shape, ...] = ((1, 16, 384), (1, 128, 384), (1, 197, 768), (1, 512, 768))

ELEMENTWISE: Mapping[str, tuple[tuple[Shape, ...], str, tuple[str, ...]]] = {
    "HardSwish": (
        PLANES,
        "y = HardSwish(x)",
        ("g = HardSigmoid <alpha = 0.166666667, beta = 0.5> (x) y = Mul(x, g)",),
    ),
    "HardSigmoid": (
        PLANES,
        "y = HardSigmoid <alpha = 0.166666667, beta = 0.5> (x)",
        ("a = Add(x, three) k = Clip(a, zero, six) y = Mul(k, sixth)",),
    ),
    "Swish": (PLANES, "y = Swish(x)", ("g = Sigmoid(x) y = Mul(x, g)",)),
    "Mish": (
        PLANES,
        "y = Mish(x)",
        (
            "s = Softplus(x) t = Tanh(s) y = Mul(x, t)",
            "m = Min(x, twenty) e = Exp(m) f = Add(e, two) n = Mul(e, f) d = Add(n, two) r = Div(n, d)"
            " y = Mul(x, r)",
        ),
    ),
    "Gelu": (
        TOKENS,
        "y = Gelu(x)",
        ("s = Mul(x, rsqrt2) e = Erf(s) o = Add(e, one) h = Mul(x, o) y = Mul(h, half)",),
    ),
    "Gelu (tanh)": (
        TOKENS,
        'y = Gelu <approximate = "tanh"> (x)',
        (
            "q = Mul(x, x) u = Mul(q, x) v = Mul(u, c3) w = Add(x, v) i = Mul(w, c0) t = Tanh(i)"
            " o = Add(t, one) h = Mul(x, half) y = Mul(h, o)",
            "q = Mul(x, x) u = Mul(q, c03) v = Add(u, c0) i = Mul(v, x) t = Tanh(i)"
            " o = Add(t, one) h = Mul(x, half) y = Mul(h, o)",
        ),
    ),
    "com.microsoft.Gelu": (TOKENS, "y = com.microsoft.Gelu(x)", ("y = Gelu(x)",)),
    "com.microsoft.FastGelu": (
        TOKENS,
        "y = com.microsoft.FastGelu(x)",
        ('y = Gelu <approximate = "tanh"> (x)',),
    ),
    "com.microsoft.QuickGelu": (
        TOKENS,
        "y = com.microsoft.QuickGelu <alpha = 1.702> (x)",
        ("s = Mul(x, quick) g = Sigmoid(s) y = Mul(x, g)",),
    ),
    "com.microsoft.QuickGelu.silu": (
        PLANES,
        "y = com.microsoft.QuickGelu <alpha = 1.0> (x)",
        ("g = Sigmoid(x) y = Mul(x, g)",),
    ),
    "com.microsoft.BiasGelu": (
        TOKENS,
        "y = com.microsoft.BiasGelu(x, b)",
        ("a = Add(x, b) y = Gelu(a)",),
    ),
    "com.microsoft.FastGelu.bias": (
        TOKENS,
        "y = com.microsoft.FastGelu(x, b)",
        ('a = Add(x, b) y = Gelu <approximate = "tanh"> (a)',),
    ),
    "Softplus": (PLANES, "y = Softplus(x)", ("e = Exp(x) p = Add(e, one) y = Log(p)",)),
    "Softsign": (PLANES, "y = Softsign(x)", ("a = Abs(x) p = Add(a, one) y = Div(x, p)",)),
    "Elu": (
        PLANES,
        "y = Elu(x)",
        ("e = Exp(x) m = Sub(e, one) p = Relu(x) n = Min(m, zero) y = Add(p, n)",),
    ),
    "Selu": (
        PLANES,
        "y = Selu(x)",
        (
            "e = Exp(x) m = Sub(e, one) k = Mul(m, selu) n = Min(k, zero) r = Relu(x) p = Mul(r, gamma)"
            " y = Add(p, n)",
        ),
    ),
    "Celu": (
        PLANES,
        "y = Celu <alpha = 2.0> (x)",
        (
            "d = Mul(x, half) e = Exp(d) m = Sub(e, one) k = Add(m, m) n = Min(k, zero) r = Relu(x)"
            " y = Add(r, n)",
        ),
    ),
    "Softmax": (
        ((1, 12, 128, 128), (1, 8, 16, 16), (1, 128, 1000)),
        "y = Softmax <axis = -1> (x)",
        ("m = ReduceMax(x, last) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, last) y = Div(e, s)",),
    ),
    "LogSoftmax": (
        ((1, 128, 1000), (1, 16, 6625)),
        "y = LogSoftmax <axis = -1> (x)",
        (
            "s = Softmax <axis = -1> (x) y = Log(s)",
            "m = ReduceMax(x, last) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, last) l = Log(s) y = Sub(d, l)",
        ),
    ),
    "Softmax.inner": (
        INNER,
        "y = Softmax <axis = 1> (x)",
        ("m = ReduceMax(x, second) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, second) y = Div(e, s)",),
    ),
    "LogSoftmax.inner": (
        INNER,
        "y = LogSoftmax <axis = 1> (x)",
        (
            "m = ReduceMax(x, second) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, second) l = Log(s)"
            " y = Sub(d, l)",
        ),
    ),
    "LpNormalization.inner": (
        INNER,
        "y = LpNormalization <axis = 1, p = 2> (x)",
        ("n = ReduceL2(x, second) y = Div(x, n)",),
    ),
    "LpNormalization": (
        ROWS,
        "y = LpNormalization <axis = -1, p = 2> (x)",
        ("n = ReduceL2(x, last) y = Div(x, n)",),
    ),
    "LayerNormalization": (
        ROWS,
        "y = LayerNormalization <axis = -1, epsilon = 1e-5> (x, b, c)",
        (
            "m = ReduceMean(x, last) d = Sub(x, m) q = Mul(d, d) v = ReduceMean(q, last) w = Add(v, eps)"
            " s = Sqrt(w) n = Div(d, s) g = Mul(n, b) y = Add(g, c)",
        ),
    ),
    "RMSNormalization": (
        ROWS,
        "y = RMSNormalization <axis = -1, epsilon = 1e-5> (x, b)",
        (
            "q = Mul(x, x) v = ReduceMean(q, last) w = Add(v, eps) s = Sqrt(w) n = Div(x, s) y = Mul(n, b)",
            "q = Pow(x, two) v = ReduceMean(q, last) w = Add(v, eps) s = Sqrt(w) n = Div(x, s) y = Mul(n, b)",
        ),
    ),
    "SimplifiedLayerNormalization": (
        ROWS,
        "y = SimplifiedLayerNormalization <axis = -1, epsilon = 1e-5> (x, b)",
        ("y = RMSNormalization <axis = -1, epsilon = 1e-5> (x, b)",),
    ),
    "com.microsoft.SkipLayerNormalization": (
        ROWS,
        "y = com.microsoft.SkipLayerNormalization <epsilon = 1e-5> (x, r, b, c)",
        (
            "a = Add(x, r) y = LayerNormalization <axis = -1, epsilon = 1e-5> (a, b, c)",
            "a = Sum(x, r) y = LayerNormalization <axis = -1, epsilon = 1e-5> (a, b, c)",
        ),
    ),
    "com.microsoft.SkipLayerNormalization.bias": (
        ROWS,
        "y = com.microsoft.SkipLayerNormalization <epsilon = 1e-5> (x, r, b, c, b)",
        (
            "i = Add(x, b) a = Add(i, r) y = LayerNormalization <axis = -1, epsilon = 1e-5> (a, b, c)",
            "i = Add(x, b) a = Sum(i, r) y = LayerNormalization <axis = -1, epsilon = 1e-5> (a, b, c)",
        ),
    ),
    "Sum.LayerNormalization": (
        ROWS,
        "a = Sum(x, r) y = LayerNormalization <axis = -1, epsilon = 1e-5> (a, b, c)",
        ("a = Add(x, r) y = LayerNormalization <axis = -1, epsilon = 1e-5> (a, b, c)",),
    ),
    "Sum.three": (
        ROWS,
        "a = Sum(x, b, r) y = LayerNormalization <axis = -1, epsilon = 1e-5> (a, b, c)",
        ("i = Add(x, b) a = Sum(i, r) y = LayerNormalization <axis = -1, epsilon = 1e-5> (a, b, c)",),
    ),
    "Sum.RMSNormalization": (
        ROWS,
        "a = Sum(x, r) y = RMSNormalization <axis = -1, epsilon = 1e-5> (a, b)",
        ("a = Add(x, r) y = RMSNormalization <axis = -1, epsilon = 1e-5> (a, b)",),
    ),
    "Sum.Gelu": (TOKENS, "a = Sum(x, b) y = Gelu(a)", ("a = Add(x, b) y = Gelu(a)",)),
    "Sum.Gelu.tanh": (
        TOKENS,
        'a = Sum(x, b) y = Gelu <approximate = "tanh"> (a)',
        ('a = Add(x, b) y = Gelu <approximate = "tanh"> (a)',),
    ),
    "com.microsoft.SkipLayerNormalization.sum": (
        ROWS,
        "n, _, _, s = com.microsoft.SkipLayerNormalization <epsilon = 1e-5> (x, r, b, c) y = Add(n, s)",
        ("a = Add(x, r) n = LayerNormalization <axis = -1, epsilon = 1e-5> (a, b, c) y = Add(n, a)",),
    ),
    "com.microsoft.SkipSimplifiedLayerNormalization": (
        ROWS,
        "y = com.microsoft.SkipSimplifiedLayerNormalization <epsilon = 1e-5> (x, r, b)",
        ("a = Add(x, r) y = RMSNormalization <axis = -1, epsilon = 1e-5> (a, b)",),
    ),
    "com.microsoft.SkipSimplifiedLayerNormalization.sum": (
        ROWS,
        "n, _, _, s = com.microsoft.SkipSimplifiedLayerNormalization <epsilon = 1e-5> (x, r, b)"
        " y = Add(n, s)",
        ("a = Add(x, r) n = RMSNormalization <axis = -1, epsilon = 1e-5> (a, b) y = Add(n, a)",),
    ),
}
"""Form -> shapes of `x`, the fused text, the spellings; `b` and `c` are vectors of the last axis, `r` is a
second input like `x`."""

CONSTANTS: Mapping[str, Array] = {
    "zero": np.array(0, np.float32),
    "one": np.array(1, np.float32),
    "twenty": np.array(20, np.float32),
    "two": np.array(2, np.float32),
    "three": np.array(3, np.float32),
    "six": np.array(6, np.float32),
    "sixth": np.array(1 / 6, np.float32),
    "half": np.array(0.5, np.float32),
    "rsqrt2": np.array(0.5**0.5, np.float32),
    "c3": np.array(0.044715, np.float32),
    "c0": np.array((2 / np.pi) ** 0.5, np.float32),
    "c03": np.array(0.044715 * (2 / np.pi) ** 0.5, np.float32),
    "quick": np.array(1.702, np.float32),
    "selu": np.array(1.7580993408473766, np.float32),
    "gamma": np.array(1.0507009873554805, np.float32),
    "eps": np.array(1e-5, np.float32),
    "last": np.array([-1]),
    "second": np.array([1]),
}


def elementwise() -> Iterator[Case]:
    """Forms from one tensor to one of the same shape."""
    for form, (shapes, fused, spellings) in ELEMENTWISE.items():
        for shape in shapes:
            inputs: dict[str, Shape | Array] = {
                "x": shape,
                **({"r": shape} if re.search(r"\br\b", fused) else {}),
            }
            vectors = {"b": shape[-1:], "c": shape[-1:]}
            size = "x".join(map(str, shape))
            yield Case(form, size, inputs, fused, spellings, {**CONSTANTS, **vectors}, repeat=4)


def planes() -> Iterator[Case]:
    """Normalizations of planes."""
    for batch, channels, height, width in ((1, 16, 112, 112), (1, 64, 56, 56), (1, 256, 14, 14)):
        size = f"{batch}x{channels}x{height}x{width}"
        shape = (batch, channels, height, width)
        weights: dict[str, Shape | Array] = {
            **CONSTANTS,
            "scale": (channels,),
            "bias": (channels,),
            "ones": np.ones(8, np.float32),
            "zeros": np.zeros(8, np.float32),
            "grouped": np.array([0, 8, -1]),
            "full": np.array(shape),
            "axes": np.array([2, 3]),
            "per_channel": np.array([1, channels, 1, 1]),
            "column": np.full((1, channels, 1, 1), 0.5, np.float32),
            "affine": np.full(channels, 0.5, np.float32),
        }
        yield Case(
            "InstanceNormalization",
            size,
            {"x": shape},
            "y = InstanceNormalization <epsilon = 1e-5> (x, scale, bias)",
            (
                "m = ReduceMean(x, axes) d = Sub(x, m) q = Mul(d, d) v = ReduceMean(q, axes) w = Add(v, eps)"
                " s = Sqrt(w) n = Div(d, s) sc = Reshape(scale, per_channel) bi = Reshape(bias, per_channel)"
                " g = Mul(n, sc) y = Add(g, bi)",
            ),
            weights,
            repeat=2,
        )
        yield Case(
            "GroupNormalization",
            size,
            {"x": shape},
            "y = GroupNormalization <num_groups = 8, epsilon = 1e-5> (x, affine, affine)",
            (
                "v = Reshape(x, grouped) i = InstanceNormalization <epsilon = 1e-5> (v, ones, zeros)"
                " n = Reshape(i, full) g = Mul(n, column) y = Add(g, column)",
            ),
            weights,
            repeat=2,
        )
        yield Case(
            "LRN",
            size,
            {"x": shape},
            "y = LRN <size = 5, alpha = 1e-4, beta = 0.75> (x)",
            (
                "q = Mul(x, x) v = Reshape(q, rows) p = AveragePool <kernel_shape = [5, 1],"
                " pads = [2, 0, 2, 0], count_include_pad = 1> (v) a = Reshape(p, full)"
                " m = Mul(a, eps) b = Add(m, one) s = Sqrt(b) r = Sqrt(s) d = Mul(s, r) y = Div(x, d)",
            ),
            {**weights, "rows": np.array([1, 1, channels, -1])},
        )


ACTIVATIONS = {
    "HardSwish": ('activation = "HardSwish"', "y = HardSwish(c)"),
    "Relu": ('activation = "Relu"', "y = Relu(c)"),
    "Sigmoid": ('activation = "Sigmoid"', "y = Sigmoid(c)"),
    "Tanh": ('activation = "Tanh"', "y = Tanh(c)"),
    "LeakyRelu": (
        'activation = "LeakyRelu", activation_params = [0.1]',
        "y = LeakyRelu <alpha = 0.1> (c)",
    ),
    "Clip": ('activation = "Clip", activation_params = [0.0, 6.0]', "y = Clip(c, zero, six)"),
    "HardSigmoid": (
        'activation = "HardSigmoid", activation_params = [0.166667, 0.5]',
        "y = HardSigmoid <alpha = 0.166667, beta = 0.5> (c)",
    ),
}


def convs() -> Iterator[Case]:
    """Activations and sums behind a Conv."""
    for channels, side, group, kernel in ((16, 112, 1, 1), (64, 56, 1, 3), (96, 28, 96, 3), (256, 14, 1, 1)):
        shape = (1, channels, side, side)
        size = f"{channels}x{side}x{side} {kernel}x{kernel}" + (" depthwise" if group > 1 else "")
        pad = kernel // 2
        options = f"group = {group}, pads = [{pad}, {pad}, {pad}, {pad}], kernel_shape = [{kernel}, {kernel}]"
        weights: dict[str, Shape | Array] = {
            **CONSTANTS,
            "w": (channels, channels // group, kernel, kernel),
            "b": (channels,),
        }
        conv = f"c = Conv <{options}> (x, w, b)"
        for name, (activation, spelled) in ACTIVATIONS.items():
            yield Case(
                f"com.microsoft.FusedConv.{name}",
                size,
                {"x": shape},
                f"y = com.microsoft.FusedConv <{options}, {activation}> (x, w, b)",
                (f"{conv} {spelled}",),
                weights,
                repeat=2,
            )
        yield Case(
            "com.microsoft.FusedConv.Sum",
            size,
            {"x": shape, "r": shape},
            f'y = com.microsoft.FusedConv <{options}, activation = "Relu"> (x, w, b, r)',
            (f"{conv} s = Add(c, r) y = Relu(s)",),
            weights,
            repeat=2,
        )
        yield Case(
            "HardSwish.Conv",
            size,
            {"x": shape},
            f"{conv} y = HardSwish(c)",
            (f"{conv} g = HardSigmoid <alpha = 0.166666667, beta = 0.5> (c) y = Mul(c, g)",),
            weights,
            repeat=2,
        )
        for form, fused in (
            ("Swish.Conv", "y = Swish(c)"),
            ("com.microsoft.QuickGelu.Conv", "y = com.microsoft.QuickGelu <alpha = 1.0> (c)"),
        ):
            yield Case(
                form,
                size,
                {"x": shape},
                f"{conv} {fused}",
                (f"{conv} g = Sigmoid(c) y = Mul(c, g)",),
                weights,
                repeat=2,
            )


def products() -> Iterator[Case]:
    """Matrix products with what stands around them."""
    for rows, width in ((1, 512), (16, 384), (128, 384), (128, 768)):
        size = f"{rows}x{width}x{width}"
        weights: dict[str, Shape | Array] = {"w": (width, width), "b": (width,)}
        flat, batched = {"x": (rows, width)}, {"x": (1, rows, width)}
        yield Case(
            "Gemm", size, flat, "y = Gemm(x, w, b)", ("m = MatMul(x, w) y = Add(m, b)",), weights, repeat=2
        )
        yield Case(
            "com.microsoft.FusedGemm",
            size,
            flat,
            'y = com.microsoft.FusedGemm <activation = "Relu"> (x, w, b)',
            ("m = Gemm(x, w, b) y = Relu(m)",),
            weights,
            repeat=2,
        )
        matrices = np.random.default_rng(0).normal(0, 0.05, (3, width, width)).astype(np.float32)
        three: dict[str, Shape | Array] = {
            f"w{part}": each for part, each in zip("qkv", matrices, strict=True)
        }
        three |= {f"b{part}": np.zeros(width, np.float32) for part in "qkv"}
        three |= {"wm": np.concatenate(matrices, axis=1), "bm": np.zeros(3 * width, np.float32)}
        yield Case(
            "Split",
            f"QKV {size}",
            batched,
            "m = MatMul(x, wm) a = Add(m, bm) q, k, v = Split <axis = -1, num_outputs = 3> (a)"
            " s = Mul(q, k) y = Mul(s, v)",
            (
                "qm = MatMul(x, wq) q = Add(qm, bq) km = MatMul(x, wk) k = Add(km, bk)"
                " vm = MatMul(x, wv) v = Add(vm, bv) s = Mul(q, k) y = Mul(s, v)",
            ),
            three,
        )
    for heads, length, depth in ((12, 16, 32), (12, 128, 32), (12, 128, 64), (12, 512, 64)):
        size = f"{heads}x{length}x{depth}"
        shape = (1, heads, length, depth)
        inputs: dict[str, Shape | Array] = {"q": shape, "k": shape}
        weights = {"scale": np.array(depth**-0.5, np.float32)}
        yield Case(
            "com.microsoft.FusedMatMul",
            f"scaled, transposed {size}",
            inputs,
            f"y = com.microsoft.FusedMatMul <alpha = {depth**-0.5:.6f}, transB = 1> (q, k)",
            ("t = Transpose <perm = [0, 1, 3, 2]> (k) m = MatMul(q, t) y = Mul(m, scale)",),
            weights,
        )
