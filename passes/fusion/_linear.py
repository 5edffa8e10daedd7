"""One view of the nodes that are linear in their data: Conv, ConvTranspose, Gemm, MatMul by a matrix.

A view takes up scales and shifts of its input and output channels one by one and rounds once when its new
weight and bias are asked for. It never changes a graph.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import (
    Reject,
    Tape,
    attribute_float,
    attribute_int,
    attribute_ints,
    attribute_string,
    constant_tensor,
    rank,
)
from graphopt.passes.fusion._affine import is_one, is_zero
from graphopt.passes.fusion._arrays import (
    FLOATS,
    ONE,
    Array,
    along_axis,
    conv_of_constant,
    dtype_of,
    exact,
    rounded,
    scale_conv,
    scale_conv_transpose,
    scale_matrix,
)

CONVS = ("Conv", "ConvTranspose")
DENSE = ("Gemm", "MatMul")
LINEAR = (*CONVS, *DENSE)
COPIED_WEIGHT_BYTES = 64 * 1024
"""A weight that other nodes use too is copied for one of them only up to this size."""


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
    """y = out_scale * W(in_scale * x) + bias, channel by channel.

    Attributes:
        node: The node; its data is input 0, its weight input 1.
        inputs: Number of input channels, 0 if unknown.
        outputs: Number of output channels.
        bias: Broadcasts against [outputs]; None where there is none yet.
        in_scale: Shape () or [inputs].
        out_scale: Shape () or [outputs].
        rebiased: The bias is no longer that of the node.
        op_type: What the node is to become.
    """

    node: ir.Node
    inputs: int
    outputs: int
    bias: Array | None
    in_scale: Array = dataclasses.field(default_factory=lambda: ONE)
    out_scale: Array = dataclasses.field(default_factory=lambda: ONE)
    rebiased: bool = False
    op_type: str = ""

    def as_gemm(self) -> Linear:
        """The view of a MatMul of two dimensions as the Gemm that it also is."""
        return dataclasses.replace(self, op_type="Gemm")

    def matrix(self) -> Array:
        """The weight of a Gemm or MatMul as [inputs, outputs], alpha in it."""
        wide = exact(self.weight) * attribute_float(self.node, "alpha", 1.0)
        return wide.T if attribute_int(self.node, "transB", 0) else wide

    @property
    def is_conv(self) -> bool:
        """Whether channels are axis 1; else they are the last axis."""
        return self.node.op_type in CONVS

    @property
    def weight(self) -> ir.Value:
        """The weight as it stands in the graph."""
        weight = self.node.inputs[1]
        assert weight is not None
        return weight

    @property
    def rank(self) -> int | None:
        """Rank of the output; also that of the input."""
        if self.is_conv:
            return rank(self.weight)
        return 2 if self.node.op_type == "Gemm" else rank(self.node.inputs[0])

    @property
    def input_axis(self) -> int:
        """Axis of the input channels, counted from the end for MatMul."""
        if self.is_conv:
            return 1
        return -2 if attribute_int(self.node, "transA", 0) else -1

    def of_outputs(self, array: Array) -> Array:
        """A constant that broadcasts against the output, as () or [outputs]; Reject otherwise."""
        return self._channels(array, 1 if self.is_conv else -1, self.outputs)

    def of_inputs(self, array: Array) -> Array:
        """A constant that broadcasts against the input, as () or [inputs]; Reject otherwise."""
        return self._channels(array, self.input_axis, self.inputs)

    def _channels(self, array: Array, axis: int, size: int) -> Array:
        rank = self.rank or 1  # of an operand of MatMul whose rank is not known only the last axis is sure
        return along_axis(array, rank, axis % rank, size)

    def then(self, scale: Array, shift: Array) -> Linear:
        """The view with `scale * y + shift` after it, each () or [outputs]."""
        if not is_one(scale):
            self.require_constant_weight()
            self.require_constant_bias()
        bias, rebiased = self.bias, self.rebiased
        if bias is not None and not is_one(scale):
            bias, rebiased = bias * scale, True
        if not is_zero(shift):
            bias, rebiased = self._shifted(bias, shift), True
        return dataclasses.replace(self, bias=bias, out_scale=self.out_scale * scale, rebiased=rebiased)

    def after(self, scale: Array, shift: Array) -> Linear:
        """The view with `scale * x + shift` before it, each () or [inputs]."""
        self.require_constant_weight()
        bias, rebiased = self.bias, self.rebiased
        if not is_zero(shift):
            bias, rebiased = self._shifted(bias, self.response(shift)), True
        return dataclasses.replace(self, bias=bias, in_scale=self.in_scale * scale, rebiased=rebiased)

    def response(self, shift: Array) -> Array:
        """Output channels, [outputs], for a constant input, () or [inputs], the bias left out.

        Raises:
            Reject: Its padding or overlap makes the response vary from place to place.
        """
        if self.node.op_type == "ConvTranspose":
            raise Reject("a bias before a ConvTranspose does not fold")
        if self.node.op_type == "Conv":
            if not is_unpadded(self.node):
                raise Reject("a bias before a padded Conv does not fold")
            group = attribute_int(self.node, "group", 1)
            return conv_of_constant(exact(self.weight), self.in_scale * shift, group) * self.out_scale
        made: Array = np.broadcast_to(self.in_scale * shift, (self.inputs,)) @ self.matrix()
        return made * self.out_scale

    def behind(self, first: Linear) -> Linear:
        """The view with the bias of `first`, whose output it reads, taken over."""
        if first.bias is None:
            return self
        shape = np.broadcast_shapes(first.bias.shape, (self.inputs,))
        gemm = self.as_gemm()
        bias = gemm._shifted(self.bias, np.broadcast_to(first.bias, shape) @ self.matrix())
        return dataclasses.replace(gemm, bias=bias, rebiased=True)

    def new_weight(self) -> npt.NDArray[Any] | None:
        """The weight with both scales in it, in its own dtype; None if it stays as it is."""
        if is_one(self.in_scale) and is_one(self.out_scale):
            return None
        refuse_big_copy(self.weight)
        wide = exact(self.weight)
        group = attribute_int(self.node, "group", 1)
        if self.node.op_type == "Conv":
            wide = scale_conv(wide, self.in_scale, self.out_scale, group)
        elif self.node.op_type == "ConvTranspose":
            wide = scale_conv_transpose(wide, self.in_scale, self.out_scale, group)
        else:
            rows, columns = self.in_scale, self.out_scale
            if attribute_int(self.node, "transB", 0):
                rows, columns = columns, rows
            wide = scale_matrix(wide, rows, columns) * attribute_float(self.node, "alpha", 1.0)
        return rounded(wide, self.dtype)

    def new_bias(self) -> npt.NDArray[Any] | None:
        """The bias in the weight's dtype; None if it stays as it is."""
        if not self.rebiased or self.bias is None:
            return None
        shape = np.broadcast_shapes(self.bias.shape, (self.outputs,))
        return rounded(np.broadcast_to(self.bias, shape), self.dtype)

    def attributes(self) -> dict[str, ir.Attr]:
        """Attributes that go with the new weight and bias, which hold alpha and beta of a Gemm."""
        kept = dict(self.node.attributes)
        if self.op_type == "Gemm":
            if not (is_one(self.in_scale) and is_one(self.out_scale)):
                kept["alpha"] = ir.AttrFloat32("alpha", 1.0)
            if self.rebiased:
                kept["beta"] = ir.AttrFloat32("beta", 1.0)
        return kept

    def emit(self, tape: Tape, data: ir.Value | None = None) -> ir.Value:
        """The node with its new weight and bias, on other data if any is given."""
        weight, bias = self.new_weight(), self.new_bias()
        old_bias = self.node.inputs[2] if len(self.node.inputs) > 2 else None
        inputs = [
            self.node.inputs[0] if data is None else data,
            self.weight if weight is None else tape.const(weight, self.weight.name or "weight"),
            old_bias if bias is None else tape.const(bias, (old_bias and old_bias.name) or "bias"),
        ]
        while inputs[-1] is None:
            inputs.pop()
        return tape.op(self.op_type, inputs, self.attributes())

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's type of the weight."""
        return dtype_of(self.weight)

    def _shifted(self, bias: Array | None, shift: Array) -> Array:
        if self.op_type == "MatMul":
            raise Reject("a MatMul has no bias, and a Gemm takes two dimensions only")
        self.require_constant_bias()
        return shift if bias is None else bias + shift

    def require_constant_weight(self) -> None:
        """Reject a weight that is not known at compile time."""
        if constant_tensor(self.weight) is None:
            raise Reject("the weight is not constant")

    def require_constant_bias(self) -> None:
        """Reject a bias that there is but that is not known at compile time."""
        if self.bias is None and len(self.node.inputs) > 2 and self.node.inputs[2] is not None:
            raise Reject("the bias is not constant")


