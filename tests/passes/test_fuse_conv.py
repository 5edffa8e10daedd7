"""Scale, bias and BatchNormalization fold into the neighbouring Conv or ConvTranspose, or say why not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from graphopt.testing import PassRun, parse_model, run_pass

Weights = Callable[..., str]
NORM = {"scale": (4,), "shift": (4,), "mean": (4,), "positive_var": (4,)}


@pytest.mark.parametrize("op", ["Mul", "Div", "Add", "Sub"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1, 1), (4, 1, 1), (1, 4, 1, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_an_affine_after_a_conv_folds(weights: Weights, op: str, shape: tuple[int, ...], bias: bool) -> None:
    run = run_pass(
        f"""agraph (float[1,6,5,5] x) => (float[n,c,h,w] y) {weights(w=(4, 3, 3, 3), b=(4,), c=shape)} {{
            a = Conv <group = 2, pads = [1,1,1,1], dilations = [2,2]> (x, w{", b" if bias else ""})
            y = {op}(a, c)
        }}""",
        "fuse-conv",
    )
    assert run.ops == ["Conv"]
    assert run.hits == {"fold-affine-into-conv": 1}


@pytest.mark.parametrize("expression", ["Mul(c, a)", "Add(c, a)", "Sub(c, a)", "Neg(a)"])
def test_the_constant_may_come_first(weights: Weights, expression: str) -> None:
    run = run_pass(
        f"""agraph (float[1,2,3,3] x) => (float[n,c,h,w] y) {weights(w=(2, 2, 1, 1), b=(2,), c=(2, 1, 1))} {{
            a = Conv(x, w, b)
            y = {expression}
        }}""",
        "fuse-conv",
    )
    assert run.ops == ["Conv"]


def test_a_constant_divided_by_a_conv_stays(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[1,2,3,3] x) => (float[n,c,h,w] y) {weights(w=(2, 2, 1, 1), c=(1,))} {{
            a = Conv(x, w)
            y = Div(c, a)
        }}""",
        "fuse-conv",
    )
    assert not run.changes


@pytest.mark.parametrize("op", ["Mul", "Add"])
def test_a_plain_vector_is_not_per_channel(weights: Weights, op: str) -> None:
    """A [C] broadcasts along the last axis, which here happens to be as long as the channel axis."""
    run = run_pass(
        f"""agraph (float[1,2,3,4] x) => (float[n,c,h,w] y) {weights(w=(4, 2, 1, 1), c=(4,))} {{
            a = Conv(x, w)
            y = {op}(a, c)
        }}""",
        "fuse-conv",
    )
    assert run.refusals == {"fold-affine-into-conv: a constant of shape [4] is not one per channel": 1}


@pytest.mark.parametrize(
    "shape", [(1, 1, 3, 1), (2, 1, 1, 1), (1, 1, 1, 1, 1), (2, 1, 4, 1, 1), (1, 1, 3, 3)]
)
def test_other_broadcasts_stay(weights: Weights, shape: tuple[int, ...]) -> None:
    dims = ",".join("nchwd"[: len(shape)])
    run = run_pass(
        f"""agraph (float[1,2,3,3] x) => (float[{dims}] y) {weights(w=(4, 2, 1, 1), c=shape)} {{
            a = Conv(x, w)
            y = Mul(a, c)
        }}""",
        "fuse-conv",
    )
    assert not run.changes
    assert "not one per channel" in next(iter(run.refusals))


def test_a_constant_that_makes_more_channels_stays(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[1,2,3,3] x) => (float[n,c,h,w] y) {weights(w=(1, 2, 1, 1), c=(1, 5, 1, 1))} {{
            a = Conv(x, w)
            y = Add(a, c)
        }}""",
        "fuse-conv",
    )
    assert not run.changes


def test_a_result_used_elsewhere_stays(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[1,2,3,3] x) => (float[n,c,h,w] y, float[n,c,h,w] a)
        {weights(w=(2, 2, 1, 1), c=(1,))} {{
            a = Conv(x, w)
            y = Mul(a, c)
        }}""",
        "fuse-conv",
    )
    assert run.refusals == {"fold-affine-into-conv: the result of the Conv is also used elsewhere": 1}


