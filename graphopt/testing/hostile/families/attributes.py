"""Attributes of another type than their operator's, without a value, with two, or that refer to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx

from graphopt.testing.hostile.build import data, model, node, tensor
from graphopt.testing.hostile.case import Case

_Kind = onnx.AttributeProto


def cases() -> Iterator[Case]:
    """Attributes that say nothing, or too much."""
    yield Case("float-for-int", _elu("alpha", _Kind.INT, i=1), "expected FLOAT")
    yield Case("value-elsewhere", _elu("alpha", _Kind.FLOAT, i=1), "holds its value in 'i'")
    yield Case("no-value", _elu("alpha", _Kind.FLOAT))
    yield Case("no-type", _elu("alpha", 0))
    yield Case("type-from-value", _elu("alpha", 0, f=0.5))
    yield Case("two-values", _elu("alpha", _Kind.FLOAT, f=0.5, i=3, s=b"x"))
    yield Case("not-a-number", _elu("alpha", _Kind.FLOAT, f=float("nan")))
    yield Case("infinite", _elu("alpha", _Kind.FLOAT, f=float("inf")))
    yield Case("unknown", _elu("frobnicate", _Kind.INT, i=1), "does not know")
    yield Case("no-name", _elu("", _Kind.INT, i=1), "without a name")
    stray = _elu("alpha", _Kind.FLOAT, ref_attr_name="beta")
    yield Case("reference-outside-functions", stray, "stands in no function")
    both = _elu("alpha", _Kind.FLOAT, f=0.5, ref_attr_name="beta")
    yield Case("reference-and-value", both, "stands in no function")
    yield Case("twice", _twice(), "twice")
    yield Case("no-tensor", _constant("value", _Kind.TENSOR), "has no value")
    yield Case("empty-tensor", _constant("value", _Kind.TENSOR, t=onnx.TensorProto()), "element type 0")
    yield Case("huge-tensor", _constant("value", _Kind.TENSOR, t=tensor("", [1 << 40])), "expected")
    yield Case("no-graph", _constant("value", _Kind.GRAPH), "has no value")
    yield Case("constant-without-value", data(model([node("Constant", [])])))
    yield Case("constant-of-two-values", _two_values())
    yield Case(
        "text-not-utf-8", _constant("value_strings", _Kind.STRINGS, strings=[b"\xff\xfe"]), "not UTF-8"
    )
    yield Case("text-alone-not-utf-8", _constant("value_string", _Kind.STRING, s=b"\xff\xfe"), "not UTF-8")
    yield Case("sparse-tensors", _constant("value", _Kind.SPARSE_TENSORS), "not supported")
    yield Case("million-integers", _constant("value_ints", _Kind.INTS, ints=[1] * 1_000_000))
    for to in (0, -1, 17, 99, 1 << 40):
        yield Case(f"cast-to-{to}", data(model([node("Cast", to=to)])), None if to == 17 else "element type")


def _elu(name: str, kind: int, **fields: Any) -> bytes:
    return _with("Elu", ["x"], name, kind, **fields)


def _constant(name: str, kind: int, **fields: Any) -> bytes:
    return _with("Constant", [], name, kind, **fields)


def _with(op_type: str, inputs: list[str], name: str, kind: int, **fields: Any) -> bytes:
    made = node(op_type, inputs)
    made.attribute.append(onnx.AttributeProto(name=name, type=kind, **fields))  # type: ignore[arg-type]
    return data(model([made]))


def _twice() -> bytes:
    made = node("Elu", alpha=0.5)
    made.attribute.append(made.attribute[0])
    return data(model([made]))


def _two_values() -> bytes:
    return data(model([node("Constant", [], value_float=1.0, value_int=2)]))
