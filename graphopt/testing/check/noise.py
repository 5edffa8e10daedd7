"""How far rounding alone moves the outputs of a model, jumps included.

The yardstick for outcomes that miss their tolerance: the original itself with every float result changed in
its last bits (Monte Carlo arithmetic, after Parker 1997), and with sums in another order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.execute import Session
from graphopt.execute.compare import default_tolerance
from graphopt.execute.mixed import MixedEvaluator
from graphopt.io import to_proto
from graphopt.ir import Names, constant_tensor, graph_and_bodies
from graphopt.ir.kernels import has_kernel

Array = np.ndarray[Any, Any]

SAMPLES = 6
NOISE_FACTOR = 8.0
"""How many times further than rounding moves it an element may be."""
LARGEST_STEP = 4
"""Units in the last place by which a result is moved at most."""

_UNITS = {
    ir.DataType.FLOAT: 2.0**-23,
    ir.DataType.DOUBLE: 2.0**-52,
    ir.DataType.FLOAT16: 2.0**-10,
    ir.DataType.BFLOAT16: 2.0**-7,
}

_STEPS = {dtype.numpy(): LARGEST_STEP * unit for dtype, unit in _UNITS.items()}


def movement(model: ir.Model, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Largest change of each element of each output under changes of the size of rounding.

    Args:
        model: Only read; the types of its values are known.
        inputs: One set.

    Returns:
        Output name -> absolute change by element; infinite where NaN or an infinity comes or goes, and where
        the shape changes. Of a sequence, a list of those of its arrays. What holds no numbers is left out.
    """
    moved: dict[str, Any] = {}
    try:
        expected = Session(model).run(inputs)
        for results in _samples(model, inputs):
            for name, array in expected.items():
                if _are_numbers(array):
                    distance = _distance(array, results[name])
                    moved[name] = np.maximum(moved.get(name, 0.0), distance)
                elif isinstance(array, list) and all(map(_are_numbers, array)):
                    parts = map(_distance, array, [*results[name], *[None] * len(array)])
                    before = moved.get(name, [0.0] * len(array))
                    moved[name] = [np.maximum(one, other) for one, other in zip(before, parts, strict=False)]
    except ExecutionError:
        return moved
    return moved


