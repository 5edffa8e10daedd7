"""What other optimizers get silently wrong, end to end: every case stays right at every level.

The optimizer's own check is off (see `optimize_levels`): the passes must be right without it. What a single
pass refuses, and why, stands in the tests of that pass.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from graphopt.compile import optimize
from graphopt.execute.session import Session
from graphopt.io import to_proto
from graphopt.testing import model_inputs, optimize_levels, parse_model

LEVELS = pytest.mark.parametrize("level", [1, 2])
CONV_WEIGHT = "float[3,2,1,1] w = {1.5, -0.5, 0.25, 2.0, -1.0, 0.75}"
NORM = """float[3] scale = {0.5, 1.5, -2.0}, float[3] bias = {0.1, -0.2, 0.3},
    float[3] mean = {0.3, 0.1, -0.4}, float[3] var = {0.5, 1.0, 2.0}"""
LONG_CHAIN = 20_000


@pytest.mark.parametrize("op", ["Mul", "Add", "Div", "Sub"])
def test_a_vector_after_a_conv_broadcasts_along_the_last_axis(op: str) -> None:
    optimize_levels(f"""g (float[1,2,3,3] x) => (float[1,3,3,3] y)
        <{CONV_WEIGHT}, float[3] c = {{2.0, 3.0, 0.5}}> {{ t = Conv(x, w) y = {op}(t, c) }}""")


def test_a_vector_after_a_transposed_conv_broadcasts_along_the_last_axis() -> None:
    optimize_levels("""g (float[1,2,3,3] x) => (float[1,3,3,3] y)
        <float[2,3,1,1] w = {1.5, -0.5, 0.25, 2.0, -1.0, 0.75}, float[3] c = {2.0, 3.0, 0.5}>
        { t = ConvTranspose(x, w) s = Mul(t, c) y = Add(s, c) }""")


def test_batch_normalization_in_training_mode_uses_the_batch() -> None:
    runs = optimize_levels(f"""g (float[2,2,3,3] x) => (float[2,3,3,3] y, float[3] m, float[3] v)
        <{CONV_WEIGHT}, {NORM}>
        {{ t = Conv(x, w) y, m, v = BatchNormalization <training_mode = 1> (t, scale, bias, mean, var) }}""")
    assert all("BatchNormalization" in run.ops for run in runs.values())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0.0, 1.0), (2.0, 3.0)),
        ((2.0, 3.0), (0.0, 1.0)),
        ((-3.0, -2.0), (-1.0, 4.0)),
        ((1.0, -1.0), (0.0, 6.0)),
    ],
)
def test_clips_of_disjoint_and_of_empty_ranges(
    first: tuple[float, float], second: tuple[float, float]
) -> None:
    optimize_levels(f"""g (float[3,7] x) => (float[3,7] y)
        <float a = {{{first[0]}}}, float b = {{{first[1]}}},
        float c = {{{second[0]}}}, float d = {{{second[1]}}}> {{ t = Clip(x, a, b) y = Clip(t, c, d) }}""")


@pytest.mark.parametrize("body", ["t = Clip(x, a, b) y = Relu(t)", "t = Relu(x) y = Clip(t, a, b)"])
@pytest.mark.parametrize("high", [-1.0, -0.0, 2.0])
def test_a_clip_below_zero_and_a_relu(body: str, high: float) -> None:
    optimize_levels(
        f"g (float[3,7] x) => (float[3,7] y) <float a = {{-2.0}}, float b = {{{high}}}> {{ {body} }}"
    )


@pytest.mark.parametrize(
    "random",
    [
        "Bernoulli(p)",
        "RandomNormalLike(p)",
        "RandomUniformLike(p)",
        "RandomNormal <shape = [64]> ()",
        "RandomUniform <shape = [64]> ()",
    ],
)
def test_two_random_nodes_stay_two(random: str) -> None:
    runs = optimize_levels(
        f"g (float[64] p) => (float[64] y) {{ a = {random} b = {random} y = Sub(a, b) }}", inputs=()
    )
    for run in runs.values():
        assert len(run.ops) == 3
        session = Session(run.model, optimize=False)  # onnxruntime's own optimizations merge two Bernoullis
        assert session.run({name: np.full(64, 0.5, np.float32) for name in session.input_names})["y"].any()


def test_random_nodes_without_inputs_are_not_folded() -> None:
    runs = optimize_levels(
        """g () => (float[8] y) <float[8] p = {0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5}>
        { r = RandomNormalLike(p) b = Bernoulli(p) y = Add(r, b) }""",
        inputs=(),
    )
    assert all(run.ops == ["RandomNormalLike", "Bernoulli", "Add"] for run in runs.values())


def test_an_element_of_a_sequence_does_not_rename_a_graph_input() -> None:
    optimize_levels("""g (float[2,3] x) => (float[2,3] y) <int64 one = {1}>
        { s = SequenceConstruct(x, x) y = SequenceAt(s, one) }""")


@pytest.mark.parametrize("noop", [0, 1])
@pytest.mark.parametrize("axes", ["int64[0] axes = {}>", "int64[1] axes = {-1}>"])
def test_reductions_over_no_axes(noop: int, axes: str) -> None:
    for keep in (0, 1):
        rank = 1 if "{-1}" in axes else (2 if noop else 0)
        shape = ["", "[2,3]"][bool(rank)] if "{}" in axes else "[2]"
        if keep:
            shape = {"": "[1,1]", "[2,3]": "[2,3]", "[2]": "[2,1]"}[shape]
        optimize_levels(f"""g (float[2,3] x) => (float{shape} y) <{axes}
            {{ y = ReduceSum <keepdims = {keep}, noop_with_empty_axes = {noop}> (x, axes) }}""")


@pytest.mark.parametrize("noop", [0, 1])
def test_reductions_without_axes_and_with_axes_that_are_computed(noop: int) -> None:
    shape = "[2,3]" if noop else "[1,1]"
    optimize_levels(f"""g (float[2,3] x) => (float{shape} y, float{shape} z, float{shape} u)
        <int64[2] two = {{0, 1}}, int64[1] zero = {{0}}> {{
        y = ReduceSum <noop_with_empty_axes = {noop}> (x)
        none = Slice(two, zero, zero)
        z = ReduceSum <noop_with_empty_axes = {noop}> (x, none)
        t = ReduceSum <noop_with_empty_axes = {noop}> (x, none)
        u = ReduceMax <noop_with_empty_axes = {noop}> (t) }}""")


def test_a_weight_shared_by_two_normalized_convs_is_not_folded_twice() -> None:
    runs = optimize_levels(f"""g (float[1,2,3,3] x, float[1,2,3,3] u) => (float[1,3,3,3] y, float[1,3,3,3] z)
        <{CONV_WEIGHT}, {NORM}> {{
        a = Conv(x, w) y = BatchNormalization(a, scale, bias, mean, var)
        b = Conv(u, w) z = BatchNormalization(b, scale, bias, mean, var) }}""")
    assert runs[2].ops == ["Conv", "Conv"]


def test_a_weight_that_also_is_used_bare_stays() -> None:
    optimize_levels(f"""g (float[1,2,3,3] x) => (float[1,3,3,3] y, float[1,3,3,3] z, float[3,2,1,1] v)
        <{CONV_WEIGHT}, {NORM}, float two = {{2.0}}> {{
        y = Conv(x, w) a = Conv(x, w) z = BatchNormalization(a, scale, bias, mean, var) v = Mul(w, two) }}""")


def test_a_normalization_whose_scale_is_its_mean() -> None:
    optimize_levels(f"""g (float[1,2,3,3] x) => (float[1,3,3,3] y)
        <{CONV_WEIGHT}, float[3] c = {{0.5, 1.5, 2.0}}> {{
        a = Conv(x, w) b = BatchNormalization(a, c, c, c, c) y = BatchNormalization(b, c, c, c, c) }}""")


@pytest.mark.parametrize("value", ["0.0", "1.0", "-1.0", "-9.0"])
@pytest.mark.parametrize(
    "pool", ["MaxPool <kernel_shape = [2,2]>", "AveragePool <kernel_shape = [2,2], count_include_pad = 1>"]
)
def test_a_pad_before_a_pool(value: str, pool: str) -> None:
    optimize_levels(f"""g (float[1,2,3,3] x) => (float[1,2,4,4] y)
        <int64[8] pads = {{0, 0, 1, 1, 0, 0, 1, 1}}, float v = {{{value}}}>
        {{ t = Pad(x, pads, v) y = {pool} (t) }}""")


def test_a_pad_with_a_value_before_a_conv() -> None:
    optimize_levels(f"""g (float[1,2,3,3] x) => (float[1,3,5,5] y)
        <{CONV_WEIGHT}, int64[8] pads = {{0, 0, 1, 1, 0, 0, 1, 1}}, float v = {{2.0}}>
        {{ t = Pad(x, pads, v) y = Conv(t, w) }}""")


@pytest.mark.parametrize("between", [6, 7, 3, 9, 10])  # int32, int64, int8, bool, float16
def test_a_cast_to_a_narrower_type_and_back_is_not_nothing(between: int) -> None:
    x = np.array([0.0, 0.25, 1.5, -1.5, 2.75, -0.5, 100.3], np.float32)
    optimize_levels(
        f"g (float[7] x) => (float[7] y) {{ t = Cast <to = {between}> (x) y = Cast <to = 1> (t) }}",
        inputs=[{"x": x}],
    )


@pytest.mark.parametrize("body", ["Add(x, z)", "Sub(x, z)", "Mul(x, o)", "Div(x, o)", "Where(t, x, z)"])
def test_neutral_elements_that_broadcast_stay(body: str) -> None:
    optimize_levels(f"""g (float[1,3] x) => (float[2,3] y)
        <float[2,1] z = {{0.0, 0.0}}, float[2,1] o = {{1.0, 1.0}}, bool[2,1] t = {{1, 1}}>
        {{ y = {body} }}""")


@pytest.mark.parametrize("body", ["Add(x, z)", "Mul(x, o)"])
def test_neutral_elements_that_broadcast_in_another_run_stay(body: str) -> None:
    optimize_levels(
        f"""g (float[N,3] x) => (float[M,3] y) <float[1,1] z0 = {{0.0}}, float[1,1] o0 = {{1.0}},
        int64[2] two = {{2, 1}}> {{ z = Expand(z0, two) o = Expand(o0, two) y = {body} }}""",
        inputs=[{"x": np.ones((rows, 3), np.float32)} for rows in (1, 2)],
    )


CAPTURES = {
    "one name in both branches": """
        b = If (c) <then_branch = t () => (o) { v = Neg(x) o = Exp(v) },
                    else_branch = e () => (o2) { v2 = Exp(x) o2 = Neg(v2) }>
        y = Add(b, x)""",
    "branches that hand on outer values": """
        n = Neg(x)
        b = If (c) <then_branch = t () => (o) { o = Identity(n) },
                    else_branch = e () => (p) { p = Identity(x) }>
        y = Add(b, n)""",
    "an outer value used in an inner branch only": """
        n = Neg(x) m = Exp(n)
        y = If (c) <then_branch = t () => (o) {
                       o = If (d) <then_branch = tt () => (oo) { oo = Mul(m, x) },
                                   else_branch = te () => (pp) { k = Neg(x) pp = Add(k, n) }> },
                    else_branch = e () => (p) { p = Neg(m) }>""",
    "a known condition inside an unknown one": """
        n = Neg(x)
        y = If (c) <then_branch = t () => (o) {
                       v = Exp(n)
                       w = If (yes) <then_branch = tt () => (oo) { vv = Neg(v) oo = Mul(vv, n) },
                                     else_branch = te () => (pp) { pp = Identity(x) }>
                       o = Add(w, v) },
                    else_branch = e () => (p) { p = Identity(n) }>""",
    "a known condition around an unknown one": """
        y = If (yes) <then_branch = t () => (o) {
                        v = Exp(x)
                        o = If (c) <then_branch = tt () => (oo) { oo = Mul(v, x) },
                                    else_branch = te () => (pp) { pp = Identity(v) }> },
                      else_branch = e () => (p) { p = Neg(x) }>""",
    "the same work in branch and main graph": """
        n = Neg(x)
        b = If (c) <then_branch = t () => (o) { v = Neg(x) o = Mul(v, v) },
                    else_branch = e () => (p) { u = Neg(x) p = Add(u, n) }>
        y = Add(b, n)""",
}


@pytest.mark.parametrize("body", CAPTURES.values(), ids=CAPTURES.keys())
def test_names_captured_by_branches(body: str) -> None:
    x = np.array([[0.5, -1.5, 2.0]], np.float32)
    optimize_levels(
        f"""g (float[1,3] x, bool c, bool d) => (float[1,3] y) <bool yes = {{1}}> {{ {body} }}""",
        inputs=[{"x": x, "c": np.array(c), "d": np.array(d)} for c in (True, False) for d in (True, False)],
    )


@pytest.mark.parametrize("known", [True, False])
def test_inner_names_that_shadow_outer_ones_defined_later(known: bool) -> None:
    """A branch may define a name that the main graph defines after the If: inlining must tell them apart."""
    model = parse_model(f"""g (float[3] x, bool c) => (float[3] y) <bool yes = {{1}}> {{
        b = If ({"yes" if known else "c"}) <then_branch = t () => (o) {{ later = Neg(x) o = Exp(later) }},
                    else_branch = e () => (p) {{ later2 = Exp(x) p = Neg(later2) }}>
        later3 = Mul(b, x) y = Add(later3, b) }}""")
    proto = to_proto(model)
    for node in proto.graph.node:  # the parser refuses what ONNX allows here
        node.input[:] = ["later" if name == "later3" else name for name in node.input]
        node.output[:] = ["later" if name == "later3" else name for name in node.output]
    feeds = [{"x": np.array([0.5, -1.0, 2.0], np.float32), "c": np.array(c)} for c in (True, False)]
    optimize_levels(proto, inputs=feeds)


@LEVELS
@pytest.mark.parametrize(
    "body",
    [
        "y = ConstantOfShape <value = float[1] {2.0}> (big)",
        "y = Expand(one, big)",
        "y = Tile(one, big)",
        "t = ConstantOfShape(big) u = Expand(one, big) y = Add(t, u)",
        "s = Shape(x) t = ConstantOfShape(big) u = Expand(one, big) v = Mul(t, u) y = Add(v, one)",
    ],
)
def test_a_large_constant_that_is_cheap_to_compute_is_not_stored(body: str, level: int) -> None:
    model = to_proto(
        parse_model(f"""g (float[1] x) => (float[4096,4096] y, float[1] z)
        <int64[2] big = {{4096, 4096}}, float[1,1] one = {{1.0}}> {{ {body} z = Neg(x) }}""")
    )
    emitted = to_proto(optimize(model, level=level, check=False, measure=False).model)
    assert emitted.ByteSize() < model.ByteSize() + 4000
    feed = {"x": np.ones(1, np.float32)}
    before, after = (
        ort.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feed)
        for each in (model, emitted)
    )
    assert np.array_equal(before[0], after[0])


LOW_PRECISION: dict[int, Any] = {
    TensorProto.BFLOAT16: ml_dtypes.bfloat16,
    TensorProto.FLOAT8E4M3FN: ml_dtypes.float8_e4m3fn,
    TensorProto.FLOAT8E4M3FNUZ: ml_dtypes.float8_e4m3fnuz,
    TensorProto.FLOAT8E5M2: ml_dtypes.float8_e5m2,
    TensorProto.FLOAT8E5M2FNUZ: ml_dtypes.float8_e5m2fnuz,
    TensorProto.INT4: ml_dtypes.int4,
    TensorProto.UINT4: ml_dtypes.uint4,
    TensorProto.FLOAT4E2M1: ml_dtypes.float4_e2m1fn,
}


@pytest.mark.parametrize("dtype", LOW_PRECISION, ids=lambda dtype: str(TensorProto.DataType.Name(dtype)))
@pytest.mark.parametrize("as_node", [True, False], ids=["Constant", "initializer"])
def test_low_precision_tensors_keep_every_bit(dtype: int, as_node: bool) -> None:
    values = np.array([[0, 1, 2, 3, 4], [1, 0, 2, 1, 6]], np.float32).astype(LOW_PRECISION[dtype])
    tensor = numpy_helper.from_array(values, "w")
    assert tensor.data_type == dtype
    nodes = [
        helper.make_node("Identity", ["w"], ["same"]),
        helper.make_node("Reshape", ["same", "shape"], ["flat"]),
        helper.make_node("Cast", ["flat"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "wide"], ["y"]),
        helper.make_node("Identity", ["w"], ["z"]),
    ]
    initializers = [numpy_helper.from_array(np.array([10]), "shape")]
    if as_node:
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))
    else:
        initializers.append(tensor)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [10])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [10]),
            helper.make_tensor_value_info("z", dtype, [2, 5]),
        ],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    runs = optimize_levels(model, inputs=[{"x": np.arange(10, dtype=np.float32)}])
    for run in runs.values():
        (result,) = ReferenceEvaluator(run.proto).run(["y"], {"x": np.zeros(10, np.float32)})
        assert np.array_equal(result, values.astype(np.float32).reshape(-1))


def documented_model() -> onnx.ModelProto:
    model = to_proto(
        parse_model(f"""g (float[1,2,3,3] x) => (float[1,3,3,3] y) <{CONV_WEIGHT}, float two = {{2.0}}>
        {{ same = Identity(x) t = Conv(same, w) s = Mul(t, two) u = Sin(s) y = Softmax(u) }}""")
    )
    model.doc_string = "of the model"
    model.producer_name, model.producer_version, model.domain, model.model_version = "maker", "7", "org.x", 3
    model.metadata_props.add(key="author", value="somebody")
    model.graph.doc_string = "of the graph"
    model.graph.metadata_props.add(key="where", value="graph")
    for node in model.graph.node:
        node.name = f"the {node.op_type}"
        node.doc_string = f"of the {node.op_type}"
        node.metadata_props.add(key="where", value=node.op_type)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.doc_string = f"of {value.name}"
        value.metadata_props.add(key="where", value=value.name)
    model.graph.initializer[0].doc_string = "of the weight"
    return model


@LEVELS
def test_metadata_and_documentation_survive(level: int) -> None:
    before = documented_model()
    after = optimize_levels(before, levels=[level])[level].proto
    assert after.doc_string == before.doc_string
    for field in ("producer_name", "producer_version", "domain", "model_version"):
        assert getattr(after, field) == getattr(before, field)
    assert {"author": "somebody"}.items() <= {
        entry.key: entry.value for entry in after.metadata_props
    }.items()
    assert after.graph.doc_string == before.graph.doc_string
    assert after.graph.name == before.graph.name
    assert ("where", "graph") in [(entry.key, entry.value) for entry in after.graph.metadata_props]
    assert list(after.graph.input) == list(before.graph.input)
    assert list(after.graph.output) == list(before.graph.output)
    kept = {node.op_type: node for node in after.graph.node}
    for op_type in ("Sin", "Softmax"):
        assert kept[op_type].name == f"the {op_type}"
        assert kept[op_type].doc_string == f"of the {op_type}"
        assert ("where", op_type) in [(entry.key, entry.value) for entry in kept[op_type].metadata_props]


Arrays = dict[str, np.ndarray[Any, Any]]


def model_with_defaults(ir_version: int) -> onnx.ModelProto:
    """Every initializer also is a graph input, as IR versions before 4 demand."""
    names = ("w", "scale", "bias", "mean", "var", "zero", "shape", "cond")
    text = f"""g (float[1,2,3,3] x) => (float[1,27] y)
        <{CONV_WEIGHT}, {NORM}, float zero = {{0.0}}, int64[2] shape = {{1, 27}}, bool cond = {{1}}> {{
        t = Conv(x, w) n = BatchNormalization(t, scale, bias, mean, var) a = Add(n, zero)
        b = If (cond) <then_branch = p () => (o) {{ o = Relu(a) }},
                       else_branch = q () => (r) {{ r = Neg(a) }}>
        y = Reshape(b, shape) }}"""
    proto = to_proto(parse_model(text))
    proto.ir_version = ir_version
    for tensor in proto.graph.initializer:
        assert tensor.name in names
        proto.graph.input.add().CopyFrom(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        )
    return proto


@LEVELS
@pytest.mark.parametrize("ir_version", [3, 8])
def test_initializers_that_are_inputs_may_be_overridden(ir_version: int, level: int) -> None:
    before = model_with_defaults(ir_version)
    after = optimize_levels(before, inputs=(), levels=[level])[level].proto
    assert after.ir_version == ir_version
    assert [value.name for value in after.graph.input] == [value.name for value in before.graph.input]
    x = np.random.default_rng(0).standard_normal((1, 2, 3, 3)).astype(np.float32)
    feeds: list[Arrays] = [
        {"x": x},
        {"x": x, "cond": np.array(False)},
        {"x": x, "zero": np.array(1.5, np.float32), "scale": np.array([1.0, 2.0, 3.0], np.float32)},
        {"x": x, "w": np.ones((3, 2, 1, 1), np.float32), "mean": np.zeros(3, np.float32)},
    ]
    # onnxruntime lets no one override an initializer of IR version 3; the reference evaluator does.
    for feed in feeds if ir_version > 3 else feeds[:1]:
        expected, actual = (
            ort.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feed)
            for each in (before, after)
        )
        np.testing.assert_allclose(actual[0], expected[0], rtol=1e-5, atol=1e-6)
    for feed in feeds:
        outputs: list[Any] = [ReferenceEvaluator(each).run(None, feed) for each in (before, after)]
        np.testing.assert_allclose(outputs[1][0], outputs[0][0], rtol=1e-5, atol=1e-6)


@LEVELS
def test_two_values_of_one_name_are_named_or_repaired(level: int) -> None:
    proto = to_proto(
        parse_model("g (float[3] x) => (float[3] y) { a = Neg(x) b = Exp(a) c = Sin(b) y = Add(c, b) }")
    )
    proto.graph.node[2].output[0] = "a"  # after the last reader of the first `a`
    proto.graph.node[3].input[0] = "a"
    result = optimize(proto, level=level, check=False, measure=False)
    assert any("'a'" in note for note in result.report.notes)
    x = np.array([0.5, -1.0, 2.0], np.float32)
    session = ort.InferenceSession(
        to_proto(result.model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    np.testing.assert_allclose(session.run(None, {"x": x})[0], np.sin(np.exp(-x)) + np.exp(-x), rtol=1e-6)


@LEVELS
def test_a_chain_of_many_nodes_needs_no_recursion(level: int) -> None:
    ops = ("Sin", "Identity", "Neg", "Identity")
    nodes = [
        helper.make_node(ops[index % 4], [f"v{index}"], [f"v{index + 1}"]) for index in range(LONG_CHAIN)
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("v0", f"v{LONG_CHAIN}")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    result = optimize(model, level=level, check=False, measure=False)
    assert not result.report.left_out
    assert len(result.model.graph) == LONG_CHAIN // 2


def test_ifs_nested_deeply() -> None:
    depth = 12
    body = "o0 = Neg(x)"
    for level in range(1, depth):
        body = f"""k{level} = Sin(x)
            i{level} = If (c) <then_branch = t{level} () => (o{level - 1}) {{ {body} }},
                               else_branch = e{level} () => (p{level}) {{ p{level} = Identity(k{level}) }}>
            o{level} = Add(i{level}, k{level})"""
    feeds = [{"x": np.array([0.5, -1.0], np.float32), "c": np.array(c)} for c in (True, False)]
    optimize_levels(
        f"g (float[2] x, bool c) => (float[2] y) {{ {body} y = Identity(o{depth - 1}) }}", inputs=feeds
    )


@LEVELS
def test_the_check_agrees(level: int, tmp_path: Path) -> None:
    """With the check on nothing is left out either, and the written file is what was checked."""
    path = tmp_path / "out.onnx"
    result = optimize(documented_model(), level=level, measure=False, output=path)
    assert result.report.check is not None
    assert result.report.check.equal
    assert not result.report.left_out
    feed = model_inputs(ir.from_proto(documented_model()), special=False)[0]
    before, after = (
        ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, feed)
        for data in (documented_model().SerializeToString(), path.read_bytes())
    )
    np.testing.assert_allclose(after[0], before[0], rtol=1e-5)
