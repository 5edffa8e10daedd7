"""Which nodes of the main graph compute in half precision, and why others do not. Changes nothing.

A value is large where a constant, what calibration saw of it, or large values that it is computed from say
that it may leave the range of the half type: then the nodes that make and read it stay float32.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from graphopt.execute import runs_on_types
from graphopt.ir import attribute_string, constant, constant_tensor, facts, opset, scalar, subgraphs
from graphopt.passes.operands import an
from graphopt.passes.quantization._ranges import range_of

Array = np.ndarray[Any, np.dtype[Any]]

HALF_TYPES = {"float16": ir.DataType.FLOAT16, "bfloat16": ir.DataType.BFLOAT16}
LARGEST = {ir.DataType.FLOAT16: 65504.0, ir.DataType.BFLOAT16: 2.0**127 * (2 - 2.0**-7)}
"""Their largest numbers."""
SENSITIVE = frozenset(
    ("Exp", "Pow", "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceProd", "CumSum", "CumProd",
     "Range", "Mod", "Floor", "Ceil", "Round", "Reciprocal", "Log", "Tan", "Sinh", "Cosh", "GridSample",
     "MeanVarianceNormalization")
)  # fmt: skip
"""Operators whose results may leave the range of ordinary inputs, or that count: whole numbers above 2048 are
not float16's."""
BOUNDED = frozenset(
    ("Softmax", "Hardmax", "Sigmoid", "HardSigmoid", "Tanh", "Erf", "Sign", "Sin", "Cos", "Softsign",
     "LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization",
     "LpNormalization")
)  # fmt: skip
"""Operators whose results are small whatever their inputs."""
NORMALIZE_IN_FLOAT = frozenset(("LayerNormalization", "RMSNormalization"))
"""Operators that compute in float32 within, their epsilon included: `stash_type`."""
READERS = frozenset(("Cast", "CastLike", "Shape", "Size"))
"""Operators that read a value of any type as it is, and whose outputs have a type of their own."""
HEAVY = frozenset(("MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum", "Attention", "LSTM", "GRU", "RNN"))
"""Operators that are worth a Cast on either side."""
TYPED_BY_ATTRIBUTE = frozenset(("dtype", "output_datatype", "output_dtype", "to", "value"))
SCALARS = 16
"""Elements of a constant up to which each counts: an epsilon, not a weight."""
UNDERFLOW = 0.05
"""Relative error of such an element that is no rounding error any more."""


@dataclass
class Halves:
    """The decision.

    Attributes:
        inputs: Node -> indices of the inputs that become half floats, for each node that computes in these.
        outputs: Likewise of the outputs.
        reasons: Node -> why it stays float32.
    """

    inputs: dict[ir.Node, tuple[int, ...]] = field(default_factory=dict)
    outputs: dict[ir.Node, tuple[int, ...]] = field(default_factory=dict)
    reasons: dict[ir.Node, str] = field(default_factory=dict)

    def is_half(self, value: ir.Value) -> bool:
        """Whether a value of float32 becomes one of half floats where it is made."""
        node = value.producer()
        return node is not None and node in self.outputs and value.index() in self.outputs[node]


def choose(model: ir.Model, half: ir.DataType, keep: Collection[str] = ()) -> Halves:
    """Decide for every node of the main graph that computes with float32.

    Args:
        model: Only read; the types of its values are known.
        half: float16 or bfloat16.
        keep: Names of nodes that stay float32.
    """
    found = Halves()
    large: set[ir.Value] = set()
    for node in model.graph:
        floats = [value for value in (*node.inputs, *node.outputs) if _is_float(value)]
        if not floats or (node.op_type == "Constant" and not node.domain):
            continue
        spread = any(value is not None and _is_large(value, large, half) for value in node.inputs)
        seen = any(_seen_large(value, half) for value in node.outputs)
        if seen or (spread and not _is_bounded(node, half)):
            large.update(output for output in node.outputs if not _seen_small(output, half))
        if node.op_type in READERS and not node.domain:
            continue
        reason = _reason(node, opset(model), half, keep)
        if not reason and (spread or seen):
            reason = f"its numbers may leave the range of {half.name.lower()}"
        if reason:
            found.reasons[node] = reason
            continue
        found.inputs[node], found.outputs[node] = _operands(node, opset(model), half)
    _spare_islands(model, found)
    return found


