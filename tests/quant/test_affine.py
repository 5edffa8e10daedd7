"""Scales and zero points: error bounds, exact zeros, odd values, and agreement with QuantizeLinear."""

from __future__ import annotations

import math
from typing import Any, Literal

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from graphopt.errors import UsageError
from graphopt.quant import Affine, Scheme, affine_for, affine_for_range, bias_affine
from graphopt.quant.affine import INT32_MAX, SMALLEST_SCALE
from graphopt.quant.groups import join, split, spread
from graphopt.quant.scheme import DTYPES

Array = npt.NDArray[Any]
CLIPS: tuple[Literal["minmax", "mse"], ...] = ("minmax", "mse")

TYPES = [name for name in DTYPES if name != "int32"]
LAYOUTS = ["", "axis=0", "axis=-1", "axis=1,block=4", "axis=0,block=3", "axis=1,block=16"]
SCHEMES = [
    ",".join([f"{name}:{kind}", layout]).strip(",").replace(":,", ":").rstrip(":")
    for name in TYPES
    for kind in ("", "symmetric")
    for layout in LAYOUTS
] + ["int8:bits=7", "uint8:bits=7,axis=0", "int8:symmetric,bits=6,axis=1,block=4", "int32:symmetric"]


def values(seed: int, shape: tuple[int, ...] = (5, 10)) -> Array:
    """Many magnitudes, all signs or one, zeros, an outlier."""
    random = np.random.default_rng(seed)
    x = random.standard_normal(shape) * 10.0 ** random.integers(-12, 12)
    x += random.choice([0, 3, -3]) * np.abs(x).max()
    x *= random.random(shape) > 0.2
    x[0] *= random.choice([1, 100])
    return x.astype(np.float32)


def of_elements(parameter: Array, affine: Affine, shape: tuple[int, ...]) -> Array:
    """A scale, or what is shaped as one, for each element."""
    parts = split(np.empty(shape), affine.scheme)
    spreaded = np.broadcast_to(spread(parameter, affine.scheme, len(shape)), parts.shape)
    return join(spreaded.astype(np.float64), affine.scheme, shape)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(SCHEMES), st.integers(0, 2**31), st.sampled_from(CLIPS))
def test_error_is_half_a_step_inside_the_range_and_clamped_outside(text: str, seed: int, clip: Any) -> None:
    scheme, x = Scheme.parse(text), values(seed)
    affine = affine_for(x, scheme, clip)
    outside = (x * np.float32(1.5)).astype(np.float32)
    step = of_elements(affine.scale, affine, x.shape)
    low, high = (of_elements(end, affine, x.shape) for end in (affine.low, affine.high))
    # Besides half a step: rounding of the quotient and of the product in float32, and of the input to it.
    slack = step / 2 * (1 + 1e-5) + 4e-7 * np.maximum(np.abs(low), np.abs(high))
    for data in (x, outside) if clip == "minmax" else (outside,):
        rounded = affine.fake(data)
        inside = np.clip(data, low, high)
        assert np.all(np.abs(rounded - inside) <= slack)
        if data is x:
            assert np.all(np.abs(rounded - x) <= slack)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(SCHEMES[:-1]), st.integers(0, 2**31))
def test_quantizing_twice_changes_nothing_and_order_is_kept(text: str, seed: int) -> None:
    scheme, x = Scheme.parse(text), values(seed)
    affine = affine_for(x, scheme)
    once = affine.fake(x)
    np.testing.assert_array_equal(affine.fake(once), once)
    np.testing.assert_array_equal(affine.quantize(once), affine.quantize(x))
    larger = x + np.float32(0.1) * np.abs(x)
    assert np.all(affine.fake(larger) >= once)
    codes = affine.quantize(x).astype(int)
    assert codes.min() >= scheme.low and codes.max() <= scheme.high


@pytest.mark.parametrize("text", SCHEMES)
@pytest.mark.parametrize("seed", range(3))
def test_zero_is_exact(text: str, seed: int) -> None:
    affine = affine_for(values(seed), Scheme.parse(text))
    zeros = np.zeros((5, 10), np.float32)
    assert not affine.fake(zeros).any()
    assert affine.zero_point.dtype == affine.quantize(zeros).dtype == Scheme.parse(text).dtype.numpy()
    if affine.scheme.symmetric:
        assert np.all(affine.zero_point.astype(int) == affine.scheme.middle)