@pytest.mark.parametrize("spatial", [1, 3])
def test_one_and_three_dimensions(weights: Weights, spatial: int) -> None:
    dims, names = ",".join("3" * spatial), ",".join("hwd"[:spatial])
    run = run_pass(
        f"""agraph (float[2,3,{dims}] x) => (float[n,c,{names}] y)
        {weights(w=(4, 3, *[2] * spatial), c=(4, *[1] * spatial), **NORM)} {{
            a = Conv(x, w)
            b = Mul(a, c)
            y = BatchNormalization(b, scale, shift, mean, positive_var)
        }}""",
        "fuse-conv",
    )
    assert run.ops == ["Conv"]


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("op", ["Mul", "Add", "Div"])
def test_conv_transpose(weights: Weights, group: int, op: str) -> None:
    run = run_pass(
        f"""agraph (float[1,6,3,3] x) => (float[n,c,h,w] y)
        {weights(w=(6, 4 // group, 2, 2), b=(4,), c=(1, 4, 1, 1), **NORM)} {{
            a = ConvTranspose <group = {group}, strides = [2,2], output_padding = [1,1]> (x, w, b)
            d = {op}(a, c)
            y = BatchNormalization(d, scale, shift, mean, positive_var)
        }}""",
        "fuse-conv",
    )
    assert run.ops == ["ConvTranspose"]


@pytest.mark.parametrize("opset", [7, 8, 9, 13, 14, 15, 18])
def test_batch_normalization_folds_at_every_opset(weights: Weights, opset: int) -> None:
    attributes = "spatial = 1, momentum = 0.8, epsilon = 0.01" if opset < 9 else "epsilon = 0.01"
    run = run_pass(
        f"""agraph (float[1,2,3,3] x) => (float[1,4,3,3] y) {weights(w=(4, 2, 1, 1), **NORM)} {{
            a = Conv(x, w)
            y = BatchNormalization <{attributes}> (a, scale, shift, mean, positive_var)
        }}""",
        "fuse-conv",
        opset=opset,
    )
    assert run.ops == ["Conv"]
    assert run.hits == {"fold-batch-norm-into-conv": 1}


def test_batch_normalization_in_training_mode_stays(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[2,2,3,3] x) => (float[2,4,3,3] y) {weights(w=(4, 2, 1, 1), **NORM)} {{
            a = Conv(x, w)
            y, m, v = BatchNormalization <training_mode = 1> (a, scale, shift, mean, positive_var)
        }}""",
        "fuse-conv",
        inputs=(),
    )
    assert run.refusals == {"fold-batch-norm-into-conv: a BatchNormalization in training mode": 1}


def test_batch_normalization_without_a_positive_variance_stays(weights: Weights) -> None:
    text = weights(w=(4, 2, 1, 1), shift=(4,), scale=(4,), mean=(4,))
    text = f"{text[:-1]}, float[4] positive_var = {{-1.0, 1.0, 1.0, 1.0}}>"
    run = run_pass(
        f"""agraph (float[2,2,3,3] x) => (float[2,4,3,3] y) {text} {{
            a = Conv(x, w)
            y = BatchNormalization(a, scale, shift, mean, positive_var)
        }}""",
        "fuse-conv",
        inputs=(),
    )
    assert run.refusals == {
        "fold-batch-norm-into-conv: the variance of a BatchNormalization is not positive": 1
    }


def test_parameters_that_are_not_constant_stay(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[2,2,3,3] x, float[4] scale) => (float[2,4,3,3] y)
        {weights(w=(4, 2, 1, 1), shift=(4,), mean=(4,), positive_var=(4,))} {{
            a = Conv(x, w)
            y = BatchNormalization(a, scale, shift, mean, positive_var)
        }}""",
        "fuse-conv",
    )
    assert not run.changes


def test_a_default_that_callers_may_override_is_no_constant() -> None:
    run = run_pass(
        """agraph (float[1,1,2,2] x, float[1,1,1,1] w = {2.0}) => (float[1,1,2,2] y) <float c = {3.0}> {
            a = Conv(x, w)
            y = Mul(a, c)
        }""",
        "fuse-conv",
    )
    assert run.refusals == {"fold-affine-into-conv: the weight is not constant": 1}


def test_a_bias_folds_into_a_conv_of_dynamic_weight(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[1,2,3,3] x, float[4,2,1,1] w) => (float[1,4,3,3] y) {weights(c=(4, 1, 1))} {{
            a = Conv(x, w)
            y = Add(a, c)
        }}""",
        "fuse-conv",
    )
    assert run.ops == ["Conv"]


def test_a_scale_does_not_drop_a_dynamic_bias(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[1,2,3,3] x, float[4] b) => (float[1,4,3,3] y) {weights(w=(4, 2, 1, 1), c=(1,))} {{
            a = Conv(x, w, b)
            y = Mul(a, c)
        }}""",
        "fuse-conv",
    )
    assert run.refusals == {"fold-affine-into-conv: the bias is not constant": 1}


