"""The lean form of a large graph computes the same, and leaves the graph it was made from as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import Session, compare
from graphopt.pytorch.importer import lean as module
from graphopt.pytorch.importer.lean import lean

TEXT = """
<ir_version: 10, opset_import: ["" : 18]>
net ({type}[2,3,4] x) => ({type}[2,3,5] y, {type}[2,3,4] z) {{
  h = Relu (x)
  t = Transpose <perm = [1, 0]> (w)
  y = MatMul (h, t)
  z = Mul (y, s)
}}
"""


def made(kind: str, dtype: type) -> ir.Model:
    model = ir.from_onnx_text(TEXT.format(type=kind).replace("[2,3,4] z", "[2,3,5] z"))
    generator = np.random.default_rng(0)
    for name, shape in (("w", (5, 4)), ("s", (5,))):
        tensor: Any = ir.Tensor(generator.standard_normal(shape).astype(dtype), name=name)
        value = next(v for node in model.graph for v in node.inputs if v is not None and v.name == name)
        value.const_value, value.shape, value.dtype = tensor, tensor.shape, tensor.dtype
        model.graph.initializers[name] = value
    return model


@pytest.mark.parametrize(("kind", "dtype"), [("float", np.float32), ("float16", np.float16)])
def test_products_without_copies_of_weights(kind: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(kind, dtype)
    assert lean(model) is model
    monkeypatch.setattr(module, "LEAN_ABOVE_BYTES", 0)
    before = [node.op_type for node in model.graph]
    leaner = lean(model)
    operators = [node.op_type for node in leaner.graph]
    assert "FusedMatMul" in operators and "Transpose" not in operators
    assert operators.count("Cast") == (3 if dtype is np.float16 else 0)
    assert [node.op_type for node in model.graph] == before
    assert {value.dtype for value in model.graph.outputs} == {ir.DataType.from_numpy(np.dtype(dtype))}
    inputs: dict[str, Any] = {"x": np.random.default_rng(1).standard_normal((2, 3, 4)).astype(dtype)}
    found = compare(Session(model).run(inputs), Session(leaner).run(inputs))
    assert all(difference.equal for difference in found)
    assert [difference.name for difference in found] == ["y", "z"]
