"""A captured graph compiled for onnxruntime: tensors in, tensors out, in step with PyTorch's weights.

Tensors and arrays share memory on the way in and out. It runs what it was given and decides nothing.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import fx

from graphopt.errors import ExecutionError
from graphopt.execute import Session
from graphopt.pytorch.arrays import to_numpy, to_tensor

SAMPLE_BYTES = 64
"""Bytes from the middle of each weight that are compared before each call: writes through `.data` leave no
other trace."""

_SHARED_TYPES = frozenset(
    {
        torch.float32, torch.float64, torch.float16, torch.bool,
        torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8,
    }
)  # fmt: skip


class Weights:
    """Tensors that were compiled in as constants. They are not kept alive.

    Args:
        tensors: Position of the argument -> tensor.
        on_death: Called when one of them is gone, and what was compiled with it.
    """

    def __init__(self, tensors: Mapping[int, torch.Tensor], on_death: Callable[[], object]) -> None:
        self._known = [
            (position, weakref.ref(each, lambda _: on_death()), each.data_ptr(), _version(each))
            for position, each in tensors.items()
        ]
        self._samples = [_sample(each) for each in tensors.values() if each.numel()]
        self._bytes = [bytes(sample) for sample in self._samples]

    def unchanged(self, args: Sequence[Any]) -> bool:
        """Whether the arguments of a call are these tensors, and hold what they held."""
        for position, known, address, version in self._known:
            tensor = known()
            if tensor is None or args[position] is not tensor:
                return False
            if tensor.data_ptr() != address or _version(tensor) != version:
                return False
        return list(map(bytes, self._samples)) == self._bytes


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else int(tensor._version)


def _sample(tensor: torch.Tensor) -> memoryview:
    """A few bytes of a tensor's memory, as they are whenever it is read."""
    whole = tensor.detach().untyped_storage()
    start = tensor.storage_offset() * tensor.element_size()
    size = min(SAMPLE_BYTES, whole.nbytes() - start)
    middle = start + max(0, tensor.numel() * tensor.element_size() - size) // 2
    flat = torch.empty(0, dtype=torch.uint8).set_(whole, min(middle, whole.nbytes() - size), (size,))
    return memoryview(flat.numpy())


@dataclasses.dataclass(frozen=True)
class Wiring:
    """Between the arguments and results of a captured graph and the inputs and outputs of a model.

    Attributes:
        inputs: Position of the argument by model input.
        outputs: Model outputs that make up the results, in order.
        written: Model output -> position of the argument that it is written to.
        tail: Turns the arguments and the results into the graph's own results; None where they are those.
    """

    inputs: Mapping[str, int]
    outputs: Sequence[str]
    written: Mapping[str, int]
    tail: fx.GraphModule | None


class Program:
    """A compiled graph.

    Args:
        model: The optimized model.
        wiring: How arguments and results stand for its inputs and outputs.
        weights: What was compiled in.

    Raises:
        ExecutionError: onnxruntime cannot load the model.
    """

    def __init__(self, model: ir.Model, wiring: Wiring, weights: Weights) -> None:
        self.weights = weights
        self._model = model
        self._wiring = wiring
        self._inputs = tuple(wiring.inputs.items())
        self._threads = 0
        self._open()

    def __call__(self, args: Sequence[Any]) -> Any:
        """The results, with arguments written to as the graph does.

        Raises:
            ExecutionError: onnxruntime cannot run the model on them.
        """
        if torch.get_num_threads() != self._threads:
            self._open()
        returned = self._session.run({name: _array(args[position]) for name, position in self._inputs})
        results = tuple([_tensor(returned[name]) for name in self._wiring.outputs])
        for name, position in self._wiring.written.items():
            args[position].copy_(_tensor(returned[name]))
        return results if self._wiring.tail is None else self._wiring.tail(*args, *results)

    def _open(self) -> None:
        self._threads = torch.get_num_threads()
        self._session = Session(self._model, optimize=True, threads=self._threads, fallback=False)


def _array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    if tensor.dtype not in _SHARED_TYPES or tensor.is_neg():
        return to_numpy(tensor)
    array: np.ndarray[Any, Any] = tensor.detach().numpy()
    return array


def _tensor(array: Any) -> torch.Tensor:
    if not isinstance(array, np.ndarray):
        raise ExecutionError(f"onnxruntime returned a {type(array).__name__}, expected a tensor")
    return to_tensor(array)