ODD = {
    "zeros": np.zeros((2, 3)),
    "empty": np.zeros((0, 3)),
    "constant": np.full((2, 3), 0.7),
    "negative": np.full((2, 3), -1e-3),
    "denormal": np.full((2, 3), 1e-45),
    "huge": np.full((2, 3), 3.4e38),
    "both huge": np.array([[3.4e38, -3.4e38, 1]]),
    "beyond float32": np.full((2, 3), 1e300),
    "NaN": np.full((2, 3), np.nan),
    "mixed": np.array([[np.nan, np.inf, -np.inf], [1, -2, 0]]),
}


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("text", [*TYPES, "int8:symmetric", "int8:axis=0", "uint4:axis=1,block=2", "int32"])
@pytest.mark.parametrize("name", ODD)
def test_odd_values_have_sound_scales(name: str, text: str, clip: Any) -> None:
    affine = affine_for(ODD[name], Scheme.parse(text), clip)
    assert np.isfinite(affine.scale).all() and np.all(affine.scale >= SMALLEST_SCALE)
    assert np.isfinite(affine.fake(ODD[name])).all()
    assert not affine.fake(np.zeros(ODD[name].shape)).any()


def test_what_is_not_finite_is_clamped_and_nan_becomes_zero() -> None:
    affine = affine_for(ODD["mixed"], Scheme.parse("uint8"))
    np.testing.assert_allclose(affine.fake(ODD["mixed"]), [[0, 1, -2], [1, -2, 0]], atol=0.01)


def test_groups_of_zeros_take_the_finest_scale_beside_them() -> None:
    x = np.array([[0, 0], [4, -127], [1.27, 0]])
    np.testing.assert_allclose(affine_for(x, Scheme.parse("int8:symmetric,axis=0")).scale, [0.01, 1, 0.01])
    assert affine_for(0 * x, Scheme.parse("int8")).scale == 1


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_floating_types_are_read_as_float32(dtype: Any) -> None:
    x = values(5).astype(np.float32)
    x = (x / np.abs(x).max()).astype(dtype)
    scheme = Scheme.parse("int8:axis=1,block=4")
    affine, exact = affine_for(x, scheme), affine_for(x.astype(np.float32), scheme)
    np.testing.assert_array_equal(affine.scale, exact.scale)
    np.testing.assert_array_equal(affine.quantize(x), exact.quantize(x.astype(np.float32)))
    assert affine.fake(x).dtype == np.float32


@pytest.mark.parametrize("text", SCHEMES)
def test_text_round_trips_exactly(text: str) -> None:
    affine = affine_for(values(1), Scheme.parse(text))
    again = Affine.from_json(affine.to_json())
    assert again.scheme == affine.scheme
    for before, after in ((affine.scale, again.scale), (affine.zero_point, again.zero_point)):
        np.testing.assert_array_equal(before, after, strict=True)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"scheme": "int8"}', '{"scheme": "int8", "scale": ["x"]}'])
def test_text_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no scale and zero point"):
        Affine.from_json(text)


def test_ties_go_to_the_even_code() -> None:
    affine = Affine(Scheme.parse("int8"), np.array(2, np.float32), np.array(1, np.int8))
    np.testing.assert_array_equal(affine.quantize(np.array([1, 3, 5, -1, -3.0])), [1, 3, 3, 1, -1])


def test_the_range_is_widened_to_hold_zero() -> None:
    affine = affine_for_range(2.0, 5.1, Scheme.parse("uint8"))
    assert affine.zero_point == 0 and affine.scale == np.float32(5.1 / 255)
    assert affine_for_range(-3.0, -1.0, Scheme.parse("int8")).high == 0


@pytest.mark.parametrize(
    ("text", "gain"),
    [("int4:symmetric,axis=0", 1.7), ("uint4:axis=1,block=512", 1.2), ("int4", 4), ("uint8", 1.1)],
)
def test_clipping_pays_where_there_are_outliers(text: str, gain: float) -> None:
    x = np.random.default_rng(0).standard_t(3, (64, 1024)).astype(np.float32)
    plain, found = (np.sum((affine_for(x, Scheme.parse(text), clip).fake(x) - x) ** 2) for clip in CLIPS)
    assert plain > gain * found


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SCHEMES), st.integers(0, 2**31))
def test_searching_never_does_worse_than_the_whole_range(text: str, seed: int) -> None:
    scheme, x = Scheme.parse(text), values(seed)
    plain, found = (
        np.square(affine_for(x, scheme, clip).fake(x).astype(np.float64) - x).sum() for clip in CLIPS
    )
    assert found <= plain * (1 + 1e-3)


