"""Nothing is lost from loading to saving: protos compared field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from graphopt.io import load, to_proto
from graphopt.ir.opsets import NEWEST_IR_VERSION, NEWEST_OPSET, OLDEST_OPSET

LIGHT = sorted(Path(onnx.__file__).parent.glob("backend/test/data/light/*.onnx"))


def normal(proto: onnx.ModelProto) -> onnx.ModelProto:
    """`proto` without what has no meaning: the order of metadata and of claims, and claims known anyway."""
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    graphs = [result.graph]
    while graphs:
        graph = graphs.pop()
        known = {item.name for item in (*graph.input, *graph.output, *graph.initializer)}
        claims = sorted(
            (info for info in graph.value_info if info.name not in known), key=lambda info: info.name
        )
        del graph.value_info[:]
        graph.value_info.extend(claims)
        for node in graph.node:
            while node.output and not node.output[-1]:
                del node.output[-1]
            for attribute in node.attribute:
                graphs.extend([attribute.g] if attribute.HasField("g") else attribute.graphs)
    return result


def assert_same(before: Any, after: Any, where: str = "model") -> None:
    """Compare two messages field by field, an unset field being its default."""
    for field in before.DESCRIPTOR.fields:
        one, other = getattr(before, field.name), getattr(after, field.name)
        place = f"{where}.{field.name}"
        if field.message_type is None:
            is_float = field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE)
            assert np.array_equal(one, other, equal_nan=True) if is_float else one == other, place
        elif field.is_repeated:
            assert len(one) == len(other), place
            for index, (left, right) in enumerate(zip(one, other, strict=True)):
                assert_same(left, right, f"{place}[{index}]")
        else:
            assert before.HasField(field.name) == after.HasField(field.name), place
            if before.HasField(field.name):
                assert_same(one, other, place)


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_networks(path: Path) -> None:
    assert_same(normal(onnx.load(path)), normal(to_proto(load(path))))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_node_models() -> None:
    from onnx.backend.test.case.node import collect_testcases

    compared = 0
    for case in collect_testcases(None):
        if case.model is None:
            continue
        before = normal(case.model)
        opset = max(
            (entry.version for entry in before.opset_import if not entry.domain), default=NEWEST_OPSET
        )
        if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
            continue
        # The newest IR version does not run; it is lowered.
        before.ir_version = min(before.ir_version, NEWEST_IR_VERSION)
        assert_same(before, normal(to_proto(load(case.model))), case.name)
        compared += 1
    assert compared > 1000


def everything() -> onnx.ModelProto:
    proto = onnx.parser.parse_model("""
        <ir_version: 11, opset_import: ["" : 17, "local" : 1], producer_name: "p", producer_version: "1",
         domain: "d", model_version: 3, doc_string: "model doc", metadata_props: ["k": "v"]>
        agraph (float[N,3] x, float[3] w) => (float[N,3] y) <float[3] w = {1.0, 2.0, 3.0}, float[N,3] a> {
            a = Add(x, w)
            y = local.f <alpha = 2.0> (a)
        }
        <domain: "local", opset_import: ["" : 17], doc_string: "function doc">
        f <alpha: float = 1.0> (a) => (b) {
            b = LeakyRelu <alpha: float = @alpha> (a)
        }
    """)
    graph = proto.graph
    graph.doc_string = "graph doc"
    graph.metadata_props.add(key="graph", value="1")
    for item in (graph.input[0], graph.output[0], graph.node[0], graph.initializer[0], graph.value_info[0]):
        item.doc_string = "doc"
        item.metadata_props.add(key="a", value="1")
    graph.input[0].type.denotation = "IMAGE"
    graph.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    annotation = graph.quantization_annotation.add(tensor_name="a")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="w")
    proto.configuration.add(name="two", num_devices=2, device=["left", "right"])
    device = graph.node[0].device_configurations.add(configuration_id="two", pipeline_stage=1)
    device.sharding_spec.add(tensor_name="x", device=[0, 1])
    training = proto.training_info.add()
    training.initialization.name = "init"
    training.update_binding.add(key="w", value="w")
    return proto


def test_every_kind_of_field() -> None:
    proto = everything()
    assert_same(normal(proto), normal(to_proto(load(proto))))


def test_what_onnx_ir_cannot_hold_outlives_a_copy_of_the_model() -> None:
    proto = everything()
    assert_same(normal(proto), normal(to_proto(load(proto).clone())))


def test_map_types() -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml": 3]> '
        "agraph (float[N,2] x) => (float[N,2] y) { y = ai.onnx.ml.ZipMap <classlabels_int64s = [0, 1]> (x) }"
    )
    value = proto.graph.output[0].type.sequence_type.elem_type.map_type
    value.key_type = onnx.TensorProto.INT64
    value.value_type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    assert_same(proto, to_proto(load(proto)))