def test_a_shared_normalization_folds_once_into_each_weight(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[1,2,3,3] x) => (float[1,4,3,3] y, float[1,4,3,3] z)
        {weights(w=(4, 2, 1, 1), **NORM)} {{
            a = Conv(x, w)
            y = BatchNormalization(a, scale, shift, mean, positive_var)
            n = Neg(x)
            b = Conv(n, w)
            z = BatchNormalization(b, scale, shift, mean, positive_var)
        }}""",
        "{fuse-conv,dce}*",
    )
    assert sorted(run.ops) == ["Conv", "Conv"]


def test_a_shared_weight_stays_as_it_is_for_others(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[1,2,3,3] x) => (float[1,4,3,3] y, float[1,4,3,3] z)
        {weights(w=(4, 2, 1, 1), c=(4, 1, 1))} {{
            a = Conv(x, w)
            y = Mul(a, c)
            z = Conv(x, w)
        }}""",
        "fuse-conv",
    )
    assert run.ops == ["Conv", "Conv"]


def test_a_big_shared_weight_is_not_copied() -> None:
    weight = np.ones((256, 128, 1, 1), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["a"]),
            helper.make_node("Mul", ["a", "c"], ["y"]),
            helper.make_node("Conv", ["x", "w"], ["z"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 128, 1, 1])],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 256, 1, 1]) for name in "yz"],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.array(3, np.float32), "c")],
    )
    run = run_pass(_model(graph), "fuse-conv")
    assert run.refusals == {"fold-affine-into-conv: a weight of 131072 bytes is used by 2 nodes": 1}


@pytest.mark.parametrize("op", ["Mul", "Div"])
@pytest.mark.parametrize("shape", [(), (1,), (4, 1, 1), (1, 4, 1, 1)])
@pytest.mark.parametrize("conv", ["Conv", "ConvTranspose"])
def test_a_scale_before_folds_through_padding(
    weights: Weights, op: str, shape: tuple[int, ...], conv: str
) -> None:
    run = run_pass(
        f"""agraph (float[2,4,5,5] x) => (float[n,c,h,w] y) {weights(w=(4, 2, 3, 3), b=(4,), c=shape)} {{
            a = {op}(x, c)
            y = {conv} <group = 2, pads = [1,1,1,1], strides = [2,2]> (a, w, b)
        }}""",
        "fuse-conv",
    )
    assert run.ops == [conv]


@pytest.mark.parametrize("attributes", ["", "<pads = [0,0,0,0]>", '<auto_pad = "VALID">', "<group = 2>"])
@pytest.mark.parametrize("expression", ["Add(x, c)", "Sub(x, c)", "Sub(c, x)"])
def test_a_bias_before_an_unpadded_conv_folds(weights: Weights, attributes: str, expression: str) -> None:
    group = 2 if "group" in attributes else 1
    run = run_pass(
        f"""agraph (float[2,4,5,5] x) => (float[n,c,h,w] y) {weights(w=(6, 4 // group, 3, 3), c=(4, 1, 1))} {{
            a = {expression}
            y = Conv {attributes} (a, w)
        }}""",
        "fuse-conv",
    )
    assert run.ops == ["Conv"]


@pytest.mark.parametrize("attributes", ["pads = [1,0,0,0]", 'auto_pad = "SAME_UPPER"'])
def test_a_bias_before_a_padded_conv_stays(weights: Weights, attributes: str) -> None:
    run = run_pass(
        f"""agraph (float[2,4,5,5] x) => (float[n,c,h,w] y) {weights(w=(6, 4, 3, 3), c=(1,))} {{
            a = Add(x, c)
            y = Conv <{attributes}> (a, w)
        }}""",
        "fuse-conv",
    )
    assert run.refusals == {"fold-affine-before-conv: a bias before a padded Conv does not fold": 1}


