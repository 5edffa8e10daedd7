"""A network under construction: values with their shapes, and Q and DQ around them as a style has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.quant.pairs import code_range
from graphopt.testing.generate.choices import Choices

ACTIVATIONS = (ir.DataType.UINT8, ir.DataType.INT8, ir.DataType.UINT16)


@dataclasses.dataclass(frozen=True)
class Style:
    """How a network is quantized.

    Attributes:
        activations: Type of the codes of activations.
        weights: Type of the codes of weights.
        by_channel: Weights have a scale for each output channel.
        shared_dq: Nodes that read one value share its DQ; else each has its own.
        float_inputs: How often an input is read without Q and DQ.
        float_weights: How often weights stay in float.
        float_bias: How often a bias does.
        other_type: How often a value gets codes of another type.
        two_qs: How often a value has a second Q of its own.
    """

    activations: ir.DataType
    weights: ir.DataType
    by_channel: bool
    shared_dq: bool
    float_inputs: float
    float_weights: float
    float_bias: float
    other_type: float
    two_qs: float

    @classmethod
    def choose(cls, choices: Choices, opset: int) -> Style:
        """A style for a network of that opset."""
        broken = choices.choose((0.0, 0.05, 0.25))
        return cls(
            activations=choices.weighted(ACTIVATIONS, (6, 5, 1)),
            weights=choices.weighted((ir.DataType.INT8, ir.DataType.UINT8), (4, 1)),
            by_channel=choices.chance(0.5) and opset >= 13,
            shared_dq=choices.chance(0.5),
            float_inputs=broken,
            float_weights=choices.choose((0.0, 0.0, 0.2)),
            float_bias=choices.choose((0.0, 1.0, 0.3)),
            other_type=choices.choose((0.0, 0.0, 0.1)),
            two_qs=choices.choose((0.0, 0.0, 0.1)),
        )


@dataclasses.dataclass
class Signal:
    """A float value of the network.

    Attributes:
        value: The value.
        shape: Its shape.
        scale: Scale of its codes.
        zero: Their zero point.
        dtype: Their type.
        codes: What its Q writes, once there is one.
        dq: What its DQ writes, where it is shared.
    """

    value: ir.Value
    shape: tuple[int, ...]
    scale: float = 0.05
    zero: int = 0
    dtype: ir.DataType = ir.DataType.UINT8
    codes: ir.Value | None = None
    dq: ir.Value | None = None


class Net:
    """Nodes, constants and signals of a network."""

    def __init__(self, choices: Choices, opset: int) -> None:
        self.choices = choices
        self.opset = opset
        self.style = Style.choose(choices, opset)
        self.nodes: list[ir.Node] = []
        self.inputs: list[ir.Value] = []
        self.constants: list[ir.Value] = []
        self.signals: list[Signal] = []
        self._count = 0

    def name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"

    def constant(self, array: Any) -> ir.Value:
        """An initializer."""
        data = np.asarray(array)
        name = self.name("c")
        value = ir.Value(name=name, const_value=ir.Tensor(data, name=name))
        value.dtype, value.shape = ir.DataType.from_numpy(data.dtype), ir.Shape(data.shape)
        self.constants.append(value)
        return value

    def ints(self, numbers: Sequence[int]) -> ir.Value:
        """A constant of int64."""
        return self.constant(np.array(numbers, np.int64))

    def node(
        self, op_type: str, inputs: Sequence[ir.Value | None], outputs: int = 1, **attributes: Any
    ) -> list[ir.Value]:
        """Add a node; its outputs."""
        made = ir.node(op_type, inputs, attributes=attributes, num_outputs=outputs, name=self.name(op_type))
        for value in made.outputs:
            value.name = self.name("v")
        self.nodes.append(made)
        return list(made.outputs)

    def signal(self, value: ir.Value, shape: Sequence[int], like: Signal | None = None) -> Signal:
        """A new signal, with codes of its own or, most often, those of `like`."""
        choices, style = self.choices, self.style
        dtype = style.activations
        if choices.chance(style.other_type):
            dtype = choices.choose((ir.DataType.INT8, ir.DataType.UINT8))
        low = code_range(dtype)[0]
        made = Signal(value, tuple(shape), dtype=dtype)
        made.scale = choices.choose((0.05, 0.02, 0.1))
        made.zero = low + choices.choose((0, 128, 3))
        if like is not None and not choices.chance(0.15):
            made.scale, made.zero, made.dtype = like.scale, like.zero, like.dtype
        self.signals.append(made)
        return made

    def read(self, signal: Signal) -> ir.Value:
        """The signal as a node reads it: behind its Q and DQ, or as it is."""
        if self.choices.chance(self.style.float_inputs):
            return signal.value
        if signal.codes is not None and self.choices.chance(self.style.two_qs):
            return self._dequantized(self._quantized(signal), signal)
        if signal.codes is None:
            signal.codes = self._quantized(signal)
        if signal.dq is None or not self.style.shared_dq:
            signal.dq = self._dequantized(signal.codes, signal)
        return signal.dq

    def _parameters(self, signal: Signal) -> tuple[ir.Value, ir.Value]:
        zero = np.array(signal.zero, np.int64).astype(signal.dtype.numpy())
        return self.constant(np.float32(signal.scale)), self.constant(zero)

    def _quantized(self, signal: Signal) -> ir.Value:
        return self.node("QuantizeLinear", [signal.value, *self._parameters(signal)])[0]

    def _dequantized(self, codes: ir.Value, signal: Signal) -> ir.Value:
        return self.node("DequantizeLinear", [codes, *self._parameters(signal)])[0]

    def weight(self, shape: Sequence[int], axis: int, scale: float = 0.02) -> ir.Value:
        """Weights, mostly behind a DQ."""
        numbers = self.choices.numbers()
        if self.choices.chance(self.style.float_weights):
            return self.constant(numbers.normal(0, 0.5, shape).astype(np.float32))
        dtype = self.style.weights
        codes = numbers.integers(-100, 100, shape)
        zero = 0 if dtype.is_signed() else 128
        several = (shape[axis],) if self.style.by_channel else ()
        scales = np.full(several, scale, np.float32)
        zeros = np.full(several, zero).astype(dtype.numpy())
        data = [
            self.constant((codes + zero).astype(dtype.numpy())),
            self.constant(scales),
            self.constant(zeros),
        ]
        return self.node("DequantizeLinear", data, **({"axis": axis} if several else {}))[0]

    def bias(self, size: int, of: Signal, weight_scale: float = 0.02) -> ir.Value:
        """A bias, in float or behind a DQ."""
        codes = np.arange(size, dtype=np.int32)
        if self.choices.chance(self.style.float_bias):
            return self.constant(codes.astype(np.float32))
        scale = np.float32(of.scale) * np.float32(weight_scale)
        several = (size,) if self.style.by_channel else ()
        scales, zeros = np.full(several, scale, np.float32), np.zeros(several, np.int32)
        data = [self.constant(codes), self.constant(scales), self.constant(zeros)]
        return self.node("DequantizeLinear", data, **({"axis": 0} if several else {}))[0]
