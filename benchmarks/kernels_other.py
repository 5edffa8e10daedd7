"""Rows of `kernels.py` for what is computed element by element, over windows or by rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from kernels_rows import Array, Row, in_onnxruntime, node

from graphopt._native import Operator

MICROSOFT = "com.microsoft"
SIZES = [(1, 14, 14, 96), (1, 28, 28, 192), (1, 56, 56, 64), (1, 112, 112, 96)]
SCALE = np.float32(0.02)


def codes(shape: Sequence[int], type_: str = "u8") -> Array:
    """Any codes."""
    dtype = np.uint8 if type_ == "u8" else np.int8
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8).view(dtype)


def floats(shape: Sequence[int]) -> Array:
    """Numbers that functions are mostly called with."""
    return np.random.default_rng(1).normal(0, 3, shape).astype(np.float32)


def ours(kind: str, attributes: Mapping[str, Any], inputs: Sequence[Array], tier: str | None) -> Any:
    """How to take our time."""
    return Operator(kind, dict(attributes), tier=tier).bind(list(inputs), 1).seconds


def by(shape: Sequence[int]) -> str:
    """A shape, in the name of a row."""
    return "x".join(map(str, shape))


def zero(type_: str) -> Any:
    """A zero point that is no end of the range."""
    return np.uint8(120) if type_ == "u8" else np.int8(-8)


def coding(type_: str) -> dict[str, Any]:
    """Attributes of codes read and written."""
    return {
        "x_scale": 0.02,
        "x_zero": int(zero(type_)),
        "y_type": type_,
        "y_scale": 0.03,
        "y_zero": int(zero(type_)),
    }


def binary_codes(tier: str | None) -> Iterator[Row]:
    """add and mul: of values of one shape, and of one row for all pixels."""
    for kind, peer in (("add", "QLinearAdd"), ("mul", "QLinearMul")):
        for type_ in ("u8", "s8"):
            constants = {"c_scale": SCALE, "c_zero": zero(type_), "c_out": np.float32(0.03)}
            attributes = {"a_scale": 0.02, "b_scale": 0.02, "y_scale": 0.03, "y_type": type_}
            attributes |= dict.fromkeys(("a_zero", "b_zero", "y_zero"), int(zero(type_)))
            names = ["a", "c_scale", "c_zero", "b", "c_scale", "c_zero", "c_out", "c_zero"]
            pairs = [(shape, shape) for shape in SIZES]
            if type_ == "u8":
                pairs.append(((1, 28, 28, 192), (1, 1, 1, 192)))
            for left, right in pairs:
                a, b = codes(left, type_), codes(right, type_)[..., ::-1].copy()
                yield Row(
                    f"{kind} {type_} {by(left)}" + (" by a row" if left != right else ""),
                    0,
                    ours(kind, attributes, [a, b], tier),
                    {
                        "onnxruntime": in_onnxruntime(
                            [node(peer, names, domain=MICROSOFT)], {"a": a, "b": b}, constants
                        )
                    },
                )


def lookups(tier: str | None) -> Iterator[Row]:
    """A table beside the sigmoid of codes."""
    constants = {"c_scale": SCALE, "c_zero": zero("u8"), "c_out": np.float32(1 / 256), "c_low": np.uint8(0)}
    sigmoid = node("QLinearSigmoid", ["x", "c_scale", "c_zero", "c_out", "c_low"], domain=MICROSOFT)
    for shape in SIZES:
        x = codes(shape)
        yield Row(
            f"lookup {by(shape)}",
            0,
            ours("lookup", {"table": codes((256,)), "type": "u8"}, [x], tier),
            {"onnxruntime": in_onnxruntime([sigmoid], {"x": x}, constants)},
        )


def conversions(tier: str | None) -> Iterator[Row]:
    """quantize and dequantize, with and without another layout."""
    for type_ in ("u8", "s8"):
        constants = {"c_scale": SCALE, "c_zero": zero(type_)}
        to_codes = node("QuantizeLinear", ["x", "c_scale", "c_zero"], "q")
        to_floats = node("DequantizeLinear", ["x", "c_scale", "c_zero"], "f")
        for shape in (
            ((1, 3, 224, 224), (1, 64, 56, 56), (1, 192, 28, 28)) if type_ == "u8" else ((1, 64, 56, 56),)
        ):
            last = (shape[0], *shape[2:], shape[1])
            attributes: dict[str, Any] = {"scale": 0.02, "zero": int(zero(type_))}
            x, q = floats(shape), codes(last, type_)
            for layout, more in (("same", []), ("last", [node("Transpose", ["q"], perm=[0, 2, 3, 1])])):
                yield Row(
                    f"quantize {type_} {by(shape)}" + (" to channels last" if more else ""),
                    0,
                    ours("quantize", attributes | {"type": type_, "layout": layout}, [x], tier),
                    {"onnxruntime": in_onnxruntime([to_codes, *more], {"x": x}, constants)},
                )
            for layout, more in (("same", []), ("first", [node("Transpose", ["f"], perm=[0, 3, 1, 2])])):
                yield Row(
                    f"dequantize {type_} {by(last)}" + (" to channels first" if more else ""),
                    0,
                    ours("dequantize", attributes | {"layout": layout}, [q], tier),
                    {"onnxruntime": in_onnxruntime([to_floats, *more], {"x": q}, constants)},
                )


def pools(tier: str | None) -> Iterator[Row]:
    """Pools of codes, channels last in the peer too."""
    for shape in ((1, 112, 112, 64), (1, 28, 28, 192)):
        x = codes(shape)
        window = {"kernel": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        peer: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        most = node("NhwcMaxPool", ["x"], domain=MICROSOFT, **peer)
        yield Row(
            f"max_pool 3x3 {by(shape)}",
            0,
            ours("max_pool", window | {"dilations": [1, 1], "ceil": 0}, [x], tier),
            {"onnxruntime": in_onnxruntime([most], {"x": x}, {})},
        )
        constants = {"c_scale": SCALE, "c_zero": zero("u8"), "c_out": np.float32(0.03)}
        names = ["x", "c_scale", "c_zero", "c_out", "c_zero"]
        mean = node("QLinearAveragePool", names, domain=MICROSOFT, channels_last=1, **peer)
        yield Row(
            f"average_pool 3x3 {by(shape)}",
            0,
            ours("average_pool", window | {"ceil": 0, "count_include_pad": 0} | coding("u8"), [x], tier),
            {"onnxruntime": in_onnxruntime([mean], {"x": x}, constants)},
        )
        whole = node("QLinearGlobalAveragePool", names, domain=MICROSOFT, channels_last=1)
        yield Row(
            f"global_average_pool {by(shape)}",
            0,
            ours("global_average_pool", coding("u8"), [x], tier),
            {"onnxruntime": in_onnxruntime([whole], {"x": x}, constants)},
        )


def moves(tier: str | None) -> Iterator[Row]:
    """concat, resize and transpose of codes."""
    a, b = codes((1, 28, 28, 96)), codes((1, 28, 28, 64))
    constants = {"c_scale": SCALE, "c_other": np.float32(0.03), "c_zero": zero("u8")}
    attributes: dict[str, Any] = {"axis": 3, "zeros": [120, 120], "y_type": "u8", "y_zero": 120}
    for other, scale in (("same codes", 0.02), ("other codes", 0.03)):
        names = ["c_scale", "c_zero", "a", "c_scale", "c_zero", "b"]
        names += ["c_scale" if scale == 0.02 else "c_other", "c_zero"]
        yield Row(
            f"concat 28x28x96+64 {other}",
            0,
            ours("concat", attributes | {"scales": [0.02, scale], "y_scale": 0.02}, [a, b], tier),
            {
                "onnxruntime": in_onnxruntime(
                    [node("QLinearConcat", names, domain=MICROSOFT, axis=3)], {"a": a, "b": b}, constants
                )
            },
        )
    x = codes((1, 40, 40, 96))
    for mode, form in (
        ("nearest", {"coordinates": "asymmetric", "nearest_mode": "floor"}),
        ("linear", {"coordinates": "half_pixel"}),
    ):
        peer = node(
            "Resize",
            ["x", "", "c_scales"],
            mode=mode,
            coordinate_transformation_mode=form["coordinates"],
            nearest_mode=form.get("nearest_mode", "round_prefer_floor"),
        )
        yield Row(
            f"resize {mode} 40x40x96 to 80x80",
            0,
            ours("resize", {"mode": mode, "scales": [2.0, 2.0], **form}, [x], tier),
            {
                "onnxruntime": in_onnxruntime(
                    [peer], {"x": x}, {"c_scales": np.array([1, 2, 2, 1], np.float32)}
                )
            },
        )
    for shape, perm in (((1, 56, 56, 64), [0, 3, 1, 2]), ((1, 128, 12, 64), [0, 2, 1, 3])):
        for value, name in ((codes(shape), "u8"), (floats(shape), "f32")):
            yield Row(
                f"transpose {name} {by(shape)} {''.join(map(str, perm))}",
                0,
                ours("transpose", {"perm": perm}, [value], tier),
                {"onnxruntime": in_onnxruntime([node("Transpose", ["x"], perm=perm)], {"x": value}, {})},
            )


def rows_of_floats(tier: str | None) -> Iterator[Row]:
    """softmax, layer_norm, lrn and means."""
    for shape in ((128, 128), (12, 384, 384), (40, 6625)):
        x = floats(shape)
        yield Row(
            f"softmax f32 {by(shape)}",
            0,
            ours("softmax", {}, [x], tier),
            {"onnxruntime": in_onnxruntime([node("Softmax", ["x"], axis=-1)], {"x": x}, {})},
        )
    x = codes((12, 128, 128))
    names = ["x", "c_scale", "c_zero", "c_out", "c_low"]
    constants = {"c_scale": SCALE, "c_zero": zero("u8"), "c_out": np.float32(1 / 256), "c_low": np.uint8(0)}
    yield Row(
        "softmax u8 12x128x128",
        0,
        ours("softmax", coding("u8") | {"y_scale": 1 / 256, "y_zero": 0}, [x], tier),
        {
            "onnxruntime": in_onnxruntime(
                [node("QLinearSoftmax", names, domain=MICROSOFT, axis=-1, opset=13)], {"x": x}, constants
            )
        },
    )
    for shape in ((128, 384), (128, 768)):
        x, factors = floats(shape), floats(shape[-1:])
        yield Row(
            f"layer_norm f32 {by(shape)}",
            0,
            ours("layer_norm", {"gamma": factors, "beta": factors, "epsilon": 1e-5}, [x], tier),
            {
                "onnxruntime": in_onnxruntime(
                    [node("LayerNormalization", ["x", "c", "c"], epsilon=1e-5)], {"x": x}, {"c": factors}
                )
            },
        )
    for shape in ((56, 56, 64), (56, 56, 192)):
        x, planes = floats(shape), floats((1, shape[-1], *shape[:-1]))
        lrn: dict[str, Any] = {"size": 5, "alpha": 1e-4, "bias": 1.0}
        yield Row(
            f"lrn f32 {by(shape)}",
            0,
            ours("lrn", lrn | {"quarters": 3}, [x], tier),
            {"onnxruntime": in_onnxruntime([node("LRN", ["x"], beta=0.75, **lrn)], {"x": planes}, {})},
        )
    for axes in ([1], [2]):
        x = floats((8, 128, 384))
        yield Row(
            f"reduce_mean f32 8x128x384 {axes[0]}",
            0,
            ours("reduce_mean", {"axes": axes, "keepdims": 1}, [x], tier),
            {
                "onnxruntime": in_onnxruntime(
                    [node("ReduceMean", ["x", "c_axes"], keepdims=1)],
                    {"x": x},
                    {"c_axes": np.array(axes, np.int64)},
                )
            },
        )


def functions(tier: str | None) -> Iterator[Row]:
    """Functions of floats."""
    x = floats((128, 1024))
    own = {
        "exp": "Exp",
        "sigmoid": "Sigmoid",
        "tanh": "Tanh",
        "erf": "Erf",
        "relu": "Relu",
        "softplus": "Softplus",
    }
    own |= {"sqrt": "Sqrt", "abs": "Abs", "hard_swish": "HardSwish", "log": "Log", "mish": "Mish"}
    peers = {op: node(kind, ["x"]) for op, kind in own.items()}
    peers["gelu"] = node("Gelu", ["x"], domain=MICROSOFT)
    peers["gelu_tanh"] = node("FastGelu", ["x"], domain=MICROSOFT)
    peers["silu"] = node("QuickGelu", ["x"], domain=MICROSOFT, alpha=1.0)
    for op, peer in peers.items():
        value = np.abs(x) if op in ("sqrt", "log") else x
        yield Row(
            f"unary {op} {by(x.shape)}",
            0,
            ours("unary", {"op": op}, [value], tier),
            {"onnxruntime": in_onnxruntime([peer], {"x": value}, {})},
        )
    for op, kind in {"add": "Add", "mul": "Mul", "div": "Div", "max": "Max", "pow": "Pow"}.items():
        for b in (np.abs(x[:, ::-1]).copy(), np.abs(x[:1]) + 1):
            a = np.abs(x)
            yield Row(
                f"binary {op} {by(x.shape)}" + ("" if a.shape == b.shape else " by a row"),
                0,
                ours("binary", {"op": op}, [a, b], tier),
                {"onnxruntime": in_onnxruntime([node(kind, ["a", "b"])], {"a": a, "b": b}, {})},
            )


def rows(tier: str | None) -> Iterator[Row]:
    """All of them."""
    for family in (binary_codes, lookups, conversions, pools, moves, rows_of_floats, functions):
        yield from family(tier)
