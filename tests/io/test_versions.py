"""Opsets and IR versions: what is read, what is refused, what is repaired."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.errors import ModelError
from graphopt.io import load, to_proto
from graphopt.io.load import load_with_notes
from graphopt.testing import parse_model


def model(opset: int = 17, ir_version: int = 8) -> onnx.ModelProto:
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> agraph (float[3] x) => (float[3] y) { y = Relu(x) }'
    )
    proto.ir_version = ir_version
    proto.opset_import[0].version = opset
    return proto


@pytest.mark.parametrize("opset", [7, 26])
def test_oldest_and_newest_opset(opset: int) -> None:
    assert load(model(opset)).opset_imports == {"": opset}


@pytest.mark.parametrize(
    ("opset", "message"), [(6, "oldest that is read is 7"), (27, "newest that runs is 26")]
)
def test_opset_out_of_range(opset: int, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load(model(opset))
    assert caught.value.hint


@pytest.mark.parametrize(("version", "message"), [(0, "IR version 0"), (15, "newest that runs is 13")])
def test_ir_version_out_of_range(version: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(model(ir_version=version))


def test_newest_ir_version_is_lowered_to_one_that_runs() -> None:
    loaded, notes = load_with_notes(model(ir_version=14))
    assert loaded.ir_version == 13
    assert any("lowered the IR version" in note for note in notes)


def test_no_opset() -> None:
    proto = model()
    del proto.opset_import[:]
    with pytest.raises(ModelError, match="declares no opset"):
        load(proto)


def test_long_name_of_the_standard_domain() -> None:
    proto = model()
    proto.opset_import[0].domain = "ai.onnx"
    proto.graph.node[0].domain = "ai.onnx"
    loaded = load(proto)
    assert loaded.opset_imports == {"": 17}
    assert loaded.graph.node(0).domain == ""


def test_one_domain_imported_twice() -> None:
    proto = model()
    proto.opset_import.add(domain="ai.onnx", version=17)
    loaded, notes = load_with_notes(proto)
    assert loaded.opset_imports == {"": 17}
    assert notes == ["the model imported a domain twice; once is kept"]
    proto.opset_import[1].version = 18
    with pytest.raises(ModelError, match="as version 17 and as version 18"):
        load(proto)


def test_missing_import_of_another_domain_is_added() -> None:
    proto = model()
    proto.graph.node[0].domain = "com.example"
    loaded, notes = load_with_notes(proto)
    assert loaded.opset_imports == {"": 17, "com.example": 1}
    assert "'com.example'" in notes[0]


def test_model_in_memory_is_checked_too() -> None:
    with pytest.raises(ModelError, match="newest that runs is 26"):
        load(ir.from_proto(model(28)))


def test_an_old_model_with_constants_that_no_node_of_its_opset_can_be() -> None:
    model = parse_model("g (float[2] x) => (float[2] y) { y = Neg (x) }", opset=8, ir_version=3)
    indices = ir.Value(name="i", const_value=ir.tensor(np.array([1, 0], np.int64), name="i"))
    model.graph.initializers.add(indices)
    model.graph.append(ir.Node("", "Gather", [model.graph.inputs[0], indices], name="dead"))
    proto = to_proto(model)
    assert proto.ir_version == 4
    assert [tensor.name for tensor in proto.graph.initializer] == ["i"]
