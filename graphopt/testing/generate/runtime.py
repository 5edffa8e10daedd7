"""Run serialized models as written, in onnxruntime and, where asked for, in the ONNX reference evaluator.

Does what `graphopt.execute.Session` does for models that are small and made here, in a third of the time.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.execute.session import Session, from_runtime, to_runtime
from graphopt.testing.generate.known import Content

_LACKING = ("NOT_IMPLEMENTED", "No Op registered for", "is not currently registered or supported")
_BY_ORT_VALUE = ("bfloat16", "float8", "float4", "int4", "int2)")


class Lacking(ExecutionError):
    """onnxruntime does not have an operator for these types."""


class Loaded:
    """A model that onnxruntime has loaded.

    Args:
        proto: The model.

    Raises:
        Lacking: An operator is not implemented.
        ExecutionError: It cannot be loaded.
    """

    def __init__(self, proto: onnx.ModelProto) -> None:
        import onnxruntime as ort

        try:
            self._session = ort.InferenceSession(
                proto.SerializeToString(), _options(), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of a dozen kinds
            text = str(error)
            raise (Lacking if any(sign in text for sign in _LACKING) else ExecutionError)(text) from error
        self._names = [output.name for output in proto.graph.output]
        types = [output.type for output in self._session.get_outputs()]
        self._as_ort_values = any(sign in type_ for type_ in types for sign in _BY_ORT_VALUE)

    def run(self, feed: Mapping[str, Content]) -> dict[str, Content]:
        """Outputs by name.

        Raises:
            ExecutionError: A node failed.
        """
        try:
            given = {name: to_runtime(content) for name, content in feed.items()}
            run = self._run_ort_values if self._as_ort_values else self._run_arrays
            made = run(given)
        except Exception as error:
            raise ExecutionError(str(error)) from error
        return {name: _contents(value) for name, value in zip(self._names, made, strict=True)}

    def _run_arrays(self, given: dict[str, Any]) -> list[Any]:
        return list(self._session.run(self._names, given))

    def _run_ort_values(self, given: dict[str, Any]) -> list[Any]:
        import onnxruntime as ort

        values = {
            name: value if isinstance(value, ort.OrtValue) else ort.OrtValue.ortvalue_from_numpy(value)
            for name, value in given.items()
        }
        return [from_runtime(value) for value in self._session.run_with_ort_values(self._names, values)]


class Evaluated:
    """A model in the ONNX reference evaluator, for what onnxruntime lacks.

    Args:
        proto: The model.

    Raises:
        ExecutionError: It cannot be loaded.
    """

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._session = Session(ir.from_proto(proto))

    def run(self, feed: Mapping[str, Content]) -> dict[str, Content]:
        """Outputs by name.

        Raises:
            ExecutionError: A node failed.
        """
        with np.errstate(all="ignore"):
            return {name: _contents(value) for name, value in self._session.run(feed).items()}


@functools.cache
def _options() -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def _contents(value: Any) -> Content:
    if value is None:
        return None
    return [np.asarray(each) for each in value] if isinstance(value, list) else np.asarray(value)
