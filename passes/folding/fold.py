"""Compute nodes whose inputs are all constants, in one run of onnxruntime for the whole model.

Kept: what is random, stateful or unknown; quantized weights; and what would grow the file. An Expand of one
number to 64 MB stays an Expand, while a Slice that shrinks it again is folded. No size is trusted that
inference does not know, so nothing is allocated that is larger than `MAX_WORKING_BYTES`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.execute.evaluate import evaluate
from graphopt.execute.support import DIES_OF_NOTHING
from graphopt.ir import (
    Changes,
    constant_tensor,
    facts,
    graphs,
    is_constant_node,
    is_deterministic,
    refine_shapes,
    remove_node,
    replace_value,
    static_shape,
    subgraphs,
)
from graphopt.ir.edit import function_graphs, make_constant, reason_against_constant
from graphopt.ir.graphs import Names
from graphopt.pipeline import Pass

MAX_WORKING_BYTES = 128 << 20
"""The largest intermediate result that is computed at all."""

UNKNOWN_SIZE_FACTOR = 8
"""Bound on output bytes over input bytes of operators without an inferred shape that do not expand."""

_QUANTIZATION = frozenset({"QuantizeLinear", "DequantizeLinear"})


@dataclass(frozen=True)
class Fold(Pass):
    """Compute what depends on constants alone.

    Attributes:
        max_growth: Bytes by which one result may be larger than the constants that it replaces.
    """

    name: ClassVar[str] = "fold"
    exact: ClassVar[bool] = True
    max_growth: int = 65536

    def apply(self, model: ir.Model, changes: Changes) -> None:
        _cast_likes_of_constants(model, changes)
        unable: dict[ir.Node, str] = {}
        while True:
            _give_ranges_scalars(model, changes)
            look = _Round(model, self.max_growth, unable)
            if not look.run(changes):
                break
        for node, reason in {**unable, **look.kept}.items():
            changes.refuse(reason, node.name)


class _Round:
    """One look at the model and one run; what was kept may let more be computed in the next.

    Attributes:
        kept: Nodes that are not computed or whose results are not stored, this time, and why.
    """

    def __init__(self, model: ir.Model, max_growth: int, unable: dict[ir.Node, str]) -> None:
        self._model = model
        self._max_growth = max_growth
        self._unable = unable
        self.kept: dict[ir.Node, str] = {}
        self._nodes: list[ir.Node] = []
        self._sizes: dict[ir.Value, int] = {}
        self._sources: dict[ir.Value, int] = {}

    def run(self, changes: Changes) -> bool:
        """Fold what can be folded; whether that was anything."""
        self._collect()
        self._charge()
        wanted = self._worth_keeping()
        if not wanted:
            return False
        result = evaluate(self._nodes, wanted, self._model.opset_imports)
        odd = {
            node: "onnxruntime computes another shape than the standard has it"
            for value, tensor in result.tensors.items()
            if (node := value.producer()) is not None and not _fits(value, tensor)
        }
        self._unable.update({**result.failures, **odd})
        before = changes.count
        made = [
            make_constant(value, tensor)
            for value, tensor in result.tensors.items()
            if value.producer() not in odd
        ]
        for node in reversed(self._nodes):
            if not any(output.uses() or output.is_graph_output() for output in node.outputs):
                remove_node(node)
                changes.add(f"{node.op_type} of constants")
        refine_shapes(self._model, made)
        return changes.count > before or bool(result.failures) or bool(odd)

    def _collect(self) -> None:
        """Find the nodes that depend on constants alone, in topological order."""
        skipped = function_graphs(self._model)
        for graph in graphs(self._model):
            if graph in skipped:
                continue
            for node in graph:
                if node in self._unable or not self._is_constant(node):
                    continue
                reason = self._reason_against(node)
                if reason is None:
                    self._nodes.append(node)
                elif reason:
                    self.kept[node] = reason

    def _is_constant(self, node: ir.Node) -> bool:
        if is_constant_node(node) or not node.inputs:
            return False
        return all(
            value is None or value in self._sizes or constant_tensor(value) is not None
            for value in node.inputs
        )

    def _reason_against(self, node: ir.Node) -> str | None:
        """Why a node with constant inputs is not computed ("" where that goes without saying)."""
        if not facts(node).known or not is_deterministic(node) or subgraphs(node):
            return ""
        if any(attribute.is_ref() for attribute in node.attributes.values()):
            return ""
        if node.op_type in _QUANTIZATION:
            return "quantized constants stay quantized"
        if node.op_type in DIES_OF_NOTHING and not all(map(_has_elements, node.inputs)):
            return "onnxruntime may end the process on operands without elements"
        inputs = sum(self._size_of_input(value) for value in node.inputs if value is not None)
        sizes = []
        for output in node.outputs:
            size = _size(output)
            if size is None and facts(node).expands:
                return "the size of the result is not known"
            sizes.append(UNKNOWN_SIZE_FACTOR * inputs + 8 if size is None else size)
        if sum(sizes) > MAX_WORKING_BYTES and sum(sizes) > 2 * inputs:
            return f"the result is too large to compute now ({_mebibytes(sum(sizes))})"
        self._sizes.update(zip(node.outputs, sizes, strict=True))
        return None

    def _size_of_input(self, value: ir.Value) -> int:
        tensor = constant_tensor(value)
        return self._sizes[value] if tensor is None else tensor.nbytes

    def _charge(self) -> None:
        """Credit every result with the bytes of constants that go if it is stored; each counts once."""
        folding = set(self._nodes)
        credited: set[ir.Value] = set()
        for node in self._nodes:
            source = 0
            for value in node.inputs:
                if value is None or value in credited:
                    continue
                credited.add(value)
                tensor = constant_tensor(value)
                if tensor is None:
                    source += self._sources[value]
                elif not value.is_graph_output() and all(use.node in folding for use in value.uses()):
                    source += tensor.nbytes
            self._sources.update((output, 0) for output in node.outputs)
            self._sources[node.outputs[0]] = source

    def _worth_keeping(self) -> list[ir.Value]:
        """The values to store: used by nodes that stay, and not much larger than what they replace."""
        stays = dict.fromkeys(self._nodes, False)
        wanted: list[ir.Value] = []
        for node in reversed(self._nodes):
            needed = [
                output
                for output in node.outputs
                if output.is_graph_output() or any(stays.get(use.node, True) for use in output.uses())
            ]
            reason = self._reason_to_stay(needed)
            if reason is not None:
                stays[node] = True
                self.kept[node] = reason
            else:
                wanted.extend(needed)
        return wanted[::-1]

    def _reason_to_stay(self, needed: list[ir.Value]) -> str | None:
        growth = 0
        for value in needed:
            if not isinstance(value.type, ir.TensorType) or value.dtype is None:
                return "the result is no tensor"
            if value.dtype != ir.DataType.STRING and value.dtype.bitwidth < 8:
                return f"the result is of type {value.dtype}, which onnxruntime does not hand out"
            if reason := reason_against_constant(value, self._model.opset_imports):
                return reason
            growth += self._sizes[value] - self._sources[value]
        if growth > self._max_growth:
            return f"the result would grow the file by {_mebibytes(growth)}"
        return None


def _fits(value: ir.Value, tensor: ir.TensorProtocol) -> bool:
    """Whether a result has the shape that inference knows, as far as it does."""
    if value.shape is None:
        return True
    sizes = tensor.shape.dims
    return len(sizes) == len(value.shape) and all(
        not isinstance(known, int) or known == size for known, size in zip(value.shape, sizes, strict=True)
    )


def _has_elements(value: ir.Value | None) -> bool:
    """Whether an operand is known to have some; absent ones pass."""
    shape = None if value is None else static_shape(value)
    return value is None or (shape is not None and math.prod(shape) > 0)


def _size(value: ir.Value) -> int | None:
    """Bytes of a value by inference; None where it does not know."""
    shape = static_shape(value)
    if not value.name:
        return 0
    if shape is None or value.dtype is None:
        return None
    bits = 64 if value.dtype == ir.DataType.STRING else value.dtype.bitwidth
    return math.prod(shape) * bits // 8


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


def _give_ranges_scalars(model: ir.Model, changes: Changes) -> None:
    """Constant vectors of one element that a Range reads become scalars, which is all that it may read.

    onnxruntime lets computed ones pass, and refuses to load constant ones.
    """
    skipped = function_graphs(model)
    for graph in graphs(model):
        for node in graph:
            if node.op_type != "Range" or node.domain or graph in skipped:
                continue
            for index, value in enumerate(node.inputs):
                tensor = constant_tensor(value)
                if value is None or tensor is None or len(tensor.shape) == 0 or tensor.size != 1:
                    continue
                number = ir.Tensor(tensor.numpy().reshape(()), dtype=tensor.dtype)
                number.name = Names(model).fresh(f"{value.name}/scalar")
                scalar = ir.Value(
                    name=number.name, const_value=number, type=ir.TensorType(tensor.dtype), shape=ir.Shape(())
                )
                graph.initializers.add(scalar)
                node.replace_input_with(index, scalar)
                changes.add("constant of a Range to a scalar")


def _cast_likes_of_constants(model: ir.Model, changes: Changes) -> None:
    """CastLike(constant, x) reads nothing of x but its type: it is a Cast."""
    for graph in graphs(model):
        for node in graph:
            if node.op_type != "CastLike" or node.domain or constant_tensor(node.inputs[0]) is None:
                continue
            like = node.inputs[1]
            if (
                like is None
                or not like.dtype
                or constant_tensor(like) is not None
                or "saturate" in node.attributes
            ):
                continue
            cast = ir.node(
                "Cast",
                [node.inputs[0]],
                {"to": like.dtype.value},
                outputs=[ir.Value(type=ir.TensorType(like.dtype), shape=node.outputs[0].shape)],
                name=node.name,
            )
            graph.insert_before(node, cast)
            output = cast.outputs[0]
            output.metadata_props.update(node.outputs[0].metadata_props)
            replace_value(node.outputs[0], output, is_new=True)
            remove_node(node)
            changes.add("CastLike of a constant")
