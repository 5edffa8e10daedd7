"""On graphs made at random: dead channels go and nothing changes; whatever is pruned, graphs stay valid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from graphopt.errors import UsageError
from graphopt.execute import Session
from graphopt.ir import constant_tensor, infer_shapes, verify
from graphopt.passes.pruning.drop_dead_channels import DropDeadChannels
from graphopt.passes.pruning.prune_channels import PruneChannels
from graphopt.pruning import Groups, dependency_groups

BLOCKS = (
    "conv",
    "norm",
    "relu",
    "sigmoid",
    "depthwise",
    "grouped",
    "residual",
    "gate",
    "branches",
    "shuffle",
    "pool",
)
USUAL = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)


Array = np.ndarray[Any, np.dtype[Any]]


class Network:
    """Blocks of an image network, one behind the other, then a classifier or a recurrent layer."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.channels = 3
        self.value = "x"

    def name(self) -> str:
        return f"v{len(self.nodes)}_{len(self.weights)}"

    def weight(self, *shape: int) -> str:
        return self.constant((self.rng.normal(size=shape) / np.sqrt(math.prod(shape[1:]))).astype(np.float32))

    def constant(self, array: Array) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def op(self, op_type: str, *inputs: str, outputs: int = 0, **attributes: Any) -> Any:
        made = [f"{self.name()}_{index}" for index in range(max(outputs, 1))]
        self.nodes.append(helper.make_node(op_type, inputs, made, name=f"n{len(self.nodes)}", **attributes))
        return made if outputs else made[0]

    def conv(self, value: str, inputs: int, outputs: int, kernel: int = 1, group: int = 1) -> str:
        weight = self.weight(outputs, inputs // group, kernel, kernel)
        bias = [self.weight(outputs)] if self.rng.random() < 0.7 else []
        pads = [kernel // 2 * int(self.rng.random() < 0.5)] * 4 if kernel > 1 else [0] * 4
        pads = [kernel // 2] * 4 if kernel > 1 and group > 1 else pads
        return self.op("Conv", value, weight, *bias, group=group, pads=pads)  # type: ignore[no-any-return]

    def block(self, kind: str) -> None:
        c, x = self.channels, self.value
        if kind == "conv":
            self.channels = int(self.rng.integers(2, 9))
            self.value = self.conv(x, c, self.channels)
        elif kind == "norm":
            numbers = [self.weight(c) for _ in range(3)]
            variance = self.constant(self.rng.uniform(0.5, 2, c).astype(np.float32))
            self.value = self.op("BatchNormalization", x, *numbers, variance)
        elif kind in ("relu", "sigmoid"):
            self.value = self.op(kind.capitalize(), x)
        elif kind == "depthwise":
            self.value = self.conv(x, c, c, 3, group=c)
        elif kind == "grouped":
            inner = self.conv(x, c, 8)
            self.value, self.channels = self.conv(inner, 8, 4, 1, group=2), 4
        elif kind == "residual":
            self.value = self.op("Add", x, self.conv(self.op("Relu", self.conv(x, c, 5)), 5, c))
        elif kind == "gate":
            pooled = self.op("GlobalAveragePool", x)
            squeezed = self.op("Relu", self.conv(pooled, c, 3))
            self.value = self.op("Mul", x, self.op("HardSigmoid", self.conv(squeezed, 3, c)))
        elif kind == "branches":
            one, other = self.op("Tanh", self.conv(x, c, 4)), self.conv(x, c, 3)
            joined = self.op("Concat", other, one, axis=1)
            sizes = self.constant(np.asarray([2, 5], np.int64))
            parts = self.op("Split", joined, sizes, outputs=2, axis=1)
            self.value, self.channels = self.op("Concat", parts[1], parts[0], axis=1), 7
        elif kind == "shuffle":
            self.value, self.channels = self.conv(x, c, 6), 6
            apart = self.op("Reshape", self.value, self.constant(np.asarray([1, 2, 3, 8, 8], np.int64)))
            turned = self.op("Transpose", apart, perm=[0, 2, 1, 3, 4])
            self.value = self.op("Reshape", turned, self.constant(np.asarray([1, 6, 8, 8], np.int64)))
        else:
            self.value = self.op("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])

    def finish(self, *, recurrent: bool) -> ir.Model:
        c = self.channels
        if recurrent:
            flat = self.op("Reshape", self.value, self.constant(np.asarray([1, c, 64], np.int64)))
            rows = self.op("Transpose", flat, perm=[2, 0, 1])
            state = self.op(
                "GRU", rows, self.weight(1, 15, c), self.weight(1, 15, 5), self.weight(1, 30),
                outputs=2, hidden_size=5,
            )[0]  # fmt: skip
            last = self.op("Squeeze", state, self.constant(np.asarray([1], np.int64)))
            output = self.op("MatMul", last, self.weight(5, 4))
        else:
            flat = self.op("Flatten", self.op("MaxPool", self.value, kernel_shape=[4, 4], strides=[4, 4]))
            inner = self.op("Gemm", flat, self.weight(c * 4, 6), self.weight(6))
            output = self.op("MatMul", self.op("Relu", inner), self.weight(6, 4))
        graph = helper.make_graph(
            self.nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], self.weights,
        )  # fmt: skip
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        return ir.from_proto(proto)


@st.composite
def networks(draw: st.DrawFn) -> ir.Model:
    """Networks whose spatial size stays, so that blocks fit in any order."""
    network = Network(draw(st.integers(0, 2**16)))
    for kind in draw(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=6)):
        if kind in ("residual", "gate", "depthwise", "norm") and network.value == "x":
            network.block("conv")
        network.block(kind)
    if network.value == "x":
        network.block("conv")
    model = network.finish(recurrent=draw(st.booleans()))
    infer_shapes(model)
    return model


def outputs(model: ir.Model) -> Array:
    """What the model makes of one input."""
    x = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)
    (result,) = Session(model).run({"x": x}).values()
    return np.asarray(result)


def plant(groups: Groups, rng: np.random.Generator) -> int:
    """Zero the weights that read some units of each group; how many units."""
    planted = 0
    for group in groups.groups:
        sinks = groups.sinks_of(group)
        if any(sink.weight not in group.axes or constant_tensor(sink.weight.value) is None for sink in sinks):
            continue
        dead = rng.permutation(len(group))[: rng.integers(0, len(group))]
        planted += len(dead)
        for sink in sinks:
            tensor = constant_tensor(sink.weight.value)
            assert tensor is not None
            array = tensor.numpy().copy()
            for unit in dead:
                index: list[Any] = [slice(None)] * array.ndim
                index[sink.weight.axis] = group.positions(sink.weight)[unit]
                array[tuple(index)] = 0.0
            sink.weight.value.const_value = ir.Tensor(array, name=sink.weight.value.name)
    return planted


@given(networks(), st.integers(0, 2**16))
@USUAL
def test_units_that_nothing_reads_all_go_and_no_output_changes(model: ir.Model, seed: int) -> None:
    planted = plant(dependency_groups(model), np.random.default_rng(seed))
    before = outputs(model)
    outcome = DropDeadChannels().call(model)
    infer_shapes(model)
    verify(model)
    assert outcome.changes.count >= planted
    np.testing.assert_allclose(outputs(model), before, rtol=1e-4, atol=1e-5)
    assert not DropDeadChannels().call(model).changes.count


@given(networks(), st.integers(0, 2**16))
@USUAL
def test_units_that_are_made_of_zeros_go_and_no_output_changes(model: ir.Model, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for value in model.graph.initializers.values():
        tensor = constant_tensor(value)
        if tensor is None or len(tensor.shape) != 4 or rng.random() < 0.3:
            continue
        array = tensor.numpy().copy()
        array[rng.random(len(array)) < 0.4] = 0.0
        value.const_value = ir.Tensor(array, name=value.name)
    before = outputs(model)
    DropDeadChannels().call(model)
    infer_shapes(model)
    verify(model)
    np.testing.assert_allclose(outputs(model), before, rtol=1e-4, atol=1e-5)


@given(networks(), st.floats(0.05, 0.9), st.sampled_from(["macs", "params"]))
@USUAL
def test_whatever_is_pruned_the_graph_is_valid(model: ir.Model, rate: float, goal: str) -> None:
    before = outputs(model)
    try:
        PruneChannels(rate=rate, goal=goal, align=4).call(model)
    except UsageError as error:
        assert "no more than" in error.message
        return
    infer_shapes(model)
    verify(model)
    assert outputs(model).shape == before.shape


@given(networks())
@USUAL
def test_every_refusal_names_a_reason_and_what_gives_it(model: ir.Model) -> None:
    groups = dependency_groups(model)
    known = {node.name for node in model.graph} | {
        value.name for value in (*model.graph.inputs, *model.graph.outputs)
    }
    for refusal in groups.refusals:
        assert refusal.reason and refusal.weights and refusal.channels > 0
        assert refusal.node in known
