"""Channels that hold the same number everywhere, whatever the inputs are, and units that nothing depends on.

Found forwards from weights that are zero. Numbers are taken to be finite: zero times anything is zero.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.execute.evaluate import evaluate
from graphopt.ir import attribute_float, attribute_int, attribute_ints, attribute_string, constant, facts
from graphopt.pruning.groups import Groups
from graphopt.pruning.rules.recurrent import GATES
from graphopt.pruning.site import Axis

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

_CANDIDATE = {"RNN": 0, "GRU": 2, "LSTM": 3}
"""Place of the gate whose tanh is what a state can move by."""
_KEEPING = [
    "Concat",
    "Split",
    "Slice",
    "Gather",
    "Transpose",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Dropout",
    "Expand",
    "MaxPool",
    "GlobalMaxPool",
    "GlobalAveragePool",
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "DepthToSpace",
    "SpaceToDepth",
]
"""Operators of which a channel holds one number if those it comes from hold that number."""
_KEEPING_ZEROS = ("AveragePool", "Resize", "Upsample", "ReduceSum", "ReduceL1", "ReduceL2", "Tile", "Pad")
"""Operators that make zeros of nothing but zeros."""


@dataclasses.dataclass(frozen=True)
class Constants:
    """Channels of one axis that hold one number each.

    Attributes:
        known: Which of them do.
        numbers: The number of each; meaningless where `known` is false.
    """

    known: npt.NDArray[np.bool_]
    numbers: Floats

    @property
    def zero(self) -> npt.NDArray[np.bool_]:
        """Which of them hold zeros."""
        return np.asarray(self.known & (self.numbers == 0.0))


class ConstantChannels:
    """Finds constant channels on the axes of groups.

    Args:
        groups: Of the graph.
    """

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._opsets = groups.site.model.graph.opset_imports
        self._found: dict[Axis, Constants] = {}
        self._wanted = {axis for group in groups.groups for axis in group.axes}
        self._into: dict[Axis, list[Any]] = {}
        for link in groups.links:
            if link.target.value.producer() is link.node:
                self._into.setdefault(link.target, []).append(link)
        by_value: dict[ir.Value, list[Axis]] = {}
        for axis in self._wanted:
            by_value.setdefault(axis.value, []).append(axis)
        for node in groups.site.model.graph:
            for value in node.outputs:
                for axis in by_value.get(value, ()):
                    made = self._make(node, axis)
                    if made is not None and made.known.any():
                        self._found[axis] = made

    def of(self, axis: Axis) -> Constants | None:
        """The constant channels of an axis; None where there are none."""
        return self._found.get(axis)

    def _make(self, node: ir.Node, axis: Axis) -> Constants | None:
        rule = _RULES.get(node.op_type) if node.domain == "" else None
        if rule is not None:
            return rule(self, node, axis)
        if facts(node).elementwise and node.domain == "":
            return self._pointwise(node, axis)
        return None

    def keeping(self, node: ir.Node, axis: Axis, *, zeros: bool = False) -> Constants | None:
        """What comes along links from axes that are constant."""
        size = self._size(axis)
        known, numbers = np.zeros(size, bool), np.zeros(size)
        seen = np.zeros(size, bool)
        for link in self._into.get(axis, ()):
            source = self._found.get(link.source)
            own, values = np.zeros(len(link.sources), bool), np.zeros(len(link.sources))
            if source is not None:
                own = (source.zero if zeros else source.known)[link.sources]
                values = source.numbers[link.sources]
            for at, is_known, number in zip(link.targets, own, values, strict=True):
                known[at] = is_known and (not seen[at] or (known[at] and number == numbers[at]))
                seen[at], numbers[at] = True, number
        return Constants(known, numbers)

    def _pointwise(self, node: ir.Node, axis: Axis) -> Constants | None:
        size = self._size(axis)
        out = self._groups.site.dims(axis.value) or ()
        operands: list[Constants] = []
        for value in node.inputs:
            if value is None:
                continue
            found = self._operand(value, axis, len(out), size)
            if found is None:
                return None
            operands.append(found)
        known = np.logical_and.reduce([each.known for each in operands])
        zero = np.zeros(size, bool)
        if node.op_type == "Mul":
            zero = np.logical_or.reduce([each.zero for each in operands])
        numbers = np.zeros(size)
        if known.any():
            made = self._evaluated(node, [each.numbers[known] for each in operands])
            if made is None:
                known = np.zeros(size, bool)
            else:
                numbers[known] = made
        numbers[zero] = 0.0
        return Constants((known & np.isfinite(numbers)) | zero, numbers)

    def _operand(self, value: ir.Value, axis: Axis, rank: int, size: int) -> Constants | None:
        array = constant(value)
        if array is not None:
            if array.dtype.kind not in "fiub":
                return None
            place = axis.axis - (rank - array.ndim)
            if place < 0 or array.shape[place] == 1:
                flat = array.reshape(1, -1)
                return Constants(
                    np.full(size, _uniform(flat)[0]), np.full(size, float(flat[0, 0]) if flat.size else 0)
                )
            rows = np.moveaxis(array, place, 0).reshape(array.shape[place], -1)
            return Constants(_uniform(rows), rows[:, 0].astype(np.float64)) if rows.size else None
        dims = self._groups.site.dims(value)
        if dims is None:
            return None
        place = axis.axis - (rank - len(dims))
        found = self._found.get(Axis(value, place)) if place >= 0 else None
        return found or Constants(np.zeros(size, bool), np.zeros(size))

    def _evaluated(self, node: ir.Node, operands: list[Floats]) -> Floats | None:
        """The operator on vectors of numbers, in the types that it has."""
        inputs: list[ir.Value | None] = []
        numbers = iter(operands)
        for value in node.inputs:
            if value is None or value.dtype is None:
                if value is not None:
                    return None
                inputs.append(None)
                continue
            array = next(numbers).astype(value.dtype.numpy())
            shape_of_one = constant(value) is not None and constant(value).ndim == 0  # type: ignore[union-attr]
            tensor = ir.Tensor(array[0] if shape_of_one else array, name=value.name)
            inputs.append(ir.Node("", "Constant", (), [ir.AttrTensor("value", tensor)]).outputs[0])
        result_type = node.outputs[0].type
        if result_type is None:
            return None
        output = ir.Value(name="numbers", type=result_type)
        made = ir.Node(node.domain, node.op_type, inputs, node.attributes.values(), outputs=[output])
        tensors = evaluate([made], [output], dict(self._opsets)).tensors
        result = tensors.get(output)
        if result is None or result.numpy().ndim != 1:
            return None
        return np.asarray(result.numpy(), np.float64)

    def _size(self, axis: Axis) -> int:
        return self._groups.site.size(axis.value, axis.axis) or 0


def _uniform(rows: Array) -> npt.NDArray[np.bool_]:
    return np.asarray((rows == rows[:, :1]).all(axis=1)) if rows.size else np.zeros(len(rows), bool)


def is_padded(node: ir.Node) -> bool:
    """Whether a convolution or pooling reads zeros beyond its input."""
    if attribute_string(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return True
    return any(attribute_ints(node, "pads") or ())


def _conv(at: ConstantChannels, node: ir.Node, axis: Axis) -> Constants | None:
    weight = constant(node.inputs[1])
    bias = constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else 0.0
    if weight is None or bias is None or axis.axis != 1 or node.inputs[0] is None:
        return None
    groups = attribute_int(node, "group", 1)
    source = at.of(Axis(node.inputs[0], 1))
    matrix = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1).astype(np.float64)
    uses = (matrix != 0).any(axis=3)
    known, numbers = np.zeros(groups * weight.shape[1], bool), np.zeros(groups * weight.shape[1])
    if source is not None and len(source.known) == len(known):
        known, numbers = source.zero if is_padded(node) else source.known, source.numbers
    known, numbers = known.reshape(groups, 1, -1), np.where(known, numbers, 0.0).reshape(groups, 1, -1)
    sums = (matrix.sum(axis=3) * numbers).sum(axis=2).reshape(-1) + bias
    return Constants((~uses | known).all(axis=2).reshape(-1), np.asarray(sums, np.float64))


def _conv_transpose(at: ConstantChannels, node: ir.Node, axis: Axis) -> Constants | None:
    weight = constant(node.inputs[1])
    bias = constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else 0.0
    if weight is None or bias is None or axis.axis != 1 or attribute_int(node, "group", 1) != 1:
        return None
    used = (np.moveaxis(weight, 1, 0).reshape(weight.shape[1], -1) != 0).any(axis=1)
    return Constants(~used, np.zeros(len(used)) + bias)


def _matmul(at: ConstantChannels, node: ir.Node, axis: Axis) -> Constants | None:
    weight = constant(node.inputs[1])
    data = node.inputs[0]
    out = len(at._groups.site.dims(axis.value) or ())
    if weight is None or data is None or weight.ndim != 2 or axis.axis != out - 1:
        return None
    transposed = node.op_type == "Gemm" and attribute_int(node, "transB", 0)
    matrix = np.asarray(weight.T if transposed else weight, np.float64)
    flipped = node.op_type == "Gemm" and attribute_int(node, "transA", 0)
    source = at.of(Axis(data, 0 if flipped else len(at._groups.site.dims(data) or ()) - 1))
    known, numbers = np.zeros(len(matrix), bool), np.zeros(len(matrix))
    if source is not None:
        known, numbers = source.known, np.where(source.known, source.numbers, 0.0)
    sums = numbers @ matrix
    fixed = ((matrix == 0) | known[:, None]).all(axis=0)
    if node.op_type == "Gemm":
        sums = sums * attribute_float(node, "alpha", 1.0)
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            bias = at._operand(node.inputs[2], axis, 2, matrix.shape[1])
            if bias is None:
                return None
            sums = sums + attribute_float(node, "beta", 1.0) * bias.numbers
            fixed = fixed & bias.known
    return Constants(fixed, sums)


def _batch_normalization(at: ConstantChannels, node: ir.Node, axis: Axis) -> Constants | None:
    parameters = [constant(value) for value in node.inputs[1:5]]
    if axis.axis != 1 or any(array is None for array in parameters) or node.inputs[0] is None:
        return None
    scale, bias, mean, variance = (np.asarray(array, np.float64) for array in parameters)
    source = at.of(Axis(node.inputs[0], 1))
    known = np.zeros(len(scale), bool) if source is None else source.known
    numbers = np.zeros(len(scale)) if source is None else np.where(known, source.numbers, 0.0)
    root = np.sqrt(variance + attribute_float(node, "epsilon", 1e-5))
    made = np.where(scale == 0, bias, scale * (numbers - mean) / root + bias)
    return Constants((scale == 0) | known, made)


def _recurrent(at: ConstantChannels, node: ir.Node, axis: Axis) -> Constants | None:
    """A state stays at zero if the gate that moves it sees nothing but zeros."""
    inputs = [*node.inputs, *[None] * 8][:8]
    weights = [constant(value) for value in inputs[1:3]]
    bias = constant(inputs[3]) if inputs[3] is not None else None
    if any(array is None for array in weights) or (inputs[3] is not None and bias is None):
        return None
    rank = len(at._groups.site.dims(axis.value) or ())
    usual = not ({"activations", "activation_alpha", "activation_beta", "clip"} & set(node.attributes))
    if inputs[5] is not None or inputs[6] is not None or not usual or axis.axis != rank - 1:
        return None
    w, r = weights
    assert w is not None and r is not None
    hidden = r.shape[2]
    first = _CANDIDATE[node.op_type] * hidden
    rows = slice(first, first + hidden)
    used = (w[:, rows] != 0).any(axis=(0, 2)) | (r[:, rows] != 0).any(axis=(0, 2))
    if bias is not None:
        gates = GATES[node.op_type]
        for start in (first, first + gates * hidden):
            used |= (bias[:, start : start + hidden] != 0).any(axis=0)
    return Constants(~used, np.zeros(hidden))


_Made = Callable[[ConstantChannels, ir.Node, Axis], Constants | None]
_RULES: Mapping[str, _Made] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MatMul": _matmul,
    "Gemm": _matmul,
    "BatchNormalization": _batch_normalization,
    **dict.fromkeys(GATES, _recurrent),
    **dict.fromkeys(_KEEPING, lambda at, node, axis: at.keeping(node, axis)),
    **dict.fromkeys(_KEEPING_ZEROS, lambda at, node, axis: at.keeping(node, axis, zeros=True)),
}
