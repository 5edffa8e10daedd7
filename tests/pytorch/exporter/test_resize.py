"""Resizing: every mode and mapping of coordinates as onnxruntime has it; interpolate where it is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.pytorch import to_fx

HEADER = '<ir_version: 10, opset_import: ["": 19]>'
COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
SCALES = ("1,1,2,2", "1,1,1.5,2.5", "1,1,0.5,0.6")


def numbers(*shape: int, dtype: Any = np.float32) -> Any:
    return (np.random.default_rng(list(shape)).standard_normal(shape) * 3).astype(dtype)


def resize(attributes: str, given: str, inputs: str = "x,,s", dtype: str = "float") -> str:
    return f"{HEADER} g({dtype}[N,3,H,W] x) => ({dtype} y) <{given}> {{ y = Resize<{attributes}>({inputs}) }}"


def scaled(attributes: str, scales: str, dtype: str = "float") -> str:
    return resize(attributes, f"float[4] s = {{{scales}}}", dtype=dtype)


def several(nodes: dict[str, str], given: str) -> str:
    """A model of several nodes over the same input."""
    outputs = ", ".join(f"float {name}" for name in nodes)
    lines = "\n".join(f"{name} = Resize<{attributes}>(x,,s)" for name, attributes in nodes.items())
    return f"{HEADER} g(float[N,3,H,W] x) => ({outputs}) <{given}> {{ {lines} }}"


@pytest.mark.parametrize("scales", SCALES)
def test_filters(agree: Any, scales: str) -> None:
    nodes = {
        f"{mode}_{coordinates}": f'mode="{mode}",coordinate_transformation_mode="{coordinates}"'
        for mode in ("linear", "cubic")
        for coordinates in COORDINATES
    }
    agree(several(nodes, f"float[4] s = {{{scales}}}"), numbers(2, 3, 6, 8))


@pytest.mark.parametrize("scales", SCALES)
def test_nearest(agree: Any, scales: str) -> None:
    nodes = {
        f"{rounding}_{coordinates}": (
            f'mode="nearest",nearest_mode="{rounding}",coordinate_transformation_mode="{coordinates}"'
        )
        for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor")
        for coordinates in COORDINATES[:4]
    }
    agree(several(nodes, f"float[4] s = {{{scales}}}"), numbers(2, 3, 6, 8))


@pytest.mark.parametrize(
    ("attributes", "given", "call"),
    [
        (
            'mode="nearest",coordinate_transformation_mode="asymmetric",nearest_mode="floor"',
            "2,2",
            "'nearest'",
        ),
        ('mode="nearest"', "2,3", "'nearest'"),
        ('mode="nearest",nearest_mode="round_prefer_ceil"', "1.5,1.5", "'nearest-exact'"),
        ('mode="linear",coordinate_transformation_mode="pytorch_half_pixel"', "1.5,2", "'bilinear'"),
        ('mode="linear",coordinate_transformation_mode="align_corners"', "2,2", "align_corners = True"),
        ('mode="cubic"', "2,2", "'bicubic'"),
    ],
)
def test_interpolate_where_it_is_the_same(agree: Any, attributes: str, given: str, call: str) -> None:
    code = agree(scaled(attributes, f"1,1,{given}"), numbers(2, 3, 6, 8)).code
    assert "interpolate(x, scale_factor = (" in code
    assert call in code


@pytest.mark.parametrize(
    "attributes",
    [
        'mode="nearest"',
        'mode="nearest",nearest_mode="floor"',
        'mode="linear",coordinate_transformation_mode="asymmetric"',
        'mode="cubic",exclude_outside=1',
        'mode="cubic",cubic_coeff_a=-0.5',
        'mode="linear",antialias=1',
    ],
)
def test_no_interpolate_where_it_is_not(agree: Any, attributes: str) -> None:
    module = agree(scaled(attributes, "1,1,0.5,0.6"), numbers(2, 3, 6, 8))
    assert "interpolate" not in module.code


def test_sizes_vary(come_back: Any) -> None:
    """Interpolation and the general form, by scales that need rounding."""
    nodes = {
        "plain": 'mode="linear"',
        "nearest": 'mode="nearest",coordinate_transformation_mode="asymmetric",nearest_mode="floor"',
        "general": 'mode="cubic",exclude_outside=1',
    }
    text = several(nodes, "float[4] s = {1, 1, 1.5, 0.5}")
    come_back(text, [numbers(2, 3, 6, 8)], [numbers(1, 3, 10, 4)])


def test_to_the_sizes_of_another_tensor(come_back: Any) -> None:
    text = f"""{HEADER} g(float[N,3,H,W] x, float[A,B,C,D] other) => (float[N,3,C,D] y)
        <int64[1] zero = {{0}}, int64[1] two = {{2}}, int64[1] four = {{4}}> {{
        own = Shape(x)
        theirs = Shape(other)
        first = Slice(own, zero, two)
        last = Slice(theirs, two, four)
        sizes = Concat<axis=0>(first, last)
        y = Resize<mode="linear">(x,,,sizes)
    }}"""
    given = [[numbers(2, 3, 6, 8), numbers(1, 2, 9, 7)], [numbers(3, 3, 5, 4), numbers(2, 3, 5, 6)]]
    traced = come_back(text, *given)
    assert "Resize" in [node.op_type for node in traced.graph]
    assert "interpolate" in to_fx(ir.from_onnx_text(text)).code


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
@pytest.mark.parametrize("axes", ["[2,3]", "[3,2]"])
def test_aspect_ratio(agree: Any, policy: str, axes: str) -> None:
    attributes = f'mode="linear",axes={axes},keep_aspect_ratio_policy="{policy}"'
    agree(resize(attributes, "int64[2] s = {9, 10}", "x,,,s"), numbers(2, 3, 6, 8))


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_regions(agree: Any, mode: str) -> None:
    mapping = 'coordinate_transformation_mode="tf_crop_and_resize",extrapolation_value=3.0'
    given = "int64[4] s = {2, 3, 4, 5}, float[8] r = {0, 0, 0.2, 0.3, 1, 1, 0.9, 1.2}"
    agree(resize(f'mode="{mode}",{mapping}', given, "x,r,,s"), numbers(2, 3, 6, 8))


@pytest.mark.parametrize(("dtype", "array"), [("uint8", "u1"), ("int8", "i1"), ("float16", "f2")])
def test_types(agree: Any, dtype: str, array: str) -> None:
    agree(scaled('mode="nearest"', SCALES[0], dtype), numbers(2, 3, 6, 8, dtype=array))


def test_scales_and_sizes_that_are_inputs(agree: Any) -> None:
    x = numbers(2, 3, 6, 8)
    inputs = "float[N,3,H,W] x, float[4] scales, int64[4] sizes"
    text = f"""{HEADER} g({inputs}) => (float y, float z) {{
        y = Resize<mode="linear">(x,,scales)
        z = Resize<mode="linear">(x,,,sizes)
    }}"""
    agree(text, x, np.array([1, 1, 0.7, 1.9], np.float32), np.array([2, 3, 7, 9]))


@pytest.mark.parametrize("opset", [9, 10])
def test_older_forms(agree: Any, opset: int) -> None:
    op = "Upsample" if opset == 9 else "Resize"
    text = f"""<ir_version: 10, opset_import: ["": {opset}]> g(float[N,3,H,W] x) => (float y, float z)
        <float[4] s = {{1, 1, 2, 3}}> {{
        y = {op}<mode="nearest">(x, s)
        z = {op}<mode="linear">(x, s)
    }}"""
    agree(text, numbers(2, 3, 6, 8))


@pytest.mark.parametrize(("dims", "scales"), [("H", "1,1,2"), ("H,W,4", "1,1,2,1.5,2")])
def test_other_ranks(agree: Any, dims: str, scales: str) -> None:
    rank = scales.count(",") + 1
    given = f"float[{rank}] s = {{{scales}}}"
    text = f'{HEADER} g(float[N,3,{dims}] x) => (float y) <{given}> {{ y = Resize<mode="linear">(x,,s) }}'
    agree(text, numbers(2, 3, *(5, 6, 4)[: rank - 2]))


def test_channels_last(agree: Any) -> None:
    given = "float[4] s = {1, 2, 2, 1}"
    text = f'{HEADER} g(float[N,H,W,3] x) => (float y) <{given}> {{ y = Resize<mode="linear">(x,,s) }}'
    agree(text, numbers(2, 5, 6, 3))


@pytest.mark.parametrize(
    "attributes",
    [
        'mode="cubic",exclude_outside=1',
        'mode="linear",antialias=1',
        'mode="linear",coordinate_transformation_mode="asymmetric"',
    ],
)
def test_gradients(attributes: str) -> None:
    module = to_fx(ir.from_onnx_text(scaled(attributes, "1,1,0.5,1.5")))
    x = torch.from_numpy(numbers(1, 3, 6, 4)).double().requires_grad_()
    assert torch.autograd.gradcheck(module, x, fast_mode=True)


def test_rearranging(agree: Any) -> None:
    text = f"""{HEADER} g(float[N,8,H,W] x) => (float a, float b, float c, float d)
        <int64[2] size = {{7, 5}}> {{
        a = DepthToSpace<blocksize=2>(x)
        b = DepthToSpace<blocksize=2,mode="CRD">(x)
        c = SpaceToDepth<blocksize=2>(x)
        d = CenterCropPad<axes=[2,-1]>(x, size)
    }}"""
    agree(text, numbers(2, 8, 6, 8))
