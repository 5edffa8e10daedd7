"""A network of the onnx wheel, with a failure that hangs on two neighbours in the midst of it."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from graphopt.ir import attribute_int, count_nodes
from graphopt.testing.reduce import reduce

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def test_two_neighbours() -> None:
    path = LIGHT / "light_inception_v2.onnx"
    if not path.exists():
        pytest.skip("this onnx brings no light models")
    tries = 0

    def holds(model: ir.Model) -> bool:
        nonlocal tries
        tries += 1
        return any(
            node.op_type == "Relu"
            and node.inputs[0] is not None
            and (producer := node.inputs[0].producer()) is not None
            and producer.op_type in ("Add", "BatchNormalization", "Conv")
            for node in model.graph
        ) and any(node.op_type == "Concat" and attribute_int(node, "axis", 0) == 1 for node in model.graph)

    reduced = reduce(path, holds)
    assert count_nodes(reduced) == 3
    assert tries < 100
