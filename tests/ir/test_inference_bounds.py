"""Shape inference follows no list as long as a model says."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import infer_shapes, static_shape

HEADER = '<ir_version: 8, opset_import: ["" : 18]> '


def inferred(text: str) -> ir.Model:
    model = ir.from_onnx_text(HEADER + text)
    infer_shapes(model)
    return model


def test_long_vectors_are_joined_by_their_length_alone() -> None:
    model = inferred(
        "g (float[2000000000] x, float[2000000000] z) => (float[N] y) { y = Concat <axis = 0> (x, z) }"
    )
    assert static_shape(model.graph.outputs[0]) == (4_000_000_000,)


def test_a_long_vector_and_one_of_unknown_length() -> None:
    model = inferred(
        "g (float[1000] x, float[N] z) => (float[M] y) { t = Concat <axis = 0> (x, z) y = Neg(t) }"
    )
    assert str(model.graph.node(0).outputs[0].shape) in ("[N + 1000]", "[1000 + N]")


def test_a_shape_longer_than_any_array_has_dimensions() -> None:
    model = inferred("g (float[4] x, int64[2000000000] s) => (float[N] y) { t = Reshape(x, s) y = Neg(t) }")
    assert model.graph.node(0).outputs[0].shape is None


def test_more_parts_than_outputs() -> None:
    model = inferred("g (float[4] x) => (float[N] y) { y, z = Split <num_outputs = 2000000000> (x) }")
    assert model.graph.node(0).outputs[1].shape is None


def test_sizes_beyond_63_bits_are_unknown() -> None:
    model = inferred(
        "g (float[4611686018427387904] x) => (float[N] y) { t = Concat <axis = 0> (x, x) y = Neg(t) }"
    )
    assert model.graph.node(0).outputs[0].shape is None
