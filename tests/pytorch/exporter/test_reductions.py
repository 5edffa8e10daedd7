"""Reductions, places of extremes, running totals and the largest elements, equal to onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.pytorch import to_fx

REDUCTIONS = ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
NUMPY = {"float": "f4", "int32": "i4", "int64": "i8", "float16": "f2"}


def reduction(kind: str, dtype: str = "float", attributes: str = "keepdims=1", axes: str = "int64[K]") -> str:
    return f"""<ir_version: 10, opset_import: ["": 20]>
    g ({dtype}[A,B,C] x, {axes} axes) => ({dtype} y) {{ y = Reduce{kind}<{attributes}>(x, axes) }}"""


def positive(dtype: str = "float", shape: tuple[int, ...] = (2, 3, 4)) -> Any:
    return np.random.default_rng(0).uniform(1, 3, shape).astype(NUMPY[dtype])


@pytest.mark.parametrize("kind", REDUCTIONS)
@pytest.mark.parametrize(("axes", "keepdims"), [([1], 1), ([-1, 0], 0), ([0, 1, 2], 1), ([], 0)])
@pytest.mark.parametrize("constant", [(), ("axes",)])
def test_axes_known_or_given(agree: Any, kind: str, axes: list[int], keepdims: int, constant: Any) -> None:
    attributes = f"keepdims={keepdims}"
    agree(reduction(kind, attributes=attributes), positive(), np.array(axes, "i8"), constant=constant)


# onnxruntime rounds each exponential of a LogSumExp of integers.
@pytest.mark.parametrize("kind", [kind for kind in REDUCTIONS if kind != "LogSumExp"])
@pytest.mark.parametrize("dtype", ["int32", "int64", "float16"])
def test_element_types(agree: Any, kind: str, dtype: str) -> None:
    agree(reduction(kind, dtype), positive(dtype), np.array([1, 2]), constant=("axes",))


@pytest.mark.parametrize("kind", REDUCTIONS)
def test_no_axes_may_mean_no_reduction(agree: Any, kind: str) -> None:
    agree(
        reduction(kind, attributes="noop_with_empty_axes=1", axes="int64[0]"), positive(), np.zeros(0, "i8")
    )


@pytest.mark.parametrize("kind", [kind for kind in REDUCTIONS if kind != "Mean"])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_of_nothing(agree: Any, kind: str, keepdims: int) -> None:
    body = reduction(kind, attributes=f"keepdims={keepdims}").replace("[A,B,C]", "[2,0,4]")
    agree(body, positive(shape=(2, 0, 4)), np.array([1]), constant=("axes",))


@pytest.mark.parametrize("kind", REDUCTIONS)
def test_a_scalar_and_the_axes_of_an_old_model(agree: Any, kind: str) -> None:
    scalar = f'<ir_version: 10, opset_import: ["": 20]> g(float[] x) => (float[] y) {{ y = Reduce{kind}(x) }}'
    agree(scalar, np.array(2.5, "f4"))
    old = f"""<ir_version: 7, opset_import: ["": 11]>
    g (float[2,3,4] x) => (float[2,4] y) {{ y = Reduce{kind}<axes=[-2], keepdims=0>(x) }}"""
    agree(old, positive())


@pytest.mark.parametrize("kind", REDUCTIONS)
@pytest.mark.parametrize("axes", [[1], [0, 2], []])
def test_gradients(kind: str, axes: list[int]) -> None:
    model = ir.from_onnx_text(reduction(kind, "double"))
    value = model.graph.inputs.pop()
    value.const_value = ir.tensor(np.array(axes, "i8"), name="axes")
    model.graph.initializers.add(value)
    x = torch.from_numpy(positive().astype("f8")).requires_grad_()
    assert torch.autograd.gradcheck(to_fx(model), x, fast_mode=True)


def test_the_gradient_of_a_length_of_zero_is_finite() -> None:
    text = (
        '<ir_version: 8, opset_import: ["": 17]> g(float[N] x) => (float[1] y) { y = ReduceL2<axes=[0]>(x) }'
    )
    x = torch.zeros(3, requires_grad=True)
    to_fx(ir.from_onnx_text(text))(x).backward()
    assert x.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("kind", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("attributes", ["axis=0", "axis=-1,keepdims=0", "axis=1,select_last_index=1"])
@pytest.mark.parametrize("dtype", ["float", "int32"])
def test_places_of_extremes_among_equal_elements(agree: Any, kind: str, attributes: str, dtype: str) -> None:
    text = f"""<ir_version: 8, opset_import: ["": 17]>
    g ({dtype}[N,M] x) => (int64 y) {{ y = {kind}<{attributes}>(x) }}"""
    agree(text, np.random.default_rng(0).integers(0, 3, (6, 9)).astype(NUMPY[dtype]))


@pytest.mark.parametrize(("kind", "opset"), [("CumSum", 17), ("CumProd", 26)])
@pytest.mark.parametrize("attributes", ["exclusive=0", "exclusive=1", "reverse=1", "exclusive=1,reverse=1"])
@pytest.mark.parametrize("constant", [(), ("axis",)])
def test_running_totals(agree: Any, kind: str, opset: int, attributes: str, constant: Any) -> None:
    text = f"""<ir_version: 8, opset_import: ["": {opset}]>
    g (%s[N,M] x, int32 axis) => (%s[N,M] y) {{ y = {kind}<{attributes}>(x, axis) }}"""
    for axis in (0, -1):
        for dtype in ("float", "int32"):
            agree(text % (dtype, dtype), positive(dtype, (3, 4)), np.array(axis, "i4"), constant=constant)
    module = to_fx(ir.from_onnx_text(text % ("double", "double")))
    x = torch.from_numpy(positive(shape=(3, 4)).astype("f8")).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: module(x, torch.tensor(1)), x, fast_mode=True)


TOP = """<ir_version: 8, opset_import: ["": 17]>
g ({dtype}[N,M] x, int64[1] k) => ({dtype}[A,B] y, int64[A,B] places) {{
    y, places = TopK<{attributes}>(x, k)
}}"""


@pytest.mark.parametrize("dtype", ["float", "int32", "int64"])
@pytest.mark.parametrize("attributes", ["axis=-1", "axis=0", "largest=0"])
@pytest.mark.parametrize("constant", [(), ("k",)])
def test_the_largest_elements_with_equal_ones_in_order(
    agree: Any, dtype: str, attributes: str, constant: Any
) -> None:
    x = np.random.default_rng(0).integers(-2, 3, (6, 40)).astype(NUMPY[dtype])
    agree(TOP.format(dtype=dtype, attributes=attributes), x, np.array([4]), constant=constant)


def test_places_are_traced_as_one_operator() -> None:
    model = ir.from_onnx_text(TOP.format(dtype="float", attributes="axis=-1"))
    module = to_fx(model)
    size = torch.export.Dim("n", min=1, max=64)
    example = (torch.randn(3, 8), torch.tensor([2]))
    program = torch.export.export(module, example, dynamic_shapes=({0: size}, None), strict=False)
    targets = [str(node.target) for node in program.graph.nodes]
    assert "aten.topk.default" in targets and not any("sort" in target for target in targets)