def quantize_and_back(affine: Affine, opset: int) -> onnx.ModelProto:
    """x -> codes as int32, and values."""
    scheme = affine.scheme
    attributes = {"axis": scheme.axis, "block_size": scheme.block}
    given: dict[str, Any] = {name: number for name, number in attributes.items() if number is not None}
    zero_point = helper.make_tensor(
        "z", int(scheme.dtype), affine.zero_point.shape, affine.zero_point.astype(int).ravel().tolist()
    )
    scale = helper.make_tensor("s", TensorProto.FLOAT, affine.scale.shape, affine.scale.ravel().tolist())
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **given),
        helper.make_node("Cast", ["q"], ["codes"], to=TensorProto.INT32),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **given),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (5, 10))],
        [
            helper.make_tensor_value_info("codes", TensorProto.INT32, (5, 10)),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, (5, 10)),
        ],
        [scale, zero_point],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10 if opset <= 21 else 13)
    onnx.checker.check_model(model)
    return model


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", TYPES)
def test_codes_and_values_are_those_of_the_standard(name: str, layout: str) -> None:
    """Bit for bit: onnxruntime and the ONNX reference evaluator."""
    import onnxruntime
    from onnx.reference import ReferenceEvaluator

    x = values(len(name + layout)) / np.float32(3)
    affine = affine_for(x, Scheme.parse(f"{name}:{layout}".rstrip(":")))
    x *= np.float32(1.3)
    model = quantize_and_back(affine, 25 if name.endswith("int2") else 21)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for codes, y in (session.run(None, {"x": x}), ReferenceEvaluator(model).run(None, {"x": x})):
        np.testing.assert_array_equal(affine.quantize(x).astype(np.int32), codes)
        np.testing.assert_array_equal(affine.fake(x), y)


INPUT = affine_for_range(0.0, 5.1, Scheme.parse("uint8"))


@pytest.mark.parametrize("text", ["int8:symmetric", "int8:symmetric,axis=0", "int8:axis=0"])
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_biases_never_overflow(text: str, data: st.DataObject) -> None:
    magnitudes = st.floats(-30, 30).map(lambda exponent: 10.0**exponent)
    w = np.array(data.draw(st.lists(magnitudes, min_size=3, max_size=3)))[:, np.newaxis] * [1, -0.5, 0]
    bias = np.array(data.draw(st.lists(magnitudes, min_size=3, max_size=3)))
    terms = data.draw(st.integers(1, 50_000))
    weight = affine_for(w, Scheme.parse(text))
    codes, scale, zero_point, wider = bias_affine(INPUT, weight, bias, terms)
    assert codes.dtype == zero_point.dtype == np.int32 and not zero_point.any()
    products = terms * 255 * int(np.max([-wider.low / wider.scale, wider.high / wider.scale]).round())
    assert np.abs(codes.astype(np.int64)).max() + min(products, INT32_MAX - 2**28) <= INT32_MAX
    assert np.all(wider.scale >= weight.scale) and np.isfinite(scale).all()
    np.testing.assert_array_equal(scale, INPUT.scale * wider.scale)
    np.testing.assert_allclose(codes * scale.astype(np.float64), bias, rtol=1e-6, atol=scale.max() / 2)


def test_weights_keep_their_scale_where_the_bias_fits() -> None:
    weight = affine_for(np.array([[1.27], [2.54]]), Scheme.parse("int8:symmetric,axis=0"))
    codes, scale, _, same = bias_affine(INPUT, weight, np.array([1.0, -2.0]))
    assert same is weight
    np.testing.assert_array_equal(codes, [5000, -5000])
    assert scale.dtype == np.float32


def test_a_large_bias_on_small_weights_widens_their_channel_alone() -> None:
    weight = affine_for(np.array([[1e-12], [2.54]]), Scheme.parse("int8:symmetric,axis=0"))
    wider = bias_affine(INPUT, weight, np.array([1.0, -2.0])).weight
    assert wider.scale[0] > 1000 * weight.scale[0] and wider.scale[1] == weight.scale[1]
    assert math.isclose(wider.scale[0] * INPUT.scale * 2**30, 1, rel_tol=1e-5)


@pytest.mark.parametrize(
    ("text", "bias", "message"),
    [("int8:axis=0", np.ones(2), "fits no scales"), ("int8:axis=0,block=1", np.ones(3), "fits no scales")],
)
def test_scales_that_fit_no_bias_are_refused(text: str, bias: Array, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bias_affine(INPUT, affine_for(np.ones((3, 2)), Scheme.parse(text)), bias)


def test_ranges_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="runs from 2 down to 1"):
        affine_for_range(2.0, 1.0, Scheme.parse("int8"))
    with pytest.raises(UsageError, match="do not fit it"):
        affine_for_range([1.0], [2.0], Scheme.parse("int8"))
    with pytest.raises(UsageError, match="do not fit it"):
        affine_for_range(1.0, 2.0, Scheme.parse("int8:axis=0"))
    with pytest.raises(UsageError, match="has no axis 3"):
        affine_for(np.ones((2, 2)), Scheme.parse("int8:axis=3"))
