"""ONNX's reference evaluator, with operators of our own where it strays from the standard.

Loads `onnx.reference`: import it where a model is about to run there, not before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_loop import Loop as _Loop

OPSET_OF_TRAINING_MODE = 14
"""From here on an attribute of BatchNormalization says whether it trains."""
DEFAULT_EPSILON = 1e-5


class Loop(_Loop):
    """Loop by the standard: what iterations yield is stacked, none may run, and a condition may be absent.

    ONNX's own joins it along the first axis, so that scalars become rows; it fails where nothing is
    yielded, and takes an absent condition for a false one.
    """

    op_domain = ""
    body: Any
    _run_body: Any

    def _run(
        self,
        M: Any,
        cond: Any,
        *args: Any,
        context: dict[str, Any] | None = None,
        body: Any = None,
        attributes: Any = None,
        bindings: Any = None,
    ) -> tuple[Any, ...]:
        iteration, condition, *states = self.body.input_names
        carried = list(args)
        yielded: list[list[Any]] = [[] for _ in range(self.K)]
        going = cond is None or bool(cond)
        turn = 0
        while going and (M is None or turn < M):
            feed = {**(context or {}), **dict(zip(states, carried, strict=False))}
            feed |= {iteration: np.array(turn, np.int64), condition: np.array(going)}
            made = self._run_body(feed, attributes=attributes, bindings=bindings)
            going, carried = bool(made[0]), list(made[1 : 1 + self.N])
            for rows, row in zip(yielded, made[1 + self.N :], strict=True):
                rows.append(row)
            turn += 1
        types = self.body.output_types or [None] * (1 + self.N + self.K)
        stacks = [
            np.stack(rows) if rows else _no_rows(declared)
            for rows, declared in zip(yielded, types[1 + self.N :], strict=True)
        ]
        return tuple(self._check_and_fix_outputs((*carried, *stacks)))


class BatchNormalization(OpRun):
    """BatchNormalization before opset 14 with one output: by the statistics given, whatever its momentum.

    ONNX's own mixes them with those of the batch.
    """

    op_domain = ""

    def _run(
        self, x: Any, scale: Any, bias: Any, mean: Any, var: Any, epsilon: float | None = None, **_: Any
    ) -> tuple[Any, ...]:
        scale, bias, mean, var = (each.reshape(-1, *(1,) * (x.ndim - 2)) for each in (scale, bias, mean, var))
        spread = np.sqrt(var + (DEFAULT_EPSILON if epsilon is None else epsilon))
        return (np.asarray(scale * (x - mean) / spread + bias, x.dtype),)


def reference_evaluator(proto: onnx.ModelProto) -> ReferenceEvaluator:
    """The evaluator of a model, all weights inside."""
    version = next((each.version for each in proto.opset_import if not each.domain), 0)
    return ReferenceEvaluator(
        proto, new_ops=[Loop, BatchNormalization] if version < OPSET_OF_TRAINING_MODE else [Loop]
    )


def _no_rows(declared: onnx.TypeProto | None) -> np.ndarray[Any, Any]:
    """What a loop that never ran has yielded, as onnxruntime has it: unknown sizes are 0."""
    tensor = declared.tensor_type if declared is not None else onnx.TypeProto.Tensor()
    element = tensor.elem_type or onnx.TensorProto.FLOAT
    sizes = [dim.dim_value for dim in tensor.shape.dim]
    return np.empty((0, *sizes), helper.tensor_dtype_to_np_dtype(element))
