"""Store constants without their zeros; the graph decodes them, which a runtime does once, when it loads it.

    w  ->  Gather([0, values], CumSum(mask) * mask)              where a bit tells of each element
    w  ->  ScatterElements(zeros, CumSum(gaps), values)          where zeros are so many that gaps take less

Standard operators all, of constants alone: onnxruntime and OpenVINO fold them, so that time and memory are
those of the model before. Measured in onnxruntime 1.32 and OpenVINO 2026.4: a MatMul by a matrix [2048, 2048]
takes as long as without, loading 0.07 s longer; the file is 0.531 of what it was with half of the weights
zero, and 0.062 with 95%. ONNX has `sparse_initializer`, too: with an int64 for the place of each element it
is smaller than a dense one only where two thirds are zero, and than these forms nowhere; onnxruntime makes a
dense array of it as well, and OpenVINO does not read it.

A mask that is mostly zeros, as of blocks, is stored so in its turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Changes, Names, Tape, constant_tensor, graphs
from graphopt.ir.edit import function_graphs
from graphopt.passes.quantization._decode import drop, place
from graphopt.passes.quantization._weights import WEIGHT_INPUTS
from graphopt.pipeline import Pass
from graphopt.pruning.encoding import BITS, Array, Masked, Spaced, is_not_zero

FIRST_OPSET = 11
"""It brought CumSum and ScatterElements."""
TYPES = frozenset(
    {
        ir.DataType.FLOAT,
        ir.DataType.FLOAT16,
        ir.DataType.DOUBLE,
        ir.DataType.INT8,
        ir.DataType.UINT8,
        ir.DataType.INT32,
        ir.DataType.INT64,
    }
)
"""That every operator used here takes."""
OVERHEAD = 256
"""Bytes that the operators which decode a constant take themselves, and no fewer."""
LARGEST = 2**31
"""Elements that an int32 counts."""


@dataclass(frozen=True)
class Zeros:
    """All that is to be known of an array without anything else."""

    nbytes: ClassVar[int] = 0


Stored = Masked | Spaced | Zeros


@dataclass(frozen=True)
class StoreSparse(Pass):
    """Store constants without their zeros, decoded when the model is loaded.

    Attributes:
        least: Fewest bytes that this has to save of a constant; names and nodes take some hundreds.
    """

    name: ClassVar[str] = "store-sparse"
    comes_last: ClassVar[bool] = True
    remark: ClassVar[str] = (
        "constants stored without their zeros are decoded when the model is loaded: the file is smaller, and "
        "time and memory of a run are as before"
    )
    least: int = 4096

    def apply(self, model: ir.Model, changes: Changes) -> None:
        names, skipped = Names(model), function_graphs(model)
        for graph in list(graphs(model)):
            waiting = [] if graph in skipped else list(graph.initializers.values())
            while waiting:
                waiting += self._stored(waiting.pop(), graph, model, names, changes)

    def _stored(
        self, value: ir.Value, graph: ir.Graph, model: ir.Model, names: Names, changes: Changes
    ) -> list[ir.Value]:
        """Store one constant, if that pays; the constants that stand for it."""
        tensor = constant_tensor(value)
        if tensor is None or tensor.dtype not in TYPES or not tensor.size or not value.uses():
            return []
        array = _without_signs(value, tensor.numpy())
        zeros = array.size - int(np.count_nonzero(is_not_zero(array)))
        least = max(self.least, OVERHEAD)
        if zeros * array.itemsize < least:
            return []
        stored = _smallest(array)
        if array.nbytes - stored.nbytes < least:
            changes.refuse("a bit for each element takes what its zeros save", value.name)
            return []
        if reason := _reason_against(value, graph, model, array):
            changes.refuse(reason, value.name)
            return []
        uses = list(value.uses())
        tape = Tape(model, uses[0].node, names, self.name)
        made = _decoded(tape, stored, array, value.name or "")
        place(tape, graph, graph[0], [use.node for use in uses])
        for use in uses:
            use.node.replace_input_with(use.idx, made)
        drop(value)
        changes.add(_WHAT[type(stored)])
        return list(tape.constants)


def _reason_against(value: ir.Value, graph: ir.Graph, model: ir.Model, array: Array) -> str | None:
    if value.is_graph_output():
        return "it is an output of the graph"
    if any(use.node.graph is not graph for use in value.uses()):
        return "a body reads it from outside"
    if model.opset_imports.get("", 1) < FIRST_OPSET:
        return f"decoding needs opset {FIRST_OPSET}"
    return "it has too many elements to count" if array.size >= LARGEST else None


_WHAT = {Masked: "mask of zeros", Spaced: "gaps of zeros", Zeros: "nothing but zeros"}


def _without_signs(value: ir.Value, array: Array) -> Array:
    """The array with 0.0 for -0.0 where that changes no sum: a mask that is multiplied by leaves many."""
    readers = value.uses()
    linear = all(
        not each.node.domain and each.idx in WEIGHT_INPUTS.get(each.node.op_type, ()) for each in readers
    )
    return array + array.dtype.type(0) if linear and array.dtype.kind == "f" else array


def _smallest(array: Array) -> Stored:
    forms: tuple[Stored, ...] = (
        (Masked.of(array), Spaced.of(array)) if is_not_zero(array).any() else (Zeros(),)
    )
    return min(forms, key=lambda form: form.nbytes)


def _decoded(tape: Tape, stored: Stored, array: Array, name: str) -> ir.Value:
    """The array again, of what is stored of it."""
    if isinstance(stored, Zeros):
        return _zeros(tape, array.shape, array.dtype, name)
    values = tape.const(stored.values, f"{name}/values")
    first_axis = tape.const(np.array(0, np.int64), f"{name}/axis")
    if isinstance(stored, Masked):
        bits = _bits(tape, stored, array.size, name)
        counted = tape.op("CumSum", [bits, first_axis])
        flat = tape.op("Gather", [values, tape.op("Mul", [bits, counted])])
    else:
        gaps = tape.op("Cast", [tape.const(stored.gaps, f"{name}/gaps")], {"to": ir.DataType.INT32.value})
        places = tape.op("CumSum", [gaps, first_axis])
        zeros = _zeros(tape, (array.size,), array.dtype, name)
        flat = tape.op("ScatterElements", [zeros, places, values])
    return tape.op("Reshape", [flat, tape.ints(array.shape, f"{name}/shape")])


def _zeros(tape: Tape, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> ir.Value:
    value = ir.tensor(np.zeros(1, dtype))
    return tape.op("ConstantOfShape", [tape.ints(shape, f"{name}/size")], {"value": value})


def _bits(tape: Tape, stored: Masked, size: int, name: str) -> ir.Value:
    """The bits of a mask, as int32 [size]; in floats, which every runtime divides by powers of two alike."""
    steps = np.float32(0.5) ** np.arange(BITS, dtype=np.float32)
    mask = tape.const(stored.mask[:, np.newaxis], f"{name}/mask")
    codes = tape.op("Cast", [mask], {"to": ir.DataType.FLOAT.value})
    down = tape.op("Floor", [tape.op("Mul", [codes, tape.const(steps, f"{name}/steps")])])
    further = tape.op("Floor", [tape.op("Mul", [codes, tape.const(steps / 2, f"{name}/next_steps")])])
    twice = tape.op("Mul", [further, tape.const(np.float32(2), f"{name}/two")])
    bits = tape.op("Cast", [tape.op("Sub", [down, twice])], {"to": ir.DataType.INT32.value})
    flat = tape.op("Reshape", [bits, tape.ints([-1], f"{name}/flat")])
    if size % BITS == 0:
        return flat
    start, end, axes = (
        tape.ints([each], f"{name}/{what}") for each, what in ((0, "from"), (size, "to"), (0, "along"))
    )
    return tape.op("Slice", [flat, start, end, axes])