def fits(array: Array, half: ir.DataType) -> bool:
    """Whether no finite element becomes infinite."""
    with np.errstate(over="ignore"):
        return bool((np.isfinite(array.astype(half.numpy())) | ~np.isfinite(array)).all())


def _reason(node: ir.Node, version: int, half: ir.DataType, keep: Collection[str]) -> str:
    if node.domain:
        return f"operators of {node.domain} stay float32"
    if subgraphs(node):
        return "it has bodies, which stay float32"
    if (node.name or node.outputs[0].name) in keep:
        return "it is to stay float32"
    if node.op_type in SENSITIVE or facts(node).random:
        return f"{an(node.op_type)} loses too much"
    if any(attribute.is_ref() for attribute in node.attributes.values()):
        return "it refers to attributes of a function"
    values = [value for value in (*node.inputs, *node.outputs) if value is not None]
    if any(
        value.dtype is None or not isinstance(value.type, ir.TensorType) for value in values if value.name
    ):
        return "the types of its values are not known"
    name = half.name.lower()
    schema = _schema(node.op_type, version)
    typed = TYPED_BY_ATTRIBUTE & (set() if schema is None else set(schema.attributes))
    inputs, outputs = _operands(node, version, half)
    if schema is None or typed or (not outputs and not inputs):
        return f"there is no {node.op_type} of {name} at opset {version}"
    if any(_underflows(node.inputs[index], half) for index in inputs):
        return f"a constant of it is nothing in {name}"
    if _epsilon_underflows(node, half):
        return f"its epsilon is nothing in {name}"
    types = [
        None
        if value is None or (not value.name and not value.dtype)
        else half
        if index in inputs
        else value.dtype
        for index, value in enumerate(node.inputs)
    ]
    made = [half if index in outputs else value.dtype for index, value in enumerate(node.outputs)]
    reduces = attribute_string(node, "reduction", "none") != "none"  # onnxruntime finds out when it runs
    if (reduces and half is ir.DataType.FLOAT16) or not runs_on_types(node, version, types, made):
        return f"onnxruntime runs no {node.op_type} of {name}"
    return ""


