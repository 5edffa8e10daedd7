"""raise-opset: what each change of the standard makes of a node, and what stands in the way."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import Session
from graphopt.ir import PROVENANCE_KEY, WANTED_OPSET_KEY, infer_shapes, nodes, verify, want_opset
from graphopt.ir.opsets import OpsetError, raise_opset
from graphopt.passes.cleanup.raise_opset import RaiseOpset
from graphopt.testing import PassRun, parse_model, run_pass


@dataclasses.dataclass(frozen=True)
class Case:
    """A graph of opset `old`, and the operators it has at opset `new`."""

    old: int
    text: str
    ops: str
    new: int = 24


CASES = {
    "average-pool": Case(
        7,
        "g (float[1,2,5,5] x) => (float[1,2,3,3] y) { y = AveragePool<kernel_shape=[3,3]>(x) }",
        "AveragePool",
    ),
    "batch-normalization": Case(
        7,
        """g (float[2,3,4] x, float[3] s, float[3] b, float[3] m, float[3] n) => (float[2,3,4] y)
        { v = Abs(n) y = BatchNormalization<spatial=1, epsilon=0.01>(x, s, b, m, v) }""",
        "Abs BatchNormalization",
    ),
    "clip": Case(7, "g (float[N] x) => (float[N] y) { y = Clip<min=-0.5, max=2.0>(x) }", "Clip"),
    "clip-below": Case(8, "g (float[N] x) => (float[N] y) { y = Clip<min=0.0>(x) }", "Clip"),
    "clip-not-at-all": Case(9, "g (float[N] x) => (float[N] y) { y = Clip(x) }", "Clip"),
    "dft": Case(17, "g (float[2,6,3,1] x) => (float[2,6,3,2] y) { y = DFT(x) }", "DFT"),
    "dft-along": Case(17, "g (float[2,6,3,1] x) => (float[2,6,3,2] y) { y = DFT<axis=2>(x) }", "DFT"),
    "dropout": Case(7, "g (float[N] x) => (float[N] y) { y, mask = Dropout<ratio=0.25>(x) }", "Dropout"),
    "dropout-10": Case(10, "g (float[N] x) => (float[N] y) { y = Dropout(x) }", "Dropout"),
    "erf": Case(9, "g (float[N] x) => (float[N] y) { y = Erf(x) }", "Erf"),
    "gemm": Case(
        7, "g (float[2,3] a, float[3,4] b, float[4] c) => (float[2,4] y) { y = Gemm(a, b, c) }", "Gemm"
    ),
    "grid-sample": Case(
        16,
        "g (float[1,1,4,4] x, float[1,3,3,2] at) => (float[1,1,3,3] y) { y = GridSample(x, at) }",
        "GridSample",
    ),
    "grid-sample-cubic": Case(
        16,
        """g (float[1,1,4,4] x, float[1,3,3,2] at) => (float[1,1,3,3] y)
        { y = GridSample<mode="bicubic">(x, at) }""",
        "GridSample",
    ),
    "lstm": Case(
        7,
        """g (float[3,2,4] x, float[1,8,4] w, float[1,8,2] r) => (float[3,1,2,2] y)
        { y = LSTM<hidden_size=2>(x, w, r) }""",
        "LSTM",
    ),
    "one-hot": Case(
        9,
        """g (int64[4] z) => (float[4,5] y) <int64[1] depth = {5}, float[2] v = {0.0, 1.0}>
        { i = Abs(z) y = OneHot(i, depth, v) }""",
        "Abs OneHot",
    ),
    "pad": Case(7, "g (float[2,3] x) => (float[5,3] y) { y = Pad<pads=[1,0,2,0]>(x) }", "Pad"),
    "pad-with": Case(
        10, "g (float[2,3] x) => (float[5,3] y) { y = Pad<pads=[1,0,2,0], value=7.0>(x) }", "Pad"
    ),
    "pad-reflecting": Case(
        7, 'g (float[3,3] x) => (float[5,3] y) { y = Pad<mode="reflect", pads=[1,0,1,0]>(x) }', "Pad"
    ),
    "prelu": Case(7, "g (float[2,3] x, float[3] s) => (float[2,3] y) { y = PRelu(x, s) }", "PRelu"),
    "reduce-mean": Case(
        7, "g (float[2,3,4] x) => (float[2,1,1] y) { y = ReduceMean<axes=[1,2]>(x) }", "ReduceMean"
    ),
    "reduce-max": Case(
        11, "g (float[2,3,4] x) => (float[2,3] y) { y = ReduceMax<axes=[-1], keepdims=0>(x) }", "ReduceMax"
    ),
    "reduce-all": Case(8, "g (float[2,3,4] x) => (float[1,1,1] y) { y = ReduceL2(x) }", "ReduceL2"),
    "reduce-sum": Case(
        11, "g (float[2,3,4] x) => (float[2,1,4] y) { y = ReduceSum<axes=[1]>(x) }", "ReduceSum"
    ),
    "resize-larger": Case(
        10,
        "g (float[1,1,3,4] x) => (float[1,1,7,8] y) <float[4] s = {1.0, 1.0, 2.5, 2.0}> { y = Resize(x, s) }",
        "Resize",
    ),
    "resize-smaller": Case(
        10,
        "g (float[1,1,5,8] x) => (float[1,1,3,3] y) <float[4] s = {1.0, 1.0, 0.6, 0.4}> { y = Resize(x, s) }",
        "Resize",
    ),
    "resize-linear": Case(
        10,
        """g (float[1,1,5,4] x, float[4] k) => (float[1,1,3,8] y) <float[4] s = {1.0, 1.0, 0.6, 2.0}>
        { y = Resize<mode="linear">(x, s) }""",
        "Resize",
    ),
    "resize-11": Case(
        10,
        "g (float[1,1,3,4] x) => (float[1,1,6,8] y) <float[4] s = {1.0, 1.0, 2.0, 2.0}> { y = Resize(x, s) }",
        "Resize",
        new=11,
    ),
    "roi-align": Case(
        10,
        """g (float[1,1,6,6] x) => (float[1,1,2,2] y) <float[1,4] r = {0.5, 1.0, 4.0, 5.0}, int64[1] i = {0}>
        { y = RoiAlign<output_height=2, output_width=2, sampling_ratio=2>(x, r, i) }""",
        "RoiAlign",
        new=21,
    ),
    "scatter": Case(
        9,
        """g (float[3,3] x, float[2,3] u) => (float[3,3] y) <int64[2,3] i = {1, 0, 2, 0, 2, 1}>
        { y = Scatter<axis=0>(x, i, u) }""",
        "ScatterElements",
    ),
    "slice": Case(
        7, "g (float[4,5] x) => (float[2,3] y) { y = Slice<starts=[1,-4], ends=[3,-1]>(x) }", "Slice"
    ),
    "slice-along": Case(
        9, "g (float[4,5] x) => (float[4,3] y) { y = Slice<axes=[1], starts=[2], ends=[9]>(x) }", "Slice"
    ),
    "softmax-last": Case(11, "g (float[2,3,4] x) => (float[2,3,4] y) { y = Softmax<axis=2>(x) }", "Softmax"),
    "softmax-of-two": Case(7, "g (float[2,3] x) => (float[2,3] y) { y = Softmax(x) }", "Softmax"),
    "softmax-over-ones": Case(9, "g (float[N,5,1,1] x) => (float[N,5,1,1] y) { y = Softmax(x) }", "Softmax"),
    "softmax-flat": Case(
        9, "g (float[2,3,4] x) => (float[2,3,4] y) { y = Softmax(x) }", "Flatten Softmax Shape Reshape"
    ),
    "log-softmax-flat": Case(
        12,
        "g (float[N,2,3,2] x) => (float[N,2,3,2] y) { y = LogSoftmax<axis=-2>(x) }",
        "Flatten LogSoftmax Shape Reshape",
        new=13,
    ),
    "hardmax-flat": Case(
        7,
        "g (float[2,3,4] x) => (float[2,3,4] y) { y = Hardmax<axis=0>(x) }",
        "Flatten Hardmax Shape Reshape",
    ),
    "split": Case(
        7,
        "g (float[2,6] x) => (float[2,2] a, float[2,4] b) { a, b = Split<axis=1, split=[2,4]>(x) }",
        "Split",
    ),
    "split-evenly": Case(
        11, "g (float[2,6] x) => (float[2,3] a, float[2,3] b) { a, b = Split<axis=1>(x) }", "Split"
    ),
    "squeeze": Case(7, "g (float[1,3,1] x) => (float[3,1] y) { y = Squeeze<axes=[0]>(x) }", "Squeeze"),
    "squeeze-all": Case(12, "g (float[1,3,1] x) => (float[3] y) { y = Squeeze(x) }", "Squeeze"),
    "top-k": Case(
        7, "g (float[2,6] x) => (float[2,3] v, int64[2,3] i) { v, i = TopK<k=3, axis=-1>(x) }", "TopK"
    ),
    "unsqueeze-by-nothing": Case(
        7, "g (float[3] x) => (float[3] y) { y = Unsqueeze<axes: ints = []>(x) }", "Unsqueeze"
    ),
    "unsqueeze": Case(7, "g (float[3] x) => (float[1,3,1] y) { y = Unsqueeze<axes=[0,2]>(x) }", "Unsqueeze"),
    "upsample": Case(
        7,
        "g (float[1,1,3,4] x) => (float[1,1,6,10] y) { y = Upsample<scales=[1.0, 1.0, 2.0, 2.5]>(x) }",
        "Resize",
    ),
    "upsample-linear": Case(
        9,
        """g (float[1,1,3,4] x) => (float[1,1,6,8] y) <float[4] s = {1.0, 1.0, 2.0, 2.0}>
        { y = Upsample<mode="linear">(x, s) }""",
        "Resize",
    ),
    "upsample-9": Case(
        7,
        "g (float[1,1,3,4] x) => (float[1,1,6,8] y) { y = Upsample<scales=[1.0, 1.0, 2.0, 2.0]>(x) }",
        "Upsample",
        new=9,
    ),
    "upsample-10": Case(
        9,
        """g (float[1,1,3,4] x) => (float[1,1,6,8] y) <float[4] s = {1.0, 1.0, 2.0, 2.0}>
        { y = Upsample(x, s) }""",
        "Resize",
        new=10,
    ),
    "in-a-branch": Case(
        11,
        """g (bool c, float[1,3] x) => (float[3] y) {
        y = If (c) <then_branch = t () => (float[3] a) { a = Squeeze<axes=[0]>(x) },
                    else_branch = e () => (float[3] b) { n = Neg(x) b = Squeeze<axes=[0]>(n) }> }""",
        "If Squeeze Neg Squeeze",
    ),
    "in-a-loop": Case(
        11,
        """g (float[1,3] x) => (float[1,3] y) <int64 n = {3}, bool c = {1}> {
        y = Loop (n, c, x) <body = b (int64 i, bool k, float[1,3] v) => (bool k2, float[1,3] w)
            { k2 = Identity(k) s = ReduceSum<axes=[1]>(v) w = Add(v, s) }> }""",
        "Loop Identity ReduceSum Add",
    ),
}


def raised(text: str, old: int, new: int) -> PassRun:
    model = parse_model(text, opset=old, ir_version=8)
    want_opset(model, new, "fuse-this")
    return run_pass(model, RaiseOpset())


@pytest.mark.parametrize("name", CASES)
def test_raised(name: str) -> None:
    case = CASES[name]
    run = raised(case.text, case.old, case.new)
    assert run.ops == case.ops.split()
    assert run.model.opset_imports[""] == case.new
    assert run.hits == {f"raised from opset {case.old} to {case.new} for fuse-this": 1}
    assert [value.name for value in run.model.graph.outputs] == [
        value.name for value in run.before.graph.outputs
    ]


REFUSED = {
    "AveragePool: onnxruntime does not run its automatic padding with strides beyond its kernel": Case(
        11,
        """g (float[1,1,7,7] x) => (y)
        { y = AveragePool<auto_pad="SAME_UPPER", kernel_shape=[2,2], strides=[3,3]>(x) }""",
        "",
    ),
    "BatchNormalization: spatial=0 has no counterpart": Case(
        8,
        """g (float[2,3,4] x, float[3,4] s, float[3,4] b, float[3,4] m, float[3,4] v) => (y)
        { y = BatchNormalization<spatial=0>(x, s, b, m, v) }""",
        "",
    ),
    "BatchNormalization: its outputs for training are in use": Case(
        9,
        """g (float[2,3,4] x, float[3] s, float[3] b, float[3] m, float[3] v) => (y, k)
        { y, k, l = BatchNormalization(x, s, b, m, v) }""",
        "",
    ),
    "Dropout: its mask is in use": Case(10, "g (float[4] x) => (y, m) { y, m = Dropout(x) }", ""),
    "Erf: it takes no INT32 any more": Case(9, "g (int32[4] x) => (y) { y = Erf(x) }", ""),
    "GroupNormalization: its number of channels is unknown": Case(
        18,
        "g (float[N,C,4] x, float[2] s, float[2] b) => (y) { y = GroupNormalization<num_groups=2>(x, s, b) }",
        "",
    ),
    "Resize: its scales are not constant, so that its rounding is unknown": Case(
        10, "g (float[1,1,3,4] x, float[4] s) => (y) { y = Resize(x, s) }", ""
    ),
    "Resize: it enlarges some axes and shrinks others, and rounds differently for them": Case(
        10,
        "g (float[1,1,3,4] x) => (y) <float[4] s = {1.0, 1.0, 0.5, 2.0}> { y = Resize(x, s) }",
        "",
    ),
    "Resize: its mode tf_half_pixel_for_nn has no counterpart": Case(
        11,
        """g (float[1,1,3,4] x) => (y) <float[0] r = {}, float[4] s = {1.0, 1.0, 2.0, 2.0}>
        { y = Resize<coordinate_transformation_mode="tf_half_pixel_for_nn">(x, r, s) }""",
        "",
    ),
    "Elu: onnxruntime does not run it at opset 22": Case(  # of double it is a function, of opset 18 alone
        18, "g (double[4] x) => (double[4] y) { y = Elu(x) }", "", new=22
    ),
    "HardSigmoid: onnxruntime does not run it at opset 20": Case(
        18, "g (double[4] x) => (double[4] y) { y = HardSigmoid(x) }", "", new=20
    ),
    "Attention: onnxruntime does not run it in a SequenceMap at opset 25": Case(
        23,
        """g (seq(float[1,2,3,4]) s) => (seq(float[1,2,3,4]) r)
        { r = SequenceMap (s) <body = b (float[1,2,3,4] x) => (float[1,2,3,4] y)
            { y = Attention(x, x, x) }> }""",
        "",
        new=25,
    ),
    "RoiAlign: onnxruntime does not run it at opset 24": Case(
        16,
        """g (float[1,1,6,6] x, float[1,4] r, int64[1] i) => (y) { y = RoiAlign(x, r, i) }""",
        "",
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refused_whole(reason: str) -> None:
    """A node that stands in the way keeps all others from changing."""
    case = REFUSED[reason]
    text = case.text.replace("{ y", "{ other = Clip<min=0.0>(x) y") if case.old < 11 else case.text
    model = parse_model(text, opset=case.old, ir_version=8)
    infer_shapes(model)
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    want_opset(model, case.new, "fuse-this")
    changes = RaiseOpset().call(model).changes
    assert not changes.count
    assert changes.refusals == {f"opset {case.new} is out of reach: {reason}": 1}
    assert changes.examples == {f"opset {case.new} is out of reach: {reason}": ["y"]}
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before
    assert WANTED_OPSET_KEY not in model.meta


def test_nothing_is_raised_that_nobody_wants_newer() -> None:
    model = parse_model("g (float[N] x) => (float[N] y) { y = Clip<min=0.0>(x) }", opset=7, ir_version=3)
    assert not RaiseOpset().call(model).changes.count
    want_opset(model, 7)
    assert not RaiseOpset().call(model).changes.count
    assert model.opset_imports[""] == 7


def test_the_newest_within_reach_is_taken() -> None:
    model = parse_model(
        "g (float[1,1,6,6] x, float[1,4] r, int64[1] i) => (y) { y = RoiAlign(x, r, i) }", opset=16
    )
    for version, name in ((24, "swish"), (20, "gelu"), (17, "norm"), (14, "hard-swish")):
        want_opset(model, version, name)
    changes = RaiseOpset().call(model).changes
    assert changes.hits == {"raised from opset 16 to 20 for norm, gelu": 1}
    assert list(changes.refusals) == [
        "opset 24 is out of reach: RoiAlign: onnxruntime does not run it at opset 24"
    ]


def test_no_further_than_onnxruntime_runs() -> None:
    model = parse_model("g (float[N] x) => (float[N] y) { y = Relu(x) }")
    want_opset(model, 27)
    changes = RaiseOpset().call(model).changes
    assert changes.refusals == {"onnxruntime does not run opset 27": 1}
    assert not changes.count


def test_what_is_not_concerned_stays() -> None:
    model = parse_model(
        """g (float[2,3] x) => (float[1,2,2] y) <float[3,2] w = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0}>
        { [first] t = MatMul(x, w)
          [second] c = Clip<min=0.0, max=6.0>(t)
          [third] d = Clip<min=0.0, max=6.0>(c)
          [fourth] y = Unsqueeze<axes=[0]>(d) }""",
        opset=10,
        ir_version=3,
    )
    infer_shapes(model)
    clip = model.graph.node(1)
    clip.metadata_props[PROVENANCE_KEY] = "earlier"
    clip.doc_string = "bounded"
    weight, values = model.graph.initializers["w"].const_value, [node.outputs[0] for node in nodes(model)]
    raise_opset(model, 21)
    assert model.graph.initializers["w"].const_value is weight
    assert [node.outputs[0] for node in nodes(model)] == values
    assert [node.name for node in nodes(model)] == ["first", "second", "third", "fourth"]
    assert (clip.metadata_props[PROVENANCE_KEY], clip.doc_string) == ("earlier", "bounded")
    assert model.ir_version == 10
    assert sorted(model.graph.initializers) == ["axes", "max", "min", "w"]  # bounds of both are shared


def test_new_nodes_say_where_they_come_from() -> None:
    model = parse_model("g (float[2,3,4] x) => (float[2,3,4] y) { [soft] y = Softmax(x) }", opset=9)
    infer_shapes(model)
    raise_opset(model, 21)
    assert [node.metadata_props[PROVENANCE_KEY] for node in nodes(model) if node.op_type != "Reshape"] == [
        "soft"
    ] * 3


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("constant", [True, False])
def test_group_normalization(groups: int, constant: bool) -> None:
    """The definition of opset 18 is deprecated, so that the checker refuses what onnxruntime runs."""
    graph = parse_model(
        f"""g (float[2,6,4] x, float[{groups}] s, float[{groups}] b) => (float[2,6,4] y)
        {{ y = GroupNormalization<num_groups={groups}>(x, s, b) }}"""
    )
    random = np.random.default_rng(0)
    feed = {"x": random.standard_normal((2, 6, 4)).astype(np.float32)}
    parameters = {name: random.standard_normal(groups).astype(np.float32) for name in "sb"}
    if constant:
        for _ in parameters:
            value = graph.graph.inputs.pop()
            value.const_value = ir.tensor(parameters[value.name or ""], name=value.name)
            graph.graph.initializers.add(value)
    else:
        feed |= parameters
    per_group = feed["x"].reshape(2, groups, -1)
    centred = per_group - per_group.mean(-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    expected = normal * parameters["s"][None, :, None] + parameters["b"][None, :, None]
    infer_shapes(graph)
    raise_opset(graph, 21)
    verify(graph)
    assert len(graph.graph) == (1 if constant or groups == 6 else 7)
    np.testing.assert_allclose(Session(graph).run(feed)["y"], expected.reshape(2, 6, 4), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_softmax_of_unknown_rank(axis: int) -> None:
    model = parse_model(
        f"""g (float[24] x, int64[R] s) => (float[24] y) <int64[1] flat = {{-1}}>
        {{ r = Reshape(x, s) z = Softmax<axis={axis}>(r) y = Reshape(z, flat) }}""",
        opset=11,
        ir_version=6,
    )
    infer_shapes(model)
    newer = model.clone()
    raise_opset(newer, 21)
    assert len(newer.graph) == (3 if axis == -1 else 6)
    for shape in ([2, 3, 4], [1, 4, 3, 2], [2, 2, 6, 1]):
        feed = {"x": np.arange(24, dtype=np.float32) / 7, "s": np.array(shape)}
        np.testing.assert_array_equal(Session(newer).run(feed)["y"], Session(model).run(feed)["y"])


def test_functions_are_inlined_before() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "f" : 1]>
    g (float[N] x) => (float[N] y) { y = f.twice(x) }
    <domain: "f", opset_import: ["" : 17]> twice (a) => (b) { b = Add(a, a) }"""
    model = parse_model(text)
    with pytest.raises(OpsetError, match="to opset 20: twice: the function is not inlined"):
        raise_opset(model, 20)
    want_opset(model, 20)
    run = run_pass(model, "inline,raise-opset")
    assert run.ops == ["Add"]
    assert run.model.opset_imports[""] == 20
