"""Run a graph on arrays: onnxruntime over memory-mapped weights, the ONNX reference evaluator as fallback.

Never changes the model and never copies its large weights. onnxruntime is imported when the first session is
made, not before.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError, LimitError, LoadError
from graphopt.execute.library import register
from graphopt.execute.limits import Budget, limited_arena
from graphopt.execute.proto import LightProto, light_proto
from graphopt.execute.weights import LARGE_WEIGHT_BYTES, handed_over, ways
from graphopt.ir import is_program

ModelLike = ir.Model | str | os.PathLike[str]

_PROTOBUF_BYTES = (1 << 31) - 1

MANY_NODES = 2000
"""Beyond so many nodes a checking session plans no buffer reuse, which takes time quadratic in the nodes."""

_UNSAFE_IN_HALF = "NchwcTransformer"
"""An optimizer of onnxruntime that ends the process on some models with float16 Convs (1.31)."""

_NODE_NUMBER = re.compile(r"(?:Name:|node with name |Node \(|, )['\"(]?#(\d+)")
"""How onnxruntime's messages name a node of ours; the last one is the innermost."""

_OUT_OF_MEMORY = ("is smaller than requested bytes", "Failed to allocate memory", "bad_alloc")

_LONGEST_MESSAGE = 10_000
"""onnxruntime quotes names, which may be of any length."""

_FALLBACK_SIGNS = (
    "NOT_IMPLEMENTED",
    "No Op registered for",
    "is under development and support for this is limited",
    "is not currently registered or supported",
)