def _operands(node: ir.Node, version: int, half: ir.DataType) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices of inputs and outputs of float32 that may be half floats."""
    schema = _schema(node.op_type, version)
    if schema is None:
        return (), ()
    allowed = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
    wanted = f"tensor({half.name.lower()})"

    def may(formal: Any, index: int) -> bool:
        kind = formal[min(index, len(formal) - 1)].type_str
        return wanted in allowed.get(kind, (kind,))

    inputs = [
        index for index, value in enumerate(node.inputs) if _is_float(value) and may(schema.inputs, index)
    ]
    outputs = [
        index for index, value in enumerate(node.outputs) if _is_float(value) and may(schema.outputs, index)
    ]
    if node.op_type in NORMALIZE_IN_FLOAT:
        outputs = outputs[:1]  # mean and deviation are of the type that it computes in
    return tuple(inputs), tuple(outputs)


@functools.cache
def _schema(op_type: str, version: int) -> Any:
    if not onnx.defs.has(op_type, max_inclusive_version=version):
        return None
    return onnx.defs.get_schema(op_type, version)


def _is_float(value: ir.Value | None) -> bool:
    return value is not None and value.dtype == ir.DataType.FLOAT and isinstance(value.type, ir.TensorType)


def _is_large(value: ir.Value, large: Collection[ir.Value], half: ir.DataType) -> bool:
    if value in large or _seen_large(value, half):
        return True
    tensor = constant_tensor(value)
    if tensor is None or tensor.dtype != ir.DataType.FLOAT:
        return False
    return not fits(tensor.numpy(), half)


def _seen_large(value: ir.Value, half: ir.DataType) -> bool:
    seen = range_of(value)
    return seen is not None and max(map(abs, seen)) > _largest(half)


def _seen_small(value: ir.Value, half: ir.DataType) -> bool:
    return range_of(value) is not None and not _seen_large(value, half)


def _largest(half: ir.DataType) -> float:
    """Half the largest number, since other inputs than those seen may be larger."""
    return LARGEST[half] / 2


def _is_bounded(node: ir.Node, half: ir.DataType) -> bool:
    if node.domain:
        return False
    if node.op_type == "Clip" and len(node.inputs) == 3:
        bounds = [scalar(value) for value in node.inputs[1:]]
        return all(bound is not None and fits(np.asarray(bound), half) for bound in bounds)
    return node.op_type in BOUNDED


def _underflows(value: ir.Value | None, half: ir.DataType) -> bool:
    tensor = constant_tensor(value)
    if tensor is None or not 0 < tensor.size <= SCALARS:
        return False
    array = tensor.numpy().astype(np.float64)
    array = array[np.isfinite(array) & (array != 0)]
    with np.errstate(over="ignore"):
        stored = array.astype(half.numpy()).astype(np.float64)
    small = np.abs(array) < 1
    return bool(np.any(small & (np.abs(stored - array) > UNDERFLOW * np.abs(array))))


def _epsilon_underflows(node: ir.Node, half: ir.DataType) -> bool:
    epsilon = node.attributes.get("epsilon")
    if epsilon is None or node.op_type in NORMALIZE_IN_FLOAT:
        return False
    number = epsilon.as_float()
    return bool(number and not float(np.asarray(number).astype(half.numpy())))


def _spare_islands(model: ir.Model, found: Halves) -> None:
    """Leave light nodes float32 where that takes fewer Casts, or as many around what only moves elements."""
    changed = True
    while changed:
        changed = False
        for node in list(found.inputs):
            if node.op_type in HEAVY:
                continue
            as_half, as_float = _casts(node, found)
            if as_half > as_float or (as_half == as_float and facts(node).moves):
                del found.inputs[node], found.outputs[node]
                found.reasons[node] = "between nodes of float32, it would take more Casts"
                changed = True


def _casts(node: ir.Node, found: Halves) -> tuple[int, int]:
    """Casts around a node as half floats, and as float32."""
    read = [node.inputs[index] for index in found.inputs[node]]
    values = [value for value in dict.fromkeys(read) if value is not None and constant_tensor(value) is None]
    halves = sum(found.is_half(value) for value in values)
    as_half, as_float = len(values) - halves, halves
    for index in found.outputs[node]:
        output = node.outputs[index]
        readers = list(_readers(output, found))
        as_half += not all(readers) or output.is_graph_output()
        as_float += any(readers)
    return as_half, as_float


def _readers(value: ir.Value, found: Halves) -> Iterator[bool]:
    """For each user whether it reads half floats; those that read anything are left out."""
    for use in value.uses():
        if use.node.op_type not in READERS or use.node.domain:
            yield use.idx in found.inputs.get(use.node, ())


def holds_scales(value: ir.Value) -> bool:
    """Whether a constant may be what codes are multiplied by: operators on codes read it, or unknown ones."""
    return any(use.node.domain or "Linear" in use.node.op_type for use in value.uses())


def constant_halves(value: ir.Value, half: ir.DataType) -> Array | None:
    """The elements of a constant of float32 as half floats; None if it is none, or one would get lost."""
    array = constant(value)
    if array is None or array.dtype != np.float32 or not fits(array, half) or _underflows(value, half):
        return None
    return array.astype(half.numpy())
