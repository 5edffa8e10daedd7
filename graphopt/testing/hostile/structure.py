"""Mutations that keep a file a well-formed protobuf: fields dropped, repeated, exchanged, set to odd values.

What is changed is found by protobuf's own description of the messages, so that every field of every ONNX
version takes part.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]

Mutation = Callable[[random.Random, onnx.ModelProto, Sequence[onnx.ModelProto]], None]

INTEGERS = (
    0, 1, -1, 2, 3, 4, 5, 7, 8, 16, 20, 64, 100, 127, 128, 255, 256, 1000, 65535, 65536, 1 << 20,
    (1 << 31) - 1, 1 << 31, -(1 << 31), (1 << 32) - 1, 1 << 40, (1 << 62), (1 << 63) - 1, -(1 << 63),
    -2, -3, -100,
)  # fmt: skip
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e38, -1e38, float("inf"), float("-inf"), float("nan"))
STRINGS = (
    "",
    "x",
    "y",
    "ai.onnx",
    "ai.onnx.ml",
    "com.microsoft",
    "local",
    "\x00",
    "a\nb",
    "\x1b[31m",
    "../x",
    "é" * 9,
    "n" * 999,
)
_MOST_MUTATIONS = 4
_INTEGER_BITS = {
    FieldDescriptor.CPPTYPE_INT32: (32, True),
    FieldDescriptor.CPPTYPE_UINT32: (32, False),
    FieldDescriptor.CPPTYPE_INT64: (64, True),
    FieldDescriptor.CPPTYPE_UINT64: (64, False),
}
_REFERENCES = ("input", "output")


def mutate(rng: random.Random, model: onnx.ModelProto, donors: Sequence[onnx.ModelProto]) -> list[str]:
    """Change `model` in place by a few random mutations; their names."""
    done = []
    for _ in range(rng.randint(1, _MOST_MUTATIONS)):
        mutation = rng.choices(_MUTATIONS, _WEIGHTS)[0]
        mutation(rng, model, donors)
        done.append(mutation.__name__)
    return done


def clear_field(rng: random.Random, model: onnx.ModelProto, donors: Sequence[onnx.ModelProto]) -> None:
    """Drop one field of one message, all its elements if it is repeated."""
    message, field, _ = _any_field(rng, model)
    message.ClearField(field.name)


def drop_element(rng: random.Random, model: onnx.ModelProto, donors: Sequence[onnx.ModelProto]) -> None:
    """Drop one element of a repeated field."""
    found = _any_repeated(rng, model)
    if found is not None:
        elements = found[2]
        del elements[rng.randrange(len(elements))]


def repeat_element(rng: random.Random, model: onnx.ModelProto, donors: Sequence[onnx.ModelProto]) -> None:
    """Put one element of a repeated field behind the others again."""
    found = _any_repeated(rng, model)
    if found is not None:
        elements = found[2]
        element = elements[rng.randrange(len(elements))]
        elements.extend([element] * rng.choice((1, 1, 1, 2, 30)))


def swap_elements(rng: random.Random, model: onnx.ModelProto, donors: Sequence[onnx.ModelProto]) -> None:
    """Exchange two elements of a repeated field."""
    found = _any_repeated(rng, model)
    if found is None:
        return
    _, field, elements = found
    one, other = rng.randrange(len(elements)), rng.randrange(len(elements))
    if field.message_type is None:
        elements[one], elements[other] = elements[other], elements[one]
    else:
        kept = type(elements[one])()
        kept.CopyFrom(elements[one])
        elements[one].CopyFrom(elements[other])
        elements[other].CopyFrom(kept)


def set_scalar(rng: random.Random, model: onnx.ModelProto, donors: Sequence[onnx.ModelProto]) -> None:
    """Give one number or text that is set another value."""
    scalars = [(m, f, v) for m, f, v in _fields(model) if f.message_type is None]
    if scalars:
        message, field, _ = rng.choice(scalars)
        _set(rng, message, field)


def set_absent(rng: random.Random, model: onnx.ModelProto, donors: Sequence[onnx.ModelProto]) -> None:
    """Give a field that is not set a value."""
    message = rng.choice(list(_messages(model)))
    field = rng.choice(message.DESCRIPTOR.fields)
    if field.message_type is None:
        _set(rng, message, field)
    elif _is_repeated(field):
        getattr(message, field.name).add()
    else:
        getattr(message, field.name).SetInParent()


def set_number_of_attribute(
    rng: random.Random, model: onnx.ModelProto, donors: Sequence[onnx.ModelProto]
) -> None:
    """Give an integer of an attribute, or of a stored integer tensor, another value."""
    holders = [
        (message, field)
        for message, field, _ in _fields(model)
        if (isinstance(message, onnx.AttributeProto) and field.name in ("i", "ints", "f", "floats"))
        or (
            isinstance(message, onnx.TensorProto)
            and field.name in ("int64_data", "int32_data", "raw_data", "dims")
        )
        or (field.name in ("dim_value", "version", "elem_type") and field.message_type is None)
    ]
    if not holders:
        return
    message, field = rng.choice(holders)
    if field.name == "raw_data":
        if message.data_type == onnx.TensorProto.INT64 and message.raw_data:
            at = rng.randrange(len(message.raw_data)) // 8 * 8
            data = bytearray(message.raw_data)
            data[at : at + 8] = rng.choice(INTEGERS).to_bytes(8, "little", signed=True)
            message.raw_data = bytes(data)
    else:
        _set(rng, message, field)


def rewire(rng: random.Random, model: onnx.ModelProto, donors: Sequence[onnx.ModelProto]) -> None:
    """Let a node read or write another value of the model."""
    nodes = [message for message in _messages(model) if isinstance(message, onnx.NodeProto)]
    names = [name for node in nodes for name in (*node.input, *node.output)]
    ends = [(node, field) for node in nodes for field in _REFERENCES if getattr(node, field)]
    if names and ends:
        node, field = rng.choice(ends)
        values = getattr(node, field)
        values[rng.randrange(len(values))] = rng.choice(names)


def change_operator(rng: random.Random, model: onnx.ModelProto, donors: Sequence[onnx.ModelProto]) -> None:
    """Give a node the operator of another node, here or in a donor."""
    nodes = [message for message in _messages(model) if isinstance(message, onnx.NodeProto)]
    others = [m for m in _messages(rng.choice(donors)) if isinstance(m, onnx.NodeProto)]
    if nodes and others:
        rng.choice(nodes).op_type = rng.choice(others).op_type


def graft(rng: random.Random, model: onnx.ModelProto, donors: Sequence[onnx.ModelProto]) -> None:
    """Replace a message by one of the same type, here or in a donor."""
    source = rng.choice((model, rng.choice(donors)))
    inner = [message for message in _messages(model) if message is not model]
    target = rng.choice(inner)
    fitting = [m for m in _messages(source) if type(m) is type(target) and m is not target]
    if fitting:
        copy = type(target)()
        copy.CopyFrom(rng.choice(fitting))
        target.CopyFrom(copy)


def implant(rng: random.Random, model: onnx.ModelProto, donors: Sequence[onnx.ModelProto]) -> None:
    """Add an element of a repeated field of a donor to the same field here."""
    found = _any_repeated(rng, rng.choice(donors))
    if found is None:
        return
    owner, field, elements = found
    element = elements[rng.randrange(len(elements))]
    fitting = [message for message in _messages(model) if type(message) is type(owner)]
    if fitting:
        target = getattr(rng.choice(fitting), field.name)
        # A message of a donor may hold what encloses the target: protobuf copies it first.
        target.extend([element])


_WEIGHTED: tuple[tuple[Mutation, int], ...] = (
    (clear_field, 3),
    (drop_element, 3),
    (repeat_element, 2),
    (swap_elements, 2),
    (set_scalar, 4),
    (set_absent, 2),
    (set_number_of_attribute, 6),
    (rewire, 4),
    (change_operator, 3),
    (graft, 3),
    (implant, 2),
)
_MUTATIONS = [mutation for mutation, _ in _WEIGHTED]
_WEIGHTS = [weight for _, weight in _WEIGHTED]

_Found = tuple[Any, Any, Any]
"""A message, the description of one of its fields, and that field's value."""