class NodeFailure(ExecutionError):
    """A run stopped at a node.

    Attributes:
        position: Index of that node in the order of serialization, or None if the runtime did not say.
        out_of_memory: Whether it needed more memory than it may have.
    """

    def __init__(
        self, message: str, *, position: int | None, hint: str | None = None, out_of_memory: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.position = position
        self.out_of_memory = out_of_memory


def open_model(model: ModelLike) -> ir.Model:
    """The model itself, or the file read with its external weights memory-mapped.

    Raises:
        LoadError: the file cannot be read as an ONNX model.
    """
    if isinstance(model, ir.Model):
        return model
    try:
        return ir.load(model)
    except Exception as error:
        raise LoadError(f"cannot read {os.fspath(model)} as an ONNX model: {error}") from error


class Session:
    """A model ready to run.

    Args:
        model: An `onnx_ir.Model` (only read) or a path.
        optimize: Let onnxruntime apply its own optimizations. False runs the graph as written: the oracle.
        threads: Threads used inside an operator.
        extra_outputs: Names of main-graph values returned beside the graph's outputs.
        prepack: Let onnxruntime keep repacked copies of weights; ignored above `LARGE_WEIGHT_BYTES`.
        observe_shapes: Make `run_observed` report the shapes of main-graph tensors (see `light_proto`).
        fallback: Let the ONNX reference evaluator run what onnxruntime lacks.
        annotate: Tell onnxruntime the declared types and shapes of intermediate values, as a file does; by
            default where it optimizes.
        budget: Time and memory for loading and running; without, there is no limit.

    Attributes:
        input_names: Inputs that must be given (initializers that are also inputs need not be).
        output_names: The graph's outputs, then `extra_outputs`.
        backend: "onnxruntime" or "onnx.reference".

    Raises:
        ExecutionError: no runtime here can load the model; a `LimitError` where the budget is too small.
    """

    def __init__(
        self,
        model: ModelLike,
        *,
        optimize: bool = False,
        threads: int = 1,
        extra_outputs: Sequence[str] = (),
        prepack: bool = True,
        observe_shapes: bool = False,
        fallback: bool = True,
        annotate: bool | None = None,
        budget: Budget | None = None,
    ) -> None:
        model = open_model(model)
        self.budget = budget
        known = {value.name for value in _main_values(model.graph)} if extra_outputs else set()
        if unknown := [name for name in extra_outputs if name not in known]:
            raise ExecutionError(f"no value named {unknown[0]!r} in the main graph to return as an output")
        try:
            light = light_proto(
                model,
                extra_outputs=extra_outputs,
                observe_shapes=observe_shapes,
                share_constants=not optimize,
                annotate=optimize if annotate is None else annotate,
            )
        except (RuntimeError, OSError, ValueError, TypeError) as error:
            raise ExecutionError(f"the model cannot be handed to a runtime: {error}") from error
        if budget is not None:
            budget.begin()
        self.backend = "onnxruntime"
        self._nodes = light.nodes
        self._shape_outputs = light.shape_outputs
        self._keep_alive: list[Any] = []
        self._reference: Any = None
        self._session: Any = None
        initializers = model.graph.initializers
        self.input_names = [v.name or "" for v in model.graph.inputs if v.name not in initializers]
        hidden = set(light.shape_outputs.values())
        self.output_names = [v.name for v in light.proto.graph.output if v.name not in hidden]
        try:
            self._session = self._open(light, optimize=optimize, threads=threads, prepack=prepack)
        except ExecutionError as error:
            if not fallback or not _may_fall_back(error.message, light):
                raise
            self._reference = _reference_evaluator(model, extra_outputs, error, budget)
            self.backend = "onnx.reference"
            self._shape_outputs = {}
            return
        by_ort_value = ("bfloat16", "float8", "float4", "int4", "int2)")
        self._types = {value.name: value.type for value in self._session.get_outputs()}
        self._as_ort_values = any(sign in type_ for type_ in self._types.values() for sign in by_ort_value)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run once.

        Args:
            inputs: Arrays by input name; a list of arrays for a sequence, None for an empty optional.

        Returns:
            Arrays by output name; lists for sequences, None for empty optionals. bfloat16 and float8 come as
            `ml_dtypes` arrays.

        Raises:
            ExecutionError: an input is missing or does not fit, or a node failed (`NodeFailure`).
            LimitError: the budget is spent.
        """
        return self._run(inputs, self.output_names)

    def run_observed(self, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
        """Run once; also return the real shapes of main-graph tensors (needs `observe_shapes`)."""
        results = self._run(inputs, [*self.output_names, *self._shape_outputs.values()])
        shapes = {
            name: tuple(int(size) for size in results.pop(output))
            for name, output in self._shape_outputs.items()
        }
        return results, shapes

    def _run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
        if missing := [name for name in self.input_names if name not in inputs]:
            raise ExecutionError(
                f"input {missing[0]!r} was not given", hint=f"the inputs are {', '.join(self.input_names)}"
            )
        if self._reference is not None:
            try:
                made = self._run_reference(outputs, dict(inputs))
                return dict(zip(outputs, map(_as_array, made), strict=True))
            except LimitError:
                raise
            except Exception as error:
                raise NodeFailure(
                    f"the ONNX reference evaluator failed: {_first_line(error)}", position=None
                ) from error
        feed = {name: to_runtime(value) for name, value in inputs.items()}
        import onnxruntime as ort

        options = ort.RunOptions()

        def run() -> list[Any]:
            if self._as_ort_values:
                return self._run_ort_values(outputs, feed, options)
            return list(self._session.run(list(outputs), feed, options))

        def stop() -> None:
            options.terminate = True

        try:
            return dict(zip(outputs, self._limited(run, stop), strict=True))
        except LimitError:
            raise
        except Exception as error:
            raise self._failure(error) from error

    def _run_reference(self, outputs: Sequence[str], feed: dict[str, Any]) -> list[Any]:
        from onnx.reference import ReferenceEvaluator

        if isinstance(self._reference, ReferenceEvaluator):
            return list(self._limited(lambda: self._reference.run(list(outputs), feed)))
        return list(self._reference.run(outputs, feed))  # its nodes are limited one by one

    def _limited(self, work: Callable[[], Any], stop: Callable[[], None] = lambda: None) -> Any:
        return work() if self.budget is None else self.budget.run(work, stop)

    def _run_ort_values(self, outputs: Sequence[str], feed: Mapping[str, Any], run_options: Any) -> list[Any]:
        import onnxruntime as ort

        values = {
            name: value if isinstance(value, ort.OrtValue) else ort.OrtValue.ortvalue_from_numpy(value)
            for name, value in feed.items()
        }
        made = self._session.run_with_ort_values(list(outputs), values, run_options)
        return [from_runtime(value) for value in made]

    def _open(self, light: LightProto, *, optimize: bool, threads: int, prepack: bool) -> Any:
        import onnxruntime as ort

        level = ort.GraphOptimizationLevel
        failure: Exception | None = None
        attempts = list(ways(light, optimize=optimize))
        compiled = any(map(is_program, light.nodes))
        left_out = [_UNSAFE_IN_HALF] if optimize and any(map(_is_half_conv, light.nodes)) else []
        for way in attempts:
            options = ort.SessionOptions()
            options.graph_optimization_level = level.ORT_ENABLE_ALL if optimize else level.ORT_DISABLE_ALL
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            # Else its threads spin for 40 ms after a run, and slow what runs next.
            options.add_session_config_entry("session.force_spinning_stop", "1")
            options.log_severity_level = 4
            if compiled:
                register(options)
            if light.weight_bytes > LARGE_WEIGHT_BYTES:
                options.enable_cpu_mem_arena = False
            if not optimize and len(light.nodes) > MANY_NODES:
                options.enable_mem_reuse = False
                options.enable_mem_pattern = False
            if not prepack or light.weight_bytes > LARGE_WEIGHT_BYTES:
                options.add_session_config_entry("session.disable_prepacking", "1")
            try:
                with contextlib.ExitStack() as held:
                    self._keep_alive = held.enter_context(handed_over(light, options, way))
                    if self.budget is not None and light.weight_bytes <= LARGE_WEIGHT_BYTES:
                        held.enter_context(limited_arena(options, self.budget.peak_bytes))
                    load = functools.partial(
                        ort.InferenceSession,
                        light.proto.SerializeToString(),
                        options,
                        providers=["CPUExecutionProvider"],
                        disabled_optimizers=left_out,
                    )
                    return self._limited(load)
            except LimitError:
                raise
            except (OSError, ValueError) as error:
                raise ExecutionError(f"a weight of the model cannot be read: {error}") from error
            except Exception as error:
                failure = error
                newest = re.search(r"max supported IR version: (\d+)", str(error))
                # The IR version only says which fields may occur; onnxruntime refuses newer ones unread.
                if newest is not None and light.proto.ir_version > int(newest[1]):
                    light.proto.ir_version = int(newest[1])
                    attempts.append(way)
        assert failure is not None
        raise self._failure(failure, loading=True) from failure

    def _failure(self, error: Exception, *, loading: bool = False) -> NodeFailure:
        text = str(error)[:_LONGEST_MESSAGE]
        positions = [int(found) for found in _NODE_NUMBER.findall(text)]
        position = positions[-1] if positions and positions[-1] < len(self._nodes) else None
        message = _clean(text)
        what = "load the model" if loading else "run the model"
        if position is not None:
            node = self._nodes[position]
            message = f"onnxruntime could not {what}, at {_label(node)}: {message}"
        else:
            message = f"onnxruntime could not {what}: {message}"
        out_of_memory = self.budget is not None and any(sign in text for sign in _OUT_OF_MEMORY)
        hint = None
        if "is not a registered function/op" in text:
            hint = "the model uses operators of another runtime; it can be optimized only without running it"
        elif not loading:
            hint = "give sizes or data that fit the model"
        return NodeFailure(message, position=position, hint=hint, out_of_memory=out_of_memory)


def _as_array(value: Any) -> Any:
    """An array where the reference evaluator returns one of numpy's scalars."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def _is_half_conv(node: ir.Node) -> bool:
    return node.op_type == "Conv" and any(
        v is not None and v.dtype == ir.DataType.FLOAT16 for v in node.inputs
    )


def _label(node: ir.Node) -> str:
    if node.name:
        return f"{node.op_type} node {node.name!r}"
    return f"{node.op_type} node writing {', '.join(repr(value.name) for value in node.outputs)}"


def _main_values(graph: ir.Graph) -> list[ir.Value]:
    return [*graph.inputs, *graph.initializers.values(), *(v for node in graph for v in node.outputs)]


def _may_fall_back(message: str, light: LightProto) -> bool:
    if light.weight_bytes + light.proto.ByteSize() > _PROTOBUF_BYTES:
        return False
    return any(sign in message for sign in _FALLBACK_SIGNS)


def _reference_evaluator(
    model: ir.Model, extra_outputs: Sequence[str], cause: ExecutionError, budget: Budget | None
) -> Any:
    """What runs a model that onnxruntime does not load; of several nodes, each where it can."""
    from graphopt.execute.mixed import MixedEvaluator
    from graphopt.execute.reference import reference_evaluator

    try:
        proto = light_proto(model, extra_outputs=extra_outputs, inline=True).proto
        return reference_evaluator(proto) if len(proto.graph.node) <= 1 else MixedEvaluator(proto, budget)
    except Exception as error:
        raise ExecutionError(
            f"{cause.message}; the ONNX reference evaluator could not load it either: {_first_line(error)}",
            hint=cause.hint,
        ) from error


def to_runtime(value: Any) -> Any:
    """Types numpy itself lacks (bfloat16, float8, 4 bits) travel as OrtValues; the rest as they are."""
    if value is None or isinstance(value, list):
        return value
    array = np.asarray(value)
    if array.dtype.kind in "USO" or (array.dtype.kind != "V" and array.dtype.isbuiltin == 1):
        return array
    import onnxruntime as ort

    dtype = ir.DataType.from_numpy(array.dtype)
    if dtype not in _PACKED:
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(_contiguous(array), dtype.value)
    packed = ir.Tensor(array).tobytes()
    made = ort.OrtValue.ortvalue_from_shape_and_type(list(array.shape), dtype.value)
    ctypes.memmove(made.data_ptr(), packed, len(packed))
    return made


def _contiguous(array: Any) -> Any:
    """The elements in order, and a scalar as one: numpy alone would give it a dimension, which runs too."""
    return np.ascontiguousarray(array).reshape(array.shape)


def from_runtime(value: Any) -> Any:
    """What an OrtValue holds: an array, a list for a sequence, None for an empty optional."""
    if not value.has_value():
        return None
    if not value.is_tensor():
        return value.numpy()
    dtype = ir.DataType(value.element_type())
    if dtype not in _PACKED and dtype not in _BYTES:
        return value.numpy()
    shape = tuple(value.shape())
    count = int(np.prod(shape, dtype=np.int64))
    numpy_dtype = dtype.numpy()
    if not count:
        return np.empty(shape, numpy_dtype)
    if dtype not in _PACKED:
        data = ctypes.string_at(value.data_ptr(), count * numpy_dtype.itemsize)
        return np.frombuffer(data, numpy_dtype).reshape(shape)
    data = ctypes.string_at(value.data_ptr(), (count * _PACKED[dtype] + 7) // 8)
    return ir.PackedTensor(np.frombuffer(data, np.uint8), dtype, shape=ir.Shape(shape)).numpy()


_BYTES = frozenset(
    {
        ir.DataType.BFLOAT16,
        ir.DataType.FLOAT8E4M3FN,
        ir.DataType.FLOAT8E4M3FNUZ,
        ir.DataType.FLOAT8E5M2,
        ir.DataType.FLOAT8E5M2FNUZ,
    }
)
_PACKED = {
    ir.DataType.INT4: 4,
    ir.DataType.UINT4: 4,
    ir.DataType.FLOAT4E2M1: 4,
    ir.DataType.INT2: 2,
    ir.DataType.UINT2: 2,
}
"""Bits per element of the types that share bytes."""


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _clean(text: str) -> str:
    """onnxruntime's message without its error prefix, source paths, C++ signatures and our node numbers."""
    text = text[:_LONGEST_MESSAGE].split("Status Message: ")[-1]
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : (\w+) : ", r"\1: ", text)
    text = re.sub(r"/onnxruntime_src/\S+:\d+ .*?\)(?: const)? (?=\w)", "", text)
    return " ".join(text.split()).removeprefix("FAIL: ")
