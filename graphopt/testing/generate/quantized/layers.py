"""The layers that a quantized network is grown from, each a function that adds one or declines."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from graphopt.testing.generate.quantized.net import Net, Signal

Layer = Callable[[Net, Signal], "Signal | None"]

LAYERS: list[tuple[Layer, int]] = []
"""Each layer with its weight in the choice."""

MOST_ELEMENTS = 4096


def _layer(weight: int) -> Callable[[Layer], Layer]:
    def add(layer: Layer) -> Layer:
        LAYERS.append((layer, weight))
        return layer

    return add


@_layer(14)
def conv(net: Net, x: Signal) -> Signal | None:
    """Conv, whole or by groups, with or without an activation behind."""
    if len(x.shape) not in (3, 4):
        return None
    batch, channels, *spatial = x.shape
    made, size = net.choices.choose((4, 8, 2)), net.choices.choose((1, 3))
    group = channels if net.choices.chance(0.25) else 1
    made = channels if group > 1 else made
    weight = net.weight([made, channels // group, *[size] * len(spatial)], 0)
    inputs = [net.read(x), weight]
    if net.choices.chance(0.7):
        inputs.append(net.bias(made, x))
    y = net.node("Conv", inputs, pads=[size // 2] * (2 * len(spatial)), group=group)[0]
    return _activated(net, net.signal(y, [batch, made, *spatial]))


@_layer(10)
def matmul(net: Net, x: Signal) -> Signal | None:
    """MatMul with weights, sometimes with an Add of a bias behind."""
    if len(x.shape) < 2:
        return None
    inner, made = x.shape[-1], net.choices.choose((8, 4, 16))
    y = net.node("MatMul", [net.read(x), net.weight([inner, made], 1)])[0]
    if net.choices.chance(0.4):
        y = net.node("Add", [y, net.constant(np.arange(made, dtype=np.float32))])[0]
    return _activated(net, net.signal(y, [*x.shape[:-1], made]))


@_layer(6)
def gemm(net: Net, x: Signal) -> Signal | None:
    """Gemm in its attributes."""
    if len(x.shape) != 2:
        return None
    inner, made = x.shape[1], net.choices.choose((8, 4))
    transposed = net.choices.chance(0.5)
    shape = [made, inner] if transposed else [inner, made]
    inputs = [net.read(x), net.weight(shape, 0 if transposed else 1)]
    if net.opset < 11 or net.choices.chance(0.7):
        inputs.append(net.bias(made, x))
    alpha = 0.5 if net.choices.chance(0.1) else 1.0
    y = net.node("Gemm", inputs, transB=int(transposed), alpha=alpha)[0]
    return _activated(net, net.signal(y, [x.shape[0], made]))


@_layer(5)
def attention(net: Net, x: Signal) -> Signal | None:
    """Scores of a signal with itself, or with another of its shape."""
    if len(x.shape) < 2:
        return None
    other = _other(net, x)
    order = [*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2]
    turned = net.signal(net.node("Transpose", [net.read(other)], perm=order)[0], _permuted(x.shape, order), x)
    y = net.node("MatMul", [net.read(x), net.read(turned)])[0]
    return net.signal(y, [*x.shape[:-1], x.shape[-2]])


@_layer(10)
def binary(net: Net, x: Signal) -> Signal | None:
    """A signal with another of its shape, or with a constant."""
    op_type = net.choices.weighted(("Add", "Mul", "Sub", "Div"), (5, 4, 1, 1))
    if net.choices.chance(0.3):
        constant = net.constant(np.full((1,), 2, np.float32))
        if net.choices.chance(0.6):
            codes = net.constant(np.full((1,), 20).astype(x.dtype.numpy()))
            zero = net.constant(np.zeros((), x.dtype.numpy()))
            constant = net.node("DequantizeLinear", [codes, net.constant(np.float32(0.1)), zero])[0]
        return net.signal(net.node(op_type, [net.read(x), constant])[0], x.shape)
    y = net.node(op_type, [net.read(x), net.read(_other(net, x))])[0]
    return _activated(net, net.signal(y, x.shape))


@_layer(4)
def concat(net: Net, x: Signal) -> Signal | None:
    """Along the second axis, or the first of one."""
    axis = min(1, len(x.shape) - 1)
    other = _other(net, x)
    y = net.node("Concat", [net.read(x), net.read(other)], axis=axis)[0]
    shape = list(x.shape)
    shape[axis] *= 2
    return net.signal(y, shape)


@_layer(8)
def unary(net: Net, x: Signal) -> Signal | None:
    """One input, one output of its shape."""
    names = ("Sigmoid", "LeakyRelu", "Relu", "Tanh", "HardSigmoid", "Identity", "Softmax")
    op_type = net.choices.choose((*names, "HardSwish") if net.opset >= 14 else names)
    attributes = {"axis": -1} if op_type == "Softmax" and net.opset >= 13 else {}
    return net.signal(net.node(op_type, [net.read(x)], **attributes)[0], x.shape)


@_layer(4)
def swish(net: Net, x: Signal) -> Signal | None:
    """A signal times its Sigmoid."""
    gate = net.signal(net.node("Sigmoid", [net.read(x)])[0], x.shape)
    return net.signal(net.node("Mul", [net.read(x), net.read(gate)])[0], x.shape)


@_layer(6)
def pool(net: Net, x: Signal) -> Signal | None:
    """Pooling of images, and the mean of all."""
    if len(x.shape) != 4 or min(x.shape[2:]) < 2:
        return None
    op_type = net.choices.choose(("MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"))
    if op_type == "GlobalAveragePool":
        return net.signal(net.node(op_type, [net.read(x)])[0], [*x.shape[:2], 1, 1])
    if op_type == "ReduceMean":
        if net.opset < 18:
            y = net.node(op_type, [net.read(x)], axes=[2, 3])[0]
        else:
            y = net.node(op_type, [net.read(x), net.ints([2, 3])])[0]
        return net.signal(y, [*x.shape[:2], 1, 1])
    y = net.node(op_type, [net.read(x)], kernel_shape=[2, 2], strides=[1, 1])[0]
    return net.signal(y, [*x.shape[:2], x.shape[2] - 1, x.shape[3] - 1], x if op_type == "MaxPool" else None)


@_layer(12)
def move(net: Net, x: Signal) -> Signal | None:
    """The same elements in another order or shape, or some of them."""
    rank = len(x.shape)
    options = ["Reshape", "Transpose", "Slice", "Flatten", "Unsqueeze", "Gather", "Split", "Resize", "Tile"]
    op_type = net.choices.choose(options)
    if op_type == "Reshape":
        shape = [x.shape[0], -1] if rank > 2 else [1, *x.shape]
        made = [x.shape[0], math.prod(x.shape[1:])] if rank > 2 else shape
        return net.signal(net.node(op_type, [net.read(x), net.ints(shape)])[0], made, x)
    if op_type == "Transpose":
        order = net.choices.permutation(rank)
        return net.signal(net.node(op_type, [net.read(x)], perm=order)[0], _permuted(x.shape, order), x)
    if op_type == "Slice" and x.shape[-1] > 1:
        bounds = [net.ints([0]), net.ints([x.shape[-1] - 1]), net.ints([rank - 1])]
        return net.signal(net.node(op_type, [net.read(x), *bounds])[0], [*x.shape[:-1], x.shape[-1] - 1], x)
    if op_type == "Flatten":
        made = [x.shape[0], math.prod(x.shape[1:])]
        return net.signal(net.node(op_type, [net.read(x)], axis=1)[0], made, x)
    if op_type == "Unsqueeze" and rank < 4 and net.opset >= 13:
        return net.signal(net.node(op_type, [net.read(x), net.ints([0])])[0], [1, *x.shape], x)
    if op_type == "Gather":
        y = net.node(op_type, [net.read(x), net.ints([0, 0])], axis=rank - 1)[0]
        return net.signal(y, [*x.shape[:-1], 2], x)
    if op_type == "Split" and x.shape[-1] % 2 == 0 and net.opset >= 13:
        half = x.shape[-1] // 2
        parts = net.node(op_type, [net.read(x), net.ints([half, half])], 2, axis=rank - 1)
        first, _ = (net.signal(part, [*x.shape[:-1], half], x) for part in parts)
        return first
    if op_type == "Resize" and rank == 4 and net.opset >= 11:
        mode = net.choices.choose(("nearest", "linear"))
        scales = net.constant(np.array([1, 1, 2, 2], np.float32))
        y = net.node(op_type, [net.read(x), net.constant(np.zeros(0, np.float32)), scales], mode=mode)[0]
        return net.signal(y, [*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3]], x)
    if op_type == "Tile":
        y = net.node(op_type, [net.read(x), net.ints([1] * (rank - 1) + [2])])[0]
        return net.signal(y, [*x.shape[:-1], 2 * x.shape[-1]], x)
    return None


@_layer(3)
def other(net: Net, x: Signal) -> Signal | None:
    """What no runtime here runs on codes, or only by other means."""
    op_type = net.choices.choose(("Pad", "Where", "ConvTranspose", "BatchNormalization", "DepthToSpace"))
    if op_type == "Pad" and len(x.shape) == 4 and net.opset >= 11:
        y = net.node(op_type, [net.read(x), net.ints([0, 0, 1, 1, 0, 0, 1, 1])])[0]
        return net.signal(y, [*x.shape[:2], x.shape[2] + 2, x.shape[3] + 2])
    if op_type == "Where":
        condition = net.constant(np.ones((1,), bool))
        if net.choices.chance(0.5):
            second = net.read(_other(net, x))
        else:
            second = net.constant(np.float32(net.choices.choose((-1, 1))))
        return net.signal(net.node(op_type, [condition, net.read(x), second])[0], x.shape)
    if op_type == "ConvTranspose" and len(x.shape) == 4:
        y = net.node(op_type, [net.read(x), net.weight([x.shape[1], 4, 1, 1], 1)])[0]
        return net.signal(y, [x.shape[0], 4, *x.shape[2:]])
    if op_type == "BatchNormalization" and len(x.shape) == 4:
        ones = [net.constant(np.ones(x.shape[1], np.float32)) for _ in range(4)]
        return net.signal(net.node(op_type, [net.read(x), *ones])[0], x.shape)
    if op_type == "DepthToSpace" and len(x.shape) == 4 and x.shape[1] % 4 == 0 and net.opset >= 11:
        y = net.node(op_type, [net.read(x)], blocksize=2)[0]
        return net.signal(y, [x.shape[0], x.shape[1] // 4, 2 * x.shape[2], 2 * x.shape[3]], x)
    return None


def _activated(net: Net, x: Signal) -> Signal:
    """The signal behind an activation, which a Q may make redundant."""
    kind = net.choices.weighted(("", "Relu", "Clip"), (5, 3, 1))
    if not kind:
        return x
    net.signals.pop()
    inputs: list[ir.Value | None] = [x.value]
    if kind == "Clip":
        if net.opset < 11:
            return net.signal(net.node("Clip", inputs, min=0.0, max=6.0)[0], x.shape)
        inputs += [net.constant(np.float32(0)), net.constant(np.float32(net.choices.choose((6, 30))))]
    return net.signal(net.node(kind, inputs)[0], x.shape)


def _other(net: Net, x: Signal) -> Signal:
    """A signal of the same shape, if need be the same."""
    alike = [signal for signal in net.signals if signal.shape == x.shape]
    return net.choices.choose(alike)


def _permuted(shape: tuple[int, ...], order: list[int]) -> list[int]:
    return [shape[axis] for axis in order]