def _messages(message: Any) -> Iterator[Any]:
    """The message and every message in it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if _is_repeated(field) else (value,):
                yield from _messages(inner)


def _fields(message: Any) -> Iterator[_Found]:
    """Every field that is set, in every message."""
    for each in _messages(message):
        for field, value in each.ListFields():
            yield each, field, value


def _any_field(rng: random.Random, model: onnx.ModelProto) -> _Found:
    found = [(m, f, v) for m, f, v in _fields(model) if m is not model or f.name != "graph"]
    return rng.choice(found) if found else next(_fields(model))


def _any_repeated(rng: random.Random, model: onnx.ModelProto) -> _Found | None:
    found = [(m, f, v) for m, f, v in _fields(model) if _is_repeated(f)]
    return rng.choice(found) if found else None


def _is_repeated(field: Any) -> bool:
    repeated = getattr(field, "is_repeated", None)
    return bool(field.label == FieldDescriptor.LABEL_REPEATED if repeated is None else repeated)


def _set(rng: random.Random, message: Any, field: Any) -> None:
    value = _odd_value(rng, field)
    if _is_repeated(field):
        elements = getattr(message, field.name)
        if elements and rng.random() < 0.7:
            elements[rng.randrange(len(elements))] = value
        else:
            elements.append(value)
    else:
        setattr(message, field.name, value)


def _odd_value(rng: random.Random, field: Any) -> Any:
    if field.cpp_type in _INTEGER_BITS:
        bits, signed = _INTEGER_BITS[field.cpp_type]
        value = rng.choice(INTEGERS) & ((1 << bits) - 1)
        return value - (1 << bits) if signed and value >> (bits - 1) else value
    if field.cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return rng.choice(FLOATS)
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return rng.choice([value.number for value in field.enum_type.values])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return rng.choice((b"", b"\xff\xfe", b"\x00" * rng.randint(1, 64), rng.randbytes(rng.randint(1, 32))))
    return rng.choice(STRINGS)
