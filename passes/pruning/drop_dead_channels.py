"""Take out channels that no output depends on: their weights are zero, or they hold the same number always.

    Conv (rows of zeros) -> Relu -> Conv    ->    both with fewer channels, constants in the second's bias

Training with weight decay or sparsity leaves such channels behind, and so do other pruners that only write
zeros. Everything that hangs together with a channel, as of a residual block, must be dead to go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.ir import (
    Changes,
    Names,
    Operator,
    attribute_float,
    attribute_int,
    constant,
    constant_tensor,
    constant_value,
    refresh_shapes,
    replace_value,
)
from graphopt.passes.pruning._remove import Removal
from graphopt.pipeline import Pass
from graphopt.pruning import dependency_groups
from graphopt.pruning.dead import Dead, Fold, dead_units

_SUMMING = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "RNN", "GRU", "LSTM")
MOST_ROUNDS = 64
"""One takes out what has become dead by another; a chain of layers needs a round for some of them."""


@dataclass(frozen=True)
class DropDeadChannels(Pass):
    """Remove channels whose weights are zero or which are constant.

    Attributes:
        align: Where a convolution reads many channels that are a multiple of it, a multiple is left, if
            need be with some that are dead: as many as kernels work on at a time.
    """

    name: ClassVar[str] = "drop-dead-channels"
    reshapes: ClassVar[bool] = True
    align: int = 1

    def __post_init__(self) -> None:
        if self.align < 1:
            raise UsageError(f"drop-dead-channels: align={self.align}; expected 1 or more")

    def roots(self) -> frozenset[Operator]:
        """Operators that sum over channels."""
        return frozenset(("", op_type) for op_type in _SUMMING)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        for _ in range(MOST_ROUNDS):
            if not _has_zeros(model):
                return
            refresh_shapes(model)
            groups = dependency_groups(model)
            found = dead_units(groups, self.align)
            gone = _at_once([dead for dead in found if dead.units])
            if not gone:
                for dead in found:
                    for reason, units in dead.refusals.items():
                        for _ in range(units):
                            changes.refuse(reason, dead.group.name)
                return
            for dead in gone:
                _fold(model, dead)
                changes.add("channels", len(dead.units))
            removal = Removal(model, groups)
            removal.remove((dead.group, dead.units) for dead in gone)


def _at_once(found: list[Dead]) -> list[Dead]:
    """Those that can go in one round: nothing is added to an output that loses channels itself."""
    taken = []
    cut: set[ir.Value] = set()
    added: set[ir.Value] = set()
    for dead in found:
        values = {axis.value for axis in dead.group.axes}
        outputs = {fold.sink.node.outputs[0] for fold in dead.folds if not len(fold.into)}
        if not (outputs & (cut | values) or values & added):
            taken.append(dead)
            cut |= values
            added |= outputs
    return taken


def _has_zeros(model: ir.Model) -> bool:
    """Whether any weight has a slice of zeros, without which nothing is dead."""
    for node in model.graph:
        if node.op_type == "BatchNormalization":
            scale = constant(node.inputs[1])
            if scale is not None and not scale.all():
                return True
        if node.op_type not in _SUMMING:
            continue
        for value in node.inputs[1:3]:
            array = constant(value) if value is not None and value.dtype in _FLOATS else None
            if array is None or array.ndim < 2:
                continue
            used = array != 0
            for axis in range(array.ndim):
                if array.shape[axis] > 1 and not used.any(axis=tuple({*range(array.ndim)} - {axis})).all():
                    return True
    return False


_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE, ir.DataType.BFLOAT16)


def _fold(model: ir.Model, dead: Dead) -> None:
    for fold in dead.folds:
        if len(fold.into):
            _fold_into_channel(fold)
        else:
            _fold_into_bias(model, fold)


def _fold_into_channel(fold: Fold) -> None:
    """Weights of constant channels, by what they hold, go to those of a channel that is constant, too."""
    weight = fold.sink.weight.value
    tensor = constant_tensor(weight)
    assert tensor is not None
    array = tensor.numpy().astype(np.float64)
    groups = attribute_int(fold.sink.node, "group", 1)
    parts = array.reshape(groups, len(array) // groups, *array.shape[1:])
    each = array.shape[1]
    for channel, number, into, held in zip(fold.channels, fold.numbers, fold.into, fold.held, strict=True):
        if channel // each == into // each:
            parts[into // each, :, into % each] += parts[channel // each, :, channel % each] * (number / held)
    made = parts.reshape(array.shape).astype(tensor.dtype.numpy())
    weight.const_value = ir.Tensor(made, dtype=tensor.dtype, name=weight.name)


def _fold_into_bias(model: ir.Model, fold: Fold) -> None:
    """What a node makes of constant channels is added once and for all."""
    node = fold.sink.node
    weight = constant(fold.sink.weight.value)
    assert weight is not None
    array = weight.astype(np.float64)
    if node.op_type == "Conv":
        groups = attribute_int(node, "group", 1)
        parts = array.reshape(groups, len(array) // groups, array.shape[1], -1).sum(axis=3)
        numbers = np.zeros(groups * array.shape[1])
        numbers[fold.channels] = fold.numbers
        sums = (parts * numbers.reshape(groups, 1, -1)).sum(axis=2).reshape(-1)
    else:
        matrix = np.moveaxis(array, fold.sink.weight.axis, 0)
        sums = fold.numbers @ matrix[fold.channels]
    dtype = fold.sink.weight.value.dtype
    assert dtype is not None
    if node.op_type == "MatMul":
        _add_behind(model, node, sums, dtype)
        return
    before = constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else None
    if node.op_type == "Gemm":
        beta = attribute_float(node, "beta", 1.0)
        sums = sums * attribute_float(node, "alpha", 1.0) + (0.0 if before is None else beta * before)
        node.attributes["beta"] = ir.AttrFloat32("beta", 1.0)
    elif before is not None:
        sums = sums + before
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, _initializer(model, np.asarray(sums), dtype, f"{node.name}/bias"))


def _initializer(
    model: ir.Model, array: np.ndarray[tuple[int, ...], np.dtype[np.float64]], dtype: ir.DataType, hint: str
) -> ir.Value:
    value = constant_value(Names(model).fresh(hint), array.astype(dtype.numpy()), dtype)
    model.graph.initializers.add(value)
    return value


def _add_behind(
    model: ir.Model,
    node: ir.Node,
    sums: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    dtype: ir.DataType,
) -> None:
    """An Add behind a node, whose output keeps its name."""
    graph, output = node.graph, node.outputs[0]
    assert graph is not None
    names = Names(model)
    made = ir.Value(name=output.name, type=output.type, shape=output.shape)
    bias = _initializer(model, sums, dtype, f"{node.name}/bias")
    replace_value(output, made, is_new=True)
    if output.name == made.name or not output.name:
        output.name = names.fresh(f"{made.name}/product")
    graph.insert_after(
        node, ir.Node("", "Add", [output, bias], outputs=[made], name=names.fresh(f"{node.name}/added"))
    )
