"""Sequences, optionals, maps and sparse types where tensors are expected, and the other way round."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import helper

from graphopt.testing.hostile.build import FLOAT, INT64, body, data, model, node, value
from graphopt.testing.hostile.case import Case

_SEQUENCE = "seq(float[2]) s"


def cases() -> Iterator[Case]:
    """Values of other kinds than tensors."""
    yield Case(
        "at-outside", body("s = SequenceConstruct(x, x) y = SequenceAt(s, i)", initializers="int64 i = {5}")
    )
    yield Case(
        "at-far-outside",
        body("s = SequenceConstruct(x) y = SequenceAt(s, i)", initializers=f"int64 i = {{{-(1 << 62)}}}"),
    )
    yield Case("at-of-tensor", body("y = SequenceAt(x, i)", initializers="int64 i = {0}"))
    yield Case("add-of-sequence", body("y = Add(s, x)", f"float[2] x, {_SEQUENCE}"))
    yield Case("empty-sequence", body("s = SequenceEmpty() y = ConcatFromSequence <axis = 0> (s)"))
    yield Case("at-of-empty", body("s = SequenceEmpty() y = SequenceAt(s, i)", initializers="int64 i = {0}"))
    yield Case(
        "erase-of-empty",
        body(
            "s = SequenceEmpty() e = SequenceErase(s) l = SequenceLength(e) y = Cast <to = 1> (l)",
            outputs="float y",
        ),
    )
    yield Case(
        "mixed",
        body(
            "c = Cast <to = 7> (x) s = SequenceConstruct(x, c) y = SequenceAt(s, i)",
            initializers="int64 i = {0}",
        ),
    )
    yield Case("sequence-of-sequences", body("y = Neg(x)", "float[2] x, seq(seq(float[2])) s"))
    yield Case("optional-of-nothing", body("o = Optional <type = float[2]> () y = OptionalGetElement(o)"))
    yield Case("optional-of-optional", body("o = Optional(x) p = Optional(o) y = OptionalGetElement(p)"))
    yield Case("optional-input", body("y = OptionalGetElement(o)", "optional(float[2]) o"))
    yield Case("has-no-element", body("b = OptionalHasElement(x) y = Cast <to = 1> (b)", outputs="float y"))
    yield Case(
        "split-to-sequence-of-zero",
        body("s = SplitToSequence(x, i) y = SequenceAt(s, i)", initializers="int64 i = {0}"),
    )
    yield Case(
        "split-to-sequence-negative",
        body(
            "s = SplitToSequence(x, i) y = SequenceAt(s, z)",
            initializers="int64[2] i = {-1, 3}, int64 z = {0}",
        ),
    )
    yield Case(
        "split-to-many",
        body(
            "s = SplitToSequence(c, o) y = SequenceAt(s, z) c = ConstantOfShape(n)",
            outputs="float[K] y",
            initializers="int64 o = {1}, int64 z = {0}, int64[1] n = {10000000}",
        ),
        "memory",
    )
    yield Case("map-input", data(_with_type(_map_type())))
    yield Case("sparse-input", data(_with_type(helper.make_sparse_tensor_type_proto(FLOAT, [2]))))
    yield Case("opaque-input", data(_with_type(onnx.TypeProto(opaque_type=onnx.TypeProto.Opaque(name="o")))))
    yield Case("input-without-type", data(_with_type(onnx.TypeProto())))
    yield Case(
        "sequence-of-nothing",
        data(_with_type(onnx.TypeProto(sequence_type=onnx.TypeProto.Sequence()))),
        "a sequence of nothing",
    )
    yield Case(
        "map-of-bad-key",
        data(_with_type(helper.make_map_type_proto(FLOAT, helper.make_tensor_type_proto(FLOAT, [])))),
        None,
    )
    yield Case("output-as-sequence", data(_output_as_sequence()), None)


def _with_type(type_: onnx.TypeProto) -> onnx.ModelProto:
    made = model([node("Neg")])
    made.graph.input.add(name="odd").type.CopyFrom(type_)
    made.graph.node.append(node("Identity", ["odd"], ["same"]))
    made.graph.output.add(name="same").type.CopyFrom(type_)
    return made


def _map_type() -> onnx.TypeProto:
    return helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, [2]))


def _output_as_sequence() -> onnx.ModelProto:
    made = model([node("Neg")], outputs=[value("y")])
    made.graph.output[0].type.CopyFrom(
        helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, [2]))
    )
    return made