def _are_numbers(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind not in "OUSTc"


def excused(expected: Array, actual: Array, moved: Array) -> Array:
    """The outcome, with the elements that are off by no more than rounding moves them put right.

    Args:
        expected: An output of the original.
        actual: The same of the outcome, of its shape and type.
        moved: What `movement` says of it. Few samples may miss an element, so the median counts for all.
    """
    usual = float(np.median(moved)) if moved.size else 0.0
    allowed = NOISE_FACTOR * np.maximum(moved, usual if np.isfinite(usual) else 0.0)
    return np.where(_distance(expected, actual) <= allowed, expected, actual)


def rounded_at_each_node(model: ir.Model, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs with every node of the main graph run by itself; {} if one cannot be.

    onnxruntime computes many half floats in float32, and in a whole model need not round between nodes.

    Args:
        model: Only read.
        inputs: One set.
    """
    names = [str(value.name) for value in model.graph.outputs]
    try:
        return dict(zip(names, MixedEvaluator(to_proto(model)).run(names, inputs), strict=True))
    except ExecutionError:
        return {}


def near(expected: Array, actual: Array) -> Array:
    """Which elements are the same within the tolerance of their type; both of one shape and float type."""
    tolerance = default_tolerance(expected.dtype)
    wide = expected.astype(np.float64)
    finite = np.abs(wide[np.isfinite(wide)])
    typical = float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
    with np.errstate(all="ignore"):
        allowed = np.maximum(tolerance.atol, tolerance.rtol * np.maximum(np.abs(wide), typical))
    return np.asarray(_distance(expected, actual) <= np.where(np.isfinite(allowed), allowed, 0.0))


def meets_odd_numbers(model: ir.Model, inputs: Mapping[str, Any]) -> bool:
    """Whether an input, a constant or a value of the main graph holds NaN or an infinity.

    Args:
        model: Only read; the types of its values are known.
        inputs: One set.
    """
    tensors = (constant_tensor(value) for value in model.graph.initializers.values())
    constants = (tensor.numpy() for tensor in tensors if tensor is not None and tensor.dtype in _UNITS)
    if any(map(_is_odd, (*inputs.values(), *constants))):
        return True
    values = (value for node in model.graph for value in node.outputs)
    names = [value.name for value in values if value.name and value.dtype in _UNITS and _is_tensor(value)]
    try:
        seen = Session(model, extra_outputs=names).run(inputs)
    except ExecutionError:
        return False
    return any(map(_is_odd, seen.values()))


def _is_tensor(value: ir.Value) -> bool:
    return isinstance(value.type, ir.TensorType)


def _is_odd(array: Any) -> bool:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fV":
        return False
    with np.errstate(all="ignore"):
        return not bool(np.all(np.isfinite(array.astype(np.float64))))


def _samples(model: ir.Model, inputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield Session(model, optimize=True).run(inputs)
    random = np.random.default_rng(0)
    at_once = has_kernel("RandomUniformLike", model.opset_imports.get("", 0), (ir.DataType.FLOAT,))
    for _ in range(SAMPLES):
        if at_once:
            yield Session(_shaken(model, random)).run(_shaken_inputs(inputs, random))
        else:
            yield _run_shaking(model, inputs, random)


def _run_shaking(model: ir.Model, inputs: Mapping[str, Any], random: np.random.Generator) -> dict[str, Any]:
    """Outputs with every float result of the main graph shaken before it is read, a node at a time.

    Bodies go without, and results need not be rounded alike: for opsets whose random operators nobody runs.
    """
    names = [str(value.name) for value in model.graph.outputs]
    shaking = MixedEvaluator(to_proto(model), change=lambda value: _shaken_array(value, random))
    return dict(zip(names, shaking.run(names, inputs), strict=True))


def _shaken(model: ir.Model, random: np.random.Generator) -> ir.Model:
    """A copy in which every element of a float result is multiplied by nearly one, each by another factor."""
    copy = model.clone()
    names = Names(copy)
    for graph in list(graph_and_bodies(copy.graph)):
        for node in list(graph):
            for value in node.outputs:
                if value.name and value.dtype in _UNITS and isinstance(value.type, ir.TensorType):
                    _shake(graph, node, value, random, names)
    return copy


def _shake(
    graph: ir.Graph, node: ir.Node, value: ir.Value, random: np.random.Generator, names: Names
) -> None:
    assert value.dtype is not None
    step = LARGEST_STEP * _UNITS[value.dtype]
    wide = value.dtype if value.dtype == ir.DataType.DOUBLE else ir.DataType.FLOAT
    bounds = {
        "dtype": wide.value,
        "low": 1.0 - step,
        "high": 1.0 + step,
        "seed": float(random.integers(1 << 20)),
    }
    shape = ir.node("Cast", [value], {"to": wide.value})  # bfloat16 gives none
    factor = ir.node("RandomUniformLike", [shape.outputs[0]], bounds)
    narrow = ir.node("Cast", [factor.outputs[0]], {"to": value.dtype.value})
    product = ir.node("Mul", [value, narrow.outputs[0]])
    for each, name in ((shape, "shape"), (factor, "wide"), (narrow, "factor"), (product, "moved")):
        each.outputs[0].name = names.fresh(f"{value.name}_{name}")
    moved = product.outputs[0]
    moved.type = value.type
    users = [(use.node, use.idx) for use in value.uses() if use.node not in (product, shape)]
    graph.insert_after(node, [shape, factor, narrow, product])
    for user, index in users:
        user.replace_input_with(index, moved)
    if value.is_graph_output():
        moved.shape = value.shape
        for index, output in enumerate(graph.outputs):
            if output is value:
                graph.outputs[index] = moved
        moved.name, value.name = value.name, names.fresh(f"{value.name}_exact")


def _shaken_inputs(inputs: Mapping[str, Any], random: np.random.Generator) -> dict[str, Any]:
    return {name: _shaken_array(array, random) for name, array in inputs.items()}


def _shaken_array(array: Any, random: np.random.Generator) -> Any:
    if not isinstance(array, np.ndarray) or array.dtype not in _STEPS:
        return array
    factors = 1.0 + _STEPS[array.dtype] * random.uniform(-1.0, 1.0, array.shape)
    with np.errstate(all="ignore"):
        return np.asarray(array.astype(np.float64) * factors).astype(array.dtype)


def _distance(expected: Array, actual: Any) -> Array:
    """Absolute difference by element; infinite where just one of two is NaN, infinite, or of another sign."""
    if not isinstance(actual, np.ndarray) or expected.shape != actual.shape:
        return np.full(expected.shape, np.inf)
    one, other = expected.astype(np.float64), actual.astype(np.float64)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(all="ignore"):
        distance = np.abs(one - other)
    return np.where(same, 0.0, np.where(np.isfinite(distance), distance, np.inf))
