"""Running passes that are not ours, so that what they spoil is the model in their hands and nothing else.

Tensors are shared between a model and its clones, types as well: guests get tensors that cannot be written
to, and types of their own. What they change in the process (folder, environment, seeds, warnings, numpy's
errors) is put back. Nothing here judges what they made of the graph.
"""

from __future__ import annotations

import contextlib
import copy
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import graphs
from graphopt.pipeline.blame import described, raised_by_a_signal
from graphopt.pipeline.time_limit import OverTimeError, TimeLimit

T = TypeVar("T")

IMPORT_SECONDS = 120.0
"""That importing a plug-in may take, with all that it imports."""

_OWN_PASSES = "graphopt.passes."


def is_guest(found: type[ir.passes.PassBase]) -> bool:
    """Whether a class of passes is another project's."""
    return not found.__module__.startswith(_OWN_PASSES)


def import_guest(load: Callable[[], T]) -> T:
    """What `load` imports.

    Raises:
        ImportError: Whatever it raised, or that it took too long; Ctrl-C and signals go through.
    """
    limit = TimeLimit(IMPORT_SECONDS)
    try:
        with limit:
            return limit.call(load)
    except OverTimeError as error:
        if not limit.is_over(error):
            raise
        raise ImportError(f"it was stopped after {IMPORT_SECONDS:g} s") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if raised_by_a_signal(error):
            raise
        raise ImportError(described(error)) from error


class Sealed:
    """Puts read-only tensors in the place of a model's, and the originals back.

    Tensors in files and in protobufs are read-only as they are.
    """

    def __init__(self) -> None:
        self._lent: dict[int, tuple[ir.TensorProtocol, ir.TensorProtocol]] = {}
        self._made: dict[int, ir.TensorProtocol] = {}

    def seal(self, model: ir.Model) -> None:
        """Lend the tensors of `model`, and make the types of its values its own."""
        self._exchange(model, self._lend)
        for graph in graphs(model):
            made = (output for node in graph for output in node.outputs)
            for value in (*graph.inputs, *graph.initializers.values(), *made):
                value.type = copy.deepcopy(value.type)

    def unseal(self, model: ir.Model) -> None:
        """Put back what was lent, wherever it is now."""
        self._exchange(model, self._take_back)

    def _lend(self, tensor: ir.TensorProtocol) -> ir.TensorProtocol:
        if not isinstance(tensor, ir.Tensor):
            return tensor
        known = self._made.get(id(tensor))
        if known is not None:
            return known
        lent = ir.Tensor(
            _read_only(tensor.numpy()),
            dtype=tensor.dtype,
            name=tensor.name,
            doc_string=tensor.doc_string,
            metadata_props=dict(tensor.metadata_props),
        )
        self._lent[id(lent)] = lent, tensor
        self._made[id(tensor)] = lent
        return lent

    def _take_back(self, tensor: ir.TensorProtocol) -> ir.TensorProtocol:
        lent, original = self._lent.get(id(tensor), (None, tensor))
        return tensor if lent is None else original

    def _exchange(self, model: ir.Model, other: Any) -> None:
        for graph in graphs(model):
            for value in graph.initializers.values():
                if value.const_value is not None:
                    value.const_value = other(value.const_value)
            for node in graph:
                for name, attribute in list(node.attributes.items()):
                    if attribute.type != ir.AttributeType.TENSOR or attribute.is_ref():
                        continue
                    tensor = attribute.as_tensor()
                    if (exchanged := other(tensor)) is not tensor:
                        node.attributes[name] = ir.AttrTensor(
                            name, exchanged, doc_string=attribute.doc_string
                        )


def _read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same elements behind a buffer that cannot be made writable again; a copy of those without one."""
    if array.dtype.hasobject or not array.flags.c_contiguous:
        array = array.copy()
        array.flags.writeable = False
        return array
    data = memoryview(array.reshape(-1).view(np.uint8).data).toreadonly()
    sealed: np.ndarray[Any, Any] = np.frombuffer(data, np.uint8).view(array.dtype).reshape(array.shape)
    return sealed


@contextlib.contextmanager
def process_state_kept() -> Iterator[None]:
    """Put back what the block changes in the process."""
    try:
        folder = os.getcwd()
    except OSError:  # it was deleted
        folder = ""
    environment = os.environ.copy()
    errors, printing = np.geterr(), np.get_printoptions()
    seeds = random.getstate(), np.random.get_state()
    depth = sys.getrecursionlimit()
    try:
        with warnings.catch_warnings():
            yield
    finally:
        sys.setrecursionlimit(depth)
        if os.environ != environment:
            os.environ.clear()
            os.environ.update(environment)
        np.seterr(**errors)
        np.set_printoptions(**printing)
        random.setstate(seeds[0])
        np.random.set_state(seeds[1])
        with contextlib.suppress(OSError):
            os.chdir(folder)
