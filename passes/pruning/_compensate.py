"""Fit the weights of a pruned model to what its layers gave before, one layer after the other.

A layer is fitted with the inputs that it has once those before it are fitted, so that it makes up for what is
left of their errors and no error is made up for twice. Where its output is added to another value, the sum
is what is fitted to: errors that a residual stream brings along are made up for as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import Names, attribute_float, attribute_int, constant, constant_tensor, constant_value
from graphopt.passes.pruning._walk import Walk
from graphopt.pruning.compensation import MOST_INPUTS, Fit, Windows, conv_groups

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer with constant weights that can be fitted.

    Attributes:
        node: The node.
        weight: Its weights, which nothing else reads.
        bias: What holds its bias, and which input of it is that; None where it has none.
        target: Name of the value to fit: the layer's output, or what it is added up to.
    """

    node: ir.Node
    weight: ir.Value
    bias: tuple[ir.Node, int] | None
    target: str

    @property
    def x(self) -> str:
        """Name of what it reads."""
        value = self.node.inputs[0]
        return "" if value is None else value.name or ""

    @property
    def y(self) -> str:
        """Name of what it writes."""
        return self.node.outputs[0].name or ""


def compensate(
    model: ir.Model,
    whole: ir.Model,
    gone: Mapping[tuple[str, int], npt.NDArray[np.int64]],
    samples: Sequence[Mapping[str, Any]],
    parts: Sequence[int],
    *,
    rows: int,
    threads: int,
    tell: Callable[[int, int], None],
) -> int:
    """Fit the layers of a pruned model in place.

    Args:
        model: The pruned model.
        whole: As it was before; values have the same names.
        gone: Positions that went, by value and axis.
        samples: Sets of inputs.
        parts: For each sample the part that it belongs to, below `PARTS`: what is fitted to the others is
            tried on it.
        rows: Outputs of a layer to look at, of all samples together; as many as it has weights, if more.
        threads: Threads of the runtime.
        tell: Is told how many layers are done, of how many.

    Returns:
        How many layers were fitted.
    """
    layers = _behind(model, whole, gone)
    if not layers or not samples:
        return 0
    makers = {node.outputs[0].name: node for node in whole.graph if node.outputs}
    walks = Walk(model, samples, threads), Walk(whole, samples, threads)
    fitted = 0
    names = Names(model)
    for number, layer in enumerate(layers):
        tell(number, len(layers))
        fit: Fit | None = None
        runs = zip(walks[0].values([layer.x, layer.target]), walks[1].values([layer.target]), strict=True)
        for count, (now, before) in enumerate(runs):
            taken = _taken(layer, now, before, gone, rows, len(samples), count)
            if taken is not None:
                fit = fit or Fit(taken[0].shape[1], taken[0].shape[2], taken[1].shape[2])
                fit.observe(*taken, parts[count])
        solved = fit.solve(bias=layer.bias is not None) if fit is not None and fit.rows else None
        fitted += solved is not None and _update(model, names, layer, *solved)
        if number + 1 < len(layers):
            walks[0].advance(layer.node)
            walks[1].advance(makers[layer.y])
    return fitted


def _behind(
    model: ir.Model, whole: ir.Model, gone: Mapping[tuple[str, int], npt.NDArray[np.int64]]
) -> list[Layer]:
    """Layers that depend on anything cut, in order: those that read fewer channels, and such as sum up
    no fewer inputs than they have outputs. Others leave errors to these."""
    cut = {name for name, _ in gone}
    dims = {
        value.name: value.shape.dims
        for node in whole.graph
        for value in node.outputs
        if value.shape is not None
    }
    touched: set[ir.Value] = set()
    found = []
    for node in model.graph:
        if not any(value is not None and (value in touched or value.name in cut) for value in node.inputs):
            continue
        touched.update(node.outputs)
        layer = _layer(node)
        if layer is not None and _sums_up(layer, gone):
            found.append(dataclasses.replace(layer, target=_sum(layer, dims)))
    return found


