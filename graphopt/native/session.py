"""A model in onnxruntime with its quantized regions run by graphopt's engine.

Has the face of `onnxruntime.InferenceSession`.
Compiles on the fly what is not compiled yet, and measures nothing: `graphopt optimize --target native` does.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from graphopt.errors import ExecutionError, UsageError
from graphopt.execute.library import register
from graphopt.ir import infer_shapes, is_program
from graphopt.native.compiled import compile_regions, embed
from graphopt.native.instruction_set import instruction_set
from graphopt.native.source import Source, open_source

_UNREGISTERED = "graphopt:Program"
"""What onnxruntime's error names where the library is not registered."""
_INLINE_BYTES = 1 << 30
"""A model with more than this goes through a file: a protobuf holds 2 GiB at most."""


class Session:
    """A model ready to run.

    What is not said here is as in `onnxruntime.InferenceSession`, all of whose methods and attributes it has.

    Args:
        model: A file, its bytes, a `ModelProto` or an `onnx_ir.Model`; it is not changed. Quantized regions
            are compiled, unless the model holds programs already.
        options: An `onnxruntime.SessionOptions`, in which the library is registered, if it is not yet; also
            by onnxruntime's name for it, `sess_options`.
        **others: Further arguments of `onnxruntime.InferenceSession`.

    Attributes:
        programs: Number of regions that run as programs.
        refusals: Names of quantized nodes that onnxruntime runs, by reason; or what they write.

    Raises:
        LoadError: The model cannot be read.
        ExecutionError: onnxruntime cannot load it.
        UsageError: `options` are of another type, or `GRAPHOPT_ISA` names no instruction set.
    """

    def __init__(self, model: Source, options: Any = None, **others: Any) -> None:
        import onnxruntime as ort

        instruction_set()
        options = others.pop("sess_options", options)
        if not (options is None or isinstance(options, ort.SessionOptions)):
            raise UsageError(
                f"options are a {type(options).__name__}, expected an onnxruntime.SessionOptions",
                hint="inputs are for run(None, inputs); further arguments of InferenceSession go by name",
            )
        opened = open_source(model)
        self.refusals: dict[str, list[str]] = {}
        if not any(map(is_program, opened.graph)):
            made = opened.clone()
            infer_shapes(made)
            outcome = compile_regions(made, sparing=True)
            self.refusals = outcome.refusals
            if outcome.compiled:  # else it stays as it is: shapes that are told change what a runtime does
                embed(made, outcome.compiled)
                opened = made
        self.programs = sum(map(is_program, opened.graph))
        own = options is None
        options = ort.SessionOptions() if own else options
        others.setdefault("providers", ["CPUExecutionProvider"])
        try:
            if own:
                register(options)
            self._session = _loaded(opened, options, others)
        except Exception as error:
            if own or _UNREGISTERED not in str(error):
                raise ExecutionError(f"onnxruntime could not load the model: {error}") from error
            self._session = _registered(opened, options, others)

    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any], run_options: Any = None
    ) -> list[Any]:
        """The outputs of those names, or all, for arrays by input name."""
        return list(self._session.run(output_names, dict(input_feed), run_options))

    def __getattr__(self, name: str) -> Any:
        if name == "_session":
            raise AttributeError(name)
        return getattr(self._session, name)


def _registered(model: ir.Model, options: Any, others: Mapping[str, Any]) -> Any:
    """With the library in the options; onnxruntime tells only by failing that it is not there yet."""
    register(options)
    try:
        return _loaded(model, options, others)
    except Exception as error:
        raise ExecutionError(f"onnxruntime could not load the model: {error}") from error


def _loaded(model: ir.Model, options: Any, others: Mapping[str, Any]) -> Any:
    import onnxruntime as ort

    tensors = [value.const_value for value in model.graph.initializers.values()]
    if sum(tensor.nbytes for tensor in tensors if tensor is not None) <= _INLINE_BYTES:
        return ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, **others)
    with tempfile.TemporaryDirectory(prefix="graphopt-") as folder:
        path = os.path.join(folder, "model.onnx")
        ir.save(model, path, external_data="weights")
        return ort.InferenceSession(path, options, **others)
