"""Runs one optimizer on one file, as its own documentation calls it: `python peer_tools.py TOOL IN OUT`.

A process runs one tool, so that neither its import time nor its crash is shared. Nothing is judged here.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable


def onnxsim(source: str, target: str) -> None:
    """onnx-simplifier with its default options."""
    import onnx
    import onnxsim

    model, agrees = onnxsim.simplify(onnx.load(source))
    if not agrees:
        raise RuntimeError("onnxsim's own check failed")
    onnx.save(model, target)


def onnxslim(source: str, target: str) -> None:
    """OnnxSlim with its default options."""
    import onnxslim

    onnxslim.slim(source, target)


def onnxoptimizer(source: str, target: str) -> None:
    """The ONNX project's optimizer with its default passes."""
    import onnx
    import onnxoptimizer

    onnx.save(onnxoptimizer.optimize(onnx.load(source)), target)


def onnxscript(source: str, target: str) -> None:
    """onnxscript's optimizer, then its rewriter with the default rules."""
    import onnx
    import onnxscript.optimizer
    import onnxscript.rewriter

    onnx.save(onnxscript.rewriter.rewrite(onnxscript.optimizer.optimize(onnx.load(source))), target)


def _onnxruntime(source: str, target: str, level: str) -> None:
    """onnxruntime's own graph optimizations at one level, saved instead of run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = target
    options.intra_op_num_threads = 1
    # It warns that extended optimizations bind the file to machines like this one, which is understood.
    options.log_severity_level = 3
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def ort_basic(source: str, target: str) -> None:
    """onnxruntime, ORT_ENABLE_BASIC."""
    _onnxruntime(source, target, "ORT_ENABLE_BASIC")


def ort_extended(source: str, target: str) -> None:
    """onnxruntime, ORT_ENABLE_EXTENDED: may use operators that only onnxruntime has."""
    _onnxruntime(source, target, "ORT_ENABLE_EXTENDED")


def graphopt(source: str, target: str) -> None:
    """graphopt's command line at its default level, check included, without measuring."""
    sys.argv = ["graphopt", "optimize", source, "-o", target, "--no-measure"]
    runpy.run_module("graphopt", run_name="__main__")


TOOLS: dict[str, Callable[[str, str], None]] = {
    "onnxsim": onnxsim,
    "onnxslim": onnxslim,
    "onnxoptimizer": onnxoptimizer,
    "onnxscript": onnxscript,
    "ORT basic": ort_basic,
    "ORT extended": ort_extended,
    "graphopt": graphopt,
}

if __name__ == "__main__":
    TOOLS[sys.argv[1]](sys.argv[2], sys.argv[3])
