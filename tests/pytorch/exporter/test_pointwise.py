"""Arithmetic, activations, logic and casts: as onnxruntime computes them in each type, and differentiable."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.errors import TranslationError
from graphopt.pytorch import to_fx

PLAIN = """
    Abs Acos Asin Asinh Atan Atanh Celu Cos Cosh Elu Erf Exp Gelu HardSigmoid HardSwish Identity LeakyRelu
    LogSoftmax Mish Neg Relu Selu Sigmoid Sin Sinh Softmax Softplus Softsign Swish Tan Tanh
"""
ATTRIBUTED = """
    Celu<alpha=0.7> Elu<alpha=0.5> Gelu<approximate="tanh"> HardSigmoid<alpha=0.16666667> LeakyRelu<alpha=0.2>
    Selu<alpha=1.5,gamma=2.0> Shrink<lambd=0.3> Shrink<lambd=0.3,bias=0.3> Shrink<lambd=0.3,bias=0.1>
    Softmax<axis=0> Swish<alpha=1.7> ThresholdedRelu<alpha=0.3>
"""
SMOOTH = [*PLAIN.split(), *ATTRIBUTED.split()]
POSITIVE = ("Log", "Sqrt", "Reciprocal", "Acosh")
STEPS = ("Ceil", "Floor", "Round", "Sign", "Hardmax", "Hardmax<axis=0>")
SINGLE = (*SMOOTH, *POSITIVE, *STEPS)
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
COMPARISONS = ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")


def text(node: str, inputs: dict[str, str], output: str, opset: int = 25) -> str:
    given = ", ".join(f"{kind} {name}" for name, kind in inputs.items())
    return f'<ir_version: 11, opset_import: ["": {opset}]> g({given}) => ({output} y) {{ y = {node} }}'


def single(node: str, dtype: str) -> str:
    name, _, attributes = node.partition("<")
    return text(f"{name}{'<' + attributes if attributes else ''}(x)", {"x": f"{dtype}[N,M]"}, f"{dtype}[N,M]")


def operand(node: str) -> Any:
    x = np.random.default_rng(0).uniform(-0.95, 0.95, (3, 5))
    return x + 2 if node in POSITIVE else x


def integers(dtype: str, shape: tuple[int, ...] = (4, 5)) -> Any:
    """Integers over the whole range of a type."""
    bounds = np.iinfo(dtype)
    return np.random.default_rng(0).integers(bounds.min, bounds.max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("node", SINGLE)
@pytest.mark.parametrize("dtype", ["float", "float16"])
def test_functions_of_one_element(agree: Any, node: str, dtype: str) -> None:
    if node.startswith("Celu"):
        dtype = "float"  # the only one of Celu before opset 28
    agree(single(node, dtype), operand(node).astype(ir.DataType[dtype.upper()].numpy()))


@pytest.mark.parametrize("node", [*SMOOTH, *POSITIVE])
def test_gradients_of_functions_of_one_element(node: str) -> None:
    x = torch.from_numpy(operand(node)).requires_grad_()
    assert torch.autograd.gradcheck(to_fx(ir.from_onnx_text(single(node, "double"))), x, fast_mode=True)


@pytest.mark.parametrize("node", ["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "PRelu", "Sum", "Mean"])
@pytest.mark.parametrize("shape", [(3, 5), (5,), ()])
@pytest.mark.parametrize("constant", [(), ("b",)])
def test_functions_of_two_elements(agree: Any, node: str, shape: tuple[int, ...], constant: Any) -> None:
    body = text(f"{node}(a, b)", {"a": "float[N,M]", "b": f"float{list(shape)}"}, "float[N,M]")
    a, b = operand("Log").astype("f4"), np.random.default_rng(1).uniform(0.5, 3, shape).astype("f4")
    agree(body, a if node == "Pow" else a - 2, b, constant=constant)


@pytest.mark.parametrize(
    "node", ["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mod<fmod=1>", "Mean", "PRelu"]
)
def test_gradients_of_functions_of_two_elements(node: str) -> None:
    body = text(f"{node}(a, b)", {"a": "double[3,5]", "b": "double[5]"}, "double[3,5]")
    a = torch.from_numpy(operand("Log")).requires_grad_()
    b = torch.tensor([0.4, 1.3, 2.1, 0.7, 3.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(to_fx(ir.from_onnx_text(body)), (a, b), fast_mode=True)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("node", ["Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", *COMPARISONS])
def test_integers_of_every_width(agree: Any, node: str, dtype: str) -> None:
    output = "bool" if node in COMPARISONS else dtype
    a, b = integers(dtype), integers(dtype, (5,))
    if node in ("Div", "Mod"):
        b = np.maximum(b, 3)
    agree(text(f"{node}(a, b)", {"a": f"{dtype}[N,M]", "b": f"{dtype}[M]"}, f"{output}[N,M]"), a, b)


def test_integers_divide_towards_zero_and_remainders_take_the_right_sign(agree: Any) -> None:
    kinds = {"a": "int32[N]", "b": "int32[N]"}
    a, b = np.array([-7, 7, -7, 7], "i4"), np.array([3, -3, -3, 3], "i4")
    for node in ("Div(a, b)", "Mod(a, b)", "Mod<fmod=1>(a, b)"):
        agree(text(node, kinds, "int32[N]"), a, b)
        agree(text(node, kinds, "int32[N]"), a, b, constant=("b",))
        agree(text(node, kinds, "int32[N]"), a, b, constant=("a",))


def test_uint64_beyond_int64_divides_by_itself_and_by_more() -> None:
    body = text("Div(a, b)", {"a": "uint64[N]", "b": "uint64[N]"}, "uint64[N]")
    top = (1 << 64) - 1
    a = torch.tensor([top, top, top - 1, 5, top, 1 << 63], dtype=torch.uint64)
    b = torch.tensor([1, top, top, top, 2, (1 << 63) - 1], dtype=torch.uint64)
    assert to_fx(ir.from_onnx_text(body))(a, b).tolist() == [top, 1, 0, 0, top // 2, 1]


@pytest.mark.parametrize("base", ["float", "double", "int32", "int64"])
@pytest.mark.parametrize("exponent", ["float", "double", "int32", "int64"])
@pytest.mark.parametrize("constant", [(), ("b",)])
def test_powers_have_the_type_of_the_base(agree: Any, base: str, exponent: str, constant: Any) -> None:
    body = text("Pow(a, b)", {"a": f"{base}[3]", "b": f"{exponent}[1]"}, f"{base}[3]")
    numpy = {"float": "f4", "double": "f8", "int32": "i4", "int64": "i8"}
    agree(body, np.array([1, 2, 5], numpy[base]), np.array([3], numpy[exponent]), constant=constant)


@pytest.mark.parametrize("node", ["Max", "Min"])
@pytest.mark.parametrize("constant", [(), ("b",)])
def test_the_larger_and_smaller_of_nan_is_nan(agree: Any, node: str, constant: Any) -> None:
    kinds = {"a": "float[N]", "b": "float[]"}
    agree(
        text(f"{node}(a, b)", kinds, "float[N]"),
        np.array([np.nan, 1, 4], "f4"),
        np.array(2, "f4"),
        constant=constant,
    )


@pytest.mark.parametrize("dtype", ["float", "float16", *INTEGERS])
@pytest.mark.parametrize("bounds", [(1, 5), (5, 1), (2, None), (None, 3), (None, None)])
@pytest.mark.parametrize("constant", [False, True])
def test_clip(agree: Any, dtype: str, bounds: tuple[int | None, int | None], constant: bool) -> None:
    array = np.arange(8).astype(ir.DataType[dtype.upper()].numpy())
    given = {name: bound for name, bound in zip(("low", "high"), bounds, strict=True) if bound is not None}
    names = [name if name in given else '""' for name in ("low", "high")]
    kinds = {"x": f"{dtype}[N]"} | dict.fromkeys(given, dtype)
    limits = [np.array(bound, array.dtype) for bound in given.values()]
    agree(
        text(f"Clip(x, {', '.join(names)})", kinds, f"{dtype}[N]"),
        array,
        *limits,
        constant=tuple(given) if constant else (),
    )


def test_a_bound_of_clip_is_read_as_a_number_and_lets_gradients_through_inside() -> None:
    body = """<ir_version: 8, opset_import: ["": 17]>
    g (float[N] x) => (float[N] y) <float low = {0.0}, float high = {6.0}> { y = Clip(x, low, high) }"""
    module = to_fx(ir.from_onnx_text(body))
    assert "torch.clamp(x, min = 0.0, max = 6.0)" in module.code
    x = torch.tensor([-1.0, 3.0, 9.0], requires_grad=True)
    module(x).sum().backward()
    assert x.grad.tolist() == [0, 1, 0]


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_bits(agree: Any, dtype: str) -> None:
    kinds = {"a": f"{dtype}[N,M]", "b": f"{dtype}[M]"}
    if dtype == "bool":
        a, b = np.array([[True, False, True, False]]), np.array([True, True, False, False])
        for node in ("And", "Or", "Xor"):
            agree(text(f"{node}(a, b)", kinds, "bool[N,M]"), a, b)
        agree(text("Not(a)", {"a": "bool[N,M]"}, "bool[N,M]"), a)
        return
    for node in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
        agree(text(f"{node}(a, b)", kinds, f"{dtype}[N,M]"), integers(dtype), integers(dtype, (5,)))
    agree(text("BitwiseNot(a)", {"a": f"{dtype}[N,M]"}, f"{dtype}[N,M]"), integers(dtype))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_shifts(agree: Any, dtype: str, direction: str) -> None:
    by = np.arange(20, dtype=dtype).reshape(4, 5) * np.iinfo(dtype).bits // 20
    node = f'BitShift<direction="{direction}">(a, b)'
    kinds = {"a": f"{dtype}[N,M]", "b": f"{dtype}[N,M]"}
    agree(text(node, kinds, f"{dtype}[N,M]"), integers(dtype), by.astype(dtype))


@pytest.mark.parametrize("node", ["IsNaN", "IsInf", "IsInf<detect_negative=0>", "IsInf<detect_positive=0>"])
def test_nan_and_infinity(agree: Any, node: str) -> None:
    name, _, attributes = node.partition("<")
    body = text(f"{name}{'<' + attributes if attributes else ''}(x)", {"x": "float[N]"}, "bool[N]")
    agree(body, np.array([np.nan, np.inf, -np.inf, 0, 1], "f4"))


@pytest.mark.parametrize("constant", [(), ("b",), ("a", "b")])
def test_choices(agree: Any, constant: tuple[str, ...]) -> None:
    body = text("Where(c, a, b)", {"c": "bool[N]", "a": "float16[]", "b": "float16[]"}, "float16[N]")
    agree(body, np.array([True, False]), np.array(1.5, "f2"), np.array(-2, "f2"), constant=constant)


@pytest.mark.parametrize("to", [*INTEGERS, "float", "double", "float16", "bool"])
@pytest.mark.parametrize("dtype", ["float", "int64", "uint64", "bool"])
def test_casts(agree: Any, dtype: str, to: str) -> None:
    body = text(f"Cast<to={ir.DataType[to.upper()].value}>(x)", {"x": f"{dtype}[N]"}, f"{to}[N]")
    array = np.array([0, 1.7, 2.5, 100.9, 300, 70000, 5e9])
    if dtype in ("float", "int64"):
        array = np.concatenate([array, -array])
    agree(body, array.astype(ir.DataType[dtype.upper()].numpy()))


@pytest.mark.parametrize("to", ["FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ"])
@pytest.mark.parametrize("saturate", [0, 1])
def test_casts_to_float8_overflow_as_told(agree: Any, to: str, saturate: int) -> None:
    node = f"Cast<to={ir.DataType[to].value}, saturate={saturate}>(x)"
    array = np.array([1.7, -1e6, np.inf, -np.inf, np.nan, 448, 464, 465, 240, 249, 61000, 1e-3, 1e-6], "f4")
    agree(text(node, {"x": "float[N]"}, f"{to.lower()}[N]"), array)


@pytest.mark.parametrize(("to", "kept"), [("INT4", [2, -2, 3, -8, 4]), ("UINT4", [2, 14, 3, 8, 4])])
def test_integers_of_four_bits_are_held_in_bytes(to: str, kept: list[int]) -> None:
    body = text(f"Cast<to={ir.DataType[to].value}>(x)", {"x": "float[N]"}, f"{to.lower()}[N]")
    found = to_fx(ir.from_onnx_text(body))(torch.tensor([1.7, -1.7, 2.5, 8.0, 20.0]))
    assert found.dtype == (torch.int8 if to == "INT4" else torch.uint8)
    assert found.tolist() == kept


def test_bits_are_read_as_another_type(agree: Any) -> None:
    agree(
        text("BitCast<to=6>(x)", {"x": "float[N]"}, "int32[N]", opset=26), np.array([1, -0.0, np.inf], "f4")
    )


def test_strings_are_refused() -> None:
    body = text("Cast<to=8>(x)", {"x": "float[N]"}, "string[N]")
    with pytest.raises(TranslationError, match="STRING"):
        to_fx(ir.from_onnx_text(body))
