"""What onnx.checker is given: no claims but those that keep it from crashing."""

from __future__ import annotations

from graphopt.io import to_proto
from graphopt.ir import infer_shapes
from graphopt.testing import parse_model
from graphopt.testing.check.validity import Strictness, checked_form, refusal


def test_types_are_claimed_of_what_onnx_does_not_know() -> None:
    """Its inference of EyeLike crashes on an input without a type."""
    model = parse_model(
        """<ir_version: 8, opset_import: ["" : 15, "com.microsoft" : 1]>
        g (float[2,2] x) => (int64[2,2] y) {
            a = Neg(x)  b = com.microsoft.QuickGelu(a)  y = EyeLike<dtype = 7>(b)
        }"""
    )
    infer_shapes(model)
    form = checked_form(to_proto(model), [output.shape for output in model.graph.outputs])
    assert [claim.name for claim in form.graph.value_info] == ["b"]
    assert refusal(form, Strictness.SHAPES) is None
