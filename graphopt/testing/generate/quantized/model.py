"""Grow a quantized network layer by layer, and make a model of it."""

from __future__ import annotations

import math

import onnx_ir as ir

from graphopt.ir.opsets import oldest_ir_version
from graphopt.testing.generate.choices import Choices, Seeded
from graphopt.testing.generate.quantized.layers import LAYERS, MOST_ELEMENTS
from graphopt.testing.generate.quantized.net import Net

OPSETS = (13, 17, 21, 12, 11, 19, 14)
TRIES = 5
"""For each layer wanted."""
SHAPES = ((1, 4, 4, 4), (2, 8), (1, 4, 8), (2, 3, 4, 8))


def quantized_model(choices: Choices | int) -> ir.Model:
    """A quantized network of a few layers, which onnxruntime loads.

    Args:
        choices: A source of decisions, or a seed: the same seed gives the same model.
    """
    choices = Seeded(choices) if isinstance(choices, int) else choices
    opset = choices.choose(OPSETS)
    net = Net(choices, opset)
    if net.style.activations.bitwidth > 8:
        opset = net.opset = 21
    for _ in range(choices.integer(1, 2)):
        shape = choices.choose(SHAPES)
        value = ir.Value(name=net.name("x"), type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(shape))
        net.inputs.append(value)
        net.signal(value, shape)
    for _ in range(choices.integer(2, 9)):
        choices.attempt(lambda: _grow(net), TRIES)
    outputs = _outputs(net)
    graph = ir.Graph(
        net.inputs,
        outputs,
        nodes=net.nodes,
        initializers=net.constants,
        name="quantized",
        opset_imports={"": opset},
    )
    return ir.Model(graph, ir_version=max(8, oldest_ir_version(opset)))


def _grow(net: Net) -> bool:
    """Add a layer; False if the one chosen does not fit."""
    layers, weights = zip(*LAYERS, strict=True)
    recent = net.signals[-3:]
    before = len(net.nodes), len(net.constants), len(net.signals)
    made = net.choices.weighted(layers, weights)(net, net.choices.choose(recent[::-1]))
    if made is None or math.prod(made.shape) > MOST_ELEMENTS or min(made.shape) < 1:
        _undo(net, *before)
        return False
    return True


def _undo(net: Net, nodes: int, constants: int, signals: int) -> None:
    gone = net.nodes[nodes:]
    for node in gone:
        for place in range(len(node.inputs)):
            node.replace_input_with(place, None)
    del net.nodes[nodes:], net.constants[constants:], net.signals[signals:]
    for signal in net.signals:
        signal.codes = None if signal.codes and signal.codes.producer() in gone else signal.codes
        signal.dq = None if signal.dq and signal.dq.producer() in gone else signal.dq


def _outputs(net: Net) -> list[ir.Value]:
    """What nobody reads, most often behind Q and DQ, and now and then something else."""
    found: dict[ir.Value, tuple[int, ...]] = {}
    for signal in list(net.signals):
        made = signal.value.producer() is not None
        unread = made and not signal.value.uses()
        if unread and net.choices.chance(0.6):
            found[net.read(signal)] = signal.shape
        elif unread or (made and net.choices.chance(0.05)):
            found[signal.value] = signal.shape
    if not found:
        first = net.signals[0]
        found[net.node("Tanh", [first.value])[0]] = first.shape
    for value, shape in found.items():
        value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(shape)
    return list(found)
