"""Small networks as converters from channels-last frameworks write them: transposes around every convolution.

    python benchmarks/nhwc_models.py [--side PIXELS] [--out FOLDER]

Writes each model, or only counts the transposes that the optimizer leaves inside. Weights are random; a name
and a seed always give the same model.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]
OPSET, IR_VERSION = 18, 9
SEED = 7


class Net:
    """A graph under construction; every value between layers is kept channels-last.

    Args:
        side: Height and width of the image that goes in.
        batch: Its batch size, or the name of one.
        channels: Its channels.
    """

    def __init__(self, side: int, batch: int | str = 1, channels: int = 3) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(SEED)
        self.channels: dict[str, int] = {"image": channels}
        self.input = helper.make_tensor_value_info(
            "image", onnx.TensorProto.FLOAT, [batch, side, side, channels]
        )

    def op(self, kind: str, *inputs: str, channels: int | None = None, **attributes: Any) -> str:
        """A node; its output keeps the channels of its first input if no others are given."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        self.channels[name] = self.channels.get(inputs[0], 0) if channels is None else channels
        return name

    def const(self, array: npt.ArrayLike, kind: type = np.float32) -> str:
        """A constant."""
        name = f"const_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array, dtype=kind), name))
        return name

    def weight(self, *shape: int) -> str:
        """Random weights that keep values near 1."""
        fan = int(np.prod(shape[1:])) or 1
        return self.const(self.random.standard_normal(shape) / np.sqrt(fan))

    def vector(self, size: int, low: float = 0.5, high: float = 1.5) -> str:
        """Random numbers, one a channel."""
        return self.const(self.random.uniform(low, high, size))

    def conv(self, x: str, out: int, kernel: int = 1, stride: int = 1, *, depthwise: bool = False) -> str:
        """Transpose, Conv, Transpose, and the bias added channels-last."""
        group = self.channels[x] if depthwise else 1
        if stride == 2 and kernel > 1:
            front = (kernel - 2) // 2  # as "SAME" pads an even number of pixels
            behind = kernel - 2 - front
            pads = [0, front, front, 0, 0, behind, behind, 0]
            x = self.op("Pad", x, self.const(pads, np.int64))
        pad = kernel // 2 if stride == 1 else 0
        first = self.op("Transpose", x, perm=TO_NCHW)
        if depthwise:  # kept as [kernel, kernel, channels, 1] and turned in the graph
            weight = self.op("Transpose", self.weight(kernel, kernel, out, 1), perm=[2, 3, 0, 1])
        else:
            weight = self.weight(out, self.channels[x] // group, kernel, kernel)
        made = self.op("Conv", first, weight, strides=[stride] * 2, pads=[pad] * 4, group=group, channels=out)
        back = self.op("Transpose", made, perm=TO_NHWC)
        return self.op("Add", back, self.vector(out, -0.2, 0.2))

    def norm(self, x: str) -> str:
        """A batch normalization as a product and a sum, channels-last."""
        size = self.channels[x]
        return self.op("Add", self.op("Mul", x, self.vector(size)), self.vector(size, -0.2, 0.2))

    def relu6(self, x: str) -> str:
        """Relu6 as two nodes."""
        return self.op("Min", self.op("Relu", x), self.const(6.0))

    def hard_swish(self, x: str) -> str:
        """x * relu6(x + 3) / 6."""
        gate = self.op("Clip", self.op("Add", x, self.const(3.0)), self.const(0.0), self.const(6.0))
        return self.op("Mul", self.op("Mul", x, gate), self.const(1 / 6))

    def swish(self, x: str) -> str:
        """x * sigmoid(x)."""
        return self.op("Mul", x, self.op("Sigmoid", x))

    def mean(self, x: str, keepdims: int) -> str:
        """Mean over height and width."""
        return self.op("ReduceMean", x, self.const([1, 2], np.int64), keepdims=keepdims)

    def dense(self, x: str, rows: int, columns: int) -> str:
        """A matrix and a bias."""
        weight = self.const(self.random.standard_normal((rows, columns)) / np.sqrt(rows))
        return self.op("Add", self.op("MatMul", x, weight, channels=columns), self.vector(columns))

    def model(self, *outputs: str) -> onnx.ModelProto:
        """The model of all that was made."""
        made = [helper.make_empty_tensor_value_info(name) for name in outputs]
        for value in made:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        graph = helper.make_graph(self.nodes, "net", [self.input], made, self.weights)
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tf2onnx")


def mobilenet_v2(side: int, batch: int | str = 1) -> onnx.ModelProto:
    """Inverted residuals with Relu6; the head reduces and multiplies by a matrix."""
    net = Net(side, batch)
    x = net.relu6(net.norm(net.conv(net.op("Mul", "image", net.const(1 / 127.5)), 16, 3, 2)))
    for out, stride in ((16, 1), (24, 2), (24, 1), (32, 2), (32, 1), (32, 1)):
        wide = net.relu6(net.norm(net.conv(x, net.channels[x] * 4)))
        wide = net.relu6(net.norm(net.conv(wide, net.channels[wide], 3, stride, depthwise=True)))
        narrow = net.norm(net.conv(wide, out))
        x = net.op("Add", x, narrow) if stride == 1 and out == net.channels[x] else narrow
    pooled = net.mean(net.relu6(net.conv(x, 64)), 0)
    return net.model(net.op("Softmax", net.dense(pooled, 64, 10)))


def mobilenet_v3(side: int, batch: int | str = 1) -> onnx.ModelProto:
    """HardSwish, squeeze and excitation by matrices, a head of 1x1 convolutions on a pooled image."""
    net = Net(side, batch)
    x = net.hard_swish(net.norm(net.conv("image", 16, 3, 2)))
    for out, stride in ((16, 1), (24, 2), (24, 1)):
        wide = net.hard_swish(net.norm(net.conv(x, net.channels[x] * 3)))
        wide = net.hard_swish(net.norm(net.conv(wide, net.channels[wide], 3, stride, depthwise=True)))
        gate = net.op("Relu", net.dense(net.mean(wide, 1), net.channels[wide], 8))
        gate = net.op("HardSigmoid", net.dense(gate, 8, net.channels[wide]), alpha=1 / 6, beta=0.5)
        narrow = net.norm(net.conv(net.op("Mul", wide, gate), out))
        x = net.op("Add", narrow, x) if stride == 1 and out == net.channels[x] else narrow
    x = net.hard_swish(net.conv(net.mean(x, 1), 48))
    return net.model(net.op("Squeeze", net.conv(x, 10), net.const([1, 2], np.int64)))


def resnet(side: int, batch: int | str = 1) -> onnx.ModelProto:
    """Bottlenecks with projections, max pooling, and a flattened head."""
    net = Net(side, batch)
    x = net.op("Relu", net.norm(net.conv("image", 16, 7, 2)))
    pooled = net.op("MaxPool", net.op("Transpose", x, perm=TO_NCHW), kernel_shape=[2, 2], strides=[2, 2])
    x = net.op("Transpose", pooled, perm=TO_NHWC)
    for out, stride in ((32, 1), (32, 1), (64, 2), (64, 1)):
        y = net.op("Relu", net.norm(net.conv(x, out // 4)))
        y = net.op("Relu", net.norm(net.conv(y, out // 4, 3, stride)))
        y = net.norm(net.conv(y, out))
        short = net.norm(net.conv(x, out, 1, stride)) if net.channels[x] != out else x
        x = net.op("Relu", net.op("Add", y, short))
    size = (side // 8) ** 2 * 64
    flat = net.op("Reshape", x, net.const([-1, size], np.int64), channels=size)
    return net.model(net.dense(flat, size, 10))


def efficientnet(side: int, batch: int | str = 1) -> onnx.ModelProto:
    """Swish, and squeeze and excitation by 1x1 convolutions on the means."""
    net = Net(side, batch)
    x = net.swish(net.norm(net.conv("image", 16, 3, 2)))
    for out, stride in ((16, 1), (24, 2), (24, 1), (40, 2), (40, 1)):
        wide = net.swish(net.norm(net.conv(x, net.channels[x] * 4)))
        wide = net.swish(net.norm(net.conv(wide, net.channels[wide], 3, stride, depthwise=True)))
        gate = net.conv(net.swish(net.conv(net.mean(wide, 1), 4)), net.channels[wide])
        narrow = net.norm(net.conv(net.op("Mul", wide, net.op("Sigmoid", gate)), out))
        x = net.op("Add", narrow, x) if stride == 1 and out == net.channels[x] else narrow
    return net.model(net.dense(net.mean(net.swish(net.conv(x, 64)), 0), 64, 10))


def unet(side: int, batch: int | str = 1) -> onnx.ModelProto:
    """Concats of what was pooled and resized; the image that comes out is channels-last again."""
    net = Net(side, batch)
    kept: list[str] = []
    x = "image"
    for out in (8, 16):
        x = net.op("Relu", net.conv(x, out, 3))
        kept.append(x)
        pooled = net.op("MaxPool", net.op("Transpose", x, perm=TO_NCHW), kernel_shape=[2, 2], strides=[2, 2])
        x = net.op("Transpose", pooled, perm=TO_NHWC)
    x = net.op("LeakyRelu", net.conv(x, 32, 3), alpha=0.1)
    for out in (16, 8):
        scales = net.const([1.0, 2.0, 2.0, 1.0])
        x = net.op("Resize", x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric")
        other = kept.pop()
        x = net.op("Concat", x, other, axis=3, channels=net.channels[x] + net.channels[other])
        halves = net.op("Relu", net.conv(x, out, 3))
        x = net.op("PRelu", halves, net.vector(out, 0.1, 0.2))
    return net.model(net.op("Sigmoid", net.conv(x, 1)))


def detector(side: int, batch: int | str = 1) -> onnx.ModelProto:
    """Two heads at two sizes, each flattened to boxes and joined, as in SSD and BlazeFace."""
    net = Net(side, batch)
    x = net.op("Relu", net.conv("image", 16, 3, 2))
    boxes: list[str] = []
    scores: list[str] = []
    for level, out in enumerate((24, 32)):
        cells = 2 * (side >> level + 2) ** 2
        y = net.conv(net.conv(x, net.channels[x], 3, 2, depthwise=True), out)
        pooled = net.op("MaxPool", net.op("Transpose", x, perm=TO_NCHW), kernel_shape=[2, 2], strides=[2, 2])
        short = net.op("Transpose", pooled, perm=TO_NHWC)
        short = net.op(
            "Pad", short, net.const([0, 0, 0, 0, 0, 0, 0, out - net.channels[x]], np.int64), channels=out
        )
        x = net.op("Relu", net.op("Add", y, short))
        for found, size in ((boxes, 4), (scores, 1)):
            shape = net.const([batch if batch == 1 else -1, cells, size], np.int64)
            found.append(net.op("Reshape", net.conv(x, 2 * size), shape))
    return net.model(net.op("Concat", *boxes, axis=1), net.op("Sigmoid", net.op("Concat", *scores, axis=1)))


def generator(side: int, batch: int | str = 1) -> onnx.ModelProto:
    """A vector to an image: a matrix, a Reshape to a small image, transposed convolutions."""
    net = Net(1, batch, channels=16)
    start = side // 4
    flat = net.op("Squeeze", "image", net.const([1, 2], np.int64))
    made = net.op("LeakyRelu", net.norm(net.dense(flat, 16, start * start * 8)), alpha=0.2)
    x = net.op("Reshape", made, net.const([-1, start, start, 8], np.int64), channels=8)
    for out in (8, 3):
        first = net.op("Transpose", x, perm=TO_NCHW)
        weight = net.weight(net.channels[x], out, 4, 4)
        wide = net.op("ConvTranspose", first, weight, strides=[2, 2], pads=[1, 1, 1, 1], channels=out)
        x = net.op("LeakyRelu", net.norm(net.op("Transpose", wide, perm=TO_NHWC)), alpha=0.2)
    return net.model(net.op("Tanh", x))


MODELS: dict[str, Callable[..., onnx.ModelProto]] = {
    each.__name__: each
    for each in (mobilenet_v2, mobilenet_v3, resnet, efficientnet, unet, detector, generator)
}

EDGES = {**dict.fromkeys(MODELS, 1), "detector": 5}
"""Transposes that must stay: that of the image, and those of boxes and scores, whose order counts."""


def main() -> None:
    """Optimize each and print what is left of the transposes."""
    from graphopt.compile import optimize

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--out", type=Path, help="write the models to this folder")
    options = parser.parse_args()
    for name, make in MODELS.items():
        model = make(options.side)
        if options.out is not None:
            onnx.save(model, options.out / f"{name}.onnx")
        result = optimize(model, measure=False)
        before = sum(node.op_type == "Transpose" for node in model.graph.node)
        after = sum(node.op_type == "Transpose" for node in result.model.graph)
        nodes = f"{len(model.graph.node):4} -> {result.report.after.nodes:3} nodes"
        print(f"{name:14} {nodes}, {before:3} -> {after} transposes")


if __name__ == "__main__":
    main()