def _sums_up(layer: Layer, gone: Mapping[tuple[str, int], npt.NDArray[np.int64]]) -> bool:
    node, array = layer.node, constant(layer.weight)
    if array is None:
        return False
    axis = 1 if node.op_type == "Conv" or attribute_int(node, "transB", 0) else 0
    outputs = array.shape[0 if axis else 1]
    if (layer.weight.name or "", axis) in gone:
        return True
    return conv_groups(node) == 1 and bool(array.size // outputs >= outputs)


def _sum(layer: Layer, dims: Mapping[str | None, Any]) -> str:
    """What a layer's output, and perhaps its bias, is added up to; its output where it is not."""
    value = layer.node.outputs[0]
    while not value.is_graph_output() and len(uses := list(value.uses())) == 1:
        node = uses[0].node
        if node.op_type != "Add" or node.domain not in ("", "ai.onnx") or node.graph is not value.graph:
            break
        other, value = node.inputs[1 - uses[0].idx], node.outputs[0]
        if layer.y not in dims or dims.get(value.name) != dims[layer.y]:
            break
        if constant(other) is None:
            return value.name or ""
    return layer.y


def _layer(node: ir.Node) -> Layer | None:
    if node.op_type not in ("Conv", "Gemm", "MatMul") or node.domain not in ("", "ai.onnx"):
        return None
    weight = node.inputs[1]
    array = constant(weight)
    if weight is None or array is None or array.dtype.kind != "f" or len(weight.uses()) > 1:
        return None
    if weight.producer() is not None or node.inputs[0] is None:
        return None
    if node.op_type == "Conv":
        if array[0].size > MOST_INPUTS or array.ndim < 3:
            return None
        return Layer(node, weight, _own_bias(node), "")
    if array.ndim != 2 or array.size == 0:
        return None
    if node.op_type == "Gemm":
        if attribute_float(node, "alpha", 1.0) != 1.0 or attribute_float(node, "beta", 1.0) != 1.0:
            return None
        inputs = array.shape[1 if attribute_int(node, "transB", 0) else 0]
        return Layer(node, weight, _own_bias(node), "") if inputs <= MOST_INPUTS else None
    return Layer(node, weight, _bias_behind(node, array.shape[1]), "") if len(array) <= MOST_INPUTS else None


def _own_bias(node: ir.Node) -> tuple[ir.Node, int] | None:
    """The third input: a vector of the node's own, or none, which can be made."""
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        return node, 2
    array = constant(value)
    return (node, 2) if array is not None and array.ndim == 1 and array.size > 1 else None


def _bias_behind(node: ir.Node, outputs: int) -> tuple[ir.Node, int] | None:
    """A vector that the only reader of a MatMul adds."""
    users = list(node.outputs[0].uses())
    if len(users) != 1 or node.outputs[0].is_graph_output():
        return None
    user = users[0].node
    if user.op_type != "Add" or user.domain not in ("", "ai.onnx"):
        return None
    other = 1 - users[0].idx
    array = constant(user.inputs[other])
    return (user, other) if array is not None and array.shape == (outputs,) else None


def _taken(
    layer: Layer,
    now: Mapping[str, Array],
    before: Mapping[str, Array],
    gone: Mapping[tuple[str, int], npt.NDArray[np.int64]],
    rows: int,
    samples: int,
    count: int,
) -> tuple[Array, Array] | None:
    """Inputs and errors of some outputs of one sample; None where the two models cannot be compared."""
    x, y, wanted = now[layer.x], now[layer.target], before[layer.target]
    node = layer.node
    axis = 1 if node.op_type in ("Conv", "Gemm") else y.ndim - 1
    lost = gone.get((layer.target, axis))
    if lost is not None:
        wanted = np.delete(wanted, lost, axis=axis)
    if wanted.shape != y.shape or not y.size:
        return None
    error = np.moveaxis(wanted - y, axis, -1).reshape(-1, y.shape[axis])
    array = constant(layer.weight)
    assert array is not None
    groups = conv_groups(node)
    inputs = array[0].size if node.op_type == "Conv" else array.size // error.shape[1]
    most = -(-max(rows, 4 * inputs) // samples)
    places = np.arange(len(error))
    if len(error) > most:
        places = np.sort(np.random.default_rng(count).choice(len(error), most, replace=False))
    if node.op_type == "Conv":
        windows = Windows.of(node, array.shape[2:], x.shape[2:])
        taken = windows.rows(x, places, groups)
    else:
        if node.op_type == "Gemm" and attribute_int(node, "transA", 0):
            x = x.T
        taken = x.reshape(-1, x.shape[-1])[places][:, None]
    return taken, error[places].reshape(len(places), groups, -1)


def _update(model: ir.Model, names: Names, layer: Layer, change: Array, shift: Array) -> bool:
    node = layer.node
    tensor = constant_tensor(layer.weight)
    assert tensor is not None
    array = tensor.numpy().astype(np.float64)
    matrix = change.reshape(-1, change.shape[2])
    if node.op_type == "Conv":
        made = array + matrix.reshape(array.shape)
    else:
        made = array + (matrix if attribute_int(node, "transB", 0) and node.op_type == "Gemm" else matrix.T)
    if not np.isfinite(made).all():
        return False
    layer.weight.const_value = ir.Tensor(
        made.astype(tensor.dtype.numpy()), dtype=tensor.dtype, name=layer.weight.name
    )
    if layer.bias is None:
        return True
    owner, place = layer.bias
    before = constant(owner.inputs[place]) if place < len(owner.inputs) else None
    vector = (shift.reshape(-1) + (0.0 if before is None else before)).astype(tensor.dtype.numpy())
    value = constant_value(names.fresh(f"{layer.weight.name}/bias"), vector, tensor.dtype)
    model.graph.initializers.add(value)
    if place >= len(owner.inputs):
        owner.resize_inputs(place + 1)
    owner.replace_input_with(place, value)
    return True
