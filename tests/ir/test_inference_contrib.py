"""Types of what onnxruntime's own operators give, against its schemas."""

from __future__ import annotations

import itertools
from typing import Any

import onnx_ir as ir
import pytest
from onnx_shape_inference import registry
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from graphopt.ir.inference import Context, infer

CONTRIB = "com.microsoft"
RANKS = (None, 2, 3, 4)
TRIED = 8
"""Choices of types tried of each operator: all of a parameter's, as far as it has no more."""
TOGETHER = {"past_key", "past_value"}
"""Optional inputs that are given both or not at all."""
DATA_TYPES = {name.lower(): ir.DataType[name] for name in ir.DataType.__members__}


def inferred(name: str, inputs: list[ir.Value | None], outputs: int, **attributes: Any) -> ir.Node:
    made = [ir.Value(name=f"o{index}") for index in range(outputs)]
    node = ir.node(name, inputs, attributes, domain=CONTRIB, outputs=made)
    registry.collect()
    infer(Context({"": 17, CONTRIB: 1}), node)
    return node


def value(name: str, dtype: ir.DataType, rank: int | None = 2) -> ir.Value:
    shape = None if rank is None else ir.Shape([4] * rank)
    return ir.Value(name=name, type=ir.TensorType(dtype), shape=shape)


def data_type(text: str) -> ir.DataType | None:
    """Of text like "tensor(float)"."""
    return DATA_TYPES.get(text.removeprefix("tensor(").removesuffix(")"))


def contrib_schemas() -> list[Any]:
    registry.collect()
    found = (schema for schema in runtime.get_all_operator_schema() if schema.domain == CONTRIB)
    known = (schema for schema in found if registry.get(CONTRIB, schema.name, version=1) is not None)
    return sorted(known, key=lambda schema: str(schema.name))


def bindings(schema: Any) -> list[dict[str, ir.DataType]]:
    """Types of the schema's parameters: each alone through all of its types, and all of them together."""
    allowed = {
        each.type_param_str: [t for t in map(data_type, each.allowed_type_strs) if t is not None]
        for each in schema.type_constraints
    }
    allowed = {name: types for name, types in allowed.items() if types}
    first = {name: types[0] for name, types in allowed.items()}
    alone = [{**first, name: each} for name, types in allowed.items() for each in types]
    together = [{name: types[i % len(types)] for name, types in allowed.items()} for i in range(TRIED)]
    return [*alone, *together]


@pytest.mark.parametrize("schema", contrib_schemas(), ids=lambda schema: schema.name)
def test_no_output_has_another_type_than_its_schema_says(schema: Any) -> None:
    optional = [i for i, each in enumerate(schema.inputs) if "Optional" in str(each.option)]
    attributes = {
        name: 4 for name, each in schema.attributes.items() if each.required and "INTS" not in str(each.type)
    }
    alone = [[each] for each in optional if schema.inputs[each].name not in TOGETHER]
    absent: list[list[int]] = [[], optional, *alone]
    for bound, left_out, rank, cut in itertools.product(bindings(schema), absent, RANKS, (False, True)):
        types = [
            None if index in left_out else bound.get(each.typeStr, data_type(each.typeStr))
            for index, each in enumerate(schema.inputs)
        ]
        inputs = [None if each is None else value(f"i{i}", each, rank) for i, each in enumerate(types)]
        while cut and inputs and inputs[-1] is None:
            inputs.pop()
        given = {each.typeStr for each, one in zip(schema.inputs, inputs, strict=False) if one is not None}
        try:
            node = inferred(schema.name, inputs, len(schema.outputs), **attributes)
        except Exception:
            continue  # shapes that cannot be: nothing is claimed of such a node
        for output, formal in zip(node.outputs, schema.outputs, strict=True):
            if output.dtype is None or (formal.typeStr in bound and formal.typeStr not in given):
                continue
            expected = bound.get(formal.typeStr, data_type(formal.typeStr))
            assert output.dtype == expected, (formal.name, left_out, bound)


U8, I8, FLOAT = ir.DataType.UINT8, ir.DataType.INT8, ir.DataType.FLOAT