def test_a_bias_before_a_conv_transpose_stays(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[2,4,5,5] x) => (float[n,c,h,w] y) {weights(w=(4, 6, 3, 3), c=(1,))} {{
            a = Add(x, c)
            y = ConvTranspose(a, w)
        }}""",
        "fuse-conv",
    )
    assert run.refusals == {"fold-affine-before-conv: a bias before a ConvTranspose does not fold": 1}


def test_a_constant_that_broadcasts_the_input_of_a_conv_stays(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[2,1,5,5] x) => (float[n,c,h,w] y) {weights(w=(2, 4, 3, 3), c=(1, 4, 1, 1))} {{
            a = Mul(x, c)
            y = Conv(a, w)
        }}""",
        "fuse-conv",
    )
    assert not run.changes
    assert "may broadcast the input" in next(iter(run.refusals))


@pytest.mark.parametrize(("pads", "ops"), [(0, ["Conv"]), (1, ["BatchNormalization", "Conv"])])
def test_batch_normalization_before_a_conv(weights: Weights, pads: int, ops: list[str]) -> None:
    run = run_pass(
        f"""agraph (float[2,4,5,5] x) => (float[n,c,h,w] y) {weights(w=(3, 4, 3, 3), **NORM)} {{
            a = BatchNormalization(x, scale, shift, mean, positive_var)
            y = Conv <pads = [{pads},{pads},{pads},{pads}]> (a, w)
        }}""",
        "fuse-conv",
    )
    assert run.ops == ops


@pytest.mark.parametrize("axis", [1, -3])
def test_batch_normalization_of_joined_convs(weights: Weights, axis: int) -> None:
    norm = {"scale": (5,), "shift": (5,), "mean": (5,), "positive_var": (5,)}
    run = run_pass(
        f"""agraph (float[1,3,4,4] x) => (float[1,5,4,4] y)
        {weights(v=(2, 3, 1, 1), w=(3, 3, 1, 1), b=(3,), **norm)} {{
            a = Conv(x, v)
            c = Conv(x, w, b)
            j = Concat <axis = {axis}> (a, c)
            y = BatchNormalization(j, scale, shift, mean, positive_var)
        }}""",
        "fuse-conv,dce",
    )
    assert run.ops == ["Conv", "Conv", "Concat"]


@pytest.mark.parametrize(
    ("joined", "dims", "reason"),
    [
        ("<axis = 1> (a, a)", "1,4,4,4", "the result of a Conv is also used elsewhere"),
        ("<axis = 1> (a, r)", "1,4,4,4", ""),
        ("<axis = 2> (a, c)", "1,2,8,4", "what is joined is not the channels of one Conv each"),
        ("<axis = -1> (a, c)", "1,2,4,8", "what is joined is not the channels of one Conv each"),
        ("<axis = 0> (a, c)", "2,2,4,4", "what is joined is not the channels of one Conv each"),
    ],
)
def test_batch_normalization_of_other_joins_stays(
    weights: Weights, joined: str, dims: str, reason: str
) -> None:
    size = int(dims.split(",")[1])
    norm = {"scale": (size,), "shift": (size,), "mean": (size,), "positive_var": (size,)}
    run = run_pass(
        f"""agraph (float[1,3,4,4] x) => (float[{dims}] y)
        {weights(v=(2, 3, 1, 1), w=(2, 3, 1, 1), **norm)} {{
            a = Conv(x, v)
            c = Conv(x, w)
            d = Conv(x, w)
            r = Relu(d)
            j = Concat {joined}
            y = BatchNormalization(j, scale, shift, mean, positive_var)
        }}""",
        "fuse-conv",
    )
    assert not run.changes
    assert set(run.refusals) == ({f"fold-batch-norm-into-joined-convs: {reason}"} if reason else set())


