"""Shapes and lengths that lie: negative, overflowing, enormous, or at odds with the data."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import onnx
from onnx import helper

from graphopt.testing.hostile.build import (
    FLOAT,
    INT64,
    data,
    field,
    model,
    node,
    tensor,
    value,
    varint,
    with_weight,
)
from graphopt.testing.hostile.case import Case

_TWO_FLOATS = struct.pack("<2f", 1, 2)
_MANY = 1_000_000
_HUGE = (1 << 63) - 1


def cases() -> Iterator[Case]:
    """Sizes that do not fit."""
    yield from _of_weights()
    yield from _of_interfaces()
    yield Case("declared-2-gigabytes", field(7, b"")[:1] + varint(1 << 31) + b"rest", "is not a readable")
    yield Case("declared-8-exabytes", field(7, b"")[:1] + varint(1 << 63) + b"rest", "is not a readable")


def _of_weights() -> Iterator[Case]:
    raw = _TWO_FLOATS
    yield Case("raw-short", with_weight(tensor("w", [3], raw_data=raw)), "expected 12 bytes, found 8")
    yield Case("raw-long", with_weight(tensor("w", [1], raw_data=raw)), "expected 4 bytes, found 8")
    yield Case("raw-missing", with_weight(tensor("w", [2])), "expected 2 elements, found 0")
    yield Case("raw-odd", with_weight(tensor("w", [2], raw_data=raw[:7])), "expected 8 bytes, found 7")
    yield Case(
        "raw-and-numbers", with_weight(tensor("w", [2], raw_data=raw, float_data=[1, 2])), "data twice"
    )
    yield Case(
        "wrong-field", with_weight(tensor("w", [2], int64_data=[1, 2])), "where that type cannot stand"
    )
    yield Case("two-fields", with_weight(tensor("w", [2], float_data=[1], int64_data=[2])), "cannot stand")
    yield Case("negative-dim", with_weight(tensor("w", [-2], raw_data=raw)), "negative dimension")
    yield Case("negative-pair", with_weight(tensor("w", [-1, -2], raw_data=raw)), "negative dimension")
    yield Case(
        "overflow", with_weight(tensor("w", [1 << 32, 1 << 32], raw_data=raw)), "more than any machine"
    )
    yield Case(
        "overflow-to-two", with_weight(tensor("w", [_HUGE, _HUGE, 2], raw_data=raw)), "more than any machine"
    )
    yield Case(
        "overflow-of-nothing", with_weight(tensor("w", [0, _HUGE, _HUGE], raw_data=b"")), "more than any"
    )
    yield Case("terabytes", with_weight(tensor("w", [1 << 40], raw_data=raw)), "expected")
    yield Case("million-by-million", with_weight(tensor("w", [_MANY, _MANY])), "expected")
    yield Case("million-dims", with_weight(tensor("w", [1] * _MANY, float_data=[1])), "dimensions")
    yield Case("hundred-dims", with_weight(tensor("w", [1] * 100, float_data=[1])), "dimensions")
    yield Case("no-type", with_weight(tensor("w", [2], 0, raw_data=raw)), "element type 0")
    yield Case("unknown-type", with_weight(tensor("w", [2], 99, raw_data=raw)), "element type 99")
    yield Case("negative-type", with_weight(tensor("w", [2], -1, raw_data=raw)), "element type -1")
    yield Case(
        "strings-as-bytes",
        with_weight(tensor("w", [2], onnx.TensorProto.STRING, raw_data=raw)),
        "as raw bytes",
    )
    yield Case(
        "half-a-byte-short",
        with_weight(tensor("w", [5], onnx.TensorProto.INT4, raw_data=b"12")),
        "expected 3 bytes",
    )
    yield Case("segment", with_weight(_segment()))


def _of_interfaces() -> Iterator[Case]:
    def sized(*shape: int) -> bytes:
        return data(model([node("Neg")], [value("x", shape)], [value("y", shape)]))

    yield Case("input-of-a-million-squared", sized(_MANY, _MANY), "memory")
    yield Case("input-of-2-to-the-62", sized(1 << 62), "memory")
    yield Case("input-overflowing", sized(1 << 40, 1 << 40), "memory")
    yield Case("input-of-nothing-by-much", sized(0, 1 << 62), "memory")
    yield Case("input-negative", sized(-5))
    yield Case("input-of-a-million-dims", sized(*[1] * _MANY), "dimensions")
    yield Case("input-of-65-dims", sized(*[1] * 65), "dimensions")
    yield Case("output-lies", data(model([node("Neg")], outputs=[value("y", (1 << 60,))])))
    yield Case("hidden-claim-lies", data(_claiming((1 << 60,))))
    yield Case("claim-of-a-million-dims", data(_claiming([1] * _MANY)), "dimensions")
    yield Case("input-of-unknown-type", data(model([node("Neg")], [value("x", (2,), 99)])), "element type 99")
    many = [value(f"x{index}", (1000, 1000)) for index in range(400)]
    total = node("Sum", [each.name for each in many])
    yield Case("inputs-of-a-gigabyte", data(model([total], many, [value("y", (1000, 1000))])), "memory")
    yield Case("output-of-integers", data(model([node("Shape")], outputs=[value("y", (1,), INT64)])))


def _claiming(shape: list[int] | tuple[int, ...]) -> onnx.ModelProto:
    made = model([node("Neg", ["x"], ["t"]), node("Neg", ["t"], ["y"])])
    made.graph.value_info.add().CopyFrom(helper.make_tensor_value_info("t", FLOAT, shape))
    return made


def _segment() -> onnx.TensorProto:
    part = tensor("w", [2], raw_data=_TWO_FLOATS)
    part.segment.begin, part.segment.end = 0, 1 << 40
    return part