@pytest.mark.parametrize(("codes"), [U8, I8])
@pytest.mark.parametrize("bias", [False, True])
def test_a_gemm_gives_codes_of_the_type_of_their_zero_point(codes: ir.DataType, bias: bool) -> None:
    operands: list[ir.Value | None] = [
        value("a", U8), value("sa", FLOAT, 0), value("za", U8, 0),
        value("b", I8), value("sb", FLOAT, 0), value("zb", I8, 0),
        value("c", ir.DataType.INT32, 1) if bias else None,
    ]  # fmt: skip
    scale, zero_point = value("sy", FLOAT, 0), value("zy", codes, 0)
    assert inferred("QGemm", [*operands, scale, zero_point], 1).outputs[0].dtype == codes
    assert inferred("QGemm", [*operands, scale], 1).outputs[0].dtype == FLOAT
    assert inferred("QGemm", [*operands, scale, None], 1).outputs[0].dtype == FLOAT
    assert inferred("QGemm", operands, 1).outputs[0].dtype == FLOAT


def test_what_is_joined_is_of_the_type_of_the_zero_point_of_the_whole() -> None:
    part: list[ir.Value | None] = [value("a", I8), value("sa", FLOAT, 0), value("za", I8, 0)]
    node = inferred("QLinearConcat", [value("s", FLOAT, 0), value("z", U8, 0), *part], 1, axis=1)
    assert node.outputs[0].dtype == U8


@pytest.mark.parametrize(
    ("name", "attributes", "sizes"),
    [
        ("QLinearGlobalAveragePool", {}, [4, 4, 1, 1]),
        ("QLinearGlobalAveragePool", {"channels_last": 1}, [4, 1, 1, 4]),
        ("QLinearAveragePool", {"kernel_shape": [3, 2]}, [4, 4, 2, 3]),
        ("QLinearAveragePool", {"kernel_shape": [3, 2], "channels_last": 1}, [4, 2, 3, 4]),
        (
            "QLinearAveragePool",
            {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 0, 1, 0]},
            [4, 4, 3, 2],
        ),
        (
            "QLinearAveragePool",
            {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
            [4, 4, None, None],
        ),
        ("QLinearAveragePool", {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}, [4, 4, None, None]),
    ],
)
def test_pools_of_codes_leave_fewer_pixels(name: str, attributes: dict[str, Any], sizes: list[Any]) -> None:
    scale, zero_point = value("s", FLOAT, 0), value("z", U8, 0)
    node = inferred(name, [value("a", U8, 4), scale, zero_point, scale, zero_point], 1, **attributes)
    shape = node.outputs[0].shape
    assert shape is not None and [dim if isinstance(dim, int) else None for dim in shape] == sizes
    unknown = inferred(name, [value("a", U8, None), scale, zero_point, scale, zero_point], 1, **attributes)
    assert unknown.outputs[0].shape is None


def test_a_type_that_an_attribute_names_is_the_outputs() -> None:
    operands: list[ir.Value | None] = [value("a", ir.DataType.FLOAT16), value("b", ir.DataType.FLOAT16)]
    assert inferred("GemmFloat8", operands, 1).outputs[0].dtype == FLOAT
    node = inferred("GemmFloat8", operands, 1, dtype=ir.DataType.BFLOAT16.value, transB=1)
    assert node.outputs[0].dtype == ir.DataType.BFLOAT16
    assert node.outputs[0].shape is None


@pytest.mark.parametrize("codes", [U8, I8, ir.DataType.UINT16, ir.DataType.INT4])
def test_codes_and_numbers_have_the_shape_of_what_they_are_made_of(codes: ir.DataType) -> None:
    scale, zero_point = value("s", FLOAT, 0), value("z", codes, 0)
    made = inferred("QuantizeLinear", [value("x", FLOAT), scale, zero_point], 1).outputs[0]
    assert (made.dtype, made.shape) == (codes, ir.Shape([4, 4]))
    back = inferred("DequantizeLinear", [value("q", codes), scale, zero_point], 1).outputs[0]
    assert (back.dtype, back.shape) == (FLOAT, ir.Shape([4, 4]))