def test_control_flow_bodies_are_rewritten_too(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (bool k, float[1,2,3,3] x) => (float[1,2,3,3] y) {weights(w=(2, 2, 1, 1), c=(1,))} {{
            y = If (k) <
                then_branch = t () => (float[1,2,3,3] p) {{ a = Conv(x, w)  p = Mul(a, c) }},
                else_branch = e () => (float[1,2,3,3] q) {{ q = Conv(x, w) }}
            >
        }}""",
        "fuse-conv",
    )
    assert run.ops == ["If", "Conv", "Conv"]


@pytest.mark.parametrize(
    ("dtype", "factor", "reason"),
    [
        ("float32", 1e38, "overflows float32"),
        ("float16", 6e4, "overflows float16"),
        ("float16", 6e-8, "underflows float16"),
        ("float32", np.inf, "a constant is infinite or not a number"),
        ("float32", np.nan, "a constant is infinite or not a number"),
    ],
)
def test_what_does_not_fit_stays(dtype: str, factor: float, reason: str) -> None:
    run = run_pass(_conv_mul(np.dtype(dtype), factor, 7.3), "fuse-conv", inputs=())
    assert not run.changes
    assert reason in next(iter(run.refusals))


@pytest.mark.parametrize("factor", [1e-30, 1e-4, 3.0, 1e30])
def test_scales_of_every_size_fold_in_float32(factor: float) -> None:
    run = run_pass(_conv_mul(np.dtype("float32"), factor, 0.3), "fuse-conv")
    assert run.ops == ["Conv"]


@pytest.mark.parametrize("dtype", [ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE])
def test_folded_weights_are_rounded_once(dtype: ir.DataType) -> None:
    run = run_pass(_conv_mul(dtype.numpy(), 0.3, 0.7), "fuse-conv", inputs=())
    weight = run.node("Conv").inputs[1].const_value.numpy()  # type: ignore[union-attr]
    factor, element = (float(np.array(number).astype(dtype.numpy())) for number in (0.3, 0.7))
    assert weight.dtype == dtype.numpy()
    assert weight.item() == np.array(factor * element).astype(dtype.numpy()).item()


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(
                ("Mul", "Div", "Add", "Sub", "BatchNormalization", "Conv", "Padded", "Up", "Relu")
            ),
            st.booleans(),
        ),
        min_size=2,
        max_size=6,
    ),
    seed=st.integers(0, 2**16),
)
def test_any_chain_keeps_its_numbers(
    assert_close: Callable[[PassRun], None], steps: list[tuple[str, bool]], seed: int
) -> None:
    passes = "{merge-affine,fuse-conv,join-convs,absorb-affine,dce}*"
    assert_close(run_pass(_chain(steps, seed), passes, inputs=()))


def _model(graph: onnx.GraphProto) -> ir.Model:
    proto = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 22)])
    return ir.from_proto(proto)


def _conv_mul(dtype: np.dtype, factor: float, element: float) -> ir.Model:
    kind = ir.DataType.from_numpy(np.dtype(dtype)).value
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node("Mul", ["a", "c"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", kind, [1, 1, 2, 2])],
        [helper.make_tensor_value_info("y", kind, [1, 1, 2, 2])],
        [
            ir.to_proto(ir.tensor(np.full((1, 1, 1, 1), element).astype(dtype), name="w")),
            ir.to_proto(ir.tensor(np.array(factor).astype(dtype), name="c")),
        ],
    )
    return _model(graph)


def _chain(steps: list[tuple[str, bool]], seed: int) -> ir.Model:
    """Random layers of four channels; the flag asks for constants per channel."""
    random = np.random.default_rng(seed)
    lines: list[str] = []
    constants: list[str] = []

    def constant(*shape: int, positive: bool = False) -> str:
        elements = random.uniform(0.5, 1.5, shape) * (1 if positive else random.choice((-1, 1), shape))
        dims = f"[{','.join(map(str, shape))}]" if shape else ""
        numbers = ", ".join(f"{element:.6f}" for element in np.ravel(elements))
        constants.append(f"float{dims} c{len(constants)} = {{{numbers}}}")
        return f"c{len(constants) - 1}"

    for index, (step, per_channel) in enumerate(steps):
        source, target = f"v{index}", f"v{index + 1}"
        if step == "Relu":
            lines.append(f"{target} = Relu({source})")
        elif step in ("Conv", "Padded", "Up"):
            kind = "ConvTranspose" if step == "Up" else "Conv"
            pads = 1 if step == "Padded" else 0
            size = 3 if pads else 1
            group = 2 if per_channel else 1
            weight = constant(4, 4 // group, size, size)
            lines.append(
                f"{target} = {kind} <group = {group}, pads = [{pads},{pads},{pads},{pads}]> "
                f"({source}, {weight})"
            )
        elif step == "BatchNormalization":
            names = [constant(4, positive=index == 3) for index in range(4)]
            lines.append(f"{target} = BatchNormalization ({source}, {', '.join(names)})")
        else:
            lines.append(f"{target} = {step}({source}, {constant(4, 1, 1) if per_channel else constant()})")
    text = f"agraph (float[1,4,3,3] v0) => (float[1,4,3,3] v{len(steps)})"
    return parse_model(f"{text} <{', '.join(constants)}> {{ {' '.join(lines)} }}")
