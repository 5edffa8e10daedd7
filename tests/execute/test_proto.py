"""The form handed to a runtime: which constants are written, which shapes are observed."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import Session, proto
from graphopt.execute.proto import light_proto, observed_values

EQUAL_CONSTANTS = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[2] x, bool c) => (float[2] y, float[2] z, float k)
<float a = {3.0}, float b = {3.0}, float[1] other = {3.0}, float k = {3.0}, float inner = {3.0},
 float unused = {3.0}>
{
    u = Add(x, a)
    v = Add(u, b)
    y = Add(v, other)
    z = If(c) <then_branch = t () => (float[2] p) { p = Add(v, inner) },
               else_branch = e () => (float[2] q) { q = Sub(v, inner) }>
}
"""

CHAIN = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[4] x) => (float[2, 2] y)
<int64[2] s = {2, 2}, int64[1] flat = {-1}>
{
    a = Neg(x)
    b = Reshape(a, s)
    c = Neg(b)
    d = Reshape(c, flat)
    e = Neg(d)
    f = Neg(e)
    y = Reshape(f, s)
}
"""


def written(model: ir.Model, *, share: bool) -> list[str]:
    return [tensor.name for tensor in light_proto(model, share_constants=share).proto.graph.initializer]


def test_equal_small_constants_are_written_once() -> None:
    model = ir.from_onnx_text(EQUAL_CONSTANTS)
    assert written(model, share=False) == ["a", "b", "other", "k", "inner"]
    # Graph outputs and what bodies read stay; another shape is another constant.
    assert written(model, share=True) == ["a", "other", "k", "inner"]


def test_shared_constants_change_no_number() -> None:
    model = ir.from_onnx_text(EQUAL_CONSTANTS)
    results = Session(model).run({"x": np.zeros(2, np.float32), "c": np.array(True)})
    assert [results[name].tolist() for name in ("y", "z", "k")] == [[9.0, 9.0], [9.0, 9.0], 3.0]


def test_running_statistics_of_a_function_stay_by_themselves() -> None:
    """onnxruntime writes the new mean where the old one stands."""
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 21, "f" : 1]>
        g (float[3,2] x) => (float[2] mean) <
            float[2] s = {4, 4}, float[2] b = {0, 0}, float[2] m = {4, 4}, float[2] v = {4, 4}
        > { mean = f.train(x, s, b, m, v) }
        <domain: "f", opset_import: ["" : 21]> train (x, s, b, m, v) => (mean) {
            y, mean, var = BatchNormalization <training_mode = 1> (x, s, b, m, v)
        }"""
    )
    assert written(model, share=True) == ["s", "b", "m", "v"]


def test_a_constant_asked_for_is_written() -> None:
    model = ir.from_onnx_text(EQUAL_CONSTANTS)
    light = light_proto(model, extra_outputs=["b"], share_constants=True)
    assert "b" in [tensor.name for tensor in light.proto.graph.initializer]


def test_all_shapes_are_observed_while_they_are_few() -> None:
    graph = ir.from_onnx_text(CHAIN).graph
    assert [value.name for value in observed_values(graph)] == ["x", "a", "b", "c", "d", "e", "f", "y"]


@pytest.mark.parametrize(
    ("most", "expected"),
    [(2, ["x", "y"]), (3, ["x", "y", "b"]), (4, ["x", "y", "b", "d"]), (6, ["x", "y", "b", "d", "a", "e"])],
)
def test_of_many_shapes_the_telling_ones_are_observed(
    most: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proto, "MOST_OBSERVED", most)
    assert [value.name for value in observed_values(ir.from_onnx_text(CHAIN).graph)] == expected
