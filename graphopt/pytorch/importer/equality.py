"""Is the traced graph equal to the module: both run on the example inputs.

Never changes the module: buffers that forward writes to are put back.
"""

from __future__ import annotations

import onnx_ir as ir

from graphopt.errors import TraceError
from graphopt.execute import Session, compare
from graphopt.pytorch.importer.capture import Captured, run_eagerly
from graphopt.pytorch.signature import SIGNATURE_KEY, Signature, to_numpy


def check_against_module(model: ir.Model, captured: Captured) -> None:
    """Compare the graph's outputs with the module's own on the example inputs.

    Raises:
        TraceError: they differ; the message names the output.
    """
    signature: Signature = model.meta[SIGNATURE_KEY]
    inputs = {name: to_numpy(v) for name, v in signature.flatten_call(captured.args, captured.kwargs).items()}
    result = run_eagerly(captured.module, captured.args, captured.kwargs)
    actual = Session(model, prepack=False).run(inputs)
    expected = {name: to_numpy(v) for name, v in signature.flatten_result(result).items()}
    for difference in compare(expected, actual):
        if not difference.equal:
            raise TraceError(
                f"the traced graph differs from {type(captured.module).__name__} in output "
                f"{difference.name!r}: {difference.reason}, by up to {difference.max_abs:.3g}"
            )
