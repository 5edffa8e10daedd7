"""Schemes: their codes, their text, the shapes of their scales, and what is no scheme."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.errors import UsageError
from graphopt.quant import Scheme
from graphopt.quant.scheme import DTYPES


@st.composite
def any_scheme(draw: st.DrawFn) -> Scheme:
    dtype = draw(st.sampled_from(list(DTYPES.values())))
    axis = draw(st.none() | st.integers(-4, 4))
    block = None if axis is None else draw(st.none() | st.integers(1, 512))
    bits = draw(st.none() | st.integers(2, dtype.bitwidth))
    return Scheme(dtype, draw(st.booleans()), axis, block, bits)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("uint8", 0, 255),
        ("int8", -128, 127),
        ("int8:symmetric", -127, 127),
        ("uint8:symmetric", 1, 255),
        ("uint8:bits=7", 0, 127),
        ("int8:bits=7", -64, 63),
        ("int8:symmetric,bits=7", -63, 63),
        ("int4", -8, 7),
        ("uint4", 0, 15),
        ("int4:symmetric", -7, 7),
        ("int2:symmetric", -1, 1),
        ("uint2", 0, 3),
        ("int16:symmetric", -32767, 32767),
        ("uint16", 0, 65535),
        ("int32:symmetric", -(2**31) + 1, 2**31 - 1),
    ],
)
def test_codes(text: str, low: int, high: int) -> None:
    scheme = Scheme.parse(text)
    assert (scheme.low, scheme.high) == (low, high)
    if scheme.symmetric:
        assert scheme.middle - scheme.low == scheme.high - scheme.middle


@given(any_scheme())
def test_text_round_trips(scheme: Scheme) -> None:
    assert Scheme.parse(str(scheme)) == scheme


def test_text_takes_options_in_any_order() -> None:
    assert Scheme.parse("int4: block=32, axis=0, symmetric") == Scheme(ir.DataType.INT4, True, 0, 32)
    assert str(Scheme(ir.DataType.INT4, True, 0, 32)) == "int4:symmetric,axis=0,block=32"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int5", "none of int2"),
        ("", "none of int2"),
        ("float16", "none of int2"),
        ("int8:symetric", "cannot read 'symetric'"),
        ("int8:axis=x", "cannot read 'axis=x'"),
        ("int8:axis=0,axis=1", "cannot read 'axis=1'"),
        ("int8:axis", "cannot read 'axis'"),
        ("int8:block=32", "need an axis"),
        ("int8:block=0,axis=0", "at least one element"),
        ("int8:bits=9", "2 to 8 bits"),
        ("int8:bits=1", "2 to 8 bits"),
    ],
)
def test_what_is_no_scheme_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Scheme.parse(text)


def test_types_without_codes_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot quantize to FLOAT"):
        Scheme(ir.DataType.FLOAT)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("int8", ()),
        ("int8:axis=1", (5,)),
        ("int8:axis=-1", (7,)),
        ("int8:axis=1,block=2", (4, 3, 7)),
        ("int8:axis=-3,block=32", (1, 5, 7)),
    ],
)
def test_shapes_of_scales(text: str, shape: tuple[int, ...]) -> None:
    assert Scheme.parse(text).scale_shape((4, 5, 7)) == shape


def test_an_axis_the_tensor_lacks_is_named() -> None:
    with pytest.raises(UsageError, match="2 dimensions has no axis 2"):
        Scheme.parse("int8:axis=2").scale_shape((4, 5))
