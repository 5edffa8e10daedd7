"""Models that are odd or cannot be run come through both levels unharmed, the optimizer's own check off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from graphopt.compile import optimize
from graphopt.io import to_proto
from graphopt.testing import optimize_levels, parse_model

LEVELS = pytest.mark.parametrize("level", [1, 2])


@LEVELS
def test_operators_of_other_domains_are_left_as_they_are(level: int) -> None:
    model = parse_model("""<ir_version: 8, opset_import: ["" : 17, "org.acme" : 3]>
        g (float[2,3] x) => (float[2,3] y, float[2,3] z) <float[3] zero = {0.0, 0.0, 0.0}> {
        a = Identity(x) p = org.acme.Noise <seed = 1> (a, zero) q = org.acme.Noise <seed = 1> (a, zero)
        dead = org.acme.Noise(p) s = org.acme.Relu(p) t = org.acme.Relu(s) same = Identity(t)
        y = org.acme.Identity(same) z = Add(q, s) }""")
    result = optimize(model, level=level, measure=False)
    assert result.report.check is not None
    assert not result.report.check.ran
    assert any("not checked" in note for note in result.report.notes)
    ops = [(node.domain, node.op_type) for node in result.model.graph]
    assert ops == [("org.acme", name) for name in ("Noise", "Noise", "Relu", "Relu", "Identity")] + [
        ("", "Add")
    ]
    assert result.model.opset_imports["org.acme"] == 3


@LEVELS
def test_an_operator_of_another_domain_keeps_its_bodies_and_what_they_read(level: int) -> None:
    body = helper.make_graph(
        [helper.make_node("Add", ["outer", "outer"], ["inner"])],
        "body",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [2])],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Neg", ["x"], ["outer"]),
            helper.make_node("Repeat", ["x"], ["y"], domain="org.acme", body=body),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("org.acme", 1)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    result = optimize(proto, level=level, check=False, measure=False)
    assert [node.op_type for node in result.model.graph] == ["Neg", "Repeat"]


def test_a_model_without_inputs() -> None:
    text = "g () => (float[2] y) <float[2] a = {1.0, -2.0}> { t = Neg(a) y = Relu(t) }"
    optimize_levels(text, inputs=[{}])


def test_a_model_of_identities_only() -> None:
    text = "g (float[2,N] x) => (float[2,N] y) { a = Identity(x) b = Identity(a) y = Identity(b) }"
    runs = optimize_levels(text)
    assert all(run.ops == ["Identity"] for run in runs.values())


def test_an_output_that_is_a_constant() -> None:
    optimize_levels("""g (float[2] x) => (float[2] y, float[2] z) <float[2] a = {1.0, 2.0}>
        { y = Identity(a) z = Neg(x) }""")


def test_an_output_that_is_an_initializer() -> None:
    model = parse_model(
        "g (float[2] x) => (float[2] z) <float[2] a = {1.0, 2.0}> { t = Neg(x) z = Add(t, a) }"
    )
    proto = to_proto(model)
    proto.graph.output.add().CopyFrom(helper.make_tensor_value_info("a", TensorProto.FLOAT, [2]))
    optimize_levels(proto)


def test_an_output_that_is_an_input() -> None:
    proto = to_proto(parse_model("g (float[2] x) => (float[2] z) { z = Neg(x) }"))
    proto.graph.output.add().CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]))
    optimize_levels(proto)


@LEVELS
def test_a_model_without_nodes(level: int) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    proto = helper.make_model(
        helper.make_graph([], "g", [value], [value]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    result = optimize(proto, level=level, check=False, measure=False)
    assert [value.name for value in result.model.graph.outputs] == ["x"]
    assert not list(result.model.graph)


def test_inputs_that_nothing_reads_stay() -> None:
    runs = optimize_levels("""g (float[2] x, float[3] unused, int64 n) => (float[2] y)
        { d = Neg(unused) y = Neg(x) }""")
    for run in runs.values():
        assert [value.name for value in run.proto.graph.input] == ["x", "unused", "n"]


def test_an_output_listed_twice() -> None:
    proto = to_proto(parse_model("g (float[2] x) => (float[2] y) { a = Neg(x) y = Identity(a) }"))
    proto.graph.output.add().CopyFrom(proto.graph.output[0])
    for level in (1, 2):
        emitted = to_proto(optimize(proto, level=level, check=False, measure=False).model)
        assert [value.name for value in emitted.graph.output] == ["y", "y"]


@pytest.mark.parametrize(
    "body",
    [
        "t = Neg(x) y = Concat <axis = 0> (t, x)",
        "s = Shape(x) t = Reshape(x, s) y = Concat <axis = 0> (t, e)",
        "t = Transpose <perm = [1, 0]> (x) u = Transpose <perm = [1, 0]> (t) y = Add(u, one)",
        "a, b = Split <axis = 1> (x, parts) y = Concat <axis = 1> (b, a)",
        "t = ReduceSum <keepdims = 1> (x, axis) y = Mul(t, one)",
        "t = Reshape(x, flat) y = Unsqueeze(t, axis)",
        "t = Slice(x, axis, axis) y = Mul(t, one)",
    ],
)
@pytest.mark.parametrize("shape", ["[0,4]", "[N,4]"])
def test_dimensions_of_no_length(body: str, shape: str) -> None:
    x = np.zeros((0, 4), np.float32)
    optimize_levels(
        f"""g (float{shape} x) => (y) <float[0,4] e = {{}}, float[1,1] one = {{1.5}},
        int64[2] parts = {{1, 3}}, int64[1] axis = {{0}}, int64[1] flat = {{-1}}> {{ {body} }}""",
        inputs=[{"x": x}],
    )


def test_sequences_and_optionals_as_outputs() -> None:
    optimize_levels(
        """g (float[4,2] x) => (seq(float[2,2]) s, seq(float[4,2]) t, optional(float[4,2]) o, float[4,2] y) {
        two = Constant <value_int = 2> () a = Identity(x) s = SplitToSequence <axis = 0> (a, two) n = Neg(a)
        t = SequenceConstruct(n, a) o = Optional(n) y = OptionalGetElement(o) }"""
    )


def test_sequences_as_inputs() -> None:
    feed = {"s": [np.ones(2, np.float32), np.zeros(3, np.float32)], "i": np.array(1)}
    optimize_levels(
        """g (seq(float[N]) s, int64 i) => (float[M] y, seq(float[K]) t) {
        same = Identity(s) e = SequenceAt(same, i) y = Neg(e) t = SequenceInsert(s, y) }""",
        inputs=[feed],
    )


def test_texts() -> None:
    feed = {"x": np.array([["b", "a"], ["c", "ß"]], dtype=object)}
    optimize_levels(
        """g (string[2,2] x) => (string[4] y, bool[2,2] z, string[1,2] w)
        <string[2] a = {"a", "ß"}, int64[1] flat = {-1}, int64[2] row = {1, 2}> {
        i = Identity(x) r = Reshape(i, flat) y = Reshape(r, flat) z = Equal(x, a) b = Reshape(a, row)
        w = Identity(b) }""",
        inputs=[feed],
        opset=19,
    )


LOOP = """g (int64 n, bool c, float[2] x) => (float[2] y, float[K,2] z) <float[2] one = {1.0, 1.0}> {
    outer = Identity(x)
    y, z = Loop(n, c, x)
        <body = b (int64 i, bool go, float[2] acc) => (bool more, float[2] next, float[2] out) {
        more = Identity(go) a = Identity(acc) s = Mul(a, one) t = Add(s, outer) u = Add(s, outer)
        dead = Neg(t) v = Transpose(t) w = Transpose(v) next = Add(w, u) out = Identity(next) }> }"""


def test_bodies_of_loops_are_optimized() -> None:
    x = np.array([1.0, -0.5], np.float32)
    feeds = [{"n": np.array(n), "c": np.array(c), "x": x} for n, c in ((0, True), (3, True), (3, False))]
    runs = optimize_levels(LOOP, inputs=feeds)
    for run in runs.values():
        assert run.ops.count("Add") == 2
        assert "Neg" not in run.ops


def test_bodies_of_scans_are_optimized() -> None:
    runs = optimize_levels("""g (float[2] start, float[3,2] x) => (float[2] last, float[3,2] all)
        <float one = {1.0}> {
        last, all = Scan <num_scan_inputs = 1,
            body = b (float[2] acc, float[2] each) => (float[2] next, float[2] o) {
                a = Mul(acc, one) s = Add(a, each) t = Add(each, acc) dead = Exp(t)
                next = Mul(s, t) o = Identity(next) }> (start, x) }""")
    for run in runs.values():
        assert "Exp" not in run.ops
        assert run.ops.count("Mul") == 1


def test_functions_with_attributes() -> None:
    optimize_levels("""<ir_version: 9, opset_import: ["" : 18, "local" : 1]>
        g (float[2,3] x) => (float[2,3] y) {
            a = local.leaky <slope = 0.5> (x) b = local.leaky(a)
            c = local.twice <slope = 0.25> (b) y = Identity(c) }
        <domain: "local", opset_import: ["" : 18]>
        leaky <slope: float = 0.125> (p) => (q) { r = Identity(p) q = LeakyRelu <alpha: float = @slope> (r) }
        <domain: "local", opset_import: ["" : 18, "local" : 1]>
        twice <slope> (p) => (q) {
            r = local.leaky <slope: float = @slope> (p) q = local.leaky(r) }""")


def test_functions_of_missing_optional_inputs_and_unused_outputs() -> None:
    optimize_levels("""<ir_version: 9, opset_import: ["" : 18, "local" : 1]>
        g (float[2,3] x) => (float[2,3] y) <float low = {-0.5}> { y, unused = local.bound(x, low) }
        <domain: "local", opset_import: ["" : 18]>
        bound (p, low, high) => (q, r) { q = Clip(p, low, high) r = Neg(p) }""")


def test_functions_called_inside_branches() -> None:
    x = np.array([1.0, -2.0], np.float32)
    optimize_levels(
        """<ir_version: 9, opset_import: ["" : 18, "local" : 1]>
        g (float[2] x, bool c) => (float[2] y) {
            t = Neg(x)
            y = If (c) <then_branch = a () => (o) { t2 = local.f(t) o = local.f(t2) },
                        else_branch = b () => (p) { p = local.f(x) }> }
        <domain: "local", opset_import: ["" : 18]>
        f (p) => (q) { t = Exp(p) q = Add(t, p) }""",
        inputs=[{"x": x, "c": np.array(c)} for c in (True, False)],
    )


@LEVELS
def test_sparse_initializers(level: int) -> None:
    values = numpy_helper.from_array(np.array([2.0, 3.0], np.float32), "w")
    indices = numpy_helper.from_array(np.array([1, 5]), "i")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["t"]), helper.make_node("Identity", ["t"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 2])],
        sparse_initializer=[helper.make_sparse_tensor(values, indices, [3, 2])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    emitted = to_proto(optimize(proto, level=level, check=False, measure=False).model)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    session = ort.InferenceSession(emitted.SerializeToString(), providers=["CPUExecutionProvider"])
    dense = np.array([[0, 2], [0, 0], [0, 3]], np.float32)
    np.testing.assert_allclose(session.run(None, {"x": x})[0], x @ dense)


@LEVELS
def test_external_data(level: int, tmp_path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["t"]),
            helper.make_node("Mul", ["t", "two"], ["s"]),
            helper.make_node("Identity", ["s"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 64])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.array(2, np.float32), "two")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path, out = tmp_path / "in" / "model.onnx", tmp_path / "out" / "model.onnx"
    path.parent.mkdir()
    out.parent.mkdir()
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    before = path.read_bytes(), (path.parent / "weights.bin").read_bytes()
    result = optimize(path, level=level, check=False, measure=False, output=out)
    assert not result.report.left_out
    assert (path.read_bytes(), (path.parent / "weights.bin").read_bytes()) == before
    x = np.ones((2, 64), np.float32)
    session = ort.InferenceSession(out, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x})[0], 2 * x @ weight, rtol=1e-4, atol=1e-5)


def small_network(opset: int) -> onnx.ModelProto:
    """Two Convs with what folds into them, a classifier and shape arithmetic, as `opset` spells them."""
    rng = np.random.default_rng(opset)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def constant(array: Any, dtype: Any = np.float32) -> str:
        weights.append(numpy_helper.from_array(np.asarray(array, dtype), f"c{len(weights)}"))
        return str(weights[-1].name)

    def op(op_type: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        names = [f"v{len(nodes)}_{index}" for index in range(outputs)]
        nodes.append(helper.make_node(op_type, list(inputs), names, **attributes))
        return names[0]

    def by_opset(op_type: str, since: int, x: str, **ints: Any) -> str:
        """Integers that became inputs with opset `since`."""
        if opset < since:
            return op(op_type, x, **ints)
        return op(op_type, x, *(constant(elements, np.int64) for elements in ints.values()))

    x = op("Conv", "x", constant(rng.normal(size=(4, 3, 3, 3))), kernel_shape=[3, 3])
    x = op("BatchNormalization", x, *(constant(rng.uniform(0.5, 1.5, 4)) for _ in range(4)))
    x = op("Mul", x, constant(rng.normal(size=(4, 1, 1))))
    x = op("Clip", x, min=0.0, max=6.0) if opset < 11 else op("Clip", x, constant(0.0), constant(6.0))
    x = by_opset("Pad", 11, x, pads=[0, 0, 1, 1, 0, 0, 1, 1])
    x = op("Conv", op("Identity", x), constant(rng.normal(size=(4, 4, 3, 3))), constant(np.zeros(4)))
    if opset >= 10:
        x = op("Slice", x, *(constant(value, np.int64) for value in ([0, 0], [1 << 31, 1 << 31], [2, 3])))
    else:
        x = op("Slice", x, starts=[0, 0], ends=[1 << 31, 1 << 31], axes=[2, 3])
    ratio: dict[str, Any] = {"ratio": 0.5} if opset < 12 else {}
    x = op("Dropout", op("GlobalAveragePool", x), **ratio)
    x = by_opset("Squeeze", 13, by_opset("Unsqueeze", 13, x, axes=[0]), axes=[0])
    x = by_opset("ReduceSum", 13, x, axes=[2])
    shape = op("Shape", x)
    batch = by_opset("Unsqueeze", 13, op("Gather", shape, constant(0, np.int64)), axes=[0])
    x = op("Reshape", x, op("Concat", batch, constant([-1], np.int64), axis=0))
    x = op("Gemm", x, constant(rng.normal(size=(4, 5))), constant(rng.normal(size=5)))
    x = op("Cast", op("Cast", op("Softmax", x, axis=1), to=TensorProto.DOUBLE), to=TensorProto.FLOAT)
    if opset >= 14:
        x = op("HardSwish", x)
    if opset >= 17:
        x = op("LayerNormalization", x, constant(np.ones(5)))
    if opset >= 20:
        x = op("Gelu", x)
    nodes.append(helper.make_node("Transpose", [op("Transpose", x, perm=[1, 0])], ["y"], perm=[1, 0]))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("opset", range(7, 27))
def test_a_network_at_each_opset(opset: int) -> None:
    runs = optimize_levels(small_network(opset))
    for run in runs.values():
        assert run.model.opset_imports[""] == opset
    kept = {"Conv", "Clip", "GlobalAveragePool", "Gemm", "Softmax", "HardSwish", "LayerNormalization", "Gelu"}
    extra = set(runs[2].ops) - kept
    assert extra <= {"Reshape", "ReduceSum", "Squeeze", "Flatten"}, extra
    assert runs[2].ops.count("Conv") == 2


@pytest.mark.parametrize("ir_version", range(3, 14))
def test_a_network_at_each_ir_version(ir_version: int) -> None:
    proto = small_network(13)
    proto.ir_version = ir_version
    if ir_version < 4:
        for tensor in proto.graph.initializer:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            proto.graph.input.add().CopyFrom(value)
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    runs = optimize_levels(proto, inputs=[{"x": x}])
    assert all(run.proto.ir_version == ir_version for run in runs.values())


@LEVELS
def test_an_onnx_ir_model_in_memory_is_as_good_as_a_proto(level: int) -> None:
    proto = small_network(17)
    one, other = (
        [node.op_type for node in optimize(model, level=level, check=False, measure=False).model.graph]
        for model in (proto, ir.from_proto(proto))
    )
    assert one == other
