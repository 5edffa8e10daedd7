"""Run one node on arrays, as written and by itself."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.testing.generate.known import Array, Content, Known, spelled
from graphopt.testing.generate.protos import declaration, tensor
from graphopt.testing.generate.runtime import Evaluated, Lacking, Loaded

_JITTER = {ir.DataType.FLOAT16: 4e-3, ir.DataType.BFLOAT16: 3e-2}
_SMALL_JITTER = 1e-5
"""By how much, relatively, operands are moved to see whether results jump."""
_AMPLIFICATION = 200.0
"""By how many times more results may move, of which the largest is 1 or more."""


@dataclass(frozen=True)
class Outcome:
    """What a node computed.

    Attributes:
        contents: The outputs by name.
        types: Their types, as schemas spell them.
        by_reference: The reference evaluator ran it, because onnxruntime lacks it.
    """

    contents: dict[str, Content]
    types: dict[str, str]
    by_reference: bool


def run_node(
    node: onnx.NodeProto,
    operands: Sequence[Known],
    *,
    opset: int,
    ir_version: int,
    reference: bool = False,
    steady: bool = False,
) -> Outcome:
    """The outputs of one node, those left out not counted.

    Args:
        node: A node of the standard domain; its bodies may read any of the operands.
        operands: What it reads; constants are told to shape inference.
        opset: Version of the standard domain.
        ir_version: Version of the file format.
        reference: Let the reference evaluator run what onnxruntime lacks.
        steady: Refuse results that jump, or move a lot, when the operands move a little.

    Raises:
        ExecutionError: No runtime here takes the node, or it cannot run on these operands.
    """
    operands = list({each.name: each for each in operands}.values())
    proto = onnx.ModelProto(ir_version=ir_version)
    proto.opset_import.add(domain="", version=opset)
    graph = proto.graph
    graph.name = "node"
    graph.node.append(node)
    for each in operands:
        if each.constant:
            graph.initializer.append(tensor(each))
        if not each.constant or ir_version < 4:
            graph.input.append(declaration(each, each.shape if each.is_tensor else None))
    for name in node.output:
        if name:
            graph.output.add(name=name)
    types, shapes = _inferred(proto)
    feed = {each.name: each.content for each in operands if not each.constant}
    by_reference = False
    runnable: Loaded | Evaluated
    try:
        runnable = Loaded(proto)
    except Lacking:
        if not reference:
            raise
        runnable, by_reference = Evaluated(proto), True
    contents = runnable.run(feed)
    for name, shape in shapes.items():
        _hold_shape(contents[name], shape)
    if steady:
        _hold_steady(runnable, operands, feed, contents)
    return Outcome(contents, types, by_reference)


def _inferred(proto: onnx.ModelProto) -> tuple[dict[str, str], dict[str, list[int | None]]]:
    """Types of the outputs, and shapes of those that are tensors of known rank.

    onnxruntime trusts what inference rules out, and may end the process on it.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    except (onnx.shape_inference.InferenceError, ValueError) as error:
        raise ExecutionError(str(error)) from error
    types = {output.name: spelled(output.type) for output in inferred.graph.output}
    if not all(types.values()):
        raise ExecutionError("the type of an output is not known")
    shapes = {
        output.name: [
            each.dim_value if each.HasField("dim_value") else None
            for each in output.type.tensor_type.shape.dim
        ]
        for output in inferred.graph.output
        if output.type.HasField("tensor_type") and output.type.tensor_type.HasField("shape")
    }
    return types, shapes


def _hold_shape(content: Content, shape: Sequence[int | None]) -> None:
    """Refuse results of another shape than the standard has it, such as onnxruntime's sums over nothing."""
    for each in _tensors(content):
        sizes = zip(each.shape, shape, strict=False)
        if each.ndim != len(shape) or any(known not in (None, size) for size, known in sizes):
            raise ExecutionError("the result has another shape than the standard has it")


def _hold_steady(
    runnable: Loaded | Evaluated,
    operands: Sequence[Known],
    feed: Mapping[str, Content],
    expected: Mapping[str, Content],
) -> None:
    moved = dict(feed)
    largest = 0.0
    for each in operands:
        if not each.constant and each.is_tensor and each.dtype.is_floating_point():
            jitter = _JITTER.get(each.dtype, _SMALL_JITTER)
            largest = max(largest, jitter)
            moved[each.name] = _moved(each, jitter)
    if not largest:
        return
    results = runnable.run(moved)
    for name, before in expected.items():
        one, other = _tensors(before), _tensors(results[name])
        near = functools.partial(_near, tolerance=_AMPLIFICATION * largest)
        if len(one) != len(other) or not all(map(near, one, other)):
            raise ExecutionError("the results jump")


def _tensors(content: Content) -> list[Array]:
    if isinstance(content, list):
        return content
    return [] if content is None else [content]


def _moved(known: Known, jitter: float) -> Content:
    """Every element a bit larger or smaller."""
    signs = 1.0 - 2.0 * (np.arange(known.array.size) % 3 % 2)
    wide = known.array.astype(np.float64)
    return np.asarray(wide * (1.0 + jitter * signs.reshape(known.shape))).astype(known.array.dtype)


def _near(one: Array, other: Array, tolerance: float) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind in "OUSbiu":
        return bool(np.array_equal(one, other))
    if not one.size:
        return True
    wide = one.astype(np.float64)
    if not np.isfinite(wide).all():
        return False
    bound = tolerance * max(1.0, float(np.max(np.abs(wide))))
    return bool(np.all(np.abs(wide - other.astype(np.float64)) <= bound))