def linear(node: ir.Node) -> Linear:
    """The view of a Conv, ConvTranspose, Gemm or MatMul whose second operand is a weight.

    Raises:
        Reject: It is none of them, or the number of its channels is not known.
    """
    if node.domain or node.op_type not in LINEAR or len(node.inputs) < 2 or node.inputs[0] is None:
        raise Reject("")
    weight = node.inputs[1]
    if weight is None or weight.dtype not in FLOATS or weight.shape is None:
        raise Reject("the weight is not a floating-point tensor of known shape")
    dims = weight.shape.dims
    group = attribute_int(node, "group", 1)
    match node.op_type:
        case "Conv":
            outputs, inputs, factor = dims[0], dims[1], group
        case "ConvTranspose":
            outputs, inputs, factor = dims[1], dims[0], group
        case _ if len(dims) != 2:
            raise Reject("the weight is not a matrix")
        case _:
            inputs, outputs, factor = dims[0], dims[1], 1
            if attribute_int(node, "transB", 0):
                inputs, outputs = outputs, inputs
    if not isinstance(outputs, int) or not isinstance(inputs, int):
        raise Reject("the number of channels is not known")
    if node.op_type == "ConvTranspose":
        outputs *= factor
    else:
        inputs *= factor
    return Linear(node, inputs, outputs, _bias(node), op_type=node.op_type)


def _bias(node: ir.Node) -> Array | None:
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None or constant_tensor(value) is None:
        return None
    return exact(value) * attribute_float(node, "beta", 1.0)


def is_unpadded(node: ir.Node) -> bool:
    """Whether a Conv reads no implicit zeros."""
    mode = attribute_string(node, "auto_pad", "NOTSET")
    if mode not in ("NOTSET", "VALID"):
        return False
    return mode == "VALID" or not any(attribute_ints(node, "pads") or [])


def refuse_big_copy(value: ir.Value) -> None:
    """Reject a change of a big constant that other nodes use as it is: the file would grow by a copy."""
    tensor = constant_tensor(value)
    if tensor is not None and len(value.uses()) > 1 and tensor.nbytes > COPIED_WEIGHT_BYTES:
        raise Reject(f"a weight of {tensor.nbytes} bytes is used by {len(value.uses())} nodes")
