"""What rows of `kernels.py` are made of: a time of ours beside those of peers.

Peers get one thread, constants as initializers, and inputs and outputs bound once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]
Seconds = Callable[[int], float]
OPSET = 19


@dataclass(frozen=True)
class Row:
    """One kernel at one size: how to take the time of so many runs.

    `operations` of a run are those that the peak counts, sums and products of codes; 0 where they are none.
    """

    name: str
    operations: int
    ours: Seconds
    peers: dict[str, Seconds]


def timed(call: Callable[[], object]) -> Seconds:
    """Seconds a run of a Python call, over so many of them."""

    def seconds(repeats: int) -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - start) / repeats

    return seconds


def node(
    kind: str, inputs: Sequence[str], output: str = "y", domain: str = "", **attributes: Any
) -> onnx.NodeProto:
    """A node of one output; names of inputs that begin with `c` are constants'."""
    return helper.make_node(kind, inputs, [output], domain=domain, **attributes)


def in_onnxruntime(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Array],
    constants: Mapping[str, Any],
    opset: int = OPSET,
) -> Seconds:
    """The time of a graph of these nodes, whose last one gives the output."""
    output = nodes[-1].output[0]
    graph = helper.make_graph(
        list(nodes),
        "row",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in inputs.items()
        ],
        [onnx.ValueInfoProto(name=output)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    given = {name: onnxruntime.OrtValue.ortvalue_from_numpy(value) for name, value in inputs.items()}
    (found,) = session.run_with_ort_values([output], given)
    binding = session.io_binding()
    for name, value in given.items():
        binding.bind_ortvalue_input(name, value)
    binding.bind_ortvalue_output(output, found)
    return timed(lambda: session.run_with_iobinding(binding))
